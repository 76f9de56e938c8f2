"""What only a gateway has: other models to fall back to, remembered conversations, and headers that tell of it."""

from openai import NotFoundError

from checks import check, equal, raises
from openai_client import client, user


def ask(target, text="hi", model=None, **parameters):
    """Headers and completion."""
    raw = client(target).chat.completions.with_raw_response.create(
        model=model or target.model(), messages=[user(text)], max_completion_tokens=64, **parameters
    )
    return raw.headers, raw.parse()


@check
def it_tells_who_answered(target):
    headers, _ = ask(target)
    equal((headers["x-ai-warp-model"], headers["x-ai-warp-attempts"]), (target.model(), "1"))
    equal(headers.get("x-ai-warp-dropped"), None)


@check
def it_falls_back_in_order(target):
    models = [target.model("m", "status=503"), target.model()]
    headers, completion = ask(target, model=models[0], extra_body={"models": models})
    equal((headers["x-ai-warp-model"], headers["x-ai-warp-attempts"]), (target.model(), "2"))
    equal(completion.choices[0].message.content, target.echo("hi", max="64"))


@check
def it_tells_what_it_left_out(target):
    values = {"seed": 7, "logit_bias": {"50256": -100}}
    field = target.drops or "seed"
    headers, completion = ask(target, **{field: values[field]})
    equal(headers.get("x-ai-warp-dropped"), target.drops)
    equal(completion.choices[0].message.content, target.echo("hi", max="64"))


@check
def it_remembers_a_session(target):
    headers, _ = ask(target, "My name is Ada.", extra_headers={"x-session-id": "new"})
    session = headers["x-session-id"]
    headers, completion = ask(target, "What is my name?", extra_headers={"x-session-id": session})
    equal(headers["x-session-id"], session)
    equal(completion.choices[0].message.content, target.echo("What is my name?", history=2, max="64"))


@check
def it_knows_what_it_does_not_know(target):
    for model in ("no-such-model", "no-such-provider:m"):
        with raises(NotFoundError) as raised:
            ask(target, model=model)
        equal(raised.error.code, "model_not_found")

"""What only a gateway has: other models to fall back to, remembered conversations, and headers that tell of it."""

from anthropic_client import client, user
from checks import check, equal


def ask(target, text="hi", model=None, **parameters):
    """Headers and message."""
    raw = client(target).messages.with_raw_response.create(
        model=model or target.model(), max_tokens=64, messages=[user(text)], **parameters
    )
    return raw.headers, raw.parse()


@check
def it_falls_back_in_order(target):
    models = [target.model("m", "status=503"), target.model()]
    headers, message = ask(target, model=models[0], extra_body={"models": models})
    equal((headers["x-ai-warp-model"], headers["x-ai-warp-attempts"]), (target.model(), "2"))
    equal(message.content[0].text, target.echo("hi", max="64"))


@check
def it_remembers_a_session(target):
    headers, _ = ask(target, "My name is Ada.", extra_headers={"x-session-id": "new"})
    session = headers["x-session-id"]
    headers, message = ask(target, "What is my name?", extra_headers={"x-session-id": session})
    equal(headers["x-session-id"], session)
    equal(message.content[0].text, target.echo("What is my name?", history=2, max="64"))

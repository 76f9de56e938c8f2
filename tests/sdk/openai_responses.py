"""The Responses API: text, history, streams, pictures and schemas. Tools are in `openai_responses_tools`."""

from openai import APIError, BadRequestError, NotFoundError, RateLimitError

from checks import SLOWLY, PNG_BASE64, PNG_ECHO, check, equal, raises
from openai_client import client, user
from openai_schema import takes_schemas
from weather import EXPECTED, QUESTION, Weather


@check
def answers_with_every_parameter(target):
    response = client(target).responses.create(
        model=target.model(),
        instructions="Be brief.",
        input="Grüezi, 世界! 🦀",
        temperature=0.5,
        max_output_tokens=64,
    )
    expected = target.echo("Grüezi, 世界! 🦀", system="Be brief.", temperature="0.5", max="64")
    equal(response.output_text, expected)
    equal((response.object, response.status, response.error), ("response", "completed", None))
    usage = response.usage
    equal(usage.output_tokens, len(expected.split()))
    equal(usage.total_tokens, usage.input_tokens + usage.output_tokens)


@check
def remembers_what_it_is_told_was_said(target):
    asking = client(target).responses
    turns = [user("My name is Ada.")]
    first = asking.create(model=target.model(), input=turns)
    turns += first.output
    turns.append(user("What is my name?"))
    second = asking.create(model=target.model(), input=turns, max_output_tokens=99)
    equal(second.output_text, target.echo("What is my name?", history=2, max="99"))


@check
def stops_at_the_limit(target):
    response = client(target).responses.create(model=target.model(), input="!words 40", max_output_tokens=16)
    equal((response.status, response.incomplete_details.reason), ("incomplete", "max_output_tokens"))
    equal(len(response.output_text.split()), 16)


@check
def helper_gathers_the_whole(target):
    with client(target).responses.stream(
        model=target.model(), input="one two three", max_output_tokens=64
    ) as stream:
        events = list(stream)
        response = stream.get_final_response()
    expected = target.echo("one two three", max="64")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    equal("".join(deltas), expected)
    assert len(deltas) > 3, deltas
    equal((response.output_text, response.status), (expected, "completed"))
    equal(response.usage.output_tokens, len(expected.split()))
    equal((events[0].type, events[-1].type), ("response.created", "response.completed"))
    numbers = [event.sequence_number for event in events]
    equal(numbers, sorted(set(numbers)))


@check
def a_failure_in_the_middle_is_told(target):
    for flag in ("error-event=3", "cut=3"):
        kinds = []
        try:
            with client(target).responses.stream(
                model=target.model("m", flag, SLOWLY), input="one two three four"
            ) as stream:
                for event in stream:
                    kinds.append(event.type)
        except APIError as error:
            kinds.append("error")
            assert error.message, flag
        # The package raises some of the ways to say it, and passes on the others as events.
        assert kinds[-1] in ("error", "response.failed"), kinds
        assert "response.output_text.delta" in kinds and "response.completed" not in kinds, kinds


@check
def a_picture_arrives_whole_or_is_refused(target):
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG_BASE64}", "detail": "auto"},
    ]

    def ask():
        return client(target).responses.create(
            model=target.model(), input=[{"role": "user", "content": parts}], max_output_tokens=64
        )

    if "images" in target.refuses:
        with raises(BadRequestError) as raised:
            ask()
        assert "input" in f"{raised.error.param} {raised.error.message}", raised.error
    else:
        equal(ask().output_text, target.echo("What is this?", max="64") + PNG_ECHO)


@check
def a_class_is_parsed(target):
    def ask():
        return client(target).responses.parse(model=target.model(), input=QUESTION, text_format=Weather)

    if takes_schemas(target, ask, blamed="text"):
        equal(ask().output_parsed, EXPECTED)


@check
def a_class_is_parsed_from_a_stream(target):
    def ask():
        with client(target).responses.stream(
            model=target.model(), input=QUESTION, text_format=Weather
        ) as stream:
            return stream.get_final_response()

    if takes_schemas(target, ask, blamed="text"):
        equal(ask().output_parsed, EXPECTED)


@check
def failures_are_exceptions(target):
    asking = client(target).responses
    with raises(BadRequestError):
        asking.create(model=target.model(), input=[{"role": "nobody", "content": "hi"}])
    with raises(NotFoundError) as raised:
        asking.create(model=target.model("m", "unknown-model"), input="hi")
    equal(raised.error.code, "model_not_found")
    with raises(RateLimitError) as raised:
        asking.create(model=target.model("m", "status=429"), input="hi")
    equal(raised.error.code, "rate_limit_exceeded")
    assert int(raised.error.response.headers["retry-after"]) >= 1

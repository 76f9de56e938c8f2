"""Chat completions as they are written, through the package's helper and without it."""

from openai import APIConnectionError, APIError, APIStatusError

from checks import SLOWLY, check, equal, raises
from openai_client import client, user


@check
def helper_gathers_the_whole(target):
    with client(target).chat.completions.stream(
        model=target.model(),
        messages=[user("one two three")],
        max_completion_tokens=64,
        stream_options={"include_usage": True},
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        completion = stream.get_final_completion()
    expected = target.echo("one two three", max="64")
    equal("".join(deltas), expected)
    assert len(deltas) > 3, deltas
    equal(completion.choices[0].message.content, expected)
    equal(completion.choices[0].finish_reason, "stop")
    equal(completion.usage.completion_tokens, len(expected.split()))


@check
def chunks_are_as_documented(target):
    stream = client(target).chat.completions.create(
        model=target.model(), messages=[user("one two three")], max_completion_tokens=64, stream=True
    )
    chunks = list(stream)
    equal([chunk.usage for chunk in chunks if chunk.usage], [])
    if not target.is_gateway:
        # Azure begins with a chunk that tells only of its content filter.
        chunks = [chunk for chunk in chunks if chunk.choices]
    equal({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
    equal(len({chunk.id for chunk in chunks}), 1)
    equal(
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
        target.echo("one two three", max="64"),
    )
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    equal((reasons[-1], set(reasons[:-1])), ("stop", {None}))
    equal(chunks[0].choices[0].delta.role, "assistant")


@check
def usage_comes_last_where_it_is_asked_for(target):
    stream = client(target).chat.completions.create(
        model=target.model(),
        messages=[user("!words 5")],
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    equal((last.choices, last.usage.completion_tokens), ([], 5))
    equal([chunk.usage for chunk in chunks if chunk.usage], [])


@check
def stops_at_the_limit(target):
    with client(target).chat.completions.stream(
        model=target.model(), messages=[user("!words 9")], max_completion_tokens=3
    ) as stream:
        # The helper raises where an answer that is to be parsed was cut; this one is not.
        chunks = [event.chunk for event in stream if event.type == "chunk"]
    equal([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1], "length")


@check
def a_failure_in_the_middle_is_raised(target):
    # A break of the connection is the SDK's to see where no gateway stands between.
    flags = ["error-event=3", "cut=3"] if target.is_gateway else ["error-event=3"]
    for flag in flags:
        seen = []
        with raises(APIError) as raised:
            with client(target).chat.completions.stream(
                model=target.model("m", flag, SLOWLY), messages=[user("one two three four")]
            ) as stream:
                seen.extend(event.delta for event in stream if event.type == "content.delta")
        assert seen, f"{flag}: nothing came before"
        # Neither the refusal of a request nor a broken connection: an error that the stream tells.
        assert not isinstance(raised.error, (APIConnectionError, APIStatusError)), raised.error
        assert raised.error.message, flag


@check
def a_failure_before_the_first_piece_has_its_status(target):
    with raises(APIStatusError) as raised:
        client(target).chat.completions.create(
            model=target.model("m", "status=503"), messages=[user("hi")], stream=True
        )
    # The gateway itself is well: it is what stands behind it that failed.
    equal(raised.error.status_code, 502 if target.is_gateway else 503)

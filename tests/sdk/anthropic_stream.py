"""Messages as they are written, through the package's helper."""

from anthropic import APIConnectionError, APIStatusError

from anthropic_client import client, user
from checks import SLOWLY, check, equal, raises


@check
def helper_gathers_the_whole(target):
    with client(target).messages.stream(
        model=target.model(), max_tokens=64, messages=[user("one two three")]
    ) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    expected = target.echo("one two three", max="64")
    equal("".join(pieces), expected)
    assert len(pieces) > 3, pieces
    equal((message.content[0].text, message.stop_reason), (expected, "end_turn"))
    equal(message.usage.output_tokens, len(expected.split()))
    assert message.usage.input_tokens > 0, message.usage


@check
def events_come_in_order(target):
    with client(target).messages.create(
        model=target.model(), max_tokens=64, messages=[user("!words 2")], stream=True
    ) as stream:
        kinds = [event.type for event in stream]
    once = [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]
    equal(
        once,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ],
    )


@check
def a_failure_in_the_middle_is_raised(target):
    # A break of the connection is the SDK's to see where no gateway stands between.
    flags = ["error-event=3", "cut=3"] if target.is_gateway else ["error-event=3"]
    for flag in flags:
        seen = []
        with raises(APIStatusError) as raised:
            with client(target).messages.stream(
                model=target.model("m", flag, SLOWLY), max_tokens=64, messages=[user("one two three four")]
            ) as stream:
                seen.extend(stream.text_stream)
        assert seen, f"{flag}: nothing came before"
        assert not isinstance(raised.error, APIConnectionError), raised.error
        equal((raised.error.body["type"], bool(raised.error.body["error"]["message"])), ("error", True))


@check
def a_failure_before_the_first_piece_has_its_status(target):
    with raises(APIStatusError) as raised:
        client(target).messages.create(
            model=target.model("m", "status=503"), max_tokens=64, messages=[user("hi")], stream=True
        )
    # The gateway itself is well: it is what stands behind it that failed.
    equal(raised.error.status_code, 502 if target.is_gateway else 503)

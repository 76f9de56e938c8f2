"""Tools on messages: called one by one and at once, answered, streamed, forced and forbidden."""

import json

from anthropic_client import MESSAGE_TOOLS, client, user
from checks import (
    BOTH_TOLD,
    CALL_BOTH,
    CALL_WEATHER,
    CALL_WITHOUT_ARGUMENTS,
    RESULTS,
    SAY_AND_CALL,
    TIME_ARGUMENTS,
    WEATHER_ARGUMENTS,
    WEATHER_TOLD,
    check,
    equal,
)


def request(target, messages, *flags):
    return {
        "model": target.tool_model(*flags),
        "max_tokens": 2000,
        "messages": messages,
        "tools": MESSAGE_TOOLS,
    }


def calls_of(message):
    return [block for block in message.content if block.type == "tool_use"]


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def answered(message):
    """The message as history, and the results of all its calls."""
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": RESULTS[call.name]}
        for call in calls_of(message)
    ]
    return [{"role": "assistant", "content": message.content}, user(results)]


def round_trip(target, text, *flags):
    """Asks, answers every call with the SDK's own content as history, and asks again."""
    asking, messages = client(target).messages, [user(text)]
    first = asking.create(**request(target, messages, *flags))
    equal(first.stop_reason, "tool_use")
    second = asking.create(**request(target, messages + answered(first), *flags))
    equal(second.stop_reason, "end_turn")
    return first, text_of(second)


@check
def one_call_and_its_result(target):
    asked, told = round_trip(target, CALL_WEATHER)
    [call] = asked.content
    equal((call.type, call.name, call.input), ("tool_use", "get_weather", json.loads(WEATHER_ARGUMENTS)))
    equal(told, WEATHER_TOLD)


@check
def two_calls_at_once_and_their_results(target):
    asked, told = round_trip(target, CALL_BOTH)
    equal([call.name for call in calls_of(asked)], ["get_weather", "get_time"])
    equal(calls_of(asked)[1].input, json.loads(TIME_ARGUMENTS))
    equal(told, BOTH_TOLD)


@check
def a_call_after_a_thought_and_its_result(target):
    # Providers want their reasoning back with the call, each in its own way.
    _, told = round_trip(target, CALL_WEATHER, "thoughts")
    equal(told, WEATHER_TOLD)


@check
def text_before_a_call(target):
    asked, told = round_trip(target, SAY_AND_CALL)
    equal(text_of(asked).strip(), "Let me look.")
    equal(told, WEATHER_TOLD)


@check
def a_call_without_arguments(target):
    message = client(target).messages.create(**request(target, [user(CALL_WITHOUT_ARGUMENTS)]))
    [call] = calls_of(message)
    equal((call.name, call.input), ("ping", {}))


@check
def calls_are_streamed_and_answered(target):
    asking, messages = client(target).messages, [user(CALL_BOTH)]
    with asking.stream(**request(target, messages)) as stream:
        events = list(stream)
        message = stream.get_final_message()
    equal(message.stop_reason, "tool_use")
    equal([call.name for call in calls_of(message)], ["get_weather", "get_time"])
    expected = [json.loads(WEATHER_ARGUMENTS), json.loads(TIME_ARGUMENTS)]
    equal([call.input for call in calls_of(message)], expected)
    assert any(event.type == "input_json" for event in events), "arguments came in no piece"
    with asking.stream(**request(target, messages + answered(message))) as stream:
        equal(stream.get_final_text(), BOTH_TOLD)


@check
def a_thought_and_a_call_are_streamed_and_answered(target):
    asking, messages = client(target).messages, [user(CALL_WEATHER)]
    with asking.stream(**request(target, messages, "thoughts")) as stream:
        message = stream.get_final_message()
    with asking.stream(**request(target, messages + answered(message), "thoughts")) as stream:
        equal(stream.get_final_text(), WEATHER_TOLD)


@check
def a_call_without_arguments_is_streamed(target):
    with client(target).messages.stream(**request(target, [user(CALL_WITHOUT_ARGUMENTS)])) as stream:
        [call] = calls_of(stream.get_final_message())
    equal((call.name, call.input), ("ping", {}))


@check
def a_tool_may_be_forced(target):
    for choice, name in [
        ({"type": "tool", "name": "get_time"}, "get_time"),
        ({"type": "any"}, "get_weather"),
    ]:
        message = client(target).messages.create(**request(target, [user("hi")]), tool_choice=choice)
        if "forced" in target.refuses:
            equal(calls_of(message), [])
            continue
        [call] = calls_of(message)
        equal((call.name, call.input), (name, {}))


@check
def tools_may_be_forbidden(target):
    message = client(target).messages.create(
        **request(target, [user(CALL_WEATHER)]), tool_choice={"type": "none"}
    )
    equal((message.stop_reason, calls_of(message)), ("end_turn", []))
    assert CALL_WEATHER in text_of(message), message

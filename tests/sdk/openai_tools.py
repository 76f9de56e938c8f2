"""Tools on chat completions: called one by one and at once, answered, streamed, forced and forbidden."""

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
    same_json,
)
from openai_client import CHAT_TOOLS, as_history, client, user


def ask(target, messages, *flags, **parameters):
    completion = client(target).chat.completions.create(
        model=target.tool_model(*flags), messages=messages, tools=CHAT_TOOLS, **parameters
    )
    return completion.choices[0]


def result(call):
    return {"role": "tool", "tool_call_id": call.id, "content": RESULTS[call.function.name]}


def round_trip(target, text, *flags):
    """Asks, answers every call as programs do, with the SDK's own message as history, and asks again."""
    messages = [user(text)]
    first = ask(target, messages, *flags)
    equal(first.finish_reason, "tool_calls")
    messages.append(first.message)
    messages.extend(result(call) for call in first.message.tool_calls)
    second = ask(target, messages, *flags)
    equal(second.finish_reason, "stop")
    return first.message, second.message


@check
def one_call_and_its_result(target):
    asked, told = round_trip(target, CALL_WEATHER)
    [call] = asked.tool_calls
    equal((call.type, call.function.name), ("function", "get_weather"))
    same_json(call.function.arguments, WEATHER_ARGUMENTS)
    assert not asked.content, asked.content
    equal(told.content, WEATHER_TOLD)


@check
def two_calls_at_once_and_their_results(target):
    asked, told = round_trip(target, CALL_BOTH)
    equal([call.function.name for call in asked.tool_calls], ["get_weather", "get_time"])
    same_json(asked.tool_calls[1].function.arguments, TIME_ARGUMENTS)
    equal(len({call.id for call in asked.tool_calls}), 2)
    equal(told.content, BOTH_TOLD)


@check
def a_call_after_a_thought_and_its_result(target):
    # Providers want their reasoning back with the call, each in its own way.
    _, told = round_trip(target, CALL_WEATHER, "thoughts")
    equal(told.content, WEATHER_TOLD)


@check
def text_before_a_call(target):
    asked, told = round_trip(target, SAY_AND_CALL)
    equal(asked.content.strip(), "Let me look.")
    equal(told.content, WEATHER_TOLD)


@check
def a_call_without_arguments(target):
    choice = ask(target, [user(CALL_WITHOUT_ARGUMENTS)])
    [call] = choice.message.tool_calls
    equal((call.function.name, call.function.arguments), ("ping", "{}"))


@check
def calls_are_streamed(target):
    with client(target).chat.completions.stream(
        model=target.tool_model(), messages=[user(CALL_BOTH)], tools=CHAT_TOOLS
    ) as stream:
        events = list(stream)
        completion = stream.get_final_completion()
    pieces = {0: "", 1: ""}
    for event in events:
        if event.type == "tool_calls.function.arguments.delta":
            pieces[event.index] += event.arguments_delta
    calls = completion.choices[0].message.tool_calls
    equal(completion.choices[0].finish_reason, "tool_calls")
    equal([call.function.name for call in calls], ["get_weather", "get_time"])
    for index, expected in enumerate([WEATHER_ARGUMENTS, TIME_ARGUMENTS]):
        same_json(pieces[index], expected)
        equal(calls[index].function.arguments, pieces[index])
    equal(len({call.id for call in calls}), 2)


@check
def streamed_calls_are_answered(target):
    messages = [user(CALL_BOTH)]
    for _ in range(2):
        with client(target).chat.completions.stream(
            model=target.tool_model("thoughts"), messages=messages, tools=CHAT_TOOLS
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        messages.append(as_history(message.to_dict()))
        messages.extend(result(call) for call in message.tool_calls or [])
    equal(message.content, BOTH_TOLD)


@check
def a_call_without_arguments_is_streamed(target):
    with client(target).chat.completions.stream(
        model=target.tool_model(), messages=[user(CALL_WITHOUT_ARGUMENTS)], tools=CHAT_TOOLS
    ) as stream:
        completion = stream.get_final_completion()
    [call] = completion.choices[0].message.tool_calls
    equal((call.function.name, call.function.arguments), ("ping", "{}"))


@check
def a_tool_may_be_forced(target):
    named = {"type": "function", "function": {"name": "get_time"}}
    for choice, name in [(named, "get_time"), ("required", "get_weather")]:
        calls = ask(target, [user("hi")], tool_choice=choice).message.tool_calls or []
        if "forced" in target.refuses:
            equal(calls, [])
            continue
        [call] = calls
        equal((call.function.name, call.function.arguments), (name, "{}"))


@check
def tools_may_be_forbidden(target):
    choice = ask(target, [user(CALL_WEATHER)], tool_choice="none")
    equal((choice.finish_reason, choice.message.tool_calls or []), ("stop", []))
    assert CALL_WEATHER in choice.message.content, choice.message.content

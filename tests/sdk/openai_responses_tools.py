"""Tools of the Responses API, where calls and results are items of their own."""

from checks import (
    BOTH_TOLD,
    CALL_BOTH,
    CALL_WEATHER,
    CALL_WITHOUT_ARGUMENTS,
    RESULTS,
    TIME_ARGUMENTS,
    WEATHER_ARGUMENTS,
    WEATHER_TOLD,
    check,
    equal,
    same_json,
)
from openai_client import RESPONSE_TOOLS, as_history, client, user


def ask(target, items, *flags, **parameters):
    return client(target).responses.create(
        model=target.tool_model(*flags), input=items, tools=RESPONSE_TOOLS, **parameters
    )


def calls_of(response):
    return [item for item in response.output if item.type == "function_call"]


def result(call):
    return {"type": "function_call_output", "call_id": call.call_id, "output": RESULTS[call.name]}


def round_trip(target, text, *flags):
    """Asks, answers every call with the SDK's own items as history, and asks again."""
    items = [user(text)]
    first = ask(target, items, *flags)
    items += first.output
    items += [result(call) for call in calls_of(first)]
    return calls_of(first), ask(target, items, *flags).output_text


@check
def one_call_and_its_result(target):
    [call], told = round_trip(target, CALL_WEATHER)
    equal(call.name, "get_weather")
    same_json(call.arguments, WEATHER_ARGUMENTS)
    equal(told, WEATHER_TOLD)


@check
def two_calls_at_once_and_their_results(target):
    calls, told = round_trip(target, CALL_BOTH)
    equal([call.name for call in calls], ["get_weather", "get_time"])
    same_json(calls[1].arguments, TIME_ARGUMENTS)
    equal(told, BOTH_TOLD)


@check
def a_call_after_a_thought_and_its_result(target):
    # Providers want their reasoning back with the call, each in its own way.
    _, told = round_trip(target, CALL_WEATHER, "thoughts")
    equal(told, WEATHER_TOLD)


@check
def a_call_without_arguments(target):
    [call] = calls_of(ask(target, [user(CALL_WITHOUT_ARGUMENTS)]))
    equal((call.name, call.arguments), ("ping", "{}"))


@check
def calls_are_streamed(target):
    with client(target).responses.stream(
        model=target.tool_model(), input=CALL_BOTH, tools=RESPONSE_TOOLS
    ) as stream:
        events = list(stream)
        response = stream.get_final_response()
    pieces = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            pieces[event.output_index] = pieces.get(event.output_index, "") + event.delta
    calls = calls_of(response)
    equal([call.name for call in calls], ["get_weather", "get_time"])
    equal(list(pieces.values()), [call.arguments for call in calls])
    same_json(calls[0].arguments, WEATHER_ARGUMENTS)
    same_json(calls[1].arguments, TIME_ARGUMENTS)


@check
def streamed_calls_are_answered(target):
    items = [user(CALL_BOTH)]
    for _ in range(2):
        with client(target).responses.stream(
            model=target.tool_model("thoughts"), input=items, tools=RESPONSE_TOOLS
        ) as stream:
            response = stream.get_final_response()
        items += as_history([item.to_dict() for item in response.output])
        items += [result(call) for call in calls_of(response)]
    equal(response.output_text, BOTH_TOLD)


@check
def a_tool_may_be_forced(target):
    calls = calls_of(ask(target, [user("hi")], tool_choice={"type": "function", "name": "get_time"}))
    if "forced" in target.refuses:
        return equal(calls, [])
    [call] = calls
    equal((call.name, call.arguments), ("get_time", "{}"))

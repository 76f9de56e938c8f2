"""Tools: called one by one and at once, answered, streamed and forced."""

import json

from google.genai import types

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
)
from genai_client import GENAI_TOOLS, client, config


def ask(target, contents, *flags, **settings):
    return client(target).models.generate_content(
        model=target.tool_model(*flags), contents=contents, config=config(tools=GENAI_TOOLS, **settings)
    )


def said(text):
    return types.Content(role="user", parts=[types.Part.from_text(text=text)])


def answered(content):
    """The content as history, and the results of all its calls."""
    calls = [part.function_call for part in content.parts if part.function_call]
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": RESULTS[call.name]}
            )
        )
        for call in calls
    ]
    return [content, types.Content(role="user", parts=results)]


def round_trip(target, text, *flags):
    """Asks, answers every call with the SDK's own content as history, and asks again."""
    contents = [said(text)]
    first = ask(target, contents, *flags)
    second = ask(target, contents + answered(first.candidates[0].content), *flags)
    return first.function_calls, second.text


@check
def one_call_and_its_result(target):
    [call], told = round_trip(target, CALL_WEATHER)
    equal((call.name, call.args), ("get_weather", json.loads(WEATHER_ARGUMENTS)))
    equal(told, WEATHER_TOLD)


@check
def two_calls_at_once_and_their_results(target):
    calls, told = round_trip(target, CALL_BOTH)
    equal([call.name for call in calls], ["get_weather", "get_time"])
    equal(calls[1].args, json.loads(TIME_ARGUMENTS))
    equal(told, BOTH_TOLD)


@check
def a_call_after_a_thought_and_its_result(target):
    _, told = round_trip(target, CALL_WEATHER, "thoughts")
    equal(told, WEATHER_TOLD)


@check
def a_call_without_arguments(target):
    [call] = ask(target, [said(CALL_WITHOUT_ARGUMENTS)]).function_calls
    equal((call.name, call.args or {}), ("ping", {}))


@check
def calls_are_streamed(target):
    stream = client(target).models.generate_content_stream(
        model=target.tool_model(), contents=CALL_BOTH, config=config(tools=GENAI_TOOLS)
    )
    calls = [call for piece in stream for call in piece.function_calls or []]
    equal([call.name for call in calls], ["get_weather", "get_time"])
    equal(calls[0].args, json.loads(WEATHER_ARGUMENTS))


@check
def a_tool_may_be_forced(target):
    calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=["get_time"])
    reply = ask(target, [said("hi")], tool_config=types.ToolConfig(function_calling_config=calling))
    [call] = reply.function_calls
    equal((call.name, call.args or {}), ("get_time", {}))

"""Answers in JSON that keep a schema, written by hand and by the package from a class."""

import json

from openai import BadRequestError

from checks import check, equal, raises
from openai_client import client, user
from weather import EXPECTED, QUESTION, Weather

MESSAGES = [user(QUESTION)]


def takes_schemas(target, ask, blamed="response_format"):
    """Whether the provider does; where it does not, asserts that `ask` is refused and the right field blamed."""
    if "schema" not in target.refuses:
        return True
    with raises(BadRequestError) as raised:
        ask()
    assert blamed in f"{raised.error.param} {raised.error.message}", raised.error
    return False


@check
def a_schema_is_kept(target):
    schema = {**Weather.model_json_schema(), "additionalProperties": False}
    wanted = {"name": "weather", "strict": True, "schema": schema}

    def ask():
        return client(target).chat.completions.create(
            model=target.model(),
            messages=MESSAGES,
            response_format={"type": "json_schema", "json_schema": wanted},
        )

    if takes_schemas(target, ask):
        equal(json.loads(ask().choices[0].message.content), EXPECTED.model_dump())


@check
def a_class_is_parsed(target):
    def ask():
        return client(target).chat.completions.parse(
            model=target.model(), messages=MESSAGES, response_format=Weather
        )

    if takes_schemas(target, ask):
        equal(ask().choices[0].message.parsed, EXPECTED)


@check
def a_class_is_parsed_from_a_stream(target):
    def ask():
        with client(target).chat.completions.stream(
            model=target.model(), messages=MESSAGES, response_format=Weather
        ) as stream:
            return stream.get_final_completion()

    if takes_schemas(target, ask):
        equal(ask().choices[0].message.parsed, EXPECTED)

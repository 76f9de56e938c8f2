"""Answers in JSON that the package parses into a class."""

from anthropic import BadRequestError

from anthropic_client import client, user
from checks import check, equal, raises
from weather import EXPECTED, QUESTION, Weather

MESSAGES = [user(QUESTION)]


def takes_schemas(target, ask):
    """Whether the provider does; where it does not, asserts that `ask` is refused and the right field blamed."""
    if "schema" not in target.refuses:
        return True
    with raises(BadRequestError) as raised:
        ask()
    assert "output_config" in raised.error.body["error"]["message"], raised.error
    return False


@check
def a_class_is_parsed(target):
    def ask():
        return client(target).messages.parse(
            model=target.model(), max_tokens=64, messages=MESSAGES, output_format=Weather
        )

    if takes_schemas(target, ask):
        equal(ask().parsed_output, EXPECTED)


@check
def a_class_is_parsed_from_a_stream(target):
    def ask():
        with client(target).messages.stream(
            model=target.model(), max_tokens=64, messages=MESSAGES, output_format=Weather
        ) as stream:
            return stream.get_final_message()

    if takes_schemas(target, ask):
        equal(ask().parsed_output, EXPECTED)

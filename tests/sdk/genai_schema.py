"""Answers in JSON that the package parses into a class."""

from checks import check, equal
from genai_client import client, config
from weather import EXPECTED, QUESTION, Weather


@check
def a_class_is_parsed(target):
    wanted = config(response_mime_type="application/json", response_schema=Weather)
    reply = client(target).models.generate_content(model=target.model(), contents=QUESTION, config=wanted)
    equal(reply.parsed, EXPECTED)


@check
def a_schema_is_kept(target):
    schema = Weather.model_json_schema()
    wanted = config(response_mime_type="application/json", response_json_schema=schema)
    reply = client(target).models.generate_content(model=target.model(), contents=QUESTION, config=wanted)
    equal(Weather.model_validate_json(reply.text), EXPECTED)

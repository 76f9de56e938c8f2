"""A picture within the content."""

from google.genai import types

from checks import PNG, PNG_ECHO, check, equal
from genai_client import client


@check
def a_picture_arrives_whole(target):
    picture = types.Part.from_bytes(data=PNG, mime_type="image/png")
    reply = client(target).models.generate_content(model=target.model(), contents=["What is this?", picture])
    equal(reply.text, target.echo("What is this?") + PNG_ECHO)

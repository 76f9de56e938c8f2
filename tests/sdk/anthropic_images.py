"""Pictures within a message, as base64."""

from anthropic import BadRequestError

from anthropic_client import client, user
from checks import PNG_BASE64, PNG_ECHO, check, equal, raises

BLOCKS = [
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}},
    {"type": "text", "text": "What is this?"},
]


@check
def a_picture_arrives_whole_or_is_refused(target):
    def ask():
        return client(target).messages.create(model=target.model(), max_tokens=64, messages=[user(BLOCKS)])

    if "images" in target.refuses:
        with raises(BadRequestError) as raised:
            ask()
        assert "messages" in raised.error.body["error"]["message"], raised.error
    else:
        equal(ask().content[0].text, target.echo("What is this?", max="64") + PNG_ECHO)

"""Pictures within a chat, as data URLs."""

from openai import BadRequestError

from checks import PNG_BASE64, PNG_ECHO, check, equal, raises
from openai_client import client

PARTS = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_BASE64}"}},
]


def ask(target):
    return client(target).chat.completions.create(
        model=target.model(), messages=[{"role": "user", "content": PARTS}], max_completion_tokens=64
    )


@check
def a_picture_arrives_whole_or_is_refused(target):
    if "images" not in target.refuses:
        equal(ask(target).choices[0].message.content, target.echo("What is this?", max="64") + PNG_ECHO)
        return
    with raises(BadRequestError) as raised:
        ask(target)
    assert "messages" in f"{raised.error.param} {raised.error.message}", raised.error

"""The client of the `anthropic` package for a target."""

from anthropic import Anthropic

from checks import TOOLS, kept


@kept
def client(target, **options):
    """A client that does not retry, unless told to: a check sees the first answer."""
    options = {"max_retries": 0, "timeout": 20, "api_key": target.api_key, **options}
    return Anthropic(base_url=target.base_url, **options)


def user(content):
    return {"role": "user", "content": content}


MESSAGE_TOOLS = [
    {"name": name, "description": description, "input_schema": parameters}
    for name, description, parameters in TOOLS
]

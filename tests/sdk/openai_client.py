"""The clients of the `openai` package for a target."""

from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from checks import TOOLS, kept


@kept
def client(target, **options):
    """A client that does not retry, unless told to: a check sees the first answer."""
    return make(OpenAI, AzureOpenAI, target, **options)


def async_client(target):
    return make(AsyncOpenAI, AsyncAzureOpenAI, target)


def make(plain, azure, target, **options):
    options = {"max_retries": 0, "timeout": 20, "api_key": target.api_key, **options}
    if "api_version" in target.options:
        return azure(azure_endpoint=target.base_url, **target.options, **options)
    return plain(base_url=target.base_url, **options)


def user(text):
    return {"role": "user", "content": text}


def as_history(gathered):
    """What a stream's helper gathered as history: without what the package itself has added or left empty."""
    if isinstance(gathered, list):
        return [as_history(each) for each in gathered]
    if not isinstance(gathered, dict):
        return gathered
    added = ("index", "parsed", "parsed_arguments")
    return {
        key: as_history(value) for key, value in gathered.items() if value is not None and key not in added
    }


CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
    for name, description, parameters in TOOLS
]

RESPONSE_TOOLS = [
    {"type": "function", "name": name, "description": description, "parameters": parameters, "strict": False}
    for name, description, parameters in TOOLS
]

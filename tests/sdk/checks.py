"""What the scripts share: the server under test, the list of a script's checks, and what the simulated model says."""

import base64
import json
import struct
import zlib
from contextlib import contextmanager
from functools import cache, wraps
from threading import Lock


class Target:
    """A server that speaks an SDK's API: a simulated provider, or the gateway in front of one.

    base_url, api_key   what the SDK is given; `options` are further arguments of its client
    provider            who answers in the end
    route               what stands before a model's name to reach it
    is_gateway          whether these are the gateway's answers and errors, or the provider's own
    refuses             what the provider cannot take: `images`, `schema`, `dimensions`, `forced` tools
    drops               a field of the request that the gateway leaves out for it
    listed              models that a list of models must have
    """

    def __init__(self, plan):
        self.name = plan["name"]
        self.scripts = plan["scripts"]
        self.base_url = plan["base_url"]
        self.api_key = plan["api_key"]
        self.provider = plan["provider"]
        self.route = plan.get("route", "")
        self.is_gateway = plan.get("is_gateway", False)
        self.refuses = plan.get("refuses", [])
        self.drops = plan.get("drops")
        self.listed = plan.get("listed", [])
        self.options = plan.get("options", {})

    def model(self, name="m", *flags):
        """The name to ask for; `flags` say how the simulated provider fails."""
        return self.route + "~".join([name, *flags])

    def unique(self, name):
        """A model's name that no other target uses, for faults that are counted."""
        return f"{name}-by-{self.name.replace('/', '-')}"

    def tool_model(self, *flags):
        """A model whose provider is strict about the history of tool calls."""
        return self.model("gemini-3-m" if self.provider in ("gemini", "vertex") else "m", *flags)

    def echo(self, text, system="-", history=0, temperature="-", max="-", model="m"):
        """What the simulated model answers to an ordinary text."""
        told = f"[system={system}] [history={history}] [temperature={temperature}] [max={max}]"
        return f"{self.provider}/{model}: {text} {told}"


# What fails in the middle fails after what came before has arrived.
SLOWLY = "chunk-delay=30"

# Providers that tell of a spent quota as of any other limit.
QUOTA_IS_A_LIMIT = ("xai", "ollama", "vllm", "llamacpp")

# One that tells of it as it tells of a wrong key.
QUOTA_IS_A_REFUSAL = ("bedrock",)


def check(function):
    """Marks a function as a check: called with a target, it passes if it returns."""
    function.is_check = True
    return function


def checks_of(script):
    """The checks of a script as `SCRIPT.CHECK` and function, in the order in which they are written."""
    functions = [each for each in vars(script).values() if getattr(each, "is_check", False)]
    return [(f"{script.__name__}.{each.__name__}", each) for each in functions]


def kept(make):
    """Caches what `make` returns for good, and makes it once even where several threads ask for it first.

    Clients are made this way: making one takes longer than asking it, and Google's closes itself when it is dropped.
    """
    cached, lock = cache(make), Lock()

    @wraps(make)
    def get(*arguments, **options):
        with lock:
            return cached(*arguments, **options)

    return get


def equal(found, expected):
    """Asserts equality, telling both."""
    assert found == expected, f"\n   found: {found!r}\nexpected: {expected!r}"


class Raised:
    """Holds what was raised, once it was."""

    error = None


@contextmanager
def raises(kind):
    """Asserts that exactly this kind of error is raised, or a subclass, and holds it."""
    raised = Raised()
    try:
        yield raised
    except kind as error:
        raised.error = error
    else:
        raise AssertionError(f"no {kind.__name__} was raised")


# Commands to the simulated model, and what it then calls.
WEATHER_ARGUMENTS = '{"city":"Zürich","days":[1,2]}'
TIME_ARGUMENTS = '{"zone":"CET"}'
CALL_WEATHER = f"!call get_weather {WEATHER_ARGUMENTS}"
CALL_BOTH = f"{CALL_WEATHER} ;; get_time {TIME_ARGUMENTS}"
CALL_WITHOUT_ARGUMENTS = "!call ping"
SAY_AND_CALL = f"!say Let me look. ;; call get_weather {WEATHER_ARGUMENTS}"

# The tools every script declares: name, description, and the schema of the parameters.
TOOLS = [
    (
        "get_weather",
        "The weather of a city.",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["city"],
        },
    ),
    (
        "get_time",
        "The time in a zone.",
        {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    ),
    ("ping", "Takes nothing.", {"type": "object", "properties": {}}),
]

# What the tools answer, and what the model makes of that.
RESULTS = {"get_weather": "sunny, 21 °C", "get_time": "12:00"}
WEATHER_TOLD = "results: get_weather=sunny, 21 °C"
BOTH_TOLD = "results: get_weather=sunny, 21 °C; get_time=12:00"


def same_json(found, expected):
    """Asserts that two JSON texts mean the same: a wire that carries objects need not keep the spelling."""
    equal(json.loads(found), json.loads(expected))


def png():
    """A valid picture of one pixel."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


PNG = png()
PNG_BASE64 = base64.b64encode(PNG).decode()
PNG_ECHO = f" [images=image/png:{len(PNG)}]"

"""The clients of the `google-genai` package for a target."""

from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from checks import TOOLS, kept


@kept
def client(target, **options):
    """A client of the Gemini API, or of Vertex AI where the target names a project."""
    api_key = options.get("api_key", target.api_key)
    http_options = types.HttpOptions(base_url=target.base_url, timeout=20_000)
    if "project" in target.options:
        credentials = Credentials(token=api_key)
        return genai.Client(
            vertexai=True, credentials=credentials, http_options=http_options, **target.options
        )
    return genai.Client(api_key=api_key, http_options=http_options)


def config(**settings):
    """A request's settings; the package never calls a function by itself here."""
    by_hand = types.AutomaticFunctionCallingConfig(disable=True)
    return types.GenerateContentConfig(automatic_function_calling=by_hand, **settings)


GENAI_TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name=name, description=description, parameters_json_schema=parameters)
            for name, description, parameters in TOOLS
        ]
    )
]

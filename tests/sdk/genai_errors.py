"""Failures, as the exceptions that the `google-genai` package makes of them."""

from google.genai import errors

from checks import check, equal, raises
from genai_client import client, config


def fails(target, kind, code, status, *flags, **settings):
    with raises(kind) as raised:
        client(target).models.generate_content(
            model=target.model("m", *flags), contents="hi", config=config(**settings)
        )
    equal((raised.error.code, raised.error.status), (code, status))
    assert raised.error.message, raised.error


@check
def every_failure_has_its_code_and_status(target):
    fails(target, errors.ClientError, 400, "INVALID_ARGUMENT", temperature=9)
    fails(target, errors.ClientError, 404, "NOT_FOUND", "unknown-model")
    fails(target, errors.ClientError, 429, "RESOURCE_EXHAUSTED", "status=429")
    fails(target, errors.ServerError, 503, "UNAVAILABLE", "status=503")


@check
def a_wrong_key_is_refused(target):
    with raises(errors.ClientError) as raised:
        client(target, api_key="wrong").models.generate_content(model=target.model(), contents="hi")
    assert raised.error.code in (400, 401, 403), raised.error

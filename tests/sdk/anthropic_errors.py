"""Failures, as the exceptions that the `anthropic` package makes of them."""

from anthropic import (
    BadRequestError,
    InternalServerError,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
)

from anthropic_client import client, user
from checks import QUOTA_IS_A_REFUSAL, check, equal, raises


def ask(target, model, messages=None):
    client(target).messages.create(model=model, max_tokens=64, messages=messages or [user("hi")])


def expect_anthropic_shape(error, *kinds):
    """The body is `{"type": "error", "error": {"type", "message"}}`, of one of these kinds."""
    assert isinstance(error.body, dict), error.body
    equal(error.body["type"], "error")
    assert error.body["error"]["type"] in kinds and error.body["error"]["message"], error.body


@check
def a_wrong_request(target):
    with raises(BadRequestError) as raised:
        ask(target, target.model(), [{"role": "nobody", "content": "hi"}])
    expect_anthropic_shape(raised.error, "invalid_request_error")


@check
def an_unknown_model(target):
    models = [target.model("m", "unknown-model")]
    if target.is_gateway:
        models += ["no-such-model", "no-such-provider:m"]
    for model in models:
        with raises(NotFoundError) as raised:
            ask(target, model)
        expect_anthropic_shape(raised.error, "not_found_error")


@check
def a_rate_limit_says_when_to_come_back(target):
    with raises(RateLimitError) as raised:
        ask(target, target.model("m", "status=429"))
    expect_anthropic_shape(raised.error, "rate_limit_error")
    seconds = int(raised.error.response.headers["retry-after"])
    assert 1 <= seconds <= 7, seconds


@check
def an_exhausted_quota(target):
    # The gateway says it by the same status for every provider.
    told = RateLimitError if target.is_gateway else PaymentRequiredError
    with raises(InternalServerError if target.provider in QUOTA_IS_A_REFUSAL else told) as raised:
        ask(target, target.model("m", "quota"))
    expect_anthropic_shape(raised.error, "billing_error", "rate_limit_error", "api_error")


@check
def a_provider_that_is_down(target):
    for flag in ("status=500", "status=503", "status=529", "html=502"):
        with raises(InternalServerError) as raised:
            ask(target, target.model("m", flag))
        if target.is_gateway:
            # Whatever the provider sent, a page of HTML included.
            expect_anthropic_shape(raised.error, "api_error", "overloaded_error")

"""Failures, as the exceptions that the `openai` package makes of them."""

from openai import BadRequestError, InternalServerError, NotFoundError, RateLimitError

from checks import QUOTA_IS_A_LIMIT, QUOTA_IS_A_REFUSAL, check, equal, raises
from openai_client import client, user


def ask(target, model, messages=None):
    client(target).chat.completions.create(model=model, messages=messages or [user("hi")])


def expect_openai_shape(target, error, code=None):
    """The body is `{"error": {"message", "type", "param", "code"}}`, of which the package passes on the inner part."""
    assert isinstance(error.body, dict) and error.body["message"], error.body
    if target.provider == "azure" and not target.is_gateway:
        # Azure's own layer, before any model, says less and has other codes.
        assert {"message", "code"} <= set(error.body), error.body
        return
    equal(set(error.body), {"message", "type", "param", "code"})
    assert isinstance(error.body["type"], str), error.body
    equal(error.code, code or error.code)


@check
def a_wrong_request(target):
    with raises(BadRequestError) as raised:
        ask(target, target.model(), [{"role": "nobody", "content": "hi"}])
    expect_openai_shape(target, raised.error)
    with raises(BadRequestError) as raised:
        client(target).chat.completions.create(model=target.model(), messages=[user("hi")], temperature="hot")
    expect_openai_shape(target, raised.error)


@check
def an_unknown_model(target):
    with raises(NotFoundError) as raised:
        ask(target, target.model("m", "unknown-model"))
    expect_openai_shape(target, raised.error, "model_not_found")


@check
def a_rate_limit_says_when_to_come_back(target):
    with raises(RateLimitError) as raised:
        ask(target, target.model("m", "status=429"))
    expect_openai_shape(target, raised.error, "rate_limit_exceeded")
    seconds = int(raised.error.response.headers["retry-after"])
    assert 1 <= seconds <= 7, seconds


@check
def an_exhausted_quota(target):
    with raises(InternalServerError if target.provider in QUOTA_IS_A_REFUSAL else RateLimitError) as raised:
        ask(target, target.model("m", "quota"))
    if target.provider not in QUOTA_IS_A_REFUSAL:
        is_limit = target.is_gateway and target.provider in QUOTA_IS_A_LIMIT
        code = "rate_limit_exceeded" if is_limit else "insufficient_quota"
        expect_openai_shape(target, raised.error, code)


@check
def a_provider_that_is_down(target):
    for flag in ("status=500", "status=503", "html=502"):
        with raises(InternalServerError) as raised:
            ask(target, target.model("m", flag))
        if target.is_gateway:
            # Whatever the provider sent, a page of HTML included.
            expect_openai_shape(target, raised.error)

"""The key, where it is the server's to check: at a provider, not at the gateway."""

from anthropic import AuthenticationError

from anthropic_client import client, user
from checks import check, raises


@check
def a_wrong_key_is_refused(target):
    with raises(AuthenticationError):
        client(target, api_key="wrong").messages.create(
            model=target.model(), max_tokens=64, messages=[user("hi")]
        )

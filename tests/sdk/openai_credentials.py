"""The key, where it is the server's to check: at a provider, not at the gateway."""

from openai import AuthenticationError

from checks import check, raises
from openai_client import client, user


@check
def a_wrong_key_is_refused(target):
    with raises(AuthenticationError):
        client(target, api_key="wrong").chat.completions.create(model=target.model(), messages=[user("hi")])

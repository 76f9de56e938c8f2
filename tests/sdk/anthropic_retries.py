"""The package's own retries: it comes back when it is told to."""

import time

from anthropic_client import client, user
from checks import check, equal

# Seconds, as told by the provider.
TOLD = 1


@check
def it_waits_as_long_as_it_is_told(target):
    model = target.model(target.unique("anthropic-retries"), "fail-first=1", f"retry-after={TOLD}")
    started = time.monotonic()
    message = client(target, max_retries=2).messages.create(
        model=model, max_tokens=64, messages=[user("!text back again")]
    )
    equal(message.content[0].text, "back again")
    elapsed = time.monotonic() - started
    # Less than the package's own first pause, 0.5 s at most, would mean that nothing was told; timers are not exact.
    assert elapsed >= TOLD * 0.9, elapsed

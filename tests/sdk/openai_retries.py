"""The package's own retries: it comes back when it is told to."""

import time

from checks import check, equal
from openai_client import client, user

# Seconds, as told by the provider.
TOLD = 1


@check
def it_waits_as_long_as_it_is_told(target):
    model = target.model(target.unique("openai-retries"), "fail-first=1", f"retry-after={TOLD}")
    started = time.monotonic()
    completion = client(target, max_retries=2).chat.completions.create(
        model=model, messages=[user("!text back again")]
    )
    equal(completion.choices[0].message.content, "back again")
    elapsed = time.monotonic() - started
    # Less than the package's own first pause, 0.5 s at most, would mean that nothing was told; timers are not exact.
    assert elapsed >= TOLD * 0.9, elapsed

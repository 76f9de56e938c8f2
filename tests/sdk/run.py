"""Runs checks of one SDK against any number of servers at once, and prints a line for each check that passed.

    python run.py PLAN.json

The plan names the targets, and for each the scripts whose checks it must pass (see `checks.Target`). A line
is `ok TARGET SCRIPT.CHECK`; what failed is told with its traceback on stderr, and the process ends with 1.
"""

import importlib
import json
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

from checks import Target, checks_of

# Checks under way at once: some wait for a retry, and the others need not wait for them.
CONCURRENT = 8


def attempt(target, name, check):
    try:
        check(target)
    except BaseException:  # a check that calls exit() has failed as well
        return f"FAILED {target.name} {name}\n{traceback.format_exc()}"
    return None


def main(path):
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    wanted = [
        (target, name, check)
        for target in map(Target, plan["targets"])
        for script in target.scripts
        for name, check in checks_of(importlib.import_module(script))
    ]
    with ThreadPoolExecutor(CONCURRENT) as pool:
        failed = 0
        # At once, so that it is seen which check hangs.
        for (target, name, _), failure in zip(wanted, pool.map(lambda each: attempt(*each), wanted)):
            if failure is None:
                print(f"ok {target.name} {name}", flush=True)
            else:
                failed += 1
                print(failure, file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

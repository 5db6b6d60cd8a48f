"""A node or exchange that kills itself (SIGKILL) at a named step: ``python crashing.py STEP node|exchange HOME [URL|PORT]``.

Steps are ``before:`` or ``after:`` a function of the product, with ``#n`` for its n-th call. The product knows nothing of
this: functions are wrapped here, in the child process of a test.
"""

import os
import signal
import sys
import time
from pathlib import Path


def jump(days: int) -> None:
    """Set the clock of this process forwards, or back."""
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + days * 86_400
    time.time_ns = lambda: nanoseconds() + days * 86_400 * 10**9


if sys.argv[1].startswith("clock:"):
    jump(int(sys.argv[1].removeprefix("clock:")))  # before anything takes the clock as its own

from api import processes  # noqa: E402
from exchange.hub.store import Store  # noqa: E402
from exchange.line import Line  # noqa: E402
from exchange.node import agent  # noqa: E402
from exchange.node.cases import Cases  # noqa: E402
from exchange.node.vault import Vault  # noqa: E402


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(step: str) -> None:
    """Wrap the named function so that its n-th call is the last thing this process does."""
    when, _, rest = step.partition(":")
    name, _, count = rest.partition("#")
    owner, attribute = {
        "judged": (Vault, "judged"),
        "move": (Vault, "move"),
        "charge": (Vault, "charge"),
        "clip": (agent, "clip"),
        "add_noise": (agent, "add_noise"),
        "keep_noised": (Vault, "keep_noised"),
        "post": (Line, "post"),
        "keep_ruling": (Cases, "keep"),
        "write": (Store, "write"),
    }[name]
    original = getattr(owner, attribute)
    calls = 0

    def wrapped(*arguments, **named):
        nonlocal calls
        calls += 1
        last = calls == int(count or 1)
        if last and when == "before":
            die()
        result = original(*arguments, **named)
        if last:
            die()
        return result

    setattr(owner, attribute, wrapped)


def main() -> None:
    step, kind, home, where = sys.argv[1:5]
    if step != "never" and not step.startswith("clock:"):
        arm(step)
    if kind == "node":
        processes.run_node(Path(home), exchange=where, lifeline=True)
    else:
        processes.serve_exchange(Path(home), host="127.0.0.1", port=int(where), lifeline=True)


if __name__ == "__main__":
    main()

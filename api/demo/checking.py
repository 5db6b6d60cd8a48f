"""The last step of the story: an outsider checks the exchange's whole log offline, and finds the one byte that was changed."""

from pathlib import Path
from typing import NamedTuple

from api.commands import inspecting
from exchange.audit.bundle import Wrong
from exchange.audit.verdict import Verdict, verify


class Checked(NamedTuple):
    """How many entries the bundle has, what it was found to hold, and what was said of it once a byte was changed."""

    entries: int
    verdict: Verdict
    spoiled: str


def check(home: Path) -> Checked:
    """Export the log of the stopped exchange under ``home``, verify it, change one byte and verify it again.

    Raises:
        Wrong: if the log is not sound.
    """
    bundle = home / "log.bundle"
    entries = inspecting.export(str(home / "exchange"), output=bundle, home=None)
    return Checked(entries, verify(bundle), _spoil(bundle))


def _spoil(bundle: Path) -> str:
    changed = bundle.with_name("log-changed.bundle")
    inspecting.spoil(bundle, changed)
    try:
        verify(changed)
    except Wrong as found:
        return found.reason
    finally:
        changed.unlink()
    return ""

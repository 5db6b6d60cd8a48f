"""The log beside one's own keys: is it still the one that was seen last, and does a bundle of it hold."""

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from api.commands import inspecting
from api.console.desk.place import beside
from api.console.everywhere.log import KINDS
from api.console.pages import Page, Visit
from api.console.places import DESK, Same
from api.console.wording import msg
from exchange import identity
from exchange.audit.bundle import Wrong
from exchange.line import seconds
from exchange.protocol.errors import Unknown
from exchange.protocol.log import Forked
from exchange.witness import Witness
from privacy.errors import Malformed, Mismatch

_ROOM = "verdicts"
"""Directory beside the keys in which the verdicts on bundles are kept."""


def followed(visit: Visit) -> Mapping[str, Any]:
    """Hold the log's head of this moment to the last one that was seen here, and return both."""
    place = beside(visit.place)
    witness = Witness(place.home)
    before, log = witness.head, witness.log
    told: dict[str, Any] = {
        "log": log,
        "before": None if before is None else before.model_dump(mode="json"),
        "forked": None,
        "again_in": 60,
        "same_as": [
            Same(msg("Command line"), "touchstone audit watch --as HOME --exchange URL").to_json(),
            Same("HTTP", f"GET /v1/log/head?since={witness.size}").to_json(),
        ],
    }
    try:
        seen = witness.look(place.line, now=int(seconds()), directory=inspecting.pinned(place.home, place.line))
    except Forked as error:
        return told | {"forked": {"reason": error.reason, "fix": error.fix}, "now": None, "cosigned": {}}
    return told | {"log": witness.log, "now": seen.head.model_dump(mode="json"), "cosigned": dict(seen.cosigned)}


def checked(visit: Visit) -> Mapping[str, Any]:
    """Return the verdict on a bundle that was checked here, and those before it."""
    home = beside(visit.place).home
    name = visit.query.get("verdict", "")
    return {
        "kinds": KINDS,
        "asked": {"log": visit.form.get("log") or Witness(home).log or "", "path": visit.form.get("path", "")},
        "verdict": _verdict(home, name) if name else None,
        "earlier": [
            {"name": file.stem, "at": int(file.stat().st_mtime), "holds": told["holds"]}
            for file, told in islice(((file, told) for file, told in _kept(home) if not told["spoilt"]), 10)
        ],
        "same_as": [
            Same(msg("Command line"), "touchstone audit verify log.bundle --as HOME").to_json(),
        ],
    }


def check(visit: Visit) -> str:
    """Check the bundle that was sent or named, against what this party knows, and keep the verdict.

    Who wants to see what a check finds has one byte of a copy changed first.

    Raises:
        Malformed: if there is none, or it is no bundle.
    """
    home = beside(visit.place).home
    log, path = visit.form.get("log", "").strip() or None, visit.form.get("path", "").strip()
    text = visit.form.get("bundle", "")
    if bool(text) is bool(path):
        raise Malformed("one bundle is checked at a time", fix="choose a file, or name its path on this machine")
    with tempfile.TemporaryDirectory(prefix="touchstone-") as room:
        bundle = Path(path).expanduser()
        if text:
            bundle = Path(room) / "log.bundle"
            bundle.write_bytes(text.encode())
        looked_at = bundle
        if "spoil" in visit.form and bundle.is_file():
            looked_at = Path(room) / "changed.bundle"
            inspecting.spoil(bundle, looked_at)
        try:
            found, compared = inspecting.examine(looked_at, log=log, home=home)
            verdict = {"holds": True, "compared": compared, **found.to_json()}
        except Wrong as error:
            verdict = {"holds": False, "seq": error.seq, "why": error.reason, "fix": error.fix}
        except Mismatch as error:
            verdict = {"holds": False, "seq": 0, "why": error.reason, "fix": error.fix}
    verdict["spoilt"] = looked_at is not bundle
    return f"/log/verify?verdict={_keep(home, verdict | {'at': int(time.time()), 'file': bundle.name if path else ''})}"


def latest(home: Path) -> Path | None:
    """Return the file of the newest verdict on a sound bundle, if one was checked here."""
    return next((file for file, told in _kept(home) if told["holds"]), None)


def _kept(home: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the verdicts with their files, newest first; a file is read when its turn comes."""
    for file in sorted((home / _ROOM).glob("*.json"), key=lambda file: -file.stat().st_mtime):
        yield file, _read(file)


def _keep(home: Path, verdict: Mapping[str, Any]) -> str:
    text = json.dumps(verdict, ensure_ascii=False, indent=2)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    (home / _ROOM).mkdir(mode=0o700, exist_ok=True)
    identity.write_secret(home / _ROOM / f"{name}.json", text)
    return name


def _verdict(home: Path, name: str) -> Any:
    file = home / _ROOM / f"{name}.json"
    if len(name) != 16 or not name.isalnum() or not file.exists():
        raise Unknown("verdict here")
    return _read(file)


def _read(file: Path) -> dict[str, Any]:
    told: dict[str, Any] = {"spoilt": False, **json.loads(file.read_text("utf-8"))}
    return told


PAGES = (
    Page("/log/followed", "log-followed.html", msg("The log that you follow"), followed, places=frozenset({DESK})),
    Page(
        "/log/verify", "log-verify.html", msg("Check a bundle"), checked,
        group=msg("Oversight"), places=frozenset({DESK}), act=check,
    ),
)  # fmt: skip

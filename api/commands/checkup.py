"""What a doctor finds in a party's directory and on its way to the exchange: each finding in words to read over the phone.

Looking changes nothing that a start of the party would not. With ``fix`` what needs no decision is mended: rights of files,
leftovers of interrupted writes, a journal's unfinished end, a catalogue that does not match its journal.
"""

import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from exchange import address, identity, strongbox
from exchange.journal import Held, Journal
from exchange.line import Unreachable, greet
from exchange.node.engine import SourceFault
from exchange.node.source import inspect
from exchange.node.vault import Vault
from exchange.protecting import protection, secret_files
from exchange.strongbox import Locked
from exchange.tls import Impostor
from privacy.errors import Malformed, PrivacyError

LOW = 1 << 30
"""Bytes left on a disk below which a party is told."""

LONGEST = 10.0
"""Seconds to wait for an exchange that is looked for."""

SKEW = 60
"""Seconds by which clocks may differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: fine, noted, mended just now, or a fault with what to do about it."""

    state: Literal["fine", "note", "mended", "fault"]
    text: str
    do: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the JSON object."""
        return asdict(self)


def examine(home: Path, *, exchange: str | None, fix: bool) -> list[Finding]:
    """Look at everything under ``home``, and at the exchange at the URL ``exchange`` if one is given."""
    if not (home / "party").is_file():
        what = "touchstone exchange init, node init or desk init makes one"
        return [Finding("fault", f"no party lives under {home.name or home}", f"check the directory; {what}")]
    findings = [*_files(home, fix=fix), *_room(home), *_keys(home)]
    if (home / "journal").is_dir():
        findings += _journal(home, fix=fix)
    if exchange is not None:
        findings += _exchange(home, exchange.rstrip("/"))
    return list(dict.fromkeys(findings))


def _files(home: Path, *, fix: bool) -> Iterator[Finding]:
    secret = [home, *secret_files(home)]
    loose = [path for path in secret if stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in loose:
        if fix:
            path.chmod(0o700 if path.is_dir() else 0o600)
    named = ", ".join("the directory" if path == home else path.name for path in loose)
    if not loose:
        yield Finding("fine", "only you can read the keys")
    elif fix:
        yield Finding("mended", f"others could read {named}; now they cannot")
    else:
        yield Finding("fault", f"others on this machine can read {named}", "run the doctor again with --fix")
    left = sorted({*home.glob("*.new"), *home.glob("*/*.new")})
    if left and fix:
        for path in left:
            path.unlink()
        yield Finding("mended", f"{len(left)} leftovers of interrupted writes are gone")
    elif left:
        yield Finding("note", f"{len(left)} leftovers of interrupted writes", "run the doctor again with --fix")
    aside = sorted(home.glob("catalog.duckdb.damaged-*"))
    if aside:
        yield Finding(
            "note",
            "a damaged catalogue was set aside and made again",
            f"delete {aside[0].name} once you need it no more",
        )


def _room(home: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(home).free
    if free >= LOW:
        yield Finding("fine", f"{free >> 30} GiB are left on the disk")
    else:
        yield Finding(
            "fault", f"only {free >> 20} MiB are left on the disk", "make room: without it nothing is answered"
        )


def _keys(home: Path) -> Iterator[Finding]:
    try:
        held = protection(home)
        party, signing = identity.load(home, what="party")
    except Locked as error:
        yield _closed(error)
        return
    except PrivacyError:
        yield Finding("fault", "the signing key cannot be read", "restore it from a backup; it cannot be made again")
        return
    yield Finding("fine", f"{party}, key {signing.public_key().public_bytes_raw().hex()[:16]}...")
    plain = [path.name for path in secret_files(home) if not strongbox.is_sealed(path.read_text("utf-8"))]
    if held is None:
        yield Finding("fine", "the keys are not sealed, so the disk should be: touchstone keys protect seals them")
    elif plain:
        yield Finding("fault", f"{', '.join(plain)} lie in the open", "touchstone keys protect, again, seals them")
    else:
        yield Finding("fine", f"the keys are protected by a {held.kind.replace('-', ' ')}")


def _journal(home: Path, *, fix: bool) -> Iterator[Finding]:
    owner = (home / "party").read_text("utf-8").strip()
    try:
        with Journal.open(home / "journal", owner=owner, mend=False) as journal:
            seq, torn = journal.head[0], journal.recovered
    except Held as held:
        who = "another process" if held.pid is None else f"process {held.pid}"
        yield Finding("note", f"it is running as {who}, so its journal was left alone", "stop it to have it examined")
        return
    except PrivacyError as error:
        yield Finding("fault", error.reason, error.fix)
        return
    yield Finding("fine", f"the journal is whole, {seq} entries")
    if torn and not fix:
        yield Finding(
            "note", f"{torn} bytes of a write that was never acknowledged are at its end; the next start cuts them off"
        )
    if (home / "sampling.key").is_file():
        yield from _node(home, fix=fix)
    elif fix:
        yield from _opened_store(home)


def _opened_store(home: Path) -> Iterator[Finding]:
    from api.processes import microseconds  # noqa: PLC0415
    from exchange.hub.store import Store  # noqa: PLC0415

    try:
        with closing(Store.open(home, clock=microseconds)) as store:
            yield from _mended(store.book.recovered)
    except Locked as error:
        yield _closed(error)
    except PrivacyError as error:
        yield Finding("fault", error.reason, error.fix)


def _node(home: Path, *, fix: bool) -> Iterator[Finding]:
    """Look at a node's catalogue and sources."""
    from api.processes import microseconds  # noqa: PLC0415

    if not fix and not (home / "catalog.duckdb").is_file():
        yield Finding("note", "the catalogue is missing; the next start makes it again from the journal")
        return
    try:
        with closing(Vault.open(home, clock=microseconds)) as vault:
            yield from _mended(vault.book.recovered)
            held = vault.datasets()
            for dataset in held:
                try:
                    inspect(dataset.location, engines=vault.prepared.engines)
                    yield Finding("fine", f"the source of {dataset.name} can be read")
                except SourceFault as fault:
                    yield Finding("fault", f"the source of {dataset.name}: {fault.reason}", fault.fix)
            if not held:
                yield Finding("note", "no dataset is registered", "touchstone node register says how")
    except Locked as error:
        yield _closed(error)
    except PrivacyError as error:
        yield Finding("fault", error.reason, error.fix)


def _closed(error: Locked) -> Finding:
    """Keys that nobody opened hide nothing that is wrong; keys that cannot be opened are lost."""
    return Finding("note" if error.absent else "fault", error.reason, error.fix)


def _mended(notes: tuple[str, ...]) -> Iterator[Finding]:
    for note in notes:
        yield Finding("mended", note)
    if not notes:
        yield Finding("fine", "the catalogue matches the journal")


def _exchange(home: Path, url: str) -> Iterator[Finding]:
    try:
        _, now = greet(url, within=LONGEST, pin=address.pin(home))
    except (Unreachable, Impostor, Malformed) as error:
        yield Finding("fault", error.reason, error.fix)
        return
    yield Finding("fine", f"{url} serves")
    skew = 0 if now is None else round(abs(now - time.time()))
    if skew > SKEW:
        yield Finding("fault", f"your clock and the exchange's differ by {skew} s", "set the clock (NTP)")
    if (home / "party").read_text("utf-8").strip() != "exchange":  # an exchange is no party of its own
        yield from _membership(home, url)


def _membership(home: Path, url: str) -> Iterator[Finding]:
    try:
        party, signing = identity.load(home, what="party")
        with address.line(home, url, party=party, key=signing) as line:
            line.get("/v1/exchange")
    except Locked as error:
        yield _closed(error)
        return
    except PrivacyError as error:
        yield Finding("fault", f"the exchange does not know this party: {error.reason}", error.fix)
        return
    yield Finding("fine", f"the exchange knows {party} by this key")

"""What ``touchstone audit`` does: take the exchange's log away, check it without anybody's help, follow its head."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from api.commands.homes import document, store_of
from exchange import address, identity
from exchange.audit import bundle
from exchange.audit.verdict import Verdict
from exchange.audit.verdict import verify as check
from exchange.line import Line
from exchange.line import seconds as clock
from exchange.pins import PINNED, Pins, fetch
from exchange.protocol.attest import Attested
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.log import TreeHead, read_head
from exchange.witness import Seen, Witness
from privacy import canonical
from privacy.errors import Malformed
from privacy.terms import NANO


def pin(home: Path, log: str) -> None:
    """Have a node or a desk follow the log with this id and no other.

    Raises:
        Malformed: if it is no id. Unknown: if there is neither under ``home``.
    """
    identity.load(home, what="node or desk")
    Witness(home).pin(_log_id(log))


def export(source: str, *, output: Path, home: Path | None) -> int:
    """Write the log of a stopped exchange's directory, or of a running one's address, into a bundle; return its entries.

    Raises:
        Malformed: if an address comes without a regulator's keys, or the file cannot be written.
        Forbidden: if they are not a regulator's.
    """
    if not source.startswith(("http://", "https://")):
        return _copy(Path(source), output)
    if home is None:
        raise Malformed("an address needs a regulator's keys", fix="add --as with the directory of your keys")
    return _fetch(source, home, output)


def verify(
    path: Path, *, log: str | None, home: Path | None, seen: Path | None, reports: Sequence[Path], as_json: bool
) -> None:
    """Check a bundle and print what it holds.

    Raises:
        Wrong: naming the first entry that is wrong.
        Mismatch, Malformed: if it is no bundle signed by the log. Unknown: if a report's appraisal is not in it.
    """
    found, compared = examine(path, log=log, home=home, seen=seen)
    known = [_on_record(found, one) for one in reports]
    if as_json:
        _say(json.dumps({**found.to_json(), "reports": known}, ensure_ascii=False, indent=2))
    else:
        _tell(found, known, compared=compared)


def examine(
    path: Path, *, log: str | None = None, home: Path | None = None, seen: Path | None = None
) -> tuple[Verdict, bool]:
    """Check a bundle against what the party under ``home`` knows, and tell whether the log's id was compared.

    Raises:
        Wrong, Mismatch, Malformed: like :func:`verify`.
    """
    witness = None if home is None else Witness(home)
    wanted = _log_id(log) if log is not None else witness.log if witness is not None else None
    remembered = witness.head if witness is not None and witness.log == wanted else None
    found = check(
        path,
        log=wanted,
        seen=_head(seen, wanted) if seen is not None else remembered,
        pinned={} if home is None else pinned(home),
    )
    return found, wanted is not None


def spoil(bundle: Path, changed: Path) -> None:
    """Write a copy of a bundle in which one bit is another, two thirds through: what a check has to find."""
    shutil.copyfile(bundle, changed)
    with changed.open("r+b") as file:
        place = file.seek(0, os.SEEK_END) * 2 // 3
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes(one ^ 1 for one in byte))


def head(home: Path, exchange: str, *, output: Path | None) -> None:
    """Fetch the log's head, hold it to the last one, print it and keep it in a file if asked.

    Raises:
        Forked: if it is another log than before.
    """
    with _line(home, exchange) as line:
        seen = Witness(home).look(line, now=int(clock()), directory=pinned(home, line))
    if output is not None:
        output.write_bytes(canonical.encode(dict(seen.signed)))
    _say(json.dumps(_shown(seen), indent=2))


def watch(home: Path, exchange: str, *, every: int, looks: int | None) -> None:
    """Print a line for each new head, looking again after ``every`` seconds; raises like :func:`head`."""
    witness, size, looked = Witness(home), -1, 0
    with _line(home, exchange) as line:
        known = pinned(home, line)
        while looks is None or looked < looks:
            if looked:
                time.sleep(every)
            seen = witness.look(line, now=int(clock()), directory=known)
            if seen.head.size != size:
                size = seen.head.size
                _say(json.dumps(_shown(seen)))
            looked += 1


def _fetch(url: str, home: Path, output: Path) -> int:
    with _line(home, url) as line:
        witness = Witness(home)
        told = line.get(f"/v1/log/head?since={witness.size}")
        seen = witness.take(told, now=int(clock()), directory=pinned(home, line))
        cosigned = [Envelope.from_json(item["said"]) for item in told["cosigned"]]
        return bundle.write(output, signed=seen.signed, cosigned=cosigned, texts=_pages(line, seen.head.size))


def _pages(line: Line, size: int) -> Iterator[bytes]:
    done = 0
    while done < size:
        match line.get(f"/v1/log/entries?after={done}&limit={min(1_000, size - done)}"):
            case {"entries": [_, *_] as texts} if all(isinstance(text, str) for text in texts):
                yield from (text.encode() for text in texts)
                done += len(texts)
            case _:
                raise PeerFault("the exchange does not give its entries", fix="report the exchange")


def _copy(home: Path, output: Path) -> int:
    if identity.load(home, what="exchange")[0] != "exchange":
        raise Unknown("exchange under this directory")
    with store_of(home) as store:
        _, attested = store.log.head(now=int(clock()))
        cosigned = [envelope for _, envelope in store.log.cosigned()]
        texts = (entry.text for entry in store.book.journal.entries())
        return bundle.write(output, signed=attested.to_json(), cosigned=cosigned, texts=texts)


def _on_record(found: Verdict, path: Path) -> dict[str, Any]:
    """Compute a report anew and find its appraisal in the log."""
    from valuation.report import verify as derive  # noqa: PLC0415

    try:
        digest = derive(path.read_bytes().removesuffix(b"\n")).digest
    except OSError:
        raise Malformed(f"{path.name} cannot be read", fix="check the path") from None
    for id_, (asset, report, valuer) in found.record.appraisals.items():
        if report == digest:
            return {"report": digest, "appraisal": id_, "asset": asset, "valuer": valuer}
    raise Unknown(f"appraisal of {path.name} in the log")


def _tell(found: Verdict, reports: list[dict[str, Any]], *, compared: bool) -> None:
    told = found.to_json()
    _say(f"log      {found.log}{'' if compared else '  (compare it with what the operator tells by phone)'}")
    _say(f"head     {found.head.size} entries, root {found.head.root}")
    _say(f"         signed by Ed25519 and ML-DSA-65 at {_day(found.head.at)}")
    cosigners = ", ".join(f"{party} to {size}" for party, size in found.cosigned.items())
    _say(f"cosigned {cosigners or 'by nobody'}")
    _say("entries  " + ", ".join(f"{count} {kind}" for kind, count in told["entries"].items()))
    answered, everything = told["sessions"]["answered"], told["sessions"]["all"]
    _say(f"sessions {answered} answered of {everything}")
    for account in told["budgets"]:
        partners = ", ".join(f"{name} {spent / NANO:g}" for name, spent in account["partners"].items())
        _say(f"budget   {account['population']}: {account['everyone'] / NANO:g} rho spent ({partners})")
    for lien in told["liens"]:
        _say(f"lien     {lien['asset']} rank {lien['rank']}: {lien['holder']}")
    for one in reports:
        _say(f"report   {one['report'][:16]} follows from its inputs; on record for {one['asset']}")
    for override in told["overrides"]:
        detail = f"to {override['to']}" if "to" in override else f"because: {override['because']}"
        _say(f"override entry {override['seq']}: {override['what']} {override['party']} {detail}")
    _say("all entries are sound")


def _shown(seen: Seen) -> dict[str, Any]:
    log = Attested.from_json(seen.signed).keys.id
    return {"log": log, **seen.head.model_dump(mode="json"), "cosigned": dict(seen.cosigned)}


def _line(home: Path, url: str) -> Line:
    party, key = identity.load(home, what="desk")
    return address.line(home, url, party=party, key=key, clock=clock)


def pinned(home: Path, line: Line | None = None) -> Mapping[str, bytes]:
    """Return the keys of institutions that the party under ``home`` has compared out of band, with changes that ``line`` tells of."""
    if not (home / PINNED).exists():
        return {}
    return Pins(home, None if line is None else lambda: fetch(line))


def _head(path: Path, log: str | None) -> TreeHead:
    told = document(path)
    return read_head(told, log or Attested.from_json(told).keys.id)


def _log_id(text: str) -> str:
    if len(text) != 64 or not all(digit in "0123456789abcdef" for digit in text):
        raise Malformed("the log's id is not 64 hexadecimal digits", fix="copy it from `touchstone exchange init`")
    return text


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

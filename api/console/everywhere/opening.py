"""Documents that come in by a form: pasted, chosen as a file, signed or not, or a worked example; computed anew before they are shown."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from api.console.pages import Visit
from api.console.papers import Kind, Paper
from api.console.wording import msg
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.errors import Malformed
from valuation import report, split
from valuation.desk import wire
from valuation.finance import document as structure
from valuation.reperform import Verified

SIGNED = "valuation-report"
"""Kind of the envelope in which a report's maker signs it."""

EXAMPLES: Mapping[str, str] = {
    "air-quality": msg("Air quality of 21 cities: three approaches"),
    "pledge-loan": msg("Credit accounts: cost approach and a planned loan"),
    "split": msg("A credit pool of four institutions"),
    "guarantee": msg("A guaranteed loan"),
    "trust": msg("A data trust"),
    "abs": msg("A securitisation of nine loans"),
}
"""Worked examples by name; every name, document and amount in them is invented."""


def listed(*names: str) -> list[dict[str, str]]:
    """Return examples as a page offers them."""
    return [{"name": name, "title": EXAMPLES[name]} for name in names]


def read(visit: Visit) -> Any:
    """Return the JSON value that a form brought.

    Raises:
        Malformed: if there is none. Unknown: if there is no such example.
    """
    named = visit.form.get("example")
    if named:
        return wire.parse(_example(named))
    text = visit.form.get("file") or visit.form.get("text", "")
    if not text.strip():
        raise Malformed("no document was given", fix="choose a file, or paste its text")
    return wire.parse(text)


def open_report(visit: Visit, given: Any) -> Paper:
    """Lay down the report in ``given``, or the one that its inputs make, and return it.

    Raises:
        PrivacyError: naming the key, the figure or the signature that does not hold.
    """
    signer = None
    if isinstance(given, dict) and "signature" in given:
        signer, given = _opened(visit, given)
    made = _made(visit, given, report.verify, lambda: report.perform(given))
    return _laid(visit, Paper(Kind.REPORT, made["digest"], made, signer))


def open_split(visit: Visit, given: Any) -> Paper:
    """Lay down the split in ``given``, or the one that its inputs make, and return it; raises like :func:`open_report`."""
    made = _made(visit, given, split.verify, lambda: split.perform(given))
    return _laid(visit, Paper(Kind.SPLIT, made["digest"], made))


def open_structure(visit: Visit, kind: str, given: Any) -> Paper:
    """Lay down the document of a structure in ``given``, or the one of a ``kind`` that its inputs make, and return it."""
    made = _made(visit, given, structure.verify, lambda: structure.perform(kind, given))
    return _laid(visit, Paper(Kind.STRUCTURE, made["digest"], made))


def lay_down(visit: Visit, made: Mapping[str, Any]) -> Paper:
    """Lay down a report that was made here just now."""
    return _laid(visit, Paper(Kind.REPORT, str(made["digest"]), made))


def _made(
    visit: Visit, given: Any, verify: Callable[[Mapping[str, Any]], Verified], perform: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Malformed("the document is not a JSON object", fix="give a report, or the inputs of one")
    with visit.place.alone():
        if "figures" not in given:
            return perform()
        verify(given)
    return given


def _laid(visit: Visit, paper: Paper) -> Paper:
    visit.place.papers.lay(paper)
    return paper


def _opened(visit: Visit, given: Any) -> tuple[str, Any]:
    """Return the signer of an envelope, whose key on record has signed it, and the report in it."""
    held = Envelope.from_json(given)
    if held.kind != SIGNED:
        raise Malformed("the envelope does not hold a report", fix="give a report, or one signed by its maker")
    keys = {one["id"]: bytes.fromhex(one["key"]) for one in visit.place.get("parties")["parties"]}
    return held.signer, canonical.decode(canonical.encode(held.verify(keys)))


@cache
def _example(name: str) -> str:
    if name not in EXAMPLES:
        raise Unknown("example")
    return (files("api.console") / "examples" / f"{name}.json").read_text("utf-8")

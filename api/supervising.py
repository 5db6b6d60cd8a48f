"""A supervisor's portfolio off the exchange's own register: fetched, joined with verified reports, nothing guessed.

Amounts of value are in valuation reports, which are not on the register: there is only their digest. A pledge whose report
is not at hand, does not verify or is of another asset stands in the portfolio with its value not shown.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Protocol

from exchange.protocol.envelope import Envelope
from exchange.protocol.pledge import LIVE, State
from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError
from valuation import report
from valuation.desk import wire

FORMAT = "touchstone-register/1"

CURRENCY = "CNY"
"""Currency of every pledge on the register."""

NO_SECTOR = "not stated"

STANDS: Mapping[State, str] = {
    State.REGISTERED: "normal",
    State.ACTIVE: "normal",
    State.WARNING: "warning",
    State.MARGIN_CALL: "margin_call",
    State.CURED: "normal",
    State.STEP_IN: "liquidation",
}
"""The margin state that a live pledge's lender has reported by its notices."""

_REFUSED = {"officer": "refused by an officer of the lender", "owner": "refused by the owner"}


@dataclass(frozen=True, slots=True)
class Worth:
    """What a verified report says of an asset, in cents rounded down."""

    asset: str
    value: int
    recognised: int


class Reads(Protocol):
    """The line to the exchange, as far as it is needed here."""

    def get(self, path: str) -> Any:
        """Return the JSON document at ``path``."""


def read(line: Reads, *, on: date) -> dict[str, Any]:
    """Return the register as it is told on a day: every pledge, newest first, and the counts of refused requests.

    Raises:
        Mismatch: if the exchange tells a pledge twice, or not in its order. Malformed: if it tells something else.
        Forbidden: if it is no regulator's line.
    """
    pledges: list[dict[str, Any]] = []
    while page := line.get(_page(pledges))["pledges"]:
        _check(page)
        if any(later["seq"] >= earlier["seq"] for earlier, later in pairwise((*pledges[-1:], *page))):
            raise Mismatch("the exchange tells pledges out of order", fix="report the exchange")
        pledges += page
    refusals = line.get("/v1/supervision/refusals")["refusals"]
    return {"format": FORMAT, "on": on.isoformat(), "pledges": pledges, "refusals": refusals}


_TOLD: Mapping[str, type | UnionType] = {
    "seq": int, "id": str, "lender": str, "owner": str, "asset": str, "state": str, "claim": int, "matures": str,
    "title_ends": str | None, "appraisal": dict | None, "refused": dict | None,
}  # fmt: skip
"""What is read of each pledge that the exchange tells of."""


def _check(page: Any) -> None:
    """Hold what is not signed to its shape, so that nothing else fails later.

    Raises:
        Malformed: if it is no list of pledges.
    """
    sound = isinstance(page, list) and all(
        isinstance(one, dict)
        and all(isinstance(one.get(name), kind) for name, kind in _TOLD.items())
        and one["state"] in set(State)
        and (one["appraisal"] is None or isinstance(one["appraisal"].get("report"), str))
        and (one["refused"] is None or one["refused"].get("by") in _REFUSED)
        for one in page
    )
    if not sound:
        raise Malformed("the exchange tells of no such register", fix="use a client of the exchange's release")


def _page(so_far: Sequence[Mapping[str, Any]]) -> str:
    return f"/v1/supervision/pledges?before={so_far[-1]['seq']}" if so_far else "/v1/supervision/pledges"


def valued(directory: Path, wanted: Iterable[str], *, note: Callable[[str], None] | None = None) -> dict[str, Worth]:
    """Return by digest what the ``wanted`` reports among the JSON files of a directory say, each computed anew.

    A file that is no wanted report, does not verify or holds no recognised value is told of to ``note`` (on stderr, if not given) and left
    out.

    Raises:
        Malformed: if the directory cannot be read.
    """
    sought, found = set(wanted), {}
    if not directory.is_dir():
        raise Malformed("the directory of reports cannot be read", fix="check the path of --valuations")
    for path in sorted(directory.glob("*.json")):
        try:
            digest, worth = _worth(path, sought)
        except PrivacyError as error:
            (note or _note)(f"{path.name} is not counted: {error.reason}")
            continue
        found[digest] = worth
    return found


def _worth(path: Path, wanted: set[str]) -> tuple[str, Worth]:
    try:
        document = canonical.decode(path.read_bytes().removesuffix(b"\n"))
    except OSError:
        raise Malformed("it cannot be read", fix="check its rights") from None
    if isinstance(document, dict) and "signature" in document:
        # who signed it is nothing that the register asks: its digest is what the lender put on record
        document = canonical.decode(Envelope.from_json(document).body)
    if not isinstance(document, dict) or document.get("digest") not in wanted:
        raise Malformed("no live pledge cites it as its report", fix="leave it out")
    report.verify(document)
    figures = {figure["key"]: figure["value"] for figure in document["figures"]}
    ends, asset = document["conclusion"], document["inputs"]["asset"]
    if "recognised" not in ends:
        raise Malformed(
            "it has no recognised value: a lender's terms are not in it", fix="ask for the report of the quote"
        )
    if ends["currency"] != CURRENCY:
        raise Malformed(f"its currency is not {CURRENCY}", fix="ask for a report in the currency of the pledge")
    value, recognised = (int(Fraction(Decimal(figures[ends[end]])) * 100 // 1) for end in ("central", "recognised"))
    return str(document["digest"]), Worth(f"{asset['owner']}/{asset['dataset']}", value, recognised)


def inputs(
    told: Mapping[str, Any],
    *,
    worths: Mapping[str, Worth],
    sectors: Mapping[str, str],
    overrides: Mapping[str, list[str]],
    shocks: list[Any],
) -> dict[str, Any]:
    """Return the inputs of a portfolio of the live pledges in what :func:`read` told.

    ``worths`` are values by a report's digest, ``sectors`` by institution, ``overrides`` the rules overridden by institution.
    """
    on = told["on"]
    return {
        "title": f"Data pledges on the register, {on}",
        "on": on,
        "currency": CURRENCY,
        "reported_by": "the exchange's register",
        "cited": {
            "source": f"the exchange's register of {on}",
            "owner": "the exchange",
            "on": on,
            "document": canonical.digest(told),
        },
        "records": [
            _record(
                one, worths=worths, sector=sectors.get(one["owner"], NO_SECTOR), rules=overrides.get(one["owner"], [])
            )
            for one in live(told)
        ],
        "refusals": [
            {
                "lender": one["lender"],
                "product": "pledge",
                "gate": _REFUSED[one["refused"]["by"]],
                "on": one["refused"].get("on"),
            }
            for one in told["pledges"]
            if one["refused"] is not None
        ],
        "shocks": shocks,
        "requests": told["refusals"],
    }


def live(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pledges that are live liens, newest first."""
    return [one for one in told["pledges"] if State(one["state"]) in LIVE]


def _record(
    one: Mapping[str, Any], *, worths: Mapping[str, Worth], sector: str, rules: Iterable[str]
) -> dict[str, Any]:
    worth = None if one["appraisal"] is None else worths.get(one["appraisal"]["report"])
    name = one["id"][:16]
    if worth is not None and worth.asset != one["asset"]:
        _note(f"the report that pledge {name} cites is of another asset: its value is not shown")
        worth = None
    return {
        "name": name,
        "lender": one["lender"],
        "institution": one["owner"],
        "sector": sector,
        "product": "pledge",
        "value": None if worth is None else _money(worth.value),
        "recognised": None if worth is None else _money(worth.recognised),
        "loan": _money(one["claim"]),
        "state": STANDS[State(one["state"])],
        "title_expires": one["title_ends"],
        "maturity": one["matures"],
        "overrides": [{"rule": rule, "approved_by": "the exchange's operator"} for rule in rules],
    }


def _money(cents: int) -> dict[str, str]:
    return {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": CURRENCY}


def read_sectors(path: Path) -> dict[str, str]:
    """Read a JSON object of sectors by institution.

    Raises:
        Malformed: if it is none.
    """
    told = _json(path, "sectors")
    if not isinstance(told, dict) or not all(isinstance(sector, str) and sector for sector in told.values()):
        raise Malformed("the file of the sectors is no object of texts", fix='write {"bank-a": "banking"}')
    return told


def read_overrides(path: Path) -> dict[str, list[str]]:
    """Read the rules that the operator overrode, by institution, off what ``touchstone audit verify --json`` printed.

    Raises:
        Malformed: if the file holds nothing of the kind.
    """
    told = _json(path, "audit")
    found: dict[str, list[str]] = {}
    try:
        for one in told["overrides"]:
            found.setdefault(one["party"], []).append(f"{one['what']}, entry {one['seq']} of the log")
    except (KeyError, TypeError):
        raise Malformed(
            "the file of the audit is no verdict", fix="give what `touchstone audit verify BUNDLE --json` printed"
        ) from None
    return found


def read_shocks(path: Path) -> list[Any]:
    """Read a JSON list of shocks; what is in it is checked with the portfolio.

    Raises:
        Malformed: if it is no list.
    """
    told = _json(path, "shocks")
    if not isinstance(told, list):
        raise Malformed(
            "the file of the shocks is no list", fix='write [{"name": "a third off", "drop": "0.33", "impact": "0"}]'
        )
    return told


def _json(path: Path, what: str) -> Any:
    try:
        return wire.parse(path.read_bytes())
    except OSError:
        raise Malformed(f"the file of the {what} cannot be read", fix="check its path") from None


def keep(told: Mapping[str, Any], path: Path) -> None:
    """Write what the exchange told, whose digest the portfolio cites.

    Raises:
        Malformed: if the file cannot be written.
    """
    try:
        path.write_bytes(canonical.encode(told))
    except OSError:
        raise Malformed("the file cannot be written", fix="check the path and the room on the disk") from None


def summarise(told: Mapping[str, Any], worths: Mapping[str, Worth]) -> None:
    """Say on stderr how much of the register the portfolio holds."""
    held = live(told)
    shown = sum(one["appraisal"] is not None and one["appraisal"]["report"] in worths for one in held)
    _note(f"{len(told['pledges'])} pledges on the register, {len(held)} of them live, {shown} with a verified report")


def _note(text: str) -> None:
    sys.stderr.write(f"note: {text}\n")

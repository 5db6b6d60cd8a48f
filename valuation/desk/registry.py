"""Methods 58 to 60: the fingerprint of a report, the rank of pledges, and the distribution of what enforcement brings."""

import hashlib
import json
import re
from datetime import date
from fractions import Fraction
from typing import Any

from valuation.desk.contract import Document, Field, Group, ListOf, Text
from valuation.desk.method import Figures, Given, Output, field, method, table
from valuation.desk.reals import total
from valuation.errors import OutOfRange, WrongType

_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?(?:[0-9]{2})?)?)?",
    re.ASCII,
)


@method(
    title="Report hash",
    formula="canonical = JSON, keys by code point, no white space, minimal escapes;  sha256 = SHA-256(UTF-8(canonical))",
    latex=r"h=\text{SHA-256}(\text{UTF-8}(\text{canonical}(d)))",
    source="RFC 8785 subset; FIPS 180-4",
    inputs=(
        Field(
            "document",
            Document(),
            "any JSON object of strings, integers, booleans, nulls, lists, objects; money is a decimal string",
        ),
    ),
    outputs=(
        Output("canonical", "", "canonical text", "string"),
        Output("sha256", "", "64 lower-case hexadecimal digits", "string"),
    ),
    conditions=("no number with a fraction or exponent", "no duplicate keys", "no lone surrogates"),
)
def report_hash(given: Given) -> Figures:
    """Canonical text and fingerprint of a report."""
    # beyond the basic plane keys follow code points here, UTF-16 units in RFC 8785; Python compares text by code point
    canonical = json.dumps(given["document"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return {"canonical": canonical, "sha256": hashlib.sha256(canonical.encode("utf-8")).hexdigest()}


def _instant(text: str, path: str) -> str:
    """Check the form of an ISO 8601 date or instant and return its zone, empty if it has none."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise WrongType(path, "a date or instant of ISO 8601")
    try:
        date.fromisoformat(found[1])
    except ValueError:
        raise OutOfRange(path, "dates of the calendar") from None
    return found[2] or ""


@method(
    title="Rank of pledges",
    formula="registered lenders by registered_at ascending (as text); then one entry pro_rata:A+B of the unregistered ones",
    latex=r"\text{registered, by instant}\ \prec\ \text{unregistered, pro rata}",
    source="PRC Civil Code art. 414",
    inputs=(
        table(
            "events",
            "pledges on one asset",
            Field("lender", Text(), "lender, unique"),
            Field("signed_at", Text(), "signing date, ISO 8601; has no effect on rank"),
            Field("registered_at", Text(null=True), "registration instant, ISO 8601, one zone; null: not registered"),
        ),
    ),
    outputs=(Output("order", "", "lenders by rank; the unregistered as one last entry", "list of string"),),
    conditions=("lenders are unique", "instants with a zone all name the same one"),
)
def lien_priority_cn(given: Given) -> Figures:
    """Rank of pledges on one asset."""
    zones = set()
    _unique([(event["lender"], f"events[{index}].lender") for index, event in enumerate(given["events"])])
    for index, event in enumerate(given["events"]):
        _instant(event["signed_at"], f"events[{index}].signed_at")
        if event["registered_at"] is not None:
            path = f"events[{index}].registered_at"
            zones |= {_instant(event["registered_at"], path)} - {""}
            if len(zones) > 1:  # compared as text, two zones would rank wrongly
                raise OutOfRange(path, "instants of one zone")
    registered = [event for event in given["events"] if event["registered_at"] is not None]
    registered.sort(key=lambda event: str(event["registered_at"]))  # stable: equal instants keep their order
    order = [event["lender"] for event in registered]
    unregistered = sorted(event["lender"] for event in given["events"] if event["registered_at"] is None)
    return {"order": [*order, "pro_rata:" + "+".join(unregistered)] if unregistered else order}


def _unique(lenders: list[tuple[str, str]]) -> None:
    seen: set[Any] = set()
    for lender, path in lenders:
        if lender in seen:
            raise OutOfRange(path, "lenders that occur once")
        seen.add(lender)


@method(
    title="Enforcement waterfall",
    formula="cash = (proceeds − costs)⁺;  rank by rank: pay = min(cash, rank total), each claim pay·amount/rank total",
    latex=r"c_0=(G-K)^+,\quad p_r=\min(c_{r-1},T_r),\quad c_r=c_{r-1}-p_r,\quad \text{paid}_j=p_r\frac{a_j}{T_r}",
    source="PRC Civil Code art. 414 and enforcement practice",
    inputs=(
        Field(
            "claims_by_rank",
            ListOf(ListOf(Group((Field("lender", Text(), "lender, unique"), field("amount", "¥", ">=0", "claim"))))),
            "ranks, rank 1 first; claims inside one rank share pro rata",
        ),
        field("proceeds", "¥", ">=0", "gross proceeds"),
        field("costs", "¥", ">=0", "enforcement costs, paid first"),
    ),
    outputs=(
        Output("paid", "¥", "by lender, every lender, 0 included", "object of number"),
        Output("surplus_to_pledgor", "¥", "cash left"),
    ),
    conditions=("lenders are unique", "each rank's total > 0"),
)
def enforcement_waterfall(given: Given) -> Figures:
    """Distribution of enforcement proceeds."""
    ranks = given["claims_by_rank"]
    _unique(
        [
            (claim["lender"], f"claims_by_rank[{place}][{index}].lender")
            for place, rank in enumerate(ranks)
            for index, claim in enumerate(rank)
        ]
    )
    cash = max(given["proceeds"] - given["costs"], Fraction(0))
    paid: dict[str, Fraction] = {}
    for place, rank in enumerate(ranks):
        whole = total(claim["amount"] for claim in rank)
        if whole == 0:
            raise OutOfRange(f"claims_by_rank[{place}]", "ranks whose claims add up to more than 0")
        pay = min(cash, whole)
        for claim in rank:
            paid[claim["lender"]] = pay * claim["amount"] / whole
        cash -= pay
    return {"paid": paid, "surplus_to_pledgor": cash}

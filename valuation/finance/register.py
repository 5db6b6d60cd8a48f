"""What a portfolio read off a register tells besides: pledges whose value nobody has shown, and requests that were refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from valuation.finance.arrangement import Column, Table
from valuation.finance.cents import spelled
from valuation.finance.records import Held
from valuation.intake import Record

NOT_ON_RECORD = "not on record"
"""Stands where the register holds no such word."""

UNSHOWN = (
    "a pledge whose value is not shown counts in exposures, concentrations and titles, and in no loan to value, "
    "state as recomputed or shock: no value is guessed"
)
"""Stands among the assumptions of a portfolio that has such pledges."""

_MOST = 10**9


@dataclass(frozen=True, slots=True)
class Requests:
    """How many requests for statistics were refused for one kind of item; a request counts once for each kind."""

    role: str
    standard: str
    purpose: str
    item: str
    refused: int


def read_requests(record: Record) -> tuple[Requests, ...]:
    """Read the counts of refused requests; raises a typed error that names the key."""
    found = []
    for where, item in record.items("requests"):
        one = Record(item, where, "role standard purpose item refused")
        role, standard, purpose = (
            one.text(key) if one.given(key) else NOT_ON_RECORD for key in ("role", "standard", "purpose")
        )
        refused = one.integer("refused", low=1, high=_MOST)
        found.append(Requests(role, standard, purpose, one.text("item"), refused))
    return tuple(found)


def requested(requests: Sequence[Requests]) -> Table:
    """The counts as a table."""
    columns = (
        Column("role", "role", "text", "of the asker, as enrolled"),
        Column("standard", "standard", "text", "of the dataset whose rule refused"),
        Column("purpose", "purpose", "text", "whose rule refused"),
        Column("item", "item", "text", "kind of what went too far"),
        Column("refused", "requests refused", "count", "a request counts once for each kind of item"),
    )
    rows = tuple((one.role, one.standard, one.purpose, one.item, one.refused) for one in requests)
    return Table("requests", "Requests for statistics refused", columns, rows)


def unshown(held: Sequence[Held]) -> Table:
    """The pledges whose value is not shown."""
    columns = (
        Column("name", "pledge", "text", "as reported"),
        Column("lender", "lender", "text", "as reported"),
        Column("institution", "institution", "text", "as reported"),
        Column("loan", "loan", "money", "as reported"),
        Column("value", "value", "text", "no verified report of it was given"),
    )
    rows = tuple(
        (one.name, one.groups["lender"], one.groups["institution"], spelled(one.loan), "value not shown")
        for one in held
        if not one.shown
    )
    return Table("unshown", "Value not shown", columns, rows)

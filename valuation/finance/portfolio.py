"""What a supervisor reads of many pledges: exposures, concentration, loan to value, what a common shock would trigger.

A record holds who lent what to whom against which value, and never anything of what is in the data: no key for that exists.
Margin states follow the loan to recognised value. In a cascade, loans that must be realised depress the values of the others,
which may put more of them into realisation; values only fall, so it ends.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Any

from valuation import exact
from valuation.cost import Remark
from valuation.finance.arrangement import Arrangement, Column, Table
from valuation.finance.cascade import STATES, Round, Shock, cascade, margin_state
from valuation.finance.cents import money_of, spelled
from valuation.finance.records import Held, read_records, read_refusals, read_shocks
from valuation.finance.register import UNSHOWN, read_requests, requested, unshown
from valuation.finance.stated import Frame, stated, texts
from valuation.intake import Record
from valuation.trace import Traced, derived, given

SOURCE = "supervisory reading of pledge records"

DIMENSIONS = ("lender", "institution", "sector", "product")
BANDS = (0, 20, 35, 50, 60, 65, 75, 100)
"""Ends of the bands of loan to value, in per cent."""

SOON = (0, 90, 180, 365)
CONCENTRATED = Fraction(1, 4)

ASSUMPTIONS = (
    "every record is as its lender reported it on the day stated; nothing of what is in the data is reported",
    "loan to value is the loan over the recognised value; a loan without a recognised value counts as beyond every band",
    "a common shock takes the same share off every recognised value; loans are not repaid meanwhile",
    "in each round of a cascade, values fall by the impact times the share of the portfolio that is in liquidation; 20 rounds are followed",
    "data is not eligible collateral for regulatory capital; no capital relief follows from these figures",
)


def arrange(inputs: Any) -> Arrangement:
    """Read a portfolio from its records.

    Raises:
        BadInput: naming the key. CurrencyMismatch: if an amount is in another currency.
    """
    record = Record(inputs, "inputs", "title on currency reported_by cited records refusals shocks", "requests")
    frame = Frame.of(record)
    held = read_records(record, frame)
    refusals = read_refusals(record, frame)
    shocks = read_shocks(record)
    exposure = sum(one.loan for one in held)
    cited = frame.cited(record)
    loans = stated("exposure", "loans", money_of(exposure, frame.currency), cited)
    measured = [one for one in held if one.shown]
    compared = loans
    if len(measured) < len(held):
        shown_loans = money_of(sum(one.loan for one in measured), frame.currency)
        compared = stated("exposure.shown", "loans whose value is shown", shown_loans, cited)
    held_values = money_of(sum(one.recognised for one in measured), frame.currency)
    values = stated("recognised", "recognised value", held_values, cited)
    figures = [loans, values] if compared is loans else [loans, compared, values]
    if values.fraction:
        figures.append(
            derived(
                "ltv.portfolio",
                "loans to recognised value",
                compared.fraction / values.fraction,
                unit="share",
                formula="loans / recognised value",
                because=(compared, values),
                source=SOURCE,
            )
        )
    concentration = [_hhi(held, name, loans) for name in DIMENSIONS] if exposure else []
    pairs = [(one.loan, one.recognised) for one in measured]
    played = [(shock, cascade(pairs, shock)) for shock in shocks]
    worst = (
        [_worst(shock, rounds[-1], compared, number) for number, (shock, rounds) in enumerate(played, start=1)]
        if compared.fraction
        else []
    )
    roots = (*figures, *concentration, *worst)
    return Arrangement(
        kind="portfolio",
        title=record.text("title"),
        on=frame.on,
        currency=frame.currency,
        parties=texts(record, "reported_by"),
        roots=roots,
        tables=(
            *(_exposures(held, name, exposure) for name in DIMENSIONS),
            _ltv(held),
            _by_state(held),
            _shocked(played),
            _expiring(held, frame.on),
            _endings(held, frame.on),
            _overridden(held),
            _refused(refusals),
            *((requested(read_requests(record)),) if record.given("requests") else ()),
            *((unshown(held),) if compared is not loans else ()),
        ),
        gates=(),
        remarks=tuple(_remarks(held, frame.on, concentration)),
        conclusion={figure.label: figure.key for figure in roots},
        assumptions=ASSUMPTIONS if compared is loans else (*ASSUMPTIONS, UNSHOWN),
    )


# -- figures ---------------------------------------------------------------------------------------------------------


def _grouped(held: Iterable[Held], dimension: str) -> dict[str, list[Held]]:
    """Records by the name in one dimension, the largest exposure first; equal ones by name."""
    groups: dict[str, list[Held]] = {}
    for one in held:
        groups.setdefault(one.groups[dimension], []).append(one)
    return dict(sorted(groups.items(), key=lambda pair: (-sum(one.loan for one in pair[1]), pair[0])))


def _hhi(held: Sequence[Held], dimension: str, loans: Traced) -> Traced:
    exposure = sum(one.loan for one in held)
    amounts = [sum(one.loan for one in group) for group in _grouped(held, dimension).values()]
    return derived(
        f"hhi.{dimension}",
        f"concentration by {dimension} (HHI)",
        sum((Fraction(amount, exposure) ** 2 for amount in amounts), Fraction(0)),
        unit="index",
        formula=f"sum of squared shares of loans by {dimension}; 1 is all in one",
        because=(loans,),
        source=SOURCE,
    )


def _worst(shock: Shock, end: Round, loans: Traced, number: int) -> Traced:
    drop = given(
        f"shock.{number}.drop",
        f"fall of values: {shock.name}",
        exact.written(shock.drop),
        unit="share",
        source="stated shock",
    )
    impact = given(
        f"shock.{number}.impact",
        f"impact of sales: {shock.name}",
        exact.written(shock.impact),
        unit="share",
        source="stated shock",
    )
    return derived(
        f"shock.{number}.triggered",
        f"share of loans in margin call or beyond: {shock.name}",
        Fraction(end.amounts["margin_call"] + end.amounts["liquidation"]) / 100 / loans.fraction,
        unit="share",
        formula="loans at 65 % of the shocked recognised value or above, after the last round / loans",
        because=(loans, drop, impact),
        source=SOURCE,
    )


# -- tables ----------------------------------------------------------------------------------------------------------


def _share(part: int, whole: int) -> str:
    return exact.spell(exact.written(Fraction(part, whole))) if whole else "0"


def _exposures(held: Sequence[Held], dimension: str, exposure: int) -> Table:
    whole = all(one.shown for one in held)
    columns = (
        Column("name", dimension, "text", "as reported"),
        Column("pledges", "pledges", "count", "number of records"),
        Column("loans", "loans", "money", "sum"),
        Column("share", "share of all loans", "share", "loans / all loans"),
        *(() if whole else (Column("shown", "with value shown", "count", "number of records"),)),
        Column("value", "value", "money", "sum" if whole else "sum over the records whose value is shown"),
        Column(
            "recognised", "recognised value", "money", "sum" if whole else "sum over the records whose value is shown"
        ),
    )
    rows: list[tuple[str | int, ...]] = []
    for name, group in _grouped(held, dimension).items():
        loan = sum(one.loan for one in group)
        sums = (sum(one.value for one in group), sum(one.recognised for one in group))
        shown = () if whole else (sum(one.shown for one in group),)
        head = (name, len(group), spelled(loan), _share(loan, exposure), *shown)
        rows.append((*head, *(spelled(cents) for cents in sums)))
    return Table(f"by.{dimension}", f"Exposure by {dimension}", columns, tuple(rows))


def _counted(
    key: str,
    title: str,
    label: str,
    rule: str,
    held: Sequence[Held],
    bands: Sequence[tuple[str, Callable[[Held], bool]]],
) -> Table:
    """Number and loans of the records in each band; a record falls into the first that takes it."""
    columns = (
        Column("band", label, "text", rule),
        Column("pledges", "pledges", "count", "number of records"),
        Column("loans", "loans", "money", "sum"),
    )
    left, rows = list(held), []
    for name, takes in bands:
        inside = [one for one in left if takes(one)]
        left = [one for one in left if not takes(one)]
        rows.append((name, len(inside), spelled(sum(one.loan for one in inside))))
    return Table(key, title, columns, tuple(rows))


def _below(limit: Fraction) -> Callable[[Held], bool]:
    return lambda one: one.shown and (one.loan == 0 or (one.ltv is not None and one.ltv < limit))


def _ltv(held: Sequence[Held]) -> Table:
    bands = [(f"{low}-{high} %", _below(Fraction(high, 100))) for low, high in pairwise(BANDS)]
    bands += [(f"{BANDS[-1]} %+", lambda one: one.ltv is not None), ("no value", lambda one: one.shown)]
    if not all(one.shown for one in held):
        bands.append(("unshown", lambda _: True))
    return _counted(
        "ltv", "Loan to recognised value", "loan to value", "upper end exclusive; each record once", held, bands
    )


def _recomputed(one: Held) -> str:
    return margin_state(one.loan, Fraction(one.recognised))


def _by_state(held: Sequence[Held]) -> Table:
    columns = (
        Column("state", "state", "text", "of the margin"),
        Column("reported", "reported", "count", "by the lender"),
        Column("recomputed", "recomputed", "count", "from loan to recognised value: 60, 65 and 75 %"),
        Column("milder", "reported milder", "count", "records reported in this state that should be in a graver one"),
        Column("loans", "loans", "money", "of the records as recomputed"),
    )
    rows = []
    for state in STATES:
        reported = [one for one in held if one.state == state]
        actual = [one for one in held if one.shown and _recomputed(one) == state]
        milder = sum(_milder(one) for one in reported)
        rows.append((state, len(reported), len(actual), milder, spelled(sum(one.loan for one in actual))))
    return Table("states", "Margin states", columns, tuple(rows))


def _milder(one: Held) -> bool:
    return one.shown and STATES.index(one.state) < STATES.index(_recomputed(one))


def _shocked(played: Sequence[tuple[Shock, list[Round]]]) -> Table:
    columns = (
        Column("shock", "shock", "text", "as stated"),
        Column("round", "round", "count", "0 is the shock itself; each further one counts the sales of the one before"),
        *(Column(state, state.replace("_", " "), "count", "number of loans") for state in STATES),
        Column("triggered", "loans in call or beyond", "money", "sum"),
        Column(
            "cure", "cash to cure calls", "money", "loan - 50 % of the value, over margin calls, rounded up to the cent"
        ),
        Column("shortfall", "shortfall", "money", "loan beyond the value, over liquidations, rounded up to the cent"),
    )
    rows: list[tuple[str | int, ...]] = []
    for shock, rounds in played:
        for number, one in enumerate(rounds):
            triggered = one.amounts["margin_call"] + one.amounts["liquidation"]
            amounts = (spelled(triggered), spelled(one.cure), spelled(one.shortfall))
            rows.append((shock.name, number, *one.counts.values(), *amounts))
    return Table("shocks", "What a common shock would trigger", columns, tuple(rows))


def _ahead(on: date, days: int) -> date:
    """So many days later, or the last day of the calendar."""
    return date.fromordinal(min(on.toordinal() + days, date.max.toordinal()))


def _ending(one: Held, limit: date) -> bool:
    return one.title_expires is not None and one.title_expires <= limit


def _until(limit: date) -> Callable[[Held], bool]:
    return lambda one: _ending(one, limit)


def _expiring(held: Sequence[Held], on: date) -> Table:
    bands = [("ended" if not days else f"within {days} days", _until(_ahead(on, days))) for days in SOON]
    bands += [("later", lambda one: one.title_expires is not None), ("no end stated", lambda _: True)]
    return _counted("titles", "When titles end", "title ends", "counted from the day of the calculation", held, bands)


def _endings(held: Sequence[Held], on: date) -> Table:
    columns = (
        Column("name", "pledge", "text", "as reported"),
        Column("lender", "lender", "text", "as reported"),
        Column("institution", "institution", "text", "as reported"),
        Column("expires", "title ends", "text", "as reported"),
        Column("maturity", "loan ends", "text", "as reported"),
        Column("loan", "loan", "money", "as reported"),
        Column("before", "before the loan", "text", "yes if the title ends on or before the day the loan does"),
    )
    soon = [one for one in held if _ending(one, _ahead(on, SOON[-1])) or _outlived(one)]
    soon.sort(key=lambda one: (one.title_expires or date.max, one.name))
    rows = tuple(
        (
            one.name,
            one.groups["lender"],
            one.groups["institution"],
            one.title_expires.isoformat() if one.title_expires else "",
            one.maturity.isoformat(),
            spelled(one.loan),
            "yes" if _outlived(one) else "no",
        )
        for one in soon
    )
    return Table("expiring", "Titles that end within a year, or before the loan", columns, rows)


def _outlived(one: Held) -> bool:
    return one.title_expires is not None and one.title_expires <= one.maturity


def _overridden(held: Sequence[Held]) -> Table:
    columns = (
        Column("lender", "lender", "text", "as reported"),
        Column("rule", "rule", "text", "that was overridden"),
        Column("pledges", "pledges", "count", "number of records"),
        Column("loans", "loans", "money", "sum"),
    )
    groups: dict[tuple[str, str], list[Held]] = {}
    for one in held:
        for rule in dict.fromkeys(one.overrides):
            groups.setdefault((one.groups["lender"], rule), []).append(one)
    rows = tuple(
        (lender, rule, len(group), spelled(sum(one.loan for one in group)))
        for (lender, rule), group in sorted(groups.items())
    )
    return Table("overrides", "Rules overridden", columns, rows)


def _refused(refusals: Sequence[tuple[str, str]]) -> Table:
    columns = (
        Column("lender", "lender", "text", "as reported"),
        Column("gate", "gate", "text", "that was closed"),
        Column("refused", "refused", "count", "number of applications"),
    )
    counted: dict[tuple[str, str], int] = {}
    for pair in refusals:
        counted[pair] = counted.get(pair, 0) + 1
    rows = tuple((lender, gate, number) for (lender, gate), number in sorted(counted.items()))
    return Table("refusals", "Applications refused", columns, rows)


def _remarks(held: Sequence[Held], on: date, concentration: Sequence[Traced]) -> list[Remark]:
    remarks = [
        Remark("red-flag-concentration", f"{figure.label} is above 0.25")
        for figure in concentration
        if figure.fraction > CONCENTRATED and figure.key != "hhi.product"
    ]
    for code, text, takes in (
        ("red-flag-state", "are reported in a milder state than their loan to value tells", _milder),
        ("red-flag-title", "have a title that ends no later than the loan", _outlived),
        ("red-flag-title-ended", "have a title that has ended", _until(on)),
        ("red-flag-matured", "are past their maturity and still owe", lambda one: one.maturity < on and one.loan > 0),
        ("overrides", "were made with a rule overridden", lambda one: bool(one.overrides)),
        ("value-not-shown", "have no verified report: their value is not shown", lambda one: not one.shown),
    ):
        number = sum(takes(one) for one in held)
        if number:
            remarks.append(Remark(code, f"{number} of {len(held)} pledges {text}"))
    return remarks

"""Tables of a securitisation: the loss of the pool by band, who is paid in each scenario, cash by period."""

from collections.abc import Sequence
from fractions import Fraction

from valuation import exact
from valuation.finance.arrangement import Column, Table
from valuation.finance.cents import spelled
from valuation.finance.factor import Losses
from valuation.finance.pool import Scenario
from valuation.finance.waterfall import Notes, Payment, Pool

COLUMNS = (
    Column("period", "period", "count", "numbered from 1; the last is the legal final"),
    Column("pool", "pool", "money", "balance of the loans that pay, after the period"),
    Column("interest", "interest", "money", "interest that the pool paid"),
    Column("principal", "principal", "money", "principal that the pool paid"),
    Column("recovered", "recovered", "money", "balance that stopped * (1 - loss given default), after the lag"),
    Column("fee", "fees", "money", "fixed + share of the pool, first of all"),
    Column("senior_interest", "senior interest", "money", "senior balance * rate, and what was unpaid"),
    Column("senior_due", "senior principal due", "money", "senior - (pool - subordination); all after a trigger"),
    Column("senior_principal", "senior principal", "money", "what is due, as far as cash goes"),
    Column("junior_interest", "junior interest", "money", "junior balance * rate, and what was unpaid"),
    Column("junior_principal", "junior principal", "money", "once the senior class is repaid"),
    Column("residual", "residual", "money", "what is left"),
    Column("reserve", "reserve", "money", "held after the period"),
    Column("senior", "senior balance", "money", "after the period"),
    Column("junior", "junior balance", "money", "after the period"),
    Column("recognised", "recognised value", "money", "of data pledged for loans that pay, after the period"),
    Column("triggers", "triggers", "text", "that have tripped by the end of the period"),
)


def distribution(found: Losses, subordination: int, size: int) -> Table:
    """The distribution in at most 20 bands of equal width, and where the senior class begins to lose."""
    columns = (
        Column("from", "loss above", "money", "lower end, exclusive; the first row is no loss at all"),
        Column("to", "up to", "money", "upper end, inclusive"),
        Column("chance", "probability", "share", "sum over the losses in the band"),
        Column("class", "reaches", "text", "senior if the band lies beyond pool - senior class"),
    )
    most = max(found.chances[-1][0], Fraction(1))
    width = most / 20
    bands = [Fraction(0)] * 21
    for loss, chance in found.chances:
        place = -((-loss) // width) if loss > 0 else 0
        bands[min(int(place), 20)] += chance
    rows: list[tuple[str | int, ...]] = []
    for place, chance in enumerate(bands):
        low, high = max(place - 1, 0) * width / 100, place * width / 100
        reaches = "nobody" if place == 0 else "senior" if place * width > subordination else "subordination"
        rows.append(
            (
                exact.spell(exact.written(low)),
                exact.spell(exact.written(high)),
                exact.spell(exact.written(chance)),
                reaches,
            )
        )
    return Table("distribution", f"Loss of a pool of {spelled(size)}", columns, tuple(rows))


def summary(poured: Sequence[tuple[Scenario, tuple[Pool, ...], list[Payment]]], notes: Notes) -> Table:
    """Who is paid what over the life of the deal, scenario by scenario."""
    columns = (
        Column("scenario", "scenario", "text", "as stated; the first is that every loan pays"),
        Column("collected", "collected", "money", "interest + principal + recovered, and the reserve at the start"),
        Column("fees", "fees", "money", "sum over the periods"),
        Column("senior", "to senior", "money", "interest + principal"),
        Column("junior", "to junior", "money", "interest + principal"),
        Column("residual", "residual", "money", "sum over the periods"),
        Column("senior_left", "senior loses", "money", "senior balance after the last period"),
        Column("junior_left", "junior loses", "money", "junior balance after the last period"),
        Column("triggers", "triggers", "text", "that tripped"),
    )
    rows: list[tuple[str | int, ...]] = []
    for one, pools, payments in poured:
        end = payments[-1].state
        cells = (
            notes.reserve_start + sum(pool.collected for pool in pools),
            sum(paid.fee for paid in payments),
            sum(paid.senior_interest + paid.senior_principal for paid in payments),
            sum(paid.junior_interest + paid.junior_principal for paid in payments),
            sum(paid.residual for paid in payments),
            end.senior,
            end.junior,
        )
        rows.append((one.name, *(spelled(cents) for cents in cells), ", ".join(end.tripped)))
    return Table("scenarios", "Who is paid what in each scenario", columns, tuple(rows))


def by_period(number: int, scenario: Scenario, pools: Sequence[Pool], payments: Sequence[Payment]) -> Table:
    """The cash of one scenario, period by period, under :data:`COLUMNS`."""
    rows: list[tuple[str | int, ...]] = []
    for period, (pool, paid) in enumerate(zip(pools, payments, strict=True), start=1):
        state = paid.state
        cells = (
            pool.closing, pool.interest, pool.principal, pool.recovered, paid.fee, paid.senior_interest, paid.senior_due,
            paid.senior_principal, paid.junior_interest, paid.junior_principal, paid.residual, state.reserve, state.senior,
            state.junior, pool.recognised,
        )  # fmt: skip
        rows.append((period, *(spelled(cents) for cents in cells), ", ".join(state.tripped)))
    return Table(f"periods.{number}", f"Cash by period: {scenario.name}", COLUMNS, tuple(rows))

"""The market approach: dated prices of comparable deals, adjusted to the subject, its date and its effective rows.

Quality enters once, through the effective rows: rows that are filled and valid in every measured column, on average over the
columns, less those that repeat others (:mod:`valuation.repeats`). Rows that pad a table, be they empty, invalid or copies, do
not raise them. Without a count of the people no row is told from its copies, and nothing is priced by rows.

Source: data asset appraisal guidance 2023 No. 17, market approach; expert guideline No. 9.
"""

from collections.abc import Iterable
from fractions import Fraction

from valuation import desk, exact
from valuation.cost import Remark
from valuation.deals import Deal, MarketFacts
from valuation.desk.method import Figures
from valuation.errors import Finding, GatesClosed, MissingKey
from valuation.evidence import Evidence
from valuation.facts import Facts
from valuation.indication import ENDS, Indication
from valuation.money import Money
from valuation.quality import Z95
from valuation.repeats import repeats
from valuation.trace import Traced, derived, given

SOURCE = "data asset appraisal guidance 2023 No. 17, market approach; expert guideline No. 9"

HEDONIC_DEALS = 8
"""From so many deals on a regression of price on rows is worth printing; it checks the value and never enters it."""

HEDONIC_GAP = Fraction("0.3")
OLD_DAYS = 730

_METHOD = "market_cas9"

_UNCOUNTED = "the people in the table were not counted, so that copies of rows could pass for rows"
_COUNTED = "a release of the quality that counts the people, COUNT(DISTINCT unit), beside the rows"


def appraise_market(facts: Facts, evidence: Evidence) -> Indication:
    """Value the asset by the deals in ``facts.market``: their adjusted prices, weighted by similarity.

    Raises:
        MissingKey: if there are no deals, or the price index lacks the year of one.
        GatesClosed: if the release does not count the people, so that copies could pass for rows.
    """
    stated = facts.market
    if stated is None:
        raise MissingKey("facts.market")
    rows = _effective_rows(facts, evidence)
    prices = tuple(_price(number, deal, facts) for number, deal in enumerate(stated.deals))
    values = {end: _value(end, facts, stated, prices, rows[end]) for end in ENDS}
    hedonic = _hedonic(facts, stated, prices, rows["central"])
    return Indication(
        approach="market",
        low=values["low"],
        central=values["central"],
        high=values["high"],
        others=hedonic,
        remarks=tuple(_remarks(facts, stated, values["central"], hedonic)),
    )


def _effective_rows(facts: Facts, evidence: Evidence) -> dict[str, Traced]:
    """Rows valid in a measured column, on average over the columns, less the repeats, at the ends of their 95 % interval."""
    release = evidence.quality
    cells = {key: cell for key, cell in release.cells.items() if key.startswith("valid(")}
    if not cells:
        raise MissingKey("evidence: a count of valid cells")
    repeated = repeats(facts, release)
    if repeated is None:
        raise GatesClosed([Finding("uniqueness", _UNCOUNTED, _COUNTED)])
    counts: tuple[Traced, ...] = tuple(
        given(f"market.{key}", f"cells counted: {key}", exact.written(cell.value), unit="rows", source="release",
              evidence=release.digest)
        for key, cell in cells.items()
    )  # fmt: skip
    mean = sum((cell.value for cell in cells.values()), Fraction(0)) / len(cells)
    variance = sum((cell.variance for cell in cells.values()), Fraction(0)) / len(cells) ** 2
    formula = "mean of the valid cells over the columns"
    if repeated.surplus.fraction > 0:
        # whichever rows repeat others, they may all be valid ones
        mean, variance = mean - repeated.surplus.fraction, variance + repeated.variance
        counts, formula = (*counts, repeated.surplus), f"{formula} - rows that repeat others"
    spread = exact.root(variance)
    error = given(
        "market.rows.error", "standard error of the effective rows", exact.written(spread), unit="rows",
        source="independent noises of the counts", evidence=release.digest,
    )  # fmt: skip
    steps = {"low": -Fraction(Z95), "central": Fraction(0), "high": Fraction(Z95)}
    return {
        end: derived(
            f"market.rows.{end}",
            f"effective rows, {end}",
            max(mean + step * spread, Fraction(0)),
            unit="rows",
            formula=f"{formula} {'+' if step >= 0 else '-'} z95 * standard error" if step else formula,
            because=(*counts, error) if step else counts,
            source="GB/T 36344 validity, pooled, and uniqueness",
        )
        for end, step in steps.items()
    }


def _price(number: int, deal: Deal, facts: Facts) -> Traced:
    """The price of a deal for one effective row, brought to the subject and the valuation year."""
    cited = {"source": str(deal.cited), "evidence": deal.cited.document}
    index = facts.price_index
    indexed = {"source": str(index.cited), "evidence": index.cited.document, "unit": "index"}
    key = f"market.deal.{number}"
    base, then = (
        given(f"market.index.{year}", f"price index {year}", index.level(year), **indexed)
        for year in (facts.on.year, deal.on.year)
    )
    because = (
        given(f"{key}.price", f"price of {deal.name}", deal.price, **cited),
        given(f"{key}.rows", f"effective rows of {deal.name}", deal.rows, unit="rows", **cited),
        *(
            given(f"{key}.adjustment.{place}", f"{one.name}, {deal.name}", one.factor, unit="factor", source=one.reason)
            for place, one in enumerate(deal.adjustments)
        ),
        base,
        then,
    )
    return derived(
        key,
        f"adjusted price of a row, {deal.name}",
        Money.of(_adjusted([deal], facts, Fraction(1))["adjusted"][0], facts.currency),
        formula=f"{_METHOD}: price * adjustments * price index / price index of the deal / rows",
        because=because,
        source=SOURCE,
    )


def _adjusted(deals: Iterable[Deal], facts: Facts, rows: Fraction) -> Figures:
    """The desk's adjusted comparables for a subject of ``rows`` effective rows."""
    index = facts.price_index
    table = [
        {
            "price": deal.price.fraction,
            "capacity": Fraction(deal.rows),
            "tech": Fraction(1),
            "density": Fraction(1),
            "index_base": Fraction(index.level(facts.on.year)),
            "index_deal": Fraction(index.level(deal.on.year)),
            "other": deal.factor,
            "dissimilarity": Fraction(deal.dissimilarity),
        }
        for deal in deals
    ]
    return desk.find(_METHOD).figures({"comparables": table, "subject_capacity": rows})


def _value(end: str, facts: Facts, stated: MarketFacts, prices: tuple[Traced, ...], rows: Traced) -> Traced:
    distances = tuple(
        given(
            f"market.deal.{number}.dissimilarity",
            f"distance of {deal.name} to the subject",
            deal.dissimilarity,
            unit="distance",
            source=str(deal.cited),
            evidence=deal.cited.document,
        )
        for number, deal in enumerate(stated.deals)
    )
    value = _adjusted(stated.deals, facts, rows.fraction)["similarity_weighted"]
    return derived(
        f"market.{end}",
        f"value by market, {end}",
        Money.of(value, facts.currency),
        formula=f"{_METHOD}: effective rows * mean of the adjusted prices weighted by 1 / (1 + distance)",
        because=(*prices, *distances, rows),
        source=SOURCE,
    )


def _hedonic(facts: Facts, stated: MarketFacts, prices: tuple[Traced, ...], rows: Traced) -> tuple[Traced, ...]:
    """Price by a log-log regression on rows over the indexed, adjusted prices, where there are deals enough."""
    deals = stated.deals
    if len(deals) < HEDONIC_DEALS or len({deal.rows for deal in deals}) < len(deals) // 2 or rows.fraction <= 0:
        return ()
    figures = desk.find("market_hedonic_loglog").figures(
        {
            "features": [[Fraction(deal.rows)] for deal in deals],
            "prices": [price.fraction * Fraction(deal.rows) for price, deal in zip(prices, deals, strict=True)],
            "subject": [rows.fraction],
        }
    )
    predicted = derived(
        "market.hedonic",
        "median price by regression on rows",
        Money.of(Fraction(figures["median_price"]), facts.currency),
        formula="market_hedonic_loglog over the adjusted prices of the deals",
        because=(*prices, rows),
        source=desk.find("market_hedonic_loglog").source,
    )
    return (predicted,)


def _remarks(facts: Facts, stated: MarketFacts, central: Traced, hedonic: Iterable[Traced]) -> Iterable[Remark]:
    for deal in stated.deals:
        if (facts.on - deal.on).days > OLD_DAYS:
            yield Remark("deal-old", f"{deal.name} is older than two years")
        if not Fraction(7, 10) <= deal.factor <= Fraction(7, 5):
            yield Remark(
                "deal-unusual", f"{deal.name} is adjusted by {exact.percent(deal.factor)}; usual are 70 % to 140 %"
            )
    for check in hedonic:
        if central.fraction > 0 and abs(check.fraction / central.fraction - 1) > HEDONIC_GAP:
            yield Remark("hedonic-gap", "the regression differs from the adjusted prices by more than 30 %")

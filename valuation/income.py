"""The income approach: income of the data by year, faded, after upkeep, up to its economic life and never beyond.

An owner may stop at any year's end, so the value is the largest present value over the years for which the data can be kept
up, 0 if it never earns its upkeep. Hence a further year of loss never raises a value, more income never lowers it, and a
higher rate never raises it: where stopping is best at n, every tail of flows up to n is worth 0 or more, and the sum of the
tails is minus the derivative in the rate. There is no terminal value: after the last stated year, or the last
whole year of the title, nothing is counted.

Source: data asset appraisal guidance 2023 No. 17, income approach and appendix; IVS 210.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import accumulate
from typing import Any, NamedTuple

from valuation import desk, exact
from valuation.cost import DAYS_A_YEAR, Remark
from valuation.desk.income import amortisation_benefit
from valuation.desk.reals import halved, power, rounded, total
from valuation.earnings import PARTS, IncomeFacts, IncomeMethod, LineKind, TaxBasis
from valuation.errors import MissingKey
from valuation.facts import Facts
from valuation.indication import AS_STATED, ENDS, Indication, Shift
from valuation.money import Money
from valuation.quality import Quality
from valuation.trace import Traced, derived, given

SOURCE = "data asset appraisal guidance 2023 No. 17, income approach; IVS 210"

DESK_METHODS: Mapping[IncomeMethod, str] = {
    IncomeMethod.DIRECT: "dcf_finite",
    IncomeMethod.SHARE: "income_share",
    IncomeMethod.EXCESS: "mpeem",
    IncomeMethod.WITH_WITHOUT: "with_and_without",
    IncomeMethod.ROYALTY: "relief_from_royalty",
}
"""The formula of the desk that gives each method's value before upkeep."""

MID_YEAR = frozenset({IncomeMethod.EXCESS, IncomeMethod.ROYALTY})
"""Methods whose flows are discounted from the middle of their year; the others from its end."""

USUAL_RATE = {
    TaxBasis.PRE_TAX: (Fraction("0.15"), Fraction("0.35")),
    TaxBasis.POST_TAX: (Fraction("0.1"), Fraction("0.3")),
}

WARA_GAP = Fraction("0.05")
"""A rate further than this from the return that the firm's other assets leave for the data is remarked on."""

_HALF, _ZERO, _ONE = Fraction(1, 2), Fraction(0), Fraction(1)


class Worth(NamedTuple):
    """Net income by year; the present value of keeping the data up for 0, 1, 2, ... years; the factor of the tax benefit."""

    flows: tuple[Fraction, ...]
    values: tuple[Fraction, ...]
    benefit: Fraction

    @property
    def life(self) -> int:
        """Economic life in whole years: the earliest year at whose end stopping is worth most."""
        return self.values.index(max(self.values))

    @property
    def value(self) -> Fraction:
        """Value of the income up to the economic life, tax benefit included."""
        return max(self.values) * self.benefit


def term(facts: Facts) -> int | None:
    """Whole years until the first title document expires; ``None`` if none does."""
    expires = facts.legal.expires
    return None if expires is None else (expires - facts.on).days // DAYS_A_YEAR


def worth(facts: IncomeFacts, *, quality: Fraction, years: int, shift: Shift = AS_STATED) -> Worth:
    """Value the first ``years`` years of income at ``quality`` in (0, 1], the share of the assumed quality that is there."""
    rate = facts.rate.total * shift.rate
    keep = 1 - Fraction(facts.tax.value)
    lost = _attrition(facts, shift)
    early = _HALF if facts.method in MID_YEAR else _ZERO
    step = rounded(1 / (1 + rate))
    factor = power(1 + rate, early)
    charge, upkeep = charges(facts), facts.fade.upkeep.fraction * keep * shift.upkeep
    survival, growth, swell = 1 - lost / 2, _ONE, 1 + Fraction(facts.fade.growth)
    flows, discounted = [], []
    for income in incomes(facts, quality * shift.quality * shift.level)[:years]:
        flow = rounded(survival * (income * keep * growth - charge) - upkeep)
        factor = rounded(factor * step)
        flows.append(flow)
        discounted.append(rounded(flow * factor))
        survival, growth = rounded(survival * (1 - lost)), rounded(growth * swell)
    benefit = _ONE
    if facts.claim.tab_years:
        benefit = amortisation_benefit(facts.claim.tab_years, rate, 1 - keep, mid_year=True)
    return Worth(tuple(flows), tuple(accumulate(discounted, initial=_ZERO)), benefit)


def quality_share(facts: IncomeFacts, used: Fraction) -> Fraction:
    """What share of the income the measured quality carries: a shortfall counts in full, a surplus not at all."""
    return min(used / Fraction(facts.quality_assumed), _ONE)


def appraise_income(facts: Facts, measured: Quality) -> Indication:
    """Value the asset by its income; the method, its amounts and its rate are in ``facts.income``.

    Raises:
        MissingKey: if there are no facts of income.
    """
    stated = facts.income
    if stated is None:
        raise MissingKey("facts.income")
    bound = term(facts)
    years = stated.years if bound is None else min(stated.years, bound)
    roots = _Shared(facts, stated)
    used = {"low": measured.used_low, "central": measured.used, "high": measured.used_high}
    values = {end: _value(end, facts, stated, roots, years, used[end]) for end in ENDS}
    central = values["central"]
    checks = _wara(stated, roots.rate, central)
    return Indication(
        approach="income",
        low=values["low"],
        central=central,
        high=values["high"],
        others=checks,
        remarks=tuple(_remarks(stated, years, central, checks)),
    )


class _Shared:
    """The figures that the values at all three ends rest on."""

    def __init__(self, facts: Facts, stated: IncomeFacts) -> None:
        fade = stated.fade
        cited = {"source": str(fade.cited), "evidence": fade.cited.document}
        self.lines = tuple(
            given(
                f"income.line.{number}",
                f"{line.kind.value} of year {line.year}, {line.ground.value}",
                line.amount,
                source=str(line.cited),
                evidence=line.cited.document,
            )
            for number, line in enumerate(stated.lines)
        )
        parts = tuple(
            _cited_share(f"income.rate.{name}", name.replace("_", " "), part)
            for name, part in zip(PARTS, stated.rate.parts, strict=True)
        )
        built = desk.find("discount_rate").figures(
            {
                "rf": parts[0].fraction, "beta": _ONE, "erp": parts[1].fraction, "size_premium": parts[2].fraction,
                "data_specific_premium": parts[3].fraction, "kd": _ZERO, "tax": _ZERO, "debt_to_value": _ZERO,
            }
        )  # fmt: skip
        self.rate = derived(
            "income.rate",
            f"discount rate, {stated.rate.basis.value.replace('_', ' ')}",
            built["buildup"],
            unit="1/year",
            formula="discount_rate, buildup: risk free + equity premium + size premium + specific premium",
            because=parts,
            source=SOURCE,
        )
        half_life = given("income.half_life", "half-life of the income", fade.half_life, unit="years", **cited)
        self.attrition = derived(
            "income.attrition",
            "a, share of the income lost to age each year",
            _attrition(stated, AS_STATED),
            unit="share",
            formula="1 - 2^(-1 / half-life)",
            because=(half_life,),
            source="exponential decay",
        )
        self.growth = given("income.growth", "growth of the market", fade.growth, unit="1/year", **cited)
        self.upkeep = given("income.upkeep", "upkeep of a year", fade.upkeep, **cited)
        self.tax = _cited_share("income.tax", "tax rate", stated.tax)
        self.claim = _claim(stated)
        self.assumed = given(
            "income.quality_assumed",
            "quality that the income counts on",
            stated.quality_assumed,
            unit="share",
            source="stated with the income",
        )
        last = [link for link in facts.legal.title if link.expires is not None and link.expires == facts.legal.expires]
        self.term = tuple(
            given(
                "income.term",
                "whole years until the first title document expires",
                (facts.legal.expires - facts.on).days // DAYS_A_YEAR,
                unit="years",
                source=link.name,
                evidence=link.document,
            )
            for link in last[:1]
            if facts.legal.expires is not None
        )


def _value(end: str, facts: Facts, stated: IncomeFacts, shared: _Shared, years: int, used: Traced) -> Traced:
    share = derived(
        f"income.{end}.quality",
        f"share of the income that the quality carries, {end}",
        quality_share(stated, used.fraction),
        unit="share",
        formula="min(alpha as used / quality that the income counts on, 1)",
        because=(used, shared.assumed),
        source="quality enters the income approach here and nowhere else",
    )
    quality = quality_share(stated, used.fraction)
    result = worth(stated, quality=quality, years=years)
    name = DESK_METHODS[stated.method]
    because = (*shared.lines, share, shared.attrition, shared.growth, shared.upkeep, shared.tax, *shared.claim)
    flows = tuple(
        derived(
            f"income.{end}.flow.{year}",
            f"income of year {year} after upkeep, {end}",
            Money.of(flow, facts.currency),
            formula="(1-a)^(year-1) * (1 - a/2) * income of the method, grown - upkeep after tax",
            because=because,
            source=SOURCE,
        )
        for year, flow in enumerate(result.flows, 1)
    )
    life = derived(
        f"income.{end}.life",
        f"economic life, {end}",
        Fraction(result.life),
        unit="years",
        formula="the earliest year at whose end stopping is worth most; at most the years stated and the title's term",
        because=(*flows, shared.rate, *shared.term),
        source="economic life: income at least its upkeep",
    )
    gross, upkeep = _by_desk(stated, quality=quality, life=result.life)
    before = derived(
        f"income.{end}.gross",
        f"value before upkeep, {end}",
        Money.of(gross, facts.currency),
        formula=f"{name} over the economic life",
        because=(*because, shared.rate, life),
        source=desk.find(name).source,
    )
    spent = derived(
        f"income.{end}.upkeep",
        f"value of the upkeep, {end}",
        Money.of(upkeep, facts.currency),
        formula="present value of the upkeep over the economic life, by the same timing and tax benefit",
        because=(shared.upkeep, shared.tax, shared.rate, life, *shared.claim),
        source=SOURCE,
    )
    return derived(
        f"income.{end}",
        f"value by income, {end}",
        Money.of(gross - upkeep, facts.currency),
        formula="value before upkeep - value of the upkeep",
        because=(before, spent),
        source=SOURCE,
    )


def _by_desk(stated: IncomeFacts, *, quality: Fraction, life: int) -> tuple[Fraction, Fraction]:
    """Value before upkeep by the desk's formula, and the value of the upkeep, over ``life`` years."""
    if life == 0:
        return _ZERO, _ZERO
    rate, tax, claim = stated.rate.total, Fraction(stated.tax.value), stated.claim
    lost, swell = _attrition(stated, AS_STATED), 1 + Fraction(stated.fade.growth)
    grown = [rounded(swell**year) for year in range(life)]
    faded = [rounded((1 - lost) ** year * (1 - lost / 2) * grow) for year, grow in enumerate(grown)]
    earned = incomes(stated, quality)[:life]
    sales = [amount * quality for amount in stated.sums(LineKind.REVENUE)[:life]]
    inputs: dict[str, Any] = {"rate": rate, "tax": tax}
    match stated.method:
        case IncomeMethod.DIRECT:
            flows = [income * fade * (1 - tax) for income, fade in zip(earned, faded, strict=True)]
            inputs = {"income": flows, "rate": rate, "timing": "end", "stub_fraction": _ONE}
        case IncomeMethod.SHARE:
            inputs["revenue"] = [amount * fade for amount, fade in zip(sales, faded, strict=True)]
            inputs |= {"share_low": Fraction(claim.low), "share_high": Fraction(claim.high)}
            inputs["adjustment"] = Fraction(claim.score)
        case IncomeMethod.EXCESS:
            inputs["revenue"] = [amount * grow for amount, grow in zip(sales, grown, strict=True)]
            inputs["ebita_margin"] = [income / amount for income, amount in zip(earned, sales, strict=True)]
            inputs["contributory_assets"] = [
                {"asset": one.name, "value": one.value.fraction, "rate": Fraction(one.rate)}
                for one in claim.contributory
            ]
            inputs |= {"attrition": lost, "tab_years": max(claim.tab_years, 1)}
        case IncomeMethod.WITH_WITHOUT:
            without = stated.sums(LineKind.WITHOUT)[:life]
            pairs = list(zip(without, earned, faded, strict=True))
            inputs["with_"] = [(base + uplift) * fade for base, uplift, fade in pairs]
            inputs["without_"] = [base * fade for base, _, fade in pairs]
        case IncomeMethod.ROYALTY:
            inputs["revenue"] = [amount * fade for amount, fade in zip(sales, faded, strict=True)]
            inputs |= {"royalty": Fraction(claim.royalty), "maintenance_share": _ZERO, "mid_year": True}
            inputs |= {"tab_years": claim.tab_years, "tab_mid_year": True}
    figures = desk.find(DESK_METHODS[stated.method]).figures(inputs)
    gross = figures["pv_before_tab"] if stated.method is IncomeMethod.EXCESS and not claim.tab_years else figures["P"]
    upkeep = desk.find("dcf_finite").figures(
        {
            "income": [stated.fade.upkeep.fraction * (1 - tax)] * life,
            "rate": rate,
            "timing": "mid" if stated.method in MID_YEAR else "end",
            "stub_fraction": _ONE,
        }
    )["P"]
    benefit = amortisation_benefit(claim.tab_years, rate, tax, mid_year=True) if claim.tab_years else _ONE
    return gross, upkeep * benefit


def _attrition(facts: IncomeFacts, shift: Shift) -> Fraction:
    return rounded(1 - halved(_ONE, Fraction(facts.fade.half_life) * shift.half_life))


def charges(facts: IncomeFacts) -> Fraction:
    """What the contributory assets earn of a year's income; 0 for methods that charge none."""
    return total(asset.value.fraction * Fraction(asset.rate) for asset in facts.claim.contributory)


def incomes(facts: IncomeFacts, level: Fraction) -> list[Fraction]:
    """Income of the data by year before tax, charges, ageing and growth, its sales or uplift at ``level`` times as stated."""
    sales, costs = facts.sums(LineKind.REVENUE), facts.sums(LineKind.COST)
    match facts.method:
        case IncomeMethod.SHARE:
            low, high = Fraction(facts.claim.low), Fraction(facts.claim.high)
            share = low + (high - low) * Fraction(facts.claim.score)
            return [amount * level * share for amount in sales]
        case IncomeMethod.ROYALTY:
            return [amount * level * Fraction(facts.claim.royalty) for amount in sales]
        case IncomeMethod.WITH_WITHOUT:
            both = zip(facts.sums(LineKind.WITH), facts.sums(LineKind.WITHOUT), strict=True)
            # a loss is not made smaller by worse data or less business
            return [uplift * level if uplift > 0 else uplift for uplift in (one - other for one, other in both)]
        case _:
            return [amount * level - spent for amount, spent in zip(sales, costs, strict=True)]


def _cited_share(key: str, label: str, share: Any) -> Traced:
    return given(key, label, share.value, unit="share", source=str(share.cited), evidence=share.cited.document)


def _claim(stated: IncomeFacts) -> tuple[Traced, ...]:
    claim = stated.claim
    if claim.cited is None:
        return ()
    cited = {"source": str(claim.cited), "evidence": claim.cited.document}
    shares = {
        IncomeMethod.SHARE: {"low": claim.low, "high": claim.high, "score": claim.score},
        IncomeMethod.ROYALTY: {"royalty": claim.royalty},
    }
    figures = [
        given(f"income.claim.{name}", f"share of the income: {name}", value, unit="share", **cited)
        for name, value in shares.get(stated.method, {}).items()
    ]
    for number, asset in enumerate(claim.contributory):
        cited_asset = {"source": str(asset.cited), "evidence": asset.cited.document}
        figures.append(given(f"income.charge.{number}.value", f"value of {asset.name}", asset.value, **cited_asset))
        label = f"required return on {asset.name}"
        figures.append(given(f"income.charge.{number}.rate", label, asset.rate, unit="1/year", **cited_asset))
    if stated.method is not IncomeMethod.SHARE:
        label = "years of the tax amortisation benefit"
        figures.append(given("income.claim.tab_years", label, claim.tab_years, unit="years", **cited))
    return tuple(figures)


def _wara(stated: IncomeFacts, rate: Traced, central: Traced) -> tuple[Traced, ...]:
    """The return that the firm's other assets leave for the data, where they and a WACC are stated."""
    wacc, others = stated.rate.wacc, stated.rate.others
    if wacc is None or not others or central.fraction <= 0:
        return ()
    assets: list[dict[str, Any]] = [
        {"name": one.name, "value": one.value.fraction, "rate": Fraction(one.rate)} for one in others
    ]
    assets.append({"name": "data", "value": central.fraction, "rate": None})
    figures = desk.find("wara_implied_rate").figures({"assets": assets, "wacc": Fraction(wacc.value)})
    known = tuple(
        given(
            f"income.wara.{number}",
            f"value of {one.name}, earning {exact.percent(one.rate)}",
            one.value,
            source=str(one.cited),
            evidence=one.cited.document,
        )
        for number, one in enumerate(others)
    )
    implied = derived(
        "income.wara",
        "return that the firm's other assets leave for the data",
        figures["implied_rate"],
        unit="1/year",
        formula="wara_implied_rate",
        because=(*known, _cited_share("income.wacc", "WACC", wacc), central, rate),
        source=desk.find("wara_implied_rate").source,
    )
    return (implied,)


def _remarks(stated: IncomeFacts, years: int, central: Traced, checks: Iterable[Traced]) -> Iterable[Remark]:
    low, high = USUAL_RATE[stated.rate.basis]
    rate = stated.rate.total
    if not low <= rate <= high:
        usual = f"{exact.percent(low)} to {exact.percent(high)}"
        yield Remark("rate-unusual", f"the discount rate is {exact.percent(rate)}; usual are {usual}")
    if years < stated.years:
        yield Remark("income-cut", f"income after year {years} is not counted: a title document expires")
    life = central.find("income.central.life").fraction
    if life == 0:
        yield Remark("income-worthless", "the income does not bear its upkeep, so the income approach gives no value")
    elif life < years:
        yield Remark("income-life", f"income after year {life} is not counted: it does not bear its upkeep")
    for check in checks:
        wacc = stated.rate.wacc
        if wacc is not None and not wacc.value <= check.fraction <= 3 * wacc.value:
            yield Remark(
                "wara-implausible", "the other assets leave the data a return outside one to three times the WACC"
            )
        if abs(check.fraction - rate) > WARA_GAP:
            text = f"the rate is {exact.percent(rate)}, the other assets leave {exact.percent(check.fraction)}"
            yield Remark("wara-gap", text)

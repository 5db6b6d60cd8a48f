"""What a pledge loan looks like under named shocks, and the smallest shock that leaves a shortfall.

Each row takes the full loan, at ``stress_months`` or maturity if that is earlier, against the value at the low end
before haircuts; a forced sale takes its discount there, and prior claims come first. Shocks that depend on evidence
(the largest licensee, the noise of the quality) take their size from it; what is not evidenced is taken whole.

The reverse stress scales the whole of one named shock, value, half-life, income and discount together, down to the
least share of it at which a shortfall appears.

Source: product rule; the desk's ``stress_scenarios``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from valuation import exact
from valuation.desk.reals import halved
from valuation.loan import Loan
from valuation.margin import Bands
from valuation.money import Money
from valuation.trace import Traced, derived, given

SOURCE = "named stresses of the product; the desk's stress_scenarios"


class Shock(NamedTuple):
    """Shares lost of value and income, what the half-life shrinks to, its cap in years, the rise of the rate, the discount.

    ``liquidation`` ``None`` keeps the discount of the terms; a shock never makes it smaller.
    """

    label: str
    value: Fraction = Fraction(0)
    half_life: Fraction = Fraction(1)
    half_life_cap: Fraction | None = None
    income: Fraction = Fraction(0)
    rate: Fraction = Fraction(0)
    liquidation: Fraction | None = None

    def scaled(self, share: Fraction, liquidation: Fraction, half_life: Fraction) -> "Shock":
        """A ``share`` in [0, 1] of this shock: monotone in the share, nothing at 0, all of it at 1."""
        shrunk = min(half_life * self.half_life, self.half_life_cap or half_life)
        worst = max(self.liquidation or liquidation, liquidation)
        return self._replace(
            value=self.value * share,
            half_life=1 - (1 - shrunk / half_life) * share,
            half_life_cap=None,
            income=self.income * share,
            rate=self.rate * share,
            liquidation=liquidation + (worst - liquidation) * share,
        )


def _of(label: str, **shares: str) -> Shock:
    return Shock(label, **{name: Fraction(value) for name, value in shares.items()})


STRESSES: Mapping[str, Shock] = {
    "none": _of("no shock, time alone"),
    "rival": _of("a free rival enters", value="0.35", half_life="2/3", income="0.25", rate="0.01", liquidation="0.5"),
    "ban": _of("a rule bans the use, or consents are withdrawn", value="0.8", income="0.7", liquidation="0.8"),
    "leak": _of("the data leaks", value="0.6", half_life_cap="1", income="0.4", liquidation="0.7"),
    "licensee": _of("the largest licensee leaves"),
    "refresh": _of("refreshing stops", half_life="1/2"),
    "quality": _of("quality turns out 5 standard errors lower"),
    "operator": _of("the operator fails, no access for 30 days", income="30/365"),
}
"""The stress set, in the order of the report."""

REVERSED = "ban"
"""The shock that the reverse stress scales."""

QUALITY_SIGMAS = 5
_BISECTIONS = 40
_ZERO, _ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Base:
    """What a stress starts from. ``income`` is the cash of the first twelve months, ``None`` if none is evidenced."""

    loan: Traced
    value: Traced
    prior: Traced
    half_life: Traced
    liquidation: Traced
    rate: Traced
    months: Traced
    income: Traced | None

    @property
    def figures(self) -> tuple[Traced, ...]:
        """Every figure that a row rests on."""
        base = (self.loan, self.value, self.prior, self.half_life, self.liquidation, self.rate, self.months)
        return base if self.income is None else (*base, self.income)


@dataclass(frozen=True, slots=True)
class Row:
    """One stress. ``ltv`` is ``None`` where no value is left, ``dscr`` where no cash is evidenced."""

    name: str
    ltv: Traced | None
    dscr: Traced | None
    shortfall: Traced
    state: str

    @property
    def roots(self) -> tuple[Traced, ...]:
        """The figures of the row."""
        return tuple(one for one in (self.ltv, self.dscr, self.shortfall) if one is not None)

    def to_json(self) -> dict[str, Any]:
        """Name the figures; their values stand in the list of figures."""
        return {
            "name": self.name,
            "label": STRESSES[self.name].label,
            "ltv": None if self.ltv is None else self.ltv.key,
            "dscr": None if self.dscr is None else self.dscr.key,
            "shortfall": self.shortfall.key,
            "state": self.state,
        }


class Result(NamedTuple):
    """LTV and DSCR (``None`` as in :class:`Row`) and shortfall, exact."""

    ltv: Fraction | None
    dscr: Fraction | None
    shortfall: Fraction


def shocks(loan: Loan, *, error: Fraction) -> dict[str, Shock]:
    """The stress set for one loan; ``error`` is the relative standard error of the quality."""
    share = _ONE if loan.licensees is None else loan.licensees.top
    found = dict(STRESSES)
    found["licensee"] = found["licensee"]._replace(value=share, income=share)
    found["quality"] = found["quality"]._replace(value=min(QUALITY_SIGMAS * error, _ONE))
    return found


def under(base: Base, shock: Shock) -> Result:
    """LTV, DSCR on interest alone, and shortfall after a forced sale and prior claims, under one shock."""
    worst = max(shock.liquidation or _ZERO, base.liquidation.fraction)
    half_life = base.half_life.fraction * shock.half_life
    if shock.half_life_cap is not None:
        half_life = min(half_life, shock.half_life_cap)
    owed = base.loan.fraction
    faded = halved(base.months.fraction / 12, half_life)
    value = base.value.fraction * (1 - shock.value) * faded
    income = None if base.income is None else base.income.fraction * (1 - shock.income)
    left = max(value * (1 - worst) - base.prior.fraction, _ZERO)
    return Result(
        ltv=owed / value if value else None,
        dscr=None if income is None else income / (owed * (base.rate.fraction + shock.rate)),
        shortfall=max(owed - left, _ZERO),
    )


def rows(base: Base, found: Mapping[str, Shock], bands: Bands, *, cut: Fraction) -> tuple[Row, ...]:
    """Every stress of ``found``; ``cut`` in (0, 1] is recognised value over value, by which the state is told."""
    told = []
    for name, shock in found.items():
        result = under(base, shock)
        sizes = _sizes(name, shock)
        because, key = (*base.figures, *sizes), f"stress.{name}"
        shortfall = derived(
            f"{key}.shortfall",
            f"shortfall: {shock.label}",
            Money.of(result.shortfall, base.loan.unit),
            formula="max(loan - max(value * (1 - value lost) * 2^(-months / (12 half-life)) * (1 - discount) - prior, 0), 0)",
            because=because,
            source=SOURCE,
        )
        ltv = _ratio(f"{key}.ltv", f"LTV: {shock.label}", result.ltv, "share", "loan / value under the shock", because)
        dscr = _ratio(
            f"{key}.dscr",
            f"DSCR on interest: {shock.label}",
            result.dscr,
            "ratio",
            "cash of a year * (1 - income lost) / (loan * (rate + rise))",
            because,
        )
        state = "liquidation" if result.ltv is None or not cut else bands.state(result.ltv / cut).value
        told.append(Row(name, ltv, dscr, shortfall, state))
    return tuple(told)


def least_shock(base: Base, shock: Shock) -> Traced | None:
    """The least share of ``shock`` at which there is a shortfall, rounded up; ``None`` if all of it leaves none."""
    if under(base, shock).shortfall == 0:
        return None
    liquidation, half_life = base.liquidation.fraction, base.half_life.fraction

    def short(share: Fraction) -> bool:
        return under(base, shock.scaled(share, liquidation, half_life)).shortfall > 0

    low, high = _ZERO, _ONE
    if short(low):
        high = low
    while high - low > Fraction(1, 2**_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if short(middle) else (middle, high)
    return derived(
        "stress.reverse",
        f"least share of the shock that leaves a shortfall: {shock.label}",
        high,
        unit="share",
        formula=f"bisected to 2^-{_BISECTIONS}, rounded up: value, half-life, income and discount together",
        because=(*base.figures, *_sizes(REVERSED, shock)),
        source=SOURCE,
    )


def least_drop(base: Base) -> Traced:
    """The fall of the value alone from which a shortfall begins, after time and a forced sale; negative if it has begun."""
    faded = halved(base.months.fraction / 12, base.half_life.fraction)
    net = base.value.fraction * faded * (1 - base.liquidation.fraction)
    return derived(
        "stress.drop",
        "fall of the value alone from which a shortfall begins",
        1 - (base.loan.fraction + base.prior.fraction) / net,
        unit="share",
        formula="1 - (loan + prior) / (value * 2^(-months / (12 half-life)) * (1 - discount))",
        because=base.figures,
        source=SOURCE,
    )


def _ratio(
    key: str, label: str, value: Fraction | None, unit: str, formula: str, because: tuple[Traced, ...]
) -> Traced | None:
    if value is None:
        return None
    return derived(key, label, value, unit=unit, formula=formula, because=because, source=SOURCE)


def _sizes(name: str, shock: Shock) -> tuple[Traced, ...]:
    """The parts of a shock that differ from none, as figures."""
    units = {"half_life": "factor", "half_life_cap": "years", "rate": "1/year"}
    return tuple(
        given(f"stress.{name}.{part}", f"{part.replace('_', ' ')}: {shock.label}", exact.written(size),
              unit=units.get(part, "share"), source=SOURCE)
        for part, size in shock._asdict().items()
        if isinstance(size, Fraction) and size != (_ONE if part == "half_life" else _ZERO)
    )  # fmt: skip

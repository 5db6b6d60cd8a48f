"""From several approaches to one conclusion: weights with reasons, a test of consistency, a range, and what moves it.

The conclusion is the weighted mean of the indications, never the largest. The range is what 90 % of the draws stay in, the
drivers by their declared spreads and the measured quality by its noise, widened to the evidence's own interval, and to the
approaches themselves where they disagree. Source: IVS 103 and 105, reconciliation and model documentation.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from valuation import desk
from valuation.asset import DataAsset
from valuation.cost import UNUSED, Appraisal, Mode, Remark, appraise_cost
from valuation.desk.reals import root, total
from valuation.desk.uncertainty import WIDE
from valuation.errors import MissingKey, OutOfRange
from valuation.evidence import Evidence
from valuation.facts import Facts
from valuation.income import appraise_income
from valuation.indication import ENDS, Indication
from valuation.judgement import DRIVERS, Judgement
from valuation.market import appraise_market
from valuation.money import Money
from valuation.option import appraise_option
from valuation.quality import WEIGHTS
from valuation.sensitivity import SOURCE, Model, break_even, scenarios, tornado
from valuation.trace import Traced, derived, given

if TYPE_CHECKING:
    from valuation.draws import Drawn

TAIL = Fraction(1, 20)
"""Share of the draws below the range, and above it."""

MIDDLE = Fraction(1, 2)

CHECK_SIGMAS = 4
"""Draws whose mean is further than so many standard errors from the closed form are remarked on."""


def appraise(
    asset: DataAsset,
    facts: Facts,
    evidence: Evidence,
    on: date,
    *,
    judgement: Judgement,
    mode: Mode = Mode.BOTH,
    weights: Mapping[str, Decimal] = WEIGHTS,
) -> Appraisal:
    """Value ``asset`` by cost and by whatever else its facts support, and reconcile.

    Raises:
        GatesClosed: before any figure. OutOfRange: if a spread or scenario takes the rate to 1 or to the growth.
        MissingKey: if an approach has facts and no weight (0 with a reason is a weight), or a weight and no facts.
    """
    judgement = Judgement.from_json(judgement.to_json())  # one built by hand passes the same door as a foreign one
    base = appraise_cost(asset, facts, evidence, on, mode=mode, weights=weights)
    _match(facts, judgement)
    indications = [Indication("cost", base.low, base.central, base.high, (), ())]
    if facts.income is not None:
        indications.append(appraise_income(facts, base.quality))
    if facts.market is not None:
        indications.append(appraise_market(facts, evidence))
    model = Model(base, {one.approach: one for one in indications}, judgement)
    conclusion = {end: _weighted(end, indications, judgement, base.currency) for end in ENDS}
    from valuation.draws import draw  # noqa: PLC0415 (numpy: only for those who draw)

    drawn = draw(model, judgement, at=(TAIL, MIDDLE, 1 - TAIL))
    spread, agree = _consistency(indications, judgement, drawn)
    figures = _distribution(model, judgement, drawn)
    low, high = _range(conclusion, figures, indications, judgement, agree=agree)
    checks = tuple(figure for one in indications for figure in one.others)
    ends = tuple(figure for one in indications for figure in one.ends)
    beside = () if facts.option is None else (appraise_option(facts.option),)
    remaining = [base.remaining_low, *_income_life(indications, judgement)]
    return Appraisal(
        method="reconciled",
        asset=asset,
        facts=facts,
        evidence=evidence,
        on=on,
        mode=mode,
        weights=dict(weights),
        gates=base.gates,
        quality=base.quality,
        low=low,
        central=conclusion["central"],
        high=high,
        remaining_low=min(remaining, key=lambda figure: figure.fraction),
        remarks=(
            *(remark for remark in base.remarks if remark.code != UNUSED),
            *(remark for one in indications for remark in one.remarks),
            *_remarks(indications, judgement, figures, agree=agree),
            *(Remark("option-apart", "a real option stands beside the value and is not in it") for _ in beside),
        ),
        judgement=judgement,
        others=(*ends, *checks, *spread, *figures.values(), *tornado(model, judgement), *scenarios(model, judgement),
                *break_even(model), *beside),
    )  # fmt: skip


def _match(facts: Facts, judgement: Judgement) -> None:
    """Every approach with facts has a weight and the other way round; no driver takes the rate out of its range."""
    present = {"cost": True, "income": facts.income is not None, "market": facts.market is not None}
    for approach, there in present.items():
        if there and approach not in judgement.weights:
            raise MissingKey(f"judgement.weights.{approach}")
        if not there and approach in judgement.weights:
            raise MissingKey(f"facts.{approach}")
    if facts.income is None:
        return
    factors = {
        f"judgement.spreads, {one.driver}": (one.low, one.high) for one in judgement.spreads if one.driver == "rate"
    }
    for scenario in judgement.scenarios:
        if "rate" in scenario.factors:
            factors[f"judgement.scenarios, {scenario.name}"] = (scenario.factors["rate"],) * 2
    for key, (low, high) in factors.items():
        rate = facts.income.rate.total
        if rate * Fraction(low) <= Fraction(facts.income.fade.growth) or rate * Fraction(high) >= 1:
            raise OutOfRange(key, "factors that keep the rate above the growth and below 1")


def _weighted(end: str, indications: Iterable[Indication], judgement: Judgement, currency: str) -> Traced:
    ends = tuple(one.ends[ENDS.index(end)] for one in indications)
    shares = tuple(_share(approach, judgement) for approach in judgement.weights)
    value = total(share.fraction * figure.fraction for share, figure in zip(shares, ends, strict=True))
    return derived(
        f"conclusion.{end}" if end == "central" else f"conclusion.evidence.{end}",
        "value, reconciled" if end == "central" else f"value, reconciled, at the {end} end of the evidence",
        Money.of(value, currency),
        formula="sum of weight * value over the approaches",
        because=(*ends, *shares),
        source=SOURCE,
    )


def _share(approach: str, judgement: Judgement) -> Traced:
    weight = judgement.weights[approach]
    return given(
        f"weight.{approach}", f"weight of the {approach} approach", weight.share, unit="share", source=weight.reason
    )


def _consistency(
    indications: Iterable[Indication], judgement: Judgement, drawn: "Drawn"
) -> tuple[tuple[Traced, ...], bool]:
    """The desk's reconciliation of the approaches that carry weight, and whether they agree to within 30 % of their mean."""
    kept = [one for one in indications if judgement.weights[one.approach].share > 0 and one.central.fraction > 0]
    worthless = any(judgement.weights[one.approach].share > 0 and one.central.fraction == 0 for one in indications)
    if len(kept) < 2:
        return (), not (worthless and kept)
    spreads = [drawn.deviations[one.approach] for one in kept]
    # an approach that nothing moves has no error to weigh by; how far the approaches lie apart needs none
    measured = min(spreads) > 0
    figures = desk.find("reconciliation").figures(
        {
            "indications": [one.central.fraction for one in kept],
            "sds": spreads if measured else [Fraction(1)] * len(kept),
            "weights": [Fraction(judgement.weights[one.approach].share) for one in kept],
        }
    )
    because = tuple(one.central for one in kept)
    errors = tuple(
        derived(
            f"spread.{one.approach}",
            f"standard deviation of the {one.approach} approach over the draws",
            Money.of(spread, kept[0].central.unit),
            formula="standard deviation of the drawn values",
            because=(one.central,),
            source=SOURCE,
        )
        for one, spread in zip(kept, spreads, strict=True)
    )
    labels = {
        "spread": ("largest less smallest approach, over their mean", "ratio"),
        "chi2": (f"chi-square of the approaches, {len(kept) - 1} degrees of freedom", "index"),
        "inverse_variance": ("mean of the approaches weighted by inverse variance, for comparison", ""),
    }
    told = tuple(
        derived(
            f"consistency.{name}",
            label,
            figures[name] if unit else Money.of(figures[name], kept[0].central.unit),
            unit=unit,
            formula=f"reconciliation, {name}",
            because=(*because, *errors),
            source=desk.find("reconciliation").source,
        )
        for name, (label, unit) in labels.items()
        if measured or name == "spread"
    )
    return told, not worthless and figures["spread"] <= WIDE


def _distribution(model: Model, judgement: Judgement, drawn: "Drawn") -> dict[str, Traced]:
    """Quantiles, mean and standard error of the drawn conclusions, and the draws against their closed forms."""
    seed = f"seed {judgement.seed!r}"
    count = given("draws", "number of draws", judgement.draws, unit="draws", source=seed)
    ends = tuple(
        given(f"spread.{one.driver}.{end}", f"factor on {one.driver}, {one.shape.value}, {end}", value, unit="factor",
              source=one.reason)
        for one in judgement.spreads
        for end, value in (("low", one.low), ("high", one.high))
    )  # fmt: skip
    ties = tuple(
        given(f"correlation.{one.drivers[0]}.{one.drivers[1]}", f"correlation of the normal scores of {' and '.join(one.drivers)}",
              one.coefficient, unit="coefficient", source=one.reason)
        for one in judgement.correlations
    )  # fmt: skip
    because = (count, *ends, *ties, *(one.central for one in model.indications.values()))
    amounts = {
        "p5": ("5 % of the draws stay below", drawn.percentiles[TAIL]),
        "p50": ("half of the draws stay below", drawn.percentiles[MIDDLE]),
        "p95": ("95 % of the draws stay below", drawn.percentiles[1 - TAIL]),
        "mean": ("mean of the draws", drawn.mean),
        "error": ("standard error of that mean", drawn.error),
    }
    figures = {
        name: derived(
            f"draws.{name}",
            label,
            Money.of(value, model.currency),
            formula="conclusion at drawn drivers and at drawn noise of the counts",
            because=because,
            source=SOURCE,
        )
        for name, (label, value) in amounts.items()
    }
    for spread in judgement.spreads:
        miss = abs(drawn.factors[spread.driver] - spread.mean) / root(spread.variance / judgement.draws)
        figures[f"check.{spread.driver}"] = derived(
            f"draws.check.{spread.driver}",
            f"mean factor drawn for {spread.driver} against its closed form, in standard errors",
            miss,
            unit="standard errors",
            formula="|mean of the draws - mean of the distribution| / (its standard deviation / root of the draws)",
            because=(count, *(end for end in ends if end.key.startswith(f"spread.{spread.driver}."))),
            source="mean and variance of the uniform and the triangular distribution",
        )
    return figures


def _range(
    conclusion: Mapping[str, Traced],
    figures: Mapping[str, Traced],
    indications: Iterable[Indication],
    judgement: Judgement,
    *,
    agree: bool,
) -> tuple[Traced, Traced]:
    parts = [*conclusion.values()]
    if not agree:
        parts += [end for one in indications if judgement.weights[one.approach].share > 0 for end in one.ends]
    disagree = "" if agree else ", the approaches, which disagree"
    low, high = (figures["p5"], *parts), (figures["p95"], *parts)
    return (
        derived(
            "conclusion.low",
            "value, low",
            Money.of(min(figure.fraction for figure in low), conclusion["central"].unit),
            formula=f"smallest of: 5 % of the draws, the evidence's interval{disagree}",
            because=low,
            source=SOURCE,
        ),
        derived(
            "conclusion.high",
            "value, high",
            Money.of(max(figure.fraction for figure in high), conclusion["central"].unit),
            formula=f"largest of: 95 % of the draws, the evidence's interval{disagree}",
            because=high,
            source=SOURCE,
        ),
    )


def _income_life(indications: Iterable[Indication], judgement: Judgement) -> list[Traced]:
    """The economic life that the income approach counts on, where it carries weight: a loan must not outlive it."""
    return [
        one.low.find("income.low.life")
        for one in indications
        if one.approach == "income" and judgement.weights["income"].share > 0
    ]


def _remarks(
    indications: Iterable[Indication], judgement: Judgement, figures: Mapping[str, Traced], *, agree: bool
) -> Iterable[Remark]:
    for one in indications:
        if judgement.weights[one.approach].share == 0:
            yield Remark("approach-unweighted", f"the {one.approach} approach carries no weight")
    if len(judgement.weights) == 1:
        yield Remark("approach-alone", "one approach only: nothing checks it")
    if not agree:
        yield Remark(
            "approaches-disagree", "the approaches differ by more than 30 % of their mean; the range covers them all"
        )
    if not judgement.spreads:
        yield Remark("spreads-absent", "no driver has a spread: the range shows the noise of the measurement only")
    for driver in DRIVERS:
        check = figures.get(f"check.{driver}")
        if check is not None and check.fraction > CHECK_SIGMAS:
            yield Remark(
                "draws-off", f"the draws of {driver} are off their closed form; another seed or more draws help"
            )

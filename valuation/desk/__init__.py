"""The formula desk: 60 valuation methods, addressable by name, each one contract and one function.

``evaluate(name, inputs)`` reads plain JSON values exactly, computes and returns plain values; ``warnings`` says what is
unusual about a request; ``methods`` lists every contract as data, from which ``docs/formulas.md`` is printed by
``python -m valuation.desk``. No terminal value is ever added, nothing is rounded inside a method, nothing is drawn at
random. Currency is CNY, nominal; rates are decimals per year unless a key says otherwise.
"""

from typing import Any

from valuation.desk import (
    contribution,
    cost,
    credit,
    decay,
    games,
    income,
    infonomics,
    market,
    options,
    pledge,
    pledge_chain,
    privacy_error,
    quality,
    rates,
    registry,
    schedules,
    structure,
    uncertainty,
    weights,
)
from valuation.desk.method import Method, Remark
from valuation.errors import OutOfRange

METHODS: tuple[Method, ...] = (
    cost.cost_cas2023,
    cost.cost_cas9,
    cost.cost_ivs210_replacement,
    weights.ahp_weights,
    weights.entropy_weights,
    weights.fuzzy_score,
    income.dcf_finite,
    income.dcf_growing_annuity,
    income.income_share,
    income.tab_factor,
    income.mpeem,
    income.with_and_without,
    income.relief_from_royalty,
    decay.decaying_income,
    decay.weibull_attrition_dcf,
    rates.discount_rate,
    rates.wara_implied_rate,
    rates.pretax_rate_equivalence,
    market.market_cas2023,
    market.market_cas9,
    market.market_hedonic_loglog,
    options.real_option_bsm,
    options.real_option_crr,
    infonomics.infonomics,
    games.semivalues,
    contribution.coverage_shapley,
    contribution.coverage_shapley_dp,
    games.least_core,
    contribution.knn_shapley,
    contribution.dp_shapley_error,
    contribution.value_allocation,
    quality.dq_metrics,
    privacy_error.dp_count_error,
    privacy_error.dp_ratio_to_price,
    privacy_error.dp_revaluation_budget,
    privacy_error.dp_false_margin_call,
    pledge.recognised_value_limit,
    credit.basel_comprehensive,
    credit.firb_lgd_star,
    credit.irb_capital,
    credit.loan_pricing_raroc,
    credit.collateral_lgd,
    credit.ltv_from_quantile,
    schedules.repayment_schedule,
    schedules.ltv_constant_amortisation,
    schedules.dscr_sculpting,
    pledge.margin_call,
    structure.guarantee_joint_default,
    structure.abs_tranche_lhp,
    structure.abs_small_pool,
    structure.abs_waterfall,
    uncertainty.tornado,
    uncertainty.monte_carlo_closed_form,
    uncertainty.reconciliation,
    privacy_error.privacy_budget_as_reserve,
    pledge.stress_scenarios,
    pledge_chain.end_to_end_pledge,
    registry.report_hash,
    registry.lien_priority_cn,
    registry.enforcement_waterfall,
)
"""All methods in the order of the contract."""

_BY_NAME = {method.name: method for method in METHODS}


def methods() -> tuple[Method, ...]:
    """All methods in order; ``Method.to_json`` gives title, purpose, formula, source, inputs and outputs as data."""
    return METHODS


def find(name: str) -> Method:
    """The method called ``name``.

    Raises:
        OutOfRange: naming ``method``, if there is none.
    """
    found = _BY_NAME.get(name) if isinstance(name, str) else None
    if found is None:
        raise OutOfRange("method", "the names that the desk lists")
    return found


def evaluate(name: str, inputs: Any, *, floats: bool = True) -> dict[str, Any]:
    """Compute one method. ``inputs``: an object of plain values; numbers are ``int``, ``Decimal`` or ``float``.

    A ``float`` counts as the decimal of its shortest spelling, or is refused if ``floats`` is false. Numbers come back as ``Decimal`` of up to 34 significant
    digits, integers as ``int``, keys in the contract's order.

    Raises:
        BadInput: naming the key that is unknown, missing, of the wrong type or out of range; never repeating its value.
    """
    method = find(name)
    return method.outputs_of(method.figures(method.read(inputs, floats=floats)))


def warnings(name: str, inputs: Any) -> tuple[Remark, ...]:
    """What is unusual about a request that :func:`evaluate` answers: inputs outside usual ranges, doubtful results.

    Raises:
        BadInput: as :func:`evaluate`.
    """
    method = find(name)
    given = method.read(inputs)
    return method.remarks(given, method.figures(given))

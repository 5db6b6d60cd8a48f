"""What the formula desk refuses: for every key of every method, and for every rule between keys."""

import copy
from decimal import Decimal
from fractions import Fraction
from math import inf, nan

import pytest

from privacy.errors import PrivacyError
from tests.second_opinions import SATURATING, deal, game, subset
from tests.second_opinions_lending import claim, event
from tests.test_desk import FIRST, NAMES, changed
from valuation import desk
from valuation.desk.contract import Document, Field, Flag, Group, ListOf, Number, ObjectOf, Text, interval
from valuation.errors import BadInput, MissingKey, OutOfRange, UnknownKey, WrongType

LONG = "x" * 4000
SECRET = "4455667788"


def places(shape, value, path=()):
    """Every place in a value with its shape, first elements of lists only."""
    yield shape, path, value
    match shape:
        case ListOf(item=item) if value:
            yield from places(item, value[0], (*path, 0))
        case ObjectOf(value=item) if value:
            name = next(iter(value))
            yield from places(item, value[name], (*path, name))
        case Group(fields=fields):
            for field in fields:
                if field.key in value:
                    yield from places(field.shape, value[field.key], (*path, field.key))


def replaced(name, path, value):
    inputs = copy.deepcopy(FIRST[name])
    at = inputs
    for step in path[:-1]:
        at = at[step]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return inputs


def spelled(path):
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def beyond(text):
    """Values just outside a range, and its open ends."""
    found = interval(text)
    tiny = Fraction(1, 10**20)
    for end, is_open, side in ((found.low, found.low_open, -1), (found.high, found.high_open, 1)):
        if end is not None:
            outside = end if is_open else end + side * tiny
            yield Decimal(outside.numerator) / Decimal(outside.denominator)


def wrong_values(shape):
    """Values that a shape must refuse, with the error."""
    match shape:
        case Number(whole=whole, null=null, range=text):
            yield from ((wrong, WrongType) for wrong in (True, "1", [1], {}, Fraction(1, 2), 1j))
            yield from ((wrong, OutOfRange) for wrong in (nan, inf, -inf, Decimal("NaN"), Decimal("Infinity")))
            yield from ((wrong, OutOfRange) for wrong in (10**400, -(10**400), Decimal("9" * 400), Decimal("1e-400")))
            yield from ((wrong, WrongType if whole and wrong != int(wrong) else OutOfRange) for wrong in beyond(text))
            if whole:
                yield Decimal("1.5"), WrongType
            if not null:
                yield None, WrongType
        case Text(choices=choices, null=null):
            yield from ((wrong, WrongType) for wrong in (1, ["a"], True, "\ud800" if not choices else 0))
            yield LONG, OutOfRange
            if not null:
                yield None, WrongType
        case Flag():
            yield from ((wrong, WrongType) for wrong in (1, 0, "true", None))
        case ListOf(least=least, most=most):
            yield from ((wrong, WrongType) for wrong in (1, "abc", {}, None))
            yield [1] * (most + 1), OutOfRange
            if least:
                yield [], OutOfRange
        case ObjectOf() | Group() | Document():
            yield from ((wrong, WrongType) for wrong in (1, "abc", [], None))


CASES = [
    (name, path, value, error)
    for name in NAMES
    for shape, path, _ in places(Group(desk.find(name).inputs), FIRST[name])
    if path
    for value, error in wrong_values(shape)
]


@pytest.mark.parametrize("name", NAMES)
def test_wrong_values_are_refused_by_the_name_of_their_key(name):
    tried = [case for case in CASES if case[0] == name]
    assert tried
    for _, path, value, error in tried:
        with pytest.raises(BadInput) as caught:
            desk.evaluate(name, replaced(name, path, value))
        assert type(caught.value) is error, (path, value if not isinstance(value, list) else "a list")
        assert caught.value.key == spelled(path)
        assert len(str(caught.value)) < 300
        assert caught.value.fix


@pytest.mark.parametrize("name", NAMES)
def test_missing_and_unknown_keys_are_named(name):
    for shape, path, value in places(Group(desk.find(name).inputs), FIRST[name]):
        if isinstance(shape, Group):
            for key in value:
                with pytest.raises(MissingKey) as caught:
                    desk.evaluate(name, replaced(name, (*path, key), KeyError))
                assert caught.value.key == spelled((*path, key))
            for key, shown in (("surprise", "surprise"), (LONG, "(a key)"), (7, "(a key)")):
                with pytest.raises(UnknownKey) as caught:
                    desk.evaluate(name, replaced(name, (*path, key), 1))
                assert caught.value.key == spelled((*path, shown))
    with pytest.raises(WrongType):
        desk.evaluate(name, [1])


@pytest.mark.parametrize("name", NAMES)
def test_closed_ends_of_a_range_are_inside(name):
    """Read only: at an end of every range at once a method may have no value."""
    for shape, path, _ in places(Group(desk.find(name).inputs), FIRST[name]):
        if isinstance(shape, Number):
            found = interval(shape.range)
            for end, is_open in ((found.low, found.low_open), (found.high, found.high_open)):
                if end is not None and not is_open:
                    desk.find(name).read(replaced(name, path, Decimal(end.numerator) / Decimal(end.denominator)))


@pytest.mark.parametrize(
    ("name", "changes", "error", "key"),
    [
        ("cost_cas2023", {"base_year": "1999"}, MissingKey, "price_index.1999"),
        ("cost_cas2023", {"base_year": SECRET + "!"}, MissingKey, "price_index (base_year)"),
        ("cost_cas2023", {"items": [{"year": 1999, "cost": {}}]}, MissingKey, "price_index.1999"),
        ("cost_cas2023", {"price_index": {"2026": 1, "last": 2}}, WrongType, "price_index.last"),
        ("cost_cas9", {"V_total": 7199}, OutOfRange, "V_total"),
        ("cost_cas9", {"industry_volume": 1}, OutOfRange, "industry_volume"),
        ("cost_cas9", {"k_public": 1000}, OutOfRange, "beta"),
        ("cost_cas9", {"V_open": 0, "V_public": 0, "V_shared": 0}, OutOfRange, "beta"),
        ("cost_ivs210_replacement", {"direct": 0, "indirect": 0}, OutOfRange, "direct"),
        ("ahp_weights", {"upper_triangle": [[1, 2], [0, 1]]}, OutOfRange, "upper_triangle"),
        ("ahp_weights", {"upper_triangle": [[1, 2, 3], [0, 1, 3], [0, 0, 1, 1]]}, OutOfRange, "upper_triangle[2]"),
        ("ahp_weights", {"upper_triangle": [[1, 2, 3], [0, 1, 0], [0, 0, 1]]}, OutOfRange, "upper_triangle[1][2]"),
        ("entropy_weights", {"matrix_rows_are_datasets": [[1, 0], [2, 0]]}, OutOfRange, "matrix_rows_are_datasets"),
        ("entropy_weights", {"matrix_rows_are_datasets": [[1, 3], [1, 3]]}, OutOfRange, "matrix_rows_are_datasets"),
        ("entropy_weights", {"matrix_rows_are_datasets": [[1, 3], [1]]}, OutOfRange, "matrix_rows_are_datasets[1]"),
        ("fuzzy_score", {"weights": [1, 2]}, OutOfRange, "membership_matrix"),
        ("fuzzy_score", {"grades": [1]}, OutOfRange, "membership_matrix[0]"),
        ("fuzzy_score", {"weights": [0, 0, 0]}, OutOfRange, "membership_matrix"),
        ("income_share", {"share_high": 0.02}, OutOfRange, "share_high"),
        ("mpeem", {"ebita_margin": [0.2]}, OutOfRange, "ebita_margin"),
        ("with_and_without", {"without_": [1]}, OutOfRange, "without_"),
        ("decaying_income", {"growth": 0.9}, OutOfRange, "growth"),
        ("wara_implied_rate", {"assets": [{"name": "a", "value": 1, "rate": 0}]}, OutOfRange, "assets"),
        ("wara_implied_rate", {"assets": [{"name": "a", "value": 1, "rate": None}] * 2}, OutOfRange, "assets"),
        ("market_cas2023", {"sets": [subset(1, 1, 1, 1, 1, 1), subset(1, 3, 1, 1, 1, 1.01)]}, OutOfRange, "sets[1]"),
        ("market_cas2023", {"sets": [subset(1, Decimal("0.3299999999"), 1, 1, 1, 1)]}, OutOfRange, "sets[0]"),
        ("market_cas9", {"comparables": [deal(1, 1, -1)]}, OutOfRange, "comparables[0].dissimilarity"),
        ("market_hedonic_loglog", {"prices": [1, 2]}, OutOfRange, "prices"),
        ("market_hedonic_loglog", {"subject": [1]}, OutOfRange, "features[0]"),
        ("market_hedonic_loglog", {"features": [[1, 2]] * 3, "prices": [1, 2, 3]}, OutOfRange, "features"),
        ("market_hedonic_loglog", {"features": [[k, k * k] for k in range(1, 7)]}, OutOfRange, "features"),
        ("market_hedonic_loglog", {"features": [[k, 3] for k in range(1, 7)]}, OutOfRange, "features"),
        ("real_option_crr", {"steps": 1, "sigma": 0.1}, OutOfRange, "steps"),
        ("real_option_crr", {"steps": 1, "T": 1, "r": 0.5, "decay_yield_q": 0, "sigma": 0.5}, OutOfRange, "steps"),
        ("semivalues", {"v": {"empty": 0}}, MissingKey, "v.0"),
        ("semivalues", {"v": {**FIRST["semivalues"]["v"], "10": 1}}, UnknownKey, "v.10"),
        ("semivalues", {"definition": "v=1-exp(-records/0), records 1,2,3"}, OutOfRange, "definition"),
        ("semivalues", {"definition": "v=1-exp(-records/9), records 1,2"}, OutOfRange, "definition"),
        ("semivalues", {**game(5, lambda s: 0.1 * len(s), SATURATING), "game": "g"}, OutOfRange, "v.0"),
        ("coverage_shapley", {"id_sets": [[1], []]}, OutOfRange, "id_sets[1]"),
        ("coverage_shapley", {"id_weights": {"01": 1}}, WrongType, "id_weights"),
        ("coverage_shapley", {"id_weights": {"x" * 300: 1}}, WrongType, "id_weights"),
        ("least_core", {"definition": SECRET}, WrongType, "definition"),
        ("least_core", {"definition": "v=1-exp(-records/-5), records 1,2,3"}, WrongType, "definition"),
        ("least_core", {"definition": "coverage of 9 ids: [0,5),[3,9)"}, OutOfRange, "definition"),
        ("least_core", {"definition": "coverage of 0 ids: [0,5),[3,9),[1,2)"}, OutOfRange, "definition"),
        ("least_core", {"v": {"empty": 0}}, MissingKey, "v.0"),
        ("least_core", {"v": None}, WrongType, "v"),
        ("knn_shapley", {"K": 6}, OutOfRange, "K"),
        ("value_allocation", {"phi": [1, -1]}, OutOfRange, "phi"),
        ("value_allocation", {"phi": [Decimal("0.1"), Decimal("0.2"), Decimal("-0.3")]}, OutOfRange, "phi"),
        ("value_allocation", {"phi": [-1, -2]}, OutOfRange, "phi"),
        (
            "dq_metrics",
            {"counts": {**FIRST["dq_metrics"]["counts"], "distinct": 1000001}},
            OutOfRange,
            "counts.distinct",
        ),
        ("dq_metrics", {"weights": dict.fromkeys(FIRST["dq_metrics"]["weights"], 0)}, OutOfRange, "weights"),
        ("dq_metrics", {"weights": {**FIRST["dq_metrics"]["weights"], "beauty": 1}}, UnknownKey, "weights.beauty"),
        ("dq_metrics", {"weights": {"accuracy": 1}}, MissingKey, "weights.completeness"),
        ("dp_false_margin_call", {"call_ltv": 0.61}, OutOfRange, "call_ltv"),
        ("privacy_budget_as_reserve", {"eps_used": 11}, OutOfRange, "eps_used"),
        ("margin_call", {"warning": 0.5}, OutOfRange, "warning"),
        ("margin_call", {"call": 0.6}, OutOfRange, "call"),
        ("margin_call", {"call": 0.75}, OutOfRange, "liquidation"),
        ("repayment_schedule", {"balloon": 10000001}, OutOfRange, "balloon"),
        ("repayment_schedule", {"kind": "bullet", "balloon": 10000001}, OutOfRange, "balloon"),
        ("abs_tranche_lhp", {"attach": 0.1}, OutOfRange, "detach"),
        ("tornado", {"shocks": {"beauty": [0, 1]}}, UnknownKey, "shocks.beauty"),
        ("tornado", {"shocks": {"half_life": [-1, 1]}}, OutOfRange, "shocks.half_life"),
        ("tornado", {"shocks": {"growth": [0, -26]}}, OutOfRange, "shocks.growth[1]"),
        ("tornado", {"shocks": {"rate": [0]}}, OutOfRange, "shocks.rate"),
        (
            "tornado",
            {
                "base": {**FIRST["tornado"]["base"], "growth": Decimal("-0.9")},
                "shocks": {"growth": [0, Decimal("0.5")]},
            },
            OutOfRange,
            "shocks.growth",
        ),
        ("monte_carlo_closed_form", {"log_sds": [1]}, OutOfRange, "log_sds"),
        ("monte_carlo_closed_form", {"log_means": [1e9, 0, 0]}, OutOfRange, "inputs"),
        ("monte_carlo_closed_form", {"log_means": [900, 0, 0]}, OutOfRange, "median"),
        ("reconciliation", {"weights": [0, 0, 0]}, OutOfRange, "weights"),
        ("reconciliation", {"sds": [1, 2]}, OutOfRange, "sds"),
        ("end_to_end_pledge", {"prior_liens": 10**9}, OutOfRange, "recognised"),
        ("end_to_end_pledge", {"model_sd": 0.99, "epsilon": 0.00001}, OutOfRange, "recognised"),
        (
            "end_to_end_pledge",
            {"ratios": {"accuracy": [2, 1]}, "weights": {"accuracy": 1}},
            OutOfRange,
            "ratios.accuracy",
        ),
        (
            "end_to_end_pledge",
            {"ratios": {"accuracy": [1, 1]}, "weights": {"validity": 1}},
            MissingKey,
            "weights.accuracy",
        ),
        ("end_to_end_pledge", {"ratios": {"accuracy": [1, 1]}}, MissingKey, "ratios.completeness"),
        ("end_to_end_pledge", {"ratios": {"beauty": [1, 1]}, "weights": {"beauty": 1}}, UnknownKey, "ratios.beauty"),
        ("end_to_end_pledge", {"ratios": {"accuracy": [1, 1]}, "weights": {"accuracy": 0}}, OutOfRange, "weights"),
        (
            "end_to_end_pledge",
            {"ratios": {"accuracy": [1, 1]}, "weights": {"accuracy": 1, "beauty": 1}},
            UnknownKey,
            "weights.beauty",
        ),
        ("recognised_value_limit", {"haircuts": {f"h{k}": 0 for k in range(1001)}}, OutOfRange, "haircuts"),
        ("recognised_value_limit", {"haircuts": {"": 0}}, WrongType, "haircuts"),
        ("recognised_value_limit", {"haircuts": {1: 0}}, WrongType, "haircuts"),
        ("dcf_growing_annuity", {"g": 0.9, "n": 10**9}, OutOfRange, "inputs"),
        ("report_hash", {"document": {"a": Decimal("1.0")}}, WrongType, "document.a"),
        ("report_hash", {"document": {"a": [1.5]}}, WrongType, "document.a[0]"),
        ("report_hash", {"document": {"a": "\ud800"}}, WrongType, "document.a"),
        ("report_hash", {"document": {"a": {"\udfff": 1}}}, WrongType, "document.a"),
        ("report_hash", {"document": {"a": {1: 1}}}, WrongType, "document.a"),
        ("report_hash", {"document": {"a": 10**400}}, OutOfRange, "document.a"),
        ("lien_priority_cn", {"events": [event("A", None), event("A", None)]}, OutOfRange, "events[1].lender"),
        ("lien_priority_cn", {"events": [event("A", "soon")]}, WrongType, "events[0].registered_at"),
        ("lien_priority_cn", {"events": [event("A", "2026-02-30")]}, OutOfRange, "events[0].registered_at"),
        (
            "lien_priority_cn",
            {"events": [event("A", "2026-02-01T09:00Z"), event("B", "2026-02-01T09:00+08:00")]},
            OutOfRange,
            "events[1].registered_at",
        ),
        ("enforcement_waterfall", {"claims_by_rank": [[claim("A", 1)], []]}, OutOfRange, "claims_by_rank[1]"),
        ("enforcement_waterfall", {"claims_by_rank": [[claim("A", 0)]]}, OutOfRange, "claims_by_rank[0]"),
        (
            "enforcement_waterfall",
            {"claims_by_rank": [[claim("A", 1)], [claim("A", 1)]]},
            OutOfRange,
            "claims_by_rank[1][0].lender",
        ),
    ],
)
def test_rules_between_keys(name, changes, error, key):
    with pytest.raises(error) as caught:
        desk.evaluate(name, changed(name, **changes))
    assert caught.value.key == key
    assert SECRET not in str(caught.value)


def test_an_unknown_method_is_refused():
    for name in ("", "COST_CAS2023", LONG, None, ["tornado"]):
        with pytest.raises(OutOfRange) as caught:
            desk.evaluate(name, {})
        assert caught.value.key == "method"
        assert LONG not in str(caught.value)


def test_absurd_requests_are_refused_before_they_are_read():
    wide = [[0] * 1000] * 1000
    with pytest.raises(OutOfRange) as caught:
        desk.evaluate("entropy_weights", {"matrix_rows_are_datasets": wide})
    assert caught.value.key == "inputs"
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for name, inputs in (("report_hash", {"document": {"a": deep}}), ("dcf_finite", {"income": deep})):
        with pytest.raises(OutOfRange) as caught:
            desk.evaluate(name, inputs)
        assert caught.value.key == "inputs"
    knot = []
    knot.append(knot)
    with pytest.raises(PrivacyError):
        desk.evaluate("dcf_finite", {"income": knot})
    cut = [[[[[0] * 1000] * 1000] * 1000] * 1000]
    with pytest.raises(OutOfRange):
        desk.evaluate("dcf_finite", {"income": cut})


def test_a_contract_is_data():
    columns = Field("a", ListOf(Group((Field("b", Number(), "x"),))), "y")
    assert Group((columns,)).words == "object"
    assert ListOf(ObjectOf(Number())).words == "list of object of number"
    assert Document().words == "object"
    assert Group((columns,)).read({"a": [{"b": 1}]}, "") == {"a": ({"b": 1},)}

"""The formula desk: worked examples, second computations, spellings, and what it says about itself."""

import copy
import json
import subprocess
import sys
from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pytest

from privacy.errors import Malformed
from tests import second_opinions, second_opinions_lending
from tests.second_opinions import subset
from valuation import desk
from valuation.desk import wire
from valuation.desk.contract import interval
from valuation.desk.page import page
from valuation.desk.uncertainty import chi_square_above
from valuation.errors import OutOfRange, WrongType

ROOT = Path(__file__).parents[1]
EXAMPLES = json.loads((ROOT / "tests/vectors/valuation_examples.json").read_text("utf-8"), parse_float=Decimal)[
    "vectors"
]
FIRST = {example["method"]: example["inputs"] for example in reversed(EXAMPLES)}
SECOND = {**second_opinions.CASES, **second_opinions_lending.CASES}
NAMES = [method.name for method in desk.METHODS]


def tolerance(name):
    return Fraction("1e-6") if desk.find(name).numeric else Fraction("1e-9")


def changed(name, **changes):
    return {**copy.deepcopy(FIRST[name]), **changes}


def differences(got, wanted, allowed, path=""):
    """Paths where two results differ by more than the contract allows."""
    if isinstance(wanted, dict):
        assert isinstance(got, dict)
        keys = {*got, *wanted}
        return [line for key in keys for line in differences(got.get(key), wanted.get(key), allowed, f"{path}.{key}")]
    if isinstance(wanted, list | tuple):
        if len(got) != len(wanted):
            return [f"{path}: {len(got)} entries"]
        pairs = enumerate(zip(got, wanted, strict=True))
        return [line for place, (g, w) in pairs for line in differences(g, w, allowed, f"{path}[{place}]")]
    if wanted is None or isinstance(wanted, bool | str):
        return [] if got == wanted and type(got) is type(wanted) else [f"{path}: {got} instead of {wanted}"]
    want = Fraction(wanted)
    room = allowed * abs(want) if want else Fraction("1e-9")
    return [] if abs(Fraction(got) - want) <= room else [f"{path}: {got} instead of {float(want)}"]


def floats(value):
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: floats(item) for key, item in value.items()}
    return [floats(item) for item in value] if isinstance(value, list | tuple) else value


def test_the_desk_has_sixty_methods_in_the_order_of_the_examples():
    assert list(dict.fromkeys(example["method"] for example in EXAMPLES)) == NAMES
    assert len(NAMES) == 60
    assert len(EXAMPLES) == 75


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["id"])
def test_worked_examples(example):
    outputs = desk.evaluate(example["method"], example["inputs"])
    assert list(outputs) == list(example["outputs"])
    assert differences(outputs, example["outputs"], tolerance(example["method"])) == []


@pytest.mark.parametrize(("name", "place"), [(name, k) for name in NAMES for k in range(len(SECOND[name][1]))])
def test_second_computation(name, place):
    function, changes = SECOND[name]
    inputs = floats({**FIRST[name], **changes[place]})
    # second computations are in floats: a few of their digits go in differences
    assert differences(desk.evaluate(name, inputs), function(inputs), tolerance(name)) == []


def test_every_method_has_three_cases_of_a_second_computation():
    assert set(SECOND) == set(NAMES)
    assert min(len(changes) for _, changes in SECOND.values()) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_outputs_have_the_keys_and_types_of_the_contract(name):
    words = {"number": Decimal, "integer": int, "string": str}
    outputs = desk.evaluate(name, FIRST[name])
    declared = desk.find(name).outputs
    assert list(outputs) == [output.key for output in declared]

    def fits(value, kind):
        if kind.startswith("list of "):
            return isinstance(value, list) and all(fits(item, kind.removeprefix("list of ")) for item in value)
        if kind.startswith("object of "):
            return isinstance(value, dict) and all(fits(v, kind.removeprefix("object of ")) for v in value.values())
        return (value is None and kind.endswith("or null")) or type(value) is words[kind.split(" ")[0]]

    for output in declared:
        assert fits(outputs[output.key], output.type), output.key


# --- spellings ---------------------------------------------------------------------------------------------------------


def respelled(value, how):
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | Decimal):
        return how(Decimal(value))
    if isinstance(value, dict):
        return {key: respelled(item, how) for key, item in value.items()}
    return [respelled(item, how) for item in value]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "report_hash"])
def test_spelling_and_repetition_change_nothing(name):
    wanted = desk.evaluate(name, FIRST[name])
    assert desk.evaluate(name, copy.deepcopy(FIRST[name])) == wanted
    assert desk.evaluate(name, respelled(FIRST[name], lambda x: x.quantize(Decimal("1e-15")))) == wanted
    assert desk.evaluate(name, respelled(FIRST[name], lambda x: int(x) if x == int(x) else x)) == wanted
    assert desk.evaluate(name, respelled(FIRST[name], float)) == wanted


def test_a_float_counts_as_the_decimal_that_it_prints_as():
    tenth = changed("dp_revaluation_budget", rho_total=0.3, rho_per_revaluation=0.1)
    assert desk.evaluate("dp_revaluation_budget", tenth)["revaluations"] == 3  # 0.3 / 0.1 in binary is below 3
    with pytest.raises(WrongType) as caught:
        desk.evaluate("dp_revaluation_budget", tenth, floats=False)
    assert caught.value.key == "rho_total"


def test_the_thread_s_decimal_context_changes_nothing():
    wanted = {name: desk.evaluate(name, FIRST[name]) for name in NAMES}
    with localcontext(prec=5, rounding=ROUND_UP, traps=[]):
        assert {name: desk.evaluate(name, FIRST[name]) for name in NAMES} == wanted


# --- decided on exact values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes", "key", "wanted"),
    [
        ("dp_revaluation_budget", {"rho_total": "0.7", "rho_per_revaluation": "0.1"}, "revaluations", 7),
        ("dp_revaluation_budget", {"rho_total": "0.3", "rho_per_revaluation": "0.1"}, "revaluations", 3),
        ("margin_call", {"loan": "0.65", "value_now": 1}, "state", "margin_call"),
        ("margin_call", {"loan": "0.6499999999999999999999", "value_now": 1}, "state", "warning"),
        ("margin_call", {"loan": "0.3", "value_now": "0.4"}, "state", "liquidation"),
        ("recognised_value_limit", {"dscr_cap": "1e7", "revenue_cap": 10**7}, "binding", "dscr"),
        ("abs_small_pool", {"LGD": "0.7", "obligors": 10, "subordination": "0.07"}, "p_senior_loss", "p_two_or_more"),
        ("abs_waterfall", {"collections": ["0.1", "0.2"], "senior": "0.3"}, "senior_left", 0),
        ("abs_waterfall", {"collections": ["0.1", "0.2"], "senior": "0.3"}, "junior_left", 0),
        ("end_to_end_pledge", {"ltv_cap": "0.60"}, "state_month_6", "warning"),
        ("end_to_end_pledge", {"ltv_cap": "0.5999999999999999999999999"}, "state_month_6", "normal"),
        ("end_to_end_pledge", {"ltv_cap": "0.65"}, "state_month_6", "margin_call"),
        ("end_to_end_pledge", {"ltv_cap": "0.75"}, "state_month_6", "liquidation"),
        ("market_cas2023", {"sets": [subset(3, "0.33", 1, 1, 1, 1)]}, "P", "0.99"),
        ("knn_shapley", {"labels_sorted_by_distance": [0] * 7, "K": 7}, "total", 1),
        ("privacy_budget_as_reserve", {"eps_lifetime": "0.3", "eps_used": "0.1"}, "saleable_share", 0),
    ],
)
def test_decisions_fall_on_exact_values(name, changes, key, wanted):
    special = {
        "abs_waterfall": {
            "fee": 0,
            "senior_rate": 0,
            "junior": "0.05",
            "reserve_start": "0.05",
            "reserve_target": "0.05",
        },
        # the rate is 0 and the value halves in half a year: the ratio in month 6 of 12 is the cap itself
        "end_to_end_pledge": {
            "ftp": 0,
            "opex": 0,
            "hurdle": 0,
            "rf": 0,
            "half_life": "0.5",
            "liq": 0,
            "default_year": 0,
        },
        "knn_shapley": {"test_label": 0},
        "privacy_budget_as_reserve": {"eps_reserved_for_foreclosure": "0.2"},
    }

    def exact(value):
        if isinstance(value, list):
            return [exact(item) for item in value]
        if isinstance(value, dict):
            return {name: exact(item) for name, item in value.items()}
        return Decimal(value) if isinstance(value, str) else value

    outputs = desk.evaluate(name, changed(name, **exact({**special.get(name, {}), **changes})))
    wanted = outputs.get(wanted, wanted)
    assert outputs[key] == (Decimal(wanted) if isinstance(outputs[key], Decimal) else wanted)


@pytest.mark.parametrize(
    ("name", "changes", "key", "wanted"),
    [
        # differences that cancel in doubles
        (
            "decaying_income",
            {"half_life_years": 30, "growth": 0.02337389199, "rate": 1e-12, "upkeep_per_year": 0},
            "P",
            None,
        ),
        ("repayment_schedule", {"annual_rate": 1e-20, "months": 24}, "first_principal", "416666.6666666666666627"),
        (
            "repayment_schedule",
            {"annual_rate": 0.9, "months": 10**6, "principal": 10**7},
            "total_interest",
            "7.4999e11",
        ),
        ("dcf_growing_annuity", {"g": Decimal("0.18000000000000000000001"), "n": 7}, "P", "8898305.084745762711864"),
        ("tab_factor", {"n": 10**9, "rate": 0.1, "tax": 0.25, "mid_year": False}, "factor", "1.0000000025"),
        ("monte_carlo_closed_form", {"log_sds": [1e-30, 0, 0]}, "cv", "1e-30"),
        ("irb_capital", {"PD": Decimal("0.99999999999999")}, "b", "0.014046990400299974"),
        ("real_option_bsm", {"S": 1, "K": 1, "T": 1e-20, "sigma": 0.1}, "value", "3.989422804e-12"),
        ("weibull_attrition_dcf", {"income": [1, 2], "shape": 1e6, "scale_years": 1}, "P", "0.9245003270420485"),
        ("dp_count_error", {"epsilon": 1e-30}, "discrete_laplace_95_halfwidth", None),
        ("dp_false_margin_call", {"relative_price_sd": 0.001}, "p_false_no_deadband", "0"),
        ("ahp_weights", {"upper_triangle": [[1, 2, 6], [0, 1, 3], [0, 0, 1]]}, "CI", "0"),
    ],
)
def test_extremes_keep_their_digits(name, changes, key, wanted):
    got = desk.evaluate(name, changed(name, **changes))[key]
    if wanted is None:
        assert got > 0
    else:
        assert abs(Decimal(got) - Decimal(wanted)) <= max(abs(Decimal(wanted)) * Decimal("1e-9"), Decimal("1e-40"))


def test_the_largest_games_have_ten_players():
    worths = {
        "".join(str(p) for p in range(10) if mask >> p & 1) or "empty": mask.bit_count() ** 2 for mask in range(1 << 10)
    }
    game = {"game": "square", "n": 10, "definition": "v(S) = |S|^2", "v": worths}
    got = desk.evaluate("semivalues", game)
    assert got["shapley"] == got["banzhaf"] == [10] * 10  # all alike: a tenth of 100; mean of 2s + 1 over s of mean 4.5
    assert got["leave_one_out"] == [19] * 10
    # convex: the even split leaves nobody less than his due; a coalition of 9 lacks 81 - 90 = -9, of 1 1 - 10 = -9
    assert desk.evaluate("least_core", game)["subsidy_e"] == -9


# --- what it says about itself -----------------------------------------------------------------------------------------


def test_the_page_of_formulas_is_printed_from_the_contracts():
    stale = (ROOT / "docs/formulas.md").read_text("utf-8") != page()
    assert not stale, "docs/formulas.md is stale; run python -m valuation.desk > docs/formulas.md"


def test_the_command_prints_the_page():
    told = subprocess.run([sys.executable, "-m", "valuation.desk"], cwd=ROOT, capture_output=True, check=True)
    assert told.stdout.decode() == page()


@pytest.mark.parametrize("method", desk.methods(), ids=lambda method: method.name)
def test_contracts_are_complete(method):
    said = method.to_json()
    assert json.loads(json.dumps(said)) == said
    texts = [said[key] for key in ("title", "purpose", "formula", "latex", "source")]
    texts += [row["meaning"] for row in (*said["inputs"], *said["outputs"])]
    assert all(text.strip() for text in texts)
    assert said["latex"].count("{") == said["latex"].count("}")
    assert all(interval(row["usual"]) for row in said["inputs"] if row["usual"])


def test_what_is_unusual_is_said_and_computed_all_the_same():
    for name in NAMES:
        desk.warnings(name, FIRST[name])
    said = desk.warnings("relief_from_royalty", changed("relief_from_royalty", royalty=0.3))
    assert [(remark.key, remark.to_json()["text"]) for remark in said] == [
        ("royalty", "outside the usual range [0.01,0.1]")
    ]
    flags = {
        "wara_implied_rate": ({"wacc": 0.9}, "implied_rate"),
        "ahp_weights": ({"upper_triangle": [[1, 9, 1], [0, 1, 9], [0, 0, 1]]}, "CR"),
        "reconciliation": ({"sds": [1e5, 1e5, 1e5]}, "chi2"),
    }
    for name, (changes, key) in flags.items():
        assert key in [remark.key for remark in desk.warnings(name, changed(name, **changes))]
    assert "chi2" not in [remark.key for remark in desk.warnings("reconciliation", FIRST["reconciliation"])]
    one = changed("reconciliation", indications=[1], sds=[1], weights=[1])
    assert desk.warnings("reconciliation", one) == ()


@pytest.mark.parametrize(
    ("freedom", "at"),
    [(1, "3.841458820694124"), (2, "5.991464547107979"), (3, "7.814727903251179"), (4, "9.487729036781154")],
)
def test_the_chi_square_tail_is_five_per_cent_at_its_quantile(freedom, at):
    assert abs(chi_square_above(Fraction(at), freedom) - Fraction(1, 20)) < Fraction("1e-15")
    assert chi_square_above(Fraction(0), freedom) == 1


# --- JSON text ---------------------------------------------------------------------------------------------------------


def test_json_in_json_out_without_a_binary_float():
    asked = wire.parse(b'{"rho_total": 0.3, "rho_per_revaluation": 1e-1, "delta": 1E-6, "sensitivity": 1}')
    outputs = desk.evaluate("dp_revaluation_budget", asked, floats=False)
    text = wire.spell(outputs)
    assert json.loads(text, parse_float=Decimal) == outputs
    assert text.startswith('{"revaluations": 3, "gaussian_sigma": 2.23606797')
    assert wire.spell([Decimal("1E+2"), Decimal("1E-300"), None, True, "é", Decimal("-0.50")]) == (
        '[100, 1E-300, null, true, "é", -0.5]'
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"a": 1, "a": 2}', OutOfRange),
        ('{"document": {"b": {"x": 1, "x": 1}}}', OutOfRange),
        ('{"a": NaN}', Malformed),
        ('{"a": -Infinity}', Malformed),
        ("{", Malformed),
        (b"\xff", Malformed),
        ("[" * 100_000, Malformed),
        ('{"a": 1e' + "9" * 30 + "}", Malformed),
        (" " * (wire.MAX_BYTES + 1), Malformed),
    ],
)
def test_text_that_is_no_request(text, error):
    with pytest.raises(error) as caught:
        wire.parse(text)
    assert len(str(caught.value)) < 200


def test_an_endless_integer_is_refused_by_the_name_of_its_key():
    asked = wire.parse('{"epsilon": 1, "sensitivity": ' + "9" * 10_000 + "}")
    with pytest.raises(OutOfRange) as caught:
        desk.evaluate("dp_count_error", asked)
    assert caught.value.key == "sensitivity"

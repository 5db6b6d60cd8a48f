"""Documents of guarantee, trust, securitisation and portfolio: re-performed, strict, on one page, the same wherever they are made."""

import copy
import csv
import io
import json
import xml.etree.ElementTree as ET
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from privacy import canonical
from privacy.errors import Malformed, PrivacyError
from tests.test_pledge import flip, leaves
from valuation.errors import BadInput, CurrencyMismatch, Differs, GatesClosed, OutOfRange, UnknownKey
from valuation.finance import cascade
from valuation.finance.chart import chart
from valuation.finance.document import KINDS, PURPOSES, perform, verify
from valuation.finance.export import cells
from valuation.finance.sheet import sheet
from valuation.finance.trust import REMOTENESS

VECTORS = Path(__file__).parent / "vectors"
INPUTS = {kind: json.loads((VECTORS / f"finance_{kind}.json").read_text("utf-8")) for kind in KINDS}
MADE = {kind: perform(kind, inputs) for kind, inputs in INPUTS.items()}

every_kind = pytest.mark.parametrize("kind", KINDS)


def figure(kind, key, made=MADE):
    return Fraction(next(one["value"] for one in made[kind]["figures"] if one["key"] == key))


def table(made, key):
    found = next(one for one in made["tables"] if one["key"] == key)
    return [dict(zip((column["key"] for column in found["columns"]), row, strict=True)) for row in found["rows"]]


def changed(kind, path, value):
    inputs = copy.deepcopy(INPUTS[kind])
    *way, last = path
    place = inputs
    for step in way:
        place = place[step]
    place[last] = value
    return inputs


def yuan(amount):
    return {"amount": amount, "currency": "CNY"}


def codes(made):
    return {remark["code"] for remark in made["remarks"]}


# -- documents -------------------------------------------------------------------------------------------------------


@every_kind
def test_a_document_follows_from_its_inputs_and_says_what_it_is_not(kind):
    text = canonical.encode(MADE[kind])
    assert canonical.encode(perform(kind, INPUTS[kind])) == text
    found = verify(text)
    assert found.digest == MADE[kind]["digest"]
    assert found.figures == len(MADE[kind]["figures"])
    assert any("no capital relief" in line for line in MADE[kind]["assumptions"])
    assert "not an appraisal report" in MADE[kind]["notice"]["en"]
    assert PURPOSES[kind]


@every_kind
def test_every_figure_has_reasons_or_a_source(kind):
    keys = set()
    for one in MADE[kind]["figures"]:
        assert one["source"]
        assert set(one["because"]) <= keys, "reasons come first"
        assert bool(one["because"]) != (one["formula"] == "given")
        assert one["because"] or one["evidence"] or one["source"] == "stated shock"
        keys.add(one["key"])
    assert {one["figure"] for one in MADE[kind]["conclusion"]} <= keys


@every_kind
def test_whatever_is_changed_is_found_and_figures_and_tables_by_name(kind):
    parts = {key: MADE[kind][key] for key in MADE[kind] if key not in {"inputs", "digest", "basis"}}
    paths = list(leaves(parts))
    step = max(1, len(paths) // 12)
    for path in paths[::step]:
        forged = copy.deepcopy(MADE[kind])
        place = forged
        for part in path[:-1]:
            place = place[part]
        value = place[path[-1]]
        place[path[-1]] = flip(value)
        with pytest.raises(PrivacyError) as caught:
            verify(canonical.encode(forged))
        if path[0] in {"figures", "tables"}:
            assert isinstance(caught.value, Differs)
            assert caught.value.place == MADE[kind][path[0]][path[1]]["key"]


def test_inputs_that_could_not_have_made_the_document_are_named():
    forged = copy.deepcopy(MADE["trust"])
    forged["inputs"]["remoteness"]["no_recourse"] = None
    with pytest.raises(Differs, match="inputs"):
        verify(canonical.encode(forged))
    for key, value in (("kind", "pledge"), ("format", "touchstone-valuation/1")):
        with pytest.raises(OutOfRange):
            verify(canonical.encode({**MADE["trust"], key: value}))
    with pytest.raises(Malformed, match="another version"):
        verify(canonical.encode({**MADE["trust"], "code": "touchstone-data 0.0.9"}))


# -- inputs ----------------------------------------------------------------------------------------------------------


def objects(document, path=()):
    if isinstance(document, dict):
        yield path
        for key, value in document.items():
            yield from objects(value, (*path, key))
    if isinstance(document, list):
        for place, value in enumerate(document[:1]):
            yield from objects(value, (*path, place))


@every_kind
def test_a_key_that_is_missing_or_unknown_is_named(kind):
    for path in objects(INPUTS[kind]):
        inputs = copy.deepcopy(INPUTS[kind])
        place = inputs
        for part in path:
            place = place[part]
        with pytest.raises(UnknownKey) as caught:
            perform(kind, changed(kind, (*path, "appraised"), "1"))
        assert caught.value.key.endswith(".appraised")
        for key in list(place):
            if (kind, key) == ("guarantee", "counter_guarantor") and path == ("parties",):
                continue
            value = place.pop(key)
            with pytest.raises(BadInput) as caught:
                perform(kind, inputs)
            assert caught.value.key.rpartition(".")[2] in {key, "counter_guarantor"} or kind == "trust"
            place[key] = value


@pytest.mark.parametrize(
    ("kind", "path", "value", "named"),
    [
        ("guarantee", ("risk", "lgd", "value"), "0.2", "inputs.risk.lgd.value"),
        ("guarantee", ("risk", "correlation", "value"), "0.61", "inputs.risk.correlation.value"),
        ("guarantee", ("shares", "lender"), "0.21", "inputs.shares.lender"),
        ("guarantee", ("loan", "amount"), yuan("0"), "inputs.loan.amount"),
        ("guarantee", ("loan", "amount"), yuan("1.005"), "inputs.loan.amount"),
        ("guarantee", ("loan", "kind"), "balloon", "inputs.loan.kind"),
        ("guarantee", ("loan", "rate"), 0.045, "inputs.loan.rate"),
        ("guarantee", ("collateral", "rank"), 1, "inputs.collateral.claims"),
        ("guarantee", ("collateral", "in_favour_of"), "borrower", "inputs.collateral.in_favour_of"),
        ("guarantee", ("per_year",), 3, "inputs.per_year"),
        ("guarantee", ("loan", "cited", "on"), "2026-07-01", "inputs.loan.cited.on"),
        ("trust", ("periods", 1, "end"), "2026-03-31", "inputs.periods[1].end"),
        ("trust", ("periods", 5, "end"), "2029-01-01", "inputs.periods[5].end"),
        ("trust", ("periods", 0, "basis"), "forecast", "inputs.periods[0].basis"),
        ("trust", ("periods", 0, "usage", 0, "beneficiary"), "nobody", "inputs.periods[0].usage[0].beneficiary"),
        ("trust", ("periods", 0, "usage", 0, "use"), -1, "inputs.periods[0].usage[0].use"),
        ("trust", ("beneficiaries", 1, "name"), "port authority", "inputs.beneficiaries"),
        ("trust", ("beneficiaries", 1, "units"), True, "inputs.beneficiaries[1].units"),
        ("abs", ("notes", "senior"), yuan("82000000"), "inputs.notes.senior"),
        ("abs", ("triggers", "over_collateralisation"), "1.04", "inputs.triggers.over_collateralisation"),
        ("abs", ("scenarios", 0, "stops", 0, "loan"), "loan 99", "inputs.scenarios[0].stops[0].loan"),
        ("abs", ("scenarios", 0, "stops", 0, "period"), 5, "inputs.scenarios[0].stops[0].period"),
        ("abs", ("loans", 0, "name"), "loan 2", "inputs.loans"),
        ("abs", ("loans", 0, "pledge", "lien"), "zz", "inputs.loans[0].pledge.lien"),
        ("abs", ("correlation", "value"), "0", "inputs.correlation.value"),
        ("portfolio", ("records", 0, "recognised"), yuan("999999999"), "inputs.records[0].recognised"),
        ("portfolio", ("records", 0, "state"), "fine", "inputs.records[0].state"),
        ("portfolio", ("records", 1, "name"), "pledge 01", "inputs.records"),
        ("portfolio", ("refusals", 0, "on"), "2026-07-01", "inputs.refusals[0].on"),
        ("portfolio", ("shocks", 0, "drop"), "1", "inputs.shocks[0].drop"),
    ],
)  # fmt: skip
def test_inputs_out_of_range_are_named(kind, path, value, named):
    with pytest.raises(BadInput) as caught:
        perform(kind, changed(kind, path, value))
    assert caught.value.key == named


def test_a_refusal_does_not_repeat_what_was_sent():
    for path in (("risk", "lgd", "value"), ("loan", "kind"), ("loan", "cited", "document"), ("shares", "lender")):
        with pytest.raises(BadInput) as caught:
            perform("guarantee", changed("guarantee", path, "31337"))
        assert "31337" not in caught.value.reason + caught.value.fix


def test_a_second_currency_is_refused():
    for kind, path in (
        ("guarantee", ("loan", "amount")),
        ("abs", ("loans", 3, "balance")),
        ("portfolio", ("records", 2, "loan")),
    ):
        with pytest.raises(CurrencyMismatch):
            perform(kind, changed(kind, path, {"amount": "10000000", "currency": "USD"}))


def test_an_unknown_kind_is_refused():
    with pytest.raises(OutOfRange, match="guarantee, trust, abs, portfolio"):
        perform("option", {})


# -- guarantee -------------------------------------------------------------------------------------------------------


def test_the_guarantee_is_computed_twice():
    joint = figure("guarantee", "risk.joint")
    assert figure("guarantee", "el.without") == 180_000
    assert abs(
        figure("guarantee", "el.with") - 6_000_000 * (Fraction(2, 10) * Fraction(3, 100) + Fraction(8, 10) * joint)
    ) < Fraction(1, 10**20)
    assert figure("guarantee", "fee.floor") - figure("guarantee", "fee.fair") == Fraction(4, 1000)
    rows = table(MADE["guarantee"], "periods")
    # quarter 1 by hand: claim 10,112,500; data 8,000,000 * 2^(-1/12) less 10 %, less 2,000,000 of rank 1, 20 : 80
    left = 8_000_000 * 2 ** (-1 / 12) * 0.9 - 2_000_000
    assert float(rows[0]["lender"]) == pytest.approx(left * 0.2, abs=0.02)
    assert float(rows[0]["subrogated"]) == pytest.approx(left * 0.8, abs=0.02)
    assert float(rows[0]["guarantor_loss"]) == pytest.approx((8_090_000 - left * 0.8) * 5 / 8, abs=0.02)
    assert sum(Fraction(row["fee"]) for row in rows) == figure("guarantee", "fee.total")
    assert max(Fraction(row["alone_loss"]) for row in rows) == figure("guarantee", "loss.alone")
    assert {"red-flag-fee", "junior-lien"} == codes(MADE["guarantee"])


def test_a_guarantee_without_data_or_with_a_weak_guarantor_is_flagged():
    bare = perform("guarantee", {**INPUTS["guarantee"], "collateral": None})
    assert "no-counter-guarantee" in codes(bare)
    assert all(row["subrogated"] == "0" for row in table(bare, "periods"))
    weak = perform("guarantee", changed("guarantee", ("risk", "pd_guarantor", "value"), "0.05"))
    assert "red-flag-guarantor" in codes(weak)
    assert figure("guarantee", "el.with", {"guarantee": weak}) > figure("guarantee", "el.with")


def test_a_lien_in_the_guarantors_favour_leaves_the_lender_the_uncovered_part():
    own = perform("guarantee", changed("guarantee", ("collateral", "in_favour_of"), "guarantor"))
    row = table(own, "periods")[0]
    assert row["lender"] == "0"
    assert row["alone_loss"] == row["claim"]
    first = table(perform("guarantee", {**INPUTS["guarantee"], "recoveries": "lender_first"}), "periods")[0]
    assert first["lender_loss"] == "0"


# -- trust -----------------------------------------------------------------------------------------------------------


def test_each_remoteness_test_is_a_gate_that_names_its_document():
    for gate in REMOTENESS:
        with pytest.raises(GatesClosed) as caught:
            perform("trust", changed("trust", ("remoteness", gate), None))
        (finding,) = caught.value.findings
        assert finding.gate == gate
        assert finding.document in caught.value.fix
    with pytest.raises(GatesClosed) as caught:
        perform("trust", {**INPUTS["trust"], "remoteness": dict.fromkeys(REMOTENESS)})
    assert [finding.gate for finding in caught.value.findings] == list(REMOTENESS)
    assert [gate["gate"] for gate in MADE["trust"]["gates"]] == list(REMOTENESS)


def test_the_present_value_rests_on_forecasts_alone():
    rows = [row for row in table(MADE["trust"], "periods") if row["basis"] == "forecast"]
    days = [92, 184, 274, 365]
    worth = sum(
        sum(float(row[key]) for key in row if key.startswith("paid.")) / 1.12 ** (count / 365)
        for row, count in zip(rows, days, strict=True)
    )
    assert float(figure("trust", "value.present")) == pytest.approx(worth, rel=1e-12)
    assert figure("trust", "total.unallocated") == 0
    assert figure("trust", "total.income") == sum(Fraction(row["income"]) for row in table(MADE["trust"], "periods"))


# -- securitisation --------------------------------------------------------------------------------------------------


def test_the_published_pool_of_nine_names_comes_out():
    assert float(figure("abs", "risk.senior_hit")) == pytest.approx(0.0427, abs=5e-5)
    assert float(figure("abs", "risk.senior_el")) == pytest.approx(0.0035, abs=5e-5)
    assert float(figure("abs", "risk.pool_el")) == pytest.approx(0.021, rel=1e-12)
    assert figure("abs", "cover.recognised") == pytest.approx(Fraction(129, 81))
    assert "label-earned" in codes(MADE["abs"])


def test_every_yuan_of_every_scenario_is_in_the_tables():
    deal = INPUTS["abs"]
    for number, summary in enumerate(table(MADE["abs"], "scenarios")):
        rows = table(MADE["abs"], f"periods.{number}")
        came = sum(Fraction(row[key]) for row in rows for key in ("interest", "principal", "recovered"))
        keys = ("fee", "senior_interest", "senior_principal", "junior_interest", "junior_principal", "residual")
        went = sum(Fraction(row[key]) for row in rows for key in keys)
        reserve = Fraction(deal["reserve"]["start"]["amount"])
        assert came + reserve == went == Fraction(summary["collected"])
        repaid = sum(Fraction(row["senior_principal"]) for row in rows)
        assert repaid + Fraction(summary["senior_left"]) == Fraction(deal["notes"]["senior"]["amount"])
        assert figure("abs", f"scenario.{number}.unallocated") == 0
        assert figure("abs", f"scenario.{number}.senior_left") == Fraction(summary["senior_left"])
    calm, stopped, servicer = table(MADE["abs"], "scenarios")
    assert (calm["senior_left"], calm["triggers"]) == ("0", "")
    assert Fraction(stopped["senior_left"]) > 0
    assert servicer["triggers"] == "servicer"


def test_the_label_needs_more_than_half_and_a_title_must_outlast_its_loan():
    inputs = copy.deepcopy(INPUTS["abs"])
    for loan in inputs["loans"][:3]:
        loan["pledge"] = None
    assert "red-flag-label" in codes(perform("abs", inputs))
    exactly = copy.deepcopy(INPUTS["abs"])
    exactly["loans"] = exactly["loans"][:8]
    exactly["scenarios"] = []
    exactly["notes"] |= {"senior": yuan("70000000"), "junior": yuan("0")}
    for loan in exactly["loans"][:4]:
        loan["pledge"] = None
    exactly["loans"][7]["pledge"] = INPUTS["abs"]["loans"][5]["pledge"]
    assert "red-flag-label" in codes(perform("abs", exactly)), "exactly half is not more than half"
    with pytest.raises(GatesClosed) as caught:
        perform("abs", changed("abs", ("loans", 0, "pledge", "title_expires"), "2027-06-30"))
    assert "renewal" in caught.value.fix


def test_loans_of_one_obligor_fall_together():
    inputs = copy.deepcopy(INPUTS["abs"])
    inputs["loans"][1]["obligor"] = inputs["loans"][0]["obligor"]
    joined = {"abs": perform("abs", inputs)}
    assert figure("abs", "risk.loss.0.999", joined) >= figure("abs", "risk.loss.0.999")
    assert float(figure("abs", "risk.pool_el", joined)) == pytest.approx(0.021, rel=1e-12)
    inputs["loans"][1]["pd"] = "0.05"
    with pytest.raises(OutOfRange, match="one default probability"):
        perform("abs", inputs)


def test_a_cover_below_its_floor_locks_the_junior_class_from_the_first_day():
    inputs = copy.deepcopy(INPUTS["abs"])
    for loan in inputs["loans"]:
        if loan["pledge"] is not None:
            loan["pledge"]["recognised"] = yuan("10000000")
    made = perform("abs", inputs)
    assert "red-flag-cover" in codes(made)
    for row in table(made, "periods.0"):
        assert row["junior_interest"] == "0" or row["senior"] == "0"


# -- portfolio -------------------------------------------------------------------------------------------------------


def test_exposures_add_up_and_concentration_is_computed_twice():
    records = INPUTS["portfolio"]["records"]
    total = sum(int(one["loan"]["amount"]) for one in records)
    for name in ("lender", "institution", "sector", "product"):
        rows = table(MADE["portfolio"], f"by.{name}")
        assert sum(Fraction(row["loans"]) for row in rows) == total
        assert sum(row["pledges"] for row in rows) == len(records)
        shares = {
            row["name"]: sum(int(one["loan"]["amount"]) for one in records if one[name] == row["name"]) for row in rows
        }
        assert float(figure("portfolio", f"hhi.{name}")) == pytest.approx(
            sum((part / total) ** 2 for part in shares.values())
        )
    for key in ("ltv", "titles"):
        assert sum(row["pledges"] for row in table(MADE["portfolio"], key)) == len(records)
        assert sum(Fraction(row["loans"]) for row in table(MADE["portfolio"], key)) == total
    (override,) = table(MADE["portfolio"], "overrides")
    assert (override["rule"], override["pledges"]) == ("ltv_cap", 1)
    assert {row["gate"] for row in table(MADE["portfolio"], "refusals")} == {"title", "legal_form"}
    assert sum(row["milder"] for row in table(MADE["portfolio"], "states")) == 1


def test_a_larger_shock_or_impact_never_triggers_less():
    pairs = [
        (Decimal(one["loan"]["amount"]), Decimal(one["recognised"]["amount"])) for one in INPUTS["portfolio"]["records"]
    ]
    loans = [(int(loan * 100), int(value * 100)) for loan, value in pairs]
    for impact in (Fraction(0), Fraction(3, 10), Fraction(9, 10)):
        before = -1
        for percent in range(0, 100, 5):
            rounds = cascade.cascade(loans, cascade.Shock("s", Fraction(percent, 100), impact))
            sold = [one.amounts["liquidation"] for one in rounds]
            assert sold == sorted(sold), "values only fall"
            assert len(rounds) <= cascade.ROUNDS
            reached = rounds[-1].amounts["margin_call"] + rounds[-1].amounts["liquidation"]
            assert reached >= before
            before = reached
            assert all(sum(one.counts.values()) == len(loans) for one in rounds)
        assert rounds[-1].counts["liquidation"] == len(loans)


def test_a_loan_without_recognised_value_is_beyond_every_band():
    made = perform("portfolio", changed("portfolio", ("records", 0, "recognised"), yuan("0")))
    assert table(made, "ltv")[-1]["pledges"] == 1
    assert next(row for row in table(made, "states") if row["state"] == "liquidation")["recomputed"] == 1
    nothing = perform("portfolio", {**INPUTS["portfolio"], "records": [], "refusals": []})
    assert verify(canonical.encode(nothing)).figures == 2
    assert "<svg" in sheet(nothing)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("portfolio", [(("on",), "9999-12-31")]),
        ("abs", [(("loans", 0, "pd"), "0.9999"), (("loans", 0, "periods"), 120), (("loans", 0, "pledge", "title_expires"), None)]),
        ("guarantee", [(("loan", "amount"), yuan("9999999999999999999999999999"))]),
        ("guarantee", [(("loan", "amount"), yuan("0.01")), (("loan", "periods"), 120), (("loan", "kind"), "annuity")]),
        ("guarantee", [(("collateral", "value", "amount"), yuan("0"))]),
        ("guarantee", [(("risk", "pd", "value"), "0.99999999999999999999999999999999999999999999999999999999999")]),
        ("trust", [(("periods", place, "revenue"), yuan("0")) for place in range(6)]),
    ],
)  # fmt: skip
def test_facts_at_the_end_of_their_range_are_worked_out(kind, changes):
    inputs = copy.deepcopy(INPUTS[kind])
    for path, value in changes:
        place = inputs
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
    made = perform(kind, inputs)
    assert verify(canonical.encode(made)).digest == made["digest"]
    assert made["digest"] in sheet(made)
    ET.fromstring(chart(made))  # noqa: S314  our own picture


# -- what a person sees ----------------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\"'&]]>=cmd|'/c'!A1 \u202e\x07"


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text += data


@every_kind
def test_the_sheet_is_self_contained_and_carries_the_notice(kind):
    page = sheet(MADE[kind])
    seen = Seen()
    seen.feed(page)
    assert not {"script", "link", "img", "iframe", "a"} & set(seen.tags)
    assert not {"src", "href"} & set(seen.attributes)
    assert "not an appraisal report" in seen.text
    assert "不是由持牌机构签署的资产评估报告" in seen.text
    assert "no capital relief" in seen.text
    assert "不产生资本减免" in seen.text
    assert MADE[kind]["digest"] in seen.text
    assert MADE[kind]["title"] in seen.text
    assert sheet(canonical.decode(canonical.encode(MADE[kind]))) == page


@every_kind
def test_the_picture_is_sound_and_loads_nothing(kind):
    root = ET.fromstring(chart(MADE[kind]))  # noqa: S314  our own picture
    assert root.get("role") == "img"
    assert {child.tag.rpartition("}")[2] for child in root} >= {"title", "desc", "rect", "text"}
    wide, high = (float(root.get(name)) for name in ("width", "height"))
    for one in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y = float(one.get("x", 0)), float(one.get("y", 0))
        assert 0 <= x <= x + float(one.get("width")) <= wide
        assert -0.1 <= y <= y + float(one.get("height")) <= high + 0.1


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, len(INPUTS["portfolio"]["records"]) - 1), min_size=1))
def test_a_value_that_is_not_shown_is_nowhere_taken_for_one(hidden):
    """Whatever compares a loan with a value is what the other records make alone; exposures are those of all."""
    inputs = copy.deepcopy(INPUTS["portfolio"])
    for place in hidden:
        inputs["records"][place] |= {"value": None, "recognised": None}
    made = perform("portfolio", inputs)
    verify(canonical.encode(made))
    shown = [one for place, one in enumerate(inputs["records"]) if place not in hidden]
    alone = perform("portfolio", inputs | {"records": shown})
    tables, others = ({one["key"]: one["rows"] for one in told["tables"]} for told in (made, alone))
    wholes = {one["key"]: one["rows"] for one in MADE["portfolio"]["tables"]}
    assert tables["shocks"] == others["shocks"]
    assert [row[2:] for row in tables["states"]] == [row[2:] for row in others["states"]]
    assert tables["ltv"][:-1] == others["ltv"]
    assert tables["ltv"][-1][:2] == ["unshown", len(hidden)]
    assert len(tables["unshown"]) == len(hidden)
    for key in ("titles", "expiring", "overrides"):
        assert tables[key] == wholes[key]
    for name in ("lender", "sector"):
        assert [row[:4] for row in tables[f"by.{name}"]] == [row[:4] for row in wholes[f"by.{name}"]]
    assert sum(row[4] for row in tables["by.lender"]) == len(shown)
    figures, ones = ({one["key"]: one["value"] for one in told["figures"]} for told in (made, alone))
    assert figures["exposure"] == next(one["value"] for one in MADE["portfolio"]["figures"] if one["key"] == "exposure")
    for key in ("ltv.portfolio", "recognised", *(key for key in ones if key.endswith(".triggered"))):
        assert figures.get(key) == ones.get(key)


def test_half_a_value_is_refused():
    inputs = copy.deepcopy(INPUTS["portfolio"])
    inputs["records"][0]["recognised"] = None
    with pytest.raises(BadInput, match=r"records\[0\].recognised"):
        perform("portfolio", inputs)


def test_hostile_text_is_inert_everywhere():
    inputs = copy.deepcopy(INPUTS["portfolio"]) | {"title": HOSTILE, "reported_by": HOSTILE}
    inputs["records"][0] |= {"lender": HOSTILE, "institution": "=1+1", "name": "@SUM(A1)"}
    inputs["shocks"][0]["name"] = HOSTILE
    made = perform("portfolio", inputs)
    seen = Seen()
    seen.feed(sheet(made))
    assert "script" not in seen.tags
    assert "\u202e" not in seen.text
    assert "\x07" not in seen.text
    ET.fromstring(chart(made))  # noqa: S314  our own picture
    lines = list(csv.reader(io.StringIO(cells(made), newline="")))
    assert lines[0] == ["table", "row", "column", "unit", "value"]
    assert not [line for line in lines if line[3] == "text" and line[4].startswith(("=", "+", "-", "@"))]
    assert ["by.institution", "'=1+1"] in [[line[0], line[4]] for line in lines]
    trust = perform("trust", {**INPUTS["trust"], "title": HOSTILE})
    assert "<script" not in sheet(trust)


# -- commands --------------------------------------------------------------------------------------------------------


@every_kind
def test_commands_write_verify_and_show(kind, tmp_path):
    runner = CliRunner()
    made, page, picture, lines = (tmp_path / f"made{suffix}" for suffix in (".json", ".html", ".svg", ".csv"))
    told = runner.invoke(cli.app, ["finance", kind, str(VECTORS / f"finance_{kind}.json"), "-o", str(made)])
    assert told.exit_code == 0, told.output
    assert MADE[kind]["digest"] in told.output
    assert "no capital relief" in " ".join(told.output.split())
    assert made.read_bytes() == canonical.encode(MADE[kind])
    assert runner.invoke(cli.app, ["finance", "verify", str(made)]).exit_code == 0
    for path, text in ((page, sheet(MADE[kind])), (picture, chart(MADE[kind])), (lines, cells(MADE[kind]))):
        assert runner.invoke(cli.app, ["finance", "sheet", str(made), "-o", str(path)]).exit_code == 0
        assert path.read_bytes() == text.encode()


def typed(monkeypatch, capsys, *arguments):
    """Run the command line in this process; return exit code, what went to stdout and what to stderr."""
    monkeypatch.setattr("sys.argv", ["touchstone", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0, *capsys.readouterr()


def test_what_is_typed_wrong_gets_a_sentence_and_a_way_forward(tmp_path, monkeypatch, capsys):
    made, closed, page = tmp_path / "made.json", tmp_path / "closed.json", tmp_path / "page.html"
    made.write_bytes(canonical.encode(MADE["trust"]).replace(b"4590000", b"4590001"))
    code, _, told = typed(monkeypatch, capsys, "finance", "sheet", made, "-o", page)
    assert (code, "total.income does not follow" in told) == (1, True)
    assert not page.exists(), "what does not follow is not shown"
    closed.write_text(json.dumps(changed("trust", ("remoteness", "no_recourse"), None)), "utf-8")
    code, _, told = typed(monkeypatch, capsys, "finance", "trust", closed)
    assert (code, "without recourse" in told) == (3, True)
    for arguments, fix in (
        (("sheet", made, "-o", tmp_path / "page.docx"), ".html"),
        (("verify", tmp_path / "nowhere.json"), "check its path"),
        (("guarantee", closed), "remove it"),
        (("abs", VECTORS / "finance_abs.json", "-o", tmp_path / "no" / "such.json"), "check the path"),
    ):
        code, _, told = typed(monkeypatch, capsys, "finance", *arguments)
        assert (code, fix in told) == (1, True), told
    lines = tmp_path / "all.csv"
    code, told, _ = typed(
        monkeypatch, capsys, "finance", "portfolio", VECTORS / "finance_portfolio.json", "--csv", lines
    )
    assert (code, told.encode()) == (0, canonical.encode(MADE["portfolio"]) + b"\n")
    assert lines.read_bytes() == cells(MADE["portfolio"]).encode()

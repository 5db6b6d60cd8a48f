"""LTV over time: a second computation, every trigger alone, and noise that nobody draws again."""

import json
import xml.etree.ElementTree as ET
from copy import deepcopy
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from privacy.errors import Mismatch, PrivacyError
from valuation.errors import BadInput
from valuation.timeline import timeline
from valuation.timeline_picture import draw


def yuan(amount):
    return {"amount": str(amount), "currency": "CNY"}


FIRST = {
    "on": "2026-11-20",
    "version": "2026-11-15",
    "release": "a" * 64,
    "watch": "confirmed",
    "balance": yuan(500),
    "value": yuan(1_000),
    "error": "0.03",
    "quality": {"completeness": {"value": "0.98", "error": "0.001"}},
    "income": yuan(200),
    "index": "100",
    "rights_end": "2029-01-01",
}


def history(*changes, **parts):
    return {"asset": "bank-a/accounts", "readings": [FIRST, *(deepcopy(FIRST) | change for change in changes)]} | parts


def reasons(**change):
    return timeline(history({"on": "2026-12-01"} | change)).points[-1].revalue


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(0, 400))
def test_ltv_and_its_interval_equal_a_second_computation(owed, value, thousandths):
    change = {"balance": yuan(owed), "value": yuan(value), "error": str(Decimal(thousandths) / 1000)}
    point = timeline(history(change)).points[-1]
    ltv = Fraction(owed, value)
    assert point.ltv == ltv
    assert point.low == ltv / (1 + Fraction(2 * thousandths, 1000))
    assert point.high == ltv / (1 - Fraction(2 * thousandths, 1000))
    states = [name for name, least in (("warning", 60), ("margin_call", 65), ("liquidation", 75)) if ltv * 100 >= least]
    assert point.state == (states or ["normal"])[-1]
    order = ["normal", "warning", "margin_call", "liquidation"]
    assert order.index(point.surely) <= order.index(point.state)


def test_noise_within_the_dead_band_calls_for_nothing_surely():
    point = timeline(history({"balance": yuan(660), "error": "0.03"})).points[-1]
    assert (point.state, point.surely) == ("margin_call", "warning")
    assert timeline(history({"balance": yuan(660), "error": "0"})).points[-1].surely == "margin_call"


def test_nothing_left_is_liquidation():
    lost, paid = timeline(history({"value": yuan(0)}, {"value": yuan(0), "balance": yuan(0)})).points[1:]
    assert (lost.ltv, lost.state, lost.surely) == (None, "liquidation", "liquidation")
    assert (paid.ltv, paid.state) == (0, "normal")


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({"on": "2027-02-20", "version": "2027-02-01", "release": "b" * 64}, "schedule"),
        ({"watch": "late"}, "identity"),
        ({"watch": "gone"}, "identity"),
        ({"on": "2027-02-19"}, "freshness"),
        ({"quality": {"completeness": {"value": "0.88", "error": "0.1"}}}, "quality"),
        ({"quality": {"completeness": {"value": "0.974", "error": "0.001"}}}, "quality"),
        ({"quality": {}}, "quality"),
        ({"income": yuan(159)}, "usage"),
        ({"income": None}, "usage"),
        ({"index": "84"}, "market"),
        ({"index": "116"}, "market"),
        ({"rights_end": "2027-06-01"}, "title"),
    ],
)
def test_each_trigger_is_named_and_alone(change, begins):
    (reason,) = reasons(**change)
    assert reason.startswith(f"{begins}: ")


@pytest.mark.parametrize(
    "change",
    [
        {"on": "2027-02-15"},
        {"quality": {"completeness": {"value": "0.9751", "error": "0.001"}}},
        {"income": yuan(160)},
        {"index": "85"},
        {"index": "115"},
        {"rights_end": "2027-06-03"},
    ],
)
def test_what_lies_within_the_rules_calls_for_nothing(change):
    assert reasons(**change) == ()


def test_noise_is_drawn_once_for_each_version():
    with pytest.raises(Mismatch, match="noise is drawn once"):
        timeline(history({"on": "2026-12-01", "release": "b" * 64}))
    told = timeline(history({"on": "2026-12-01", "release": "b" * 64, "version": "2026-11-30"}))
    assert len(told.points) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"on": "2026-11-19"},
        {"version": "2026-11-14"},
        {"version": "2026-11-21"},
        {"value": {"amount": "1", "currency": "USD"}},
        {"balance": yuan(-1)},
        {"error": "1"},
        {"error": 0.1},
        {"watch": "asleep"},
        {"release": "x"},
        {"index": "0"},
        {"surprise": 1},
    ],
)
def test_impossible_readings_are_refused(change):
    with pytest.raises(PrivacyError):
        timeline(history(change))


@pytest.mark.parametrize(
    "rules", [{"warning": "0.7"}, {"liquidation": "1.1"}, {"drop": "0"}, {"every": 0}, {"sigmas": "-1"}, {"mood": "1"}]
)
def test_impossible_rules_are_refused(rules):
    with pytest.raises(BadInput):
        timeline(history(rules=rules))


def test_the_picture_is_sound_and_loads_nothing():
    line = timeline(
        history({"balance": yuan(900), "on": "2026-12-24"}, {"value": yuan(0), "on": "2027-01-08"}, asset="<a> & b")
    )
    text = draw(line)
    root = ET.fromstring(text)  # noqa: S314  our own picture
    names = [child.tag.rpartition("}")[2] for child in root.iter()]
    assert {"title", "desc", "circle", "path"} <= set(names)
    assert "href" not in text
    assert "&lt;a&gt; &amp; b" in text
    assert draw(timeline(history())).count("<circle") == 1


def test_the_command_prints_the_line_and_draws_it(tmp_path):
    file, picture = tmp_path / "history.json", tmp_path / "line.svg"
    file.write_text(json.dumps(history({"on": "2026-12-24", "balance": yuan(640)})))
    told = CliRunner().invoke(cli.app, ["pledge", "timeline", str(file), "--svg", str(picture)])
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert [point["ltv"] for point in document["points"]] == ["0.5", "0.64"]
    assert (document["points"][1]["state"], document["revaluation_due"]) == ("warning", "2027-02-20")
    assert picture.read_text() == draw(timeline(json.loads(file.read_text())))
    file.write_text("{")
    refused = CliRunner().invoke(cli.app, ["pledge", "timeline", str(file)])
    assert isinstance(refused.exception, PrivacyError)


def test_the_documented_history_is_one():
    page = (Path(__file__).parents[1] / "docs" / "collateral.md").read_text("utf-8")
    line = timeline(json.loads(page.split("```json\n")[1].split("```")[0]))
    assert (line.points[0].state, line.points[0].revalue) == ("normal", ())

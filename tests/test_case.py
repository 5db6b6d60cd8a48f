"""The worked case of an air-quality product: its report follows from its facts, and the page says what the report says."""

import copy
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from api.commands import valuing
from privacy import canonical
from tests.test_docs import DOCS, part
from valuation import exact
from valuation.desk import wire
from valuation.proof import LTV_CAPS, Proof
from valuation.report import perform, verify

FACTS = DOCS / "cases" / "air-quality.json"
REPORT = DOCS / "cases" / "air-quality-report.json"
PAGE = "case-air-quality.md"


def inputs():
    return wire.parse(FACTS.read_bytes())


def by_key(report):
    return {figure["key"]: figure["value"] for figure in report["figures"]}


def otherwise(*, contracted=True, metered=True, letters=True):
    """The loan limit on the same facts with fewer documents."""
    changed = copy.deepcopy(inputs())
    proof = Proof.CONTRACT if contracted else Proof.USAGE if metered else Proof.COST
    if not contracted:
        for line in changed["facts"]["income"]["lines"]:
            line["ground"] = "forecast"
    if not metered:
        del changed["facts"]["usage"]
    if not letters:
        changed["terms"]["haircuts"] = {}
    changed["terms"]["ltv_cap"] = exact.spell(LTV_CAPS[proof])
    return by_key(perform(changed))["pledge.limit"]


def million(amount):
    return f"{Decimal(amount) / 10**6:.1f}"


def table(report):
    """The figures that the page shows."""
    told = by_key(report)
    rows = [
        "| million yuan | low | value | high |",
        "|---|---|---|---|",
        *(
            f"| by {name} | {' | '.join(million(told[f'{key}.{end}']) for end in ('low', 'central', 'high'))} |"
            for name, key in (("cost", "value"), ("income", "income"), ("market", "market"))
        ),
        f"| **reconciled** | {' | '.join(million(told[f'conclusion.{end}']) for end in ('low', 'central', 'high'))} |",
        "",
        "| scenario | value, million yuan |",
        "|---|---|",
        *(
            f"| {one['name']} | {million(told[f'scenario.{place}'])} |"
            for place, one in enumerate(report["inputs"]["method"]["judgement"]["scenarios"])
        ),
        "",
        "| loan | |",
        "|---|---|",
        f"| quality of the data | {exact.percent(Decimal(told['quality.alpha']))} |",
        f"| recognised value | {million(told['pledge.recognised'])} million yuan |",
        f"| limit | {million(told['pledge.limit'])} million yuan; {report['conclusion']['binding']} binds |",
        f"| limit to value | {exact.percent(Decimal(told['pledge.ltv']))} |",
        f"| limit at the usual haircuts | {million(otherwise(letters=False))} million yuan |",
        f"| limit without the contracts | {million(otherwise(contracted=False))} million yuan |",
        f"| limit without contracts and meter | {million(otherwise(contracted=False, metered=False))} million yuan |",
    ]
    return "\n".join(rows)


def test_the_report_follows_from_the_facts_and_verifies():
    held = REPORT.read_bytes()
    stale = held != canonical.encode(perform(inputs()))
    assert not stale, "docs/cases is stale; run python -m tests.test_case"
    assert verify(held).digest == json.loads(held)["digest"]


def test_the_noise_of_the_release_is_what_its_plan_is_charged_for(tmp_path, capsys):
    valuing.verify(REPORT)
    assert capsys.readouterr().err == ""
    quieter = inputs()
    quieter["evidence"]["measured"][0]["release"]["variances"]["count(*)"] = ["1", "1"]
    (tmp_path / "quieter.json").write_bytes(canonical.encode(perform(quieter)))
    valuing.verify(tmp_path / "quieter.json")
    assert "release 0 states another noise of count(*) than its plan is charged for" in capsys.readouterr().err


def test_the_page_says_what_the_report_says():
    stale = part(PAGE, "figures")[2].strip() != table(json.loads(REPORT.read_bytes()))
    assert not stale, f"docs/{PAGE} is stale; run python -m tests.test_case"


def test_the_case_is_like_the_loan_that_was_reported():
    report = json.loads(REPORT.read_bytes())
    told = {key: Fraction(value) for key, value in by_key(report).items()}
    assert told["conclusion.central"] > 60_000_000
    assert told["pledge.limit"] == 10_000_000
    assert told["pledge.ltv"] <= Fraction("0.167")
    assert told["pledge.ltv_most"] == Fraction("0.5")
    assert told["conclusion.low"] < told["conclusion.central"] < told["conclusion.high"]
    assert "approaches-disagree" not in {remark["code"] for remark in report["remarks"]}


def test_every_source_of_the_case_says_that_it_is_invented():
    def sources(value):
        if isinstance(value, dict):
            if {"source", "document"} <= value.keys():
                yield value["source"]
            for inner in value.values():
                yield from sources(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from sources(inner)

    found = list(sources(inputs()["facts"]))
    assert len(found) > 30
    assert all(source.endswith("(invented)") for source in found)


if __name__ == "__main__":
    made = perform(inputs())
    REPORT.write_bytes(canonical.encode(made))
    held = part(PAGE, "figures")
    page: Path = DOCS / PAGE
    text = page.read_text("utf-8")
    page.write_text(text[: held.start(2)] + table(made) + "\n" + text[held.end(2) :], "utf-8")

"""What a change of policy opens: nothing that passes anew goes untold, and the examples that are given are true."""

import json
import re
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.cli import app
from api.demo import people, town
from exchange.standards import shipped
from privacy.approval import Consent, Manner
from privacy.atoms import ROWS
from privacy.necessity import decide
from privacy.openings import opened, probes
from privacy.permissions import Person, findings, permissions, persons
from privacy.pledging import Pledging, Pointing, SteppingIn
from privacy.policy import Policy, Prohibition
from tests.strategies import PARTIES, STANDARD, generous, plans, put, rich_policies
from tests.test_policy import FULL

STATISTICS = "credit-risk-statistics"
TODAY = date(2026, 11, 22)
WIDE = replace(FULL, prohibitions=(), grants=(replace(generous(STATISTICS).grants[0], recipients=("lender",)),))
GRANT = WIDE.grants[0]


def grant_of(**change):
    return replace(WIDE, grants=(replace(GRANT, **change),))


@settings(max_examples=60, deadline=None)
@given(plans(purposes=[STATISTICS]), rich_policies(), rich_policies())
def test_whatever_passes_anew_is_told(plan, old, new):
    """If a request passes under the new policy and not under the old one, the difference says that something opens."""
    plan = replace(plan, parties=PARTIES, shared=None)
    for tried in (plan, decide(put(plan), standard=STANDARD, policies=[new], approvals=None).nearest):
        if tried is not None:
            now, before = (decide(put(tried), standard=STANDARD, policies=[one], approvals=None) for one in (new, old))
            if now.allowed and not before.allowed:
                assert opened(old, new, STANDARD, on=TODAY)


@settings(max_examples=30, deadline=None)
@given(rich_policies())
def test_nothing_is_opened_by_no_change_or_by_one_that_narrows(policy):
    assert opened(policy, policy, STANDARD, on=TODAY) == []
    assert opened(policy, replace(policy, grants=policy.grants[1:]), STANDARD, on=TODAY) == []
    struck = replace(policy, prohibitions=(*policy.prohibitions, Prohibition(column="age")))
    assert opened(policy, struck, STANDARD, on=TODAY) == []


OPENINGS = [
    ({"columns": {**GRANT.columns, "balance": ("count",)}}, {}, "balance as sum"),
    ({"recipients": ("other",)}, {}, "access at all"),
    ({"min_parties": 5}, {}, "joined by 3 institutions instead of 5"),
    ({"min_group": 50}, {}, "groups from 0 rows on instead of 50"),
    ({"rho_per_query": 5}, {}, "rho a question"),
    ({"budget": 5}, {}, "rho for the purpose"),
    ({}, {"shared_from": 1}, "shared noise that withstands 1"),
    ({"grain": {"opened": "year"}}, {"grain": {"opened": "quarter"}}, "opened by quarter instead of year"),
    ({"grain": {"age": 10}}, {"grain": {"age": 5}}, "age by 5 instead of 10"),
    ({"domains": {"region": ("north",)}}, {}, "region named as"),
    ({"rows": FULL.grants[0].rows}, {}, "rows beyond"),
    ({"finest": {"balance": 100_000_000}}, {"finest": {"balance": 5}}, "sums of balance told to ± 5 instead of"),
    ({"finest": {ROWS: 100_000_000}}, {}, "counts told to ± 0 instead of"),
    ({"max_cells": 4}, {}, "any number of cells"),
    ({"keeps": 3}, {}, "kept for 365 days instead of 3"),
    ({"valid": ("2027-01-01", "2028-01-01")}, {}, "days beyond"),
    ({"consent": Consent(Manner.ONCE, 2, 9)}, {"consent": Consent(Manner.ONCE, 1, 9)}, "weaker"),
    ({"consent": Consent(Manner.STANDING, 1, 9)}, {}, "approval"),
]


@pytest.mark.parametrize(("before", "after", "said"), OPENINGS, ids=[said for _, _, said in OPENINGS])
def test_each_dimension_is_told_in_words_and_the_way_back_opens_nothing(before, after, said):
    old, new = grant_of(**before), grant_of(**after)
    opens = opened(old, new, STANDARD, on=TODAY)
    assert any(said in one.what for one in opens), opens
    if "recipients" not in before:
        assert opened(new, old, STANDARD, on=TODAY) == []


def test_an_example_passes_now_and_did_not_before():
    told = {said: opened(grant_of(**before), grant_of(**after), STANDARD, on=TODAY) for before, after, said in OPENINGS}
    shown = {said for said, changes in told.items() if any(one.example for one in changes)}
    # what is counted over many questions, or hidden from view, no single request shows
    assert set(told) - shown == {
        "groups from 0 rows on instead of 50", "rho for the purpose", "any number of cells", "weaker",
    }  # fmt: skip


def test_budgets_and_pledges_in_all_are_told_too():
    wider = replace(WIDE, everyone=WIDE.everyone + 1, partner=WIDE.partner + 1)
    assert len(opened(WIDE, wider, STANDARD, on=TODAY)) == 2
    assert opened(wider, WIDE, STANDARD, on=TODAY) == []


def test_what_a_step_in_would_open_is_told_beforehand():
    """The clause itself, and later whatever grants of its purpose open more to whoever steps in."""
    step_in = SteppingIn(STATISTICS, ("buyer",), 5, exclusive=False)
    plain = replace(WIDE, pledging=Pledging(("lender",), 5, "2027-12-31"))

    def declaring(**changes):
        return replace(plain, pledging=replace(plain.pledging, step_in=replace(step_in, **changes)))

    (told,) = opened(plain, declaring(), STANDARD, on=TODAY)
    assert (told.purpose, "to buyer after a step-in" in told.what) == (STATISTICS, True)
    assert opened(declaring(), plain, STANDARD, on=TODAY) == []
    assert opened(declaring(), declaring(exclusive=True), STANDARD, on=TODAY) == [], "to shut others out opens nothing"
    assert opened(declaring(), declaring(reserve=4), STANDARD, on=TODAY) == []
    for wider in ({"reserve": 6}, {"recipients": ("buyer", "other")}, {"purpose": "pledge-valuation"}):
        assert len(opened(declaring(), declaring(**wider), STANDARD, on=TODAY)) == 1
    nobody = replace(declaring(), grants=(replace(GRANT, recipients=(), rho_per_query=5),))
    richer = replace(nobody, grants=(replace(GRANT, recipients=()),))
    assert [one.what for one in opened(nobody, richer, STANDARD, on=TODAY)] == [
        f"after a step-in: {GRANT.rho_per_query / 1e9:g} rho a question instead of 5e-09"
    ]


def test_a_step_in_that_could_not_work_is_found():
    step_in = SteppingIn("pledge-valuation", ("buyer",), 10**15, exclusive=False)
    told = list(findings(replace(WIDE, pledging=Pledging(("lender",), 5, "2027-12-31", step_in)), STANDARD))
    assert any("in vain: nothing is granted for it" in one for one in told)
    assert any("a reserve of up to" in one for one in told)


@settings(max_examples=40, deadline=None)
@given(plans(purposes=[STATISTICS]), rich_policies(), st.booleans())
def test_whoever_steps_in_gets_what_somebody_is_granted_and_no_more(plan, policy, exclusive):
    """Against the definition: the same policy with everybody as recipient, and without any for who is shut out."""
    declared = SteppingIn(STATISTICS, ("buyer",), 5, exclusive=True)
    plan = replace(plan, parties=PARTIES, shared=None)
    pledged = replace(policy, pledging=Pledging(("lender",), 5, "2027-12-31", declared))
    stepped = pledged.pointed(Pointing("buyer", STATISTICS, exclusive), role="institution")

    def passes(one, asker):
        request = replace(put(plan), asker=asker, role="institution")
        return decide(request, standard=STANDARD, policies=[one], approvals=None).allowed

    struck = replace(pledged, prohibitions=policy.prohibitions)
    anybody = tuple(replace(grant, recipients=("buyer",)) for grant in policy.grants)
    assert passes(stepped, "buyer") == passes(replace(struck, grants=anybody), "buyer")
    assert passes(stepped, "lender") == (not exclusive and passes(pledged, "lender"))
    for foreign in (Pointing("stranger", STATISTICS, exclusive), Pointing("buyer", "pledge-valuation", exclusive)):
        alike = pledged.pointed(foreign, role="institution")
        assert alike.pointing is None
        assert passes(alike, "buyer") == passes(pledged, "buyer")
    assert stepped.digest == pledged.digest


@settings(max_examples=20, deadline=None)
@given(rich_policies())
def test_a_use_is_open_if_a_small_request_for_it_passes(policy):
    """The matrix against the decision itself: whatever a small request gets, its uses are listed as open."""
    who = Person("lender", "lender")
    table = {(one.purpose, str(one.atom)): one.allowed for one in permissions([policy], STANDARD, [who], on=TODAY)}
    for grant in policy.granted(STATISTICS):
        for request in probes(who, grant, policy, STANDARD, on=TODAY):
            if decide(replace(request, on=TODAY), standard=STANDARD, policies=[policy], approvals=None).allowed:
                assert all(table[STATISTICS, use] for use in _uses(request.plan))


def _uses(plan):
    from privacy.atoms import atoms

    return [str(atom) for atom in atoms(plan)]


def test_everybody_whom_policies_tell_apart_is_looked_at():
    named = {one.party for one in persons([FULL])}
    assert named == {"lender", "anybody-else"}


FINDINGS = [
    ({"columns": {"balance": ("valid",)}}, "granted in vain: the purpose"),
    ({"columns": {"person": ("count",)}}, "identifiers are never used"),
    ({"min_group": 3}, "show them from 20 on"),
    ({"keeps": 400}, "the purpose needs 365 at most"),
    ({"columns": {"ghost": ("count",)}}, "unknown column ghost"),
    ({"budget": 3}, "may cost more than a budget holds"),
]


@pytest.mark.parametrize(("change", "said"), FINDINGS, ids=[said for _, said in FINDINGS])
def test_what_should_be_looked_at_again_is_found(change, said):
    sound = grant_of(columns={ROWS: ("count",), "balance": ("sum",)}, min_group=20)
    assert list(findings(sound, STANDARD)) == []
    found = list(findings(replace(sound, grants=(replace(sound.grants[0], **change),)), STANDARD))
    assert any(said in text for text in found), found


def test_policies_as_wholes_are_looked_at_too():
    sound = grant_of(columns={ROWS: ("count",), "balance": ("sum",)}, min_group=20)
    for one in (Prohibition(column="balance"), Prohibition(column="balance", recipient="lender")):
        assert any("prohibits" in text for text in findings(replace(sound, prohibitions=(one,)), STANDARD))
    for one in (
        Prohibition(column="balance", recipient="role:lender"),
        Prohibition(column="age"),
        Prohibition(use="group"),
    ):
        assert list(findings(replace(sound, prohibitions=(one,)), STANDARD)) == []
    assert any("add up to" in text for text in findings(replace(sound, everyone=GRANT.budget - 1), STANDARD))
    twice = replace(sound, grants=(*sound.grants, replace(sound.grants[0], recipients=("other",))))
    assert any("recipients alone" in text for text in findings(twice, STANDARD))


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    home = tmp_path_factory.mktemp("policies")
    one = people.synthesise(home / "data", rows=1000)[1]
    document = town.policy_document(one)
    wider = json.loads(json.dumps(document))
    wider["version"] = 2
    wider["grants"][0]["columns"]["income"] = ["sum"]
    wider["bounds"]["income"] = [0, 100]
    (home / "old.json").write_text(json.dumps(document))
    (home / "new.json").write_text(json.dumps(wider))
    (home / "bad.json").write_text("{")
    assert Policy.from_json(document).standard == shipped(town.STANDARD).id
    return home


def run(*arguments):
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def test_a_difference_exits_with_1_only_if_it_opens_something(files):
    assert run("diff", files / "old.json", files / "new.json").exit_code == 0
    told = run("diff", files / "old.json", files / "new.json", "--no-new-access", "--json")
    assert told.exit_code == 1
    opens = json.loads(told.stdout)["opens"]
    assert [one["what"] for one in opens if one["example"]] == ["income as sum"]
    assert run("diff", files / "new.json", files / "old.json", "--no-new-access").exit_code == 0


def test_a_statement_is_explained_item_by_item(files):
    sql = "SELECT region, AVG(income), AVG(balance) FROM consumer_credit GROUP BY region"
    told = run("explain", files / "old.json", "-e", sql, "--as", "lender-x", "--role", "lender", "--json")
    assert told.exit_code == 3
    found = json.loads(told.stdout)
    assert found["outcome"] == "trim"
    assert {item["item"] for item in found["items"]} == {"income as count", "income as sum"}
    assert all(item["at"] == [1, 20] for item in found["items"])  # where the statement says income
    again = run("explain", files / "old.json", "-e", found["nearest"], "--as", "lender-x", "--role", "lender")
    assert (again.exit_code, again.stdout.startswith("allow")) == (0, True)
    kept = run("explain", files / "old.json", "-e", found["nearest"], "--keep-days", "999")
    assert "retention" in kept.stdout


def test_the_price_of_the_nearest_request_is_written_exactly_so_that_it_passes(files, tmp_path):
    document = json.loads((files / "old.json").read_text())
    for grant in document["grants"]:
        grant["rho_per_query"] = 12_345_678  # rounded to six digits it would be more than is granted
    (tmp_path / "policy.json").write_text(json.dumps(document))
    asked = [
        "--as",
        "lender-x",
        "--role",
        "lender",
        "-e",
        "SELECT region, COUNT(*) FROM consumer_credit GROUP BY region",
    ]
    told = run("explain", tmp_path / "policy.json", *asked, "--budget", "0.2")
    price = re.search(r"--budget (\S+) --keep-days", told.stdout)[1]
    assert price == "0.012345678"
    again = run("explain", tmp_path / "policy.json", *asked, "--budget", price)
    assert (again.exit_code, again.stdout.startswith("allow")) == (0, True)


def test_who_may_do_what_is_a_table_and_json(files):
    shown = run("simulate", files / "old.json", "--as", "lender-x")
    assert "what is not listed is refused" in shown.stdout
    found = json.loads(run("simulate", files / "old.json", files / "new.json", "--json").stdout)
    income = [one for one in found if one["column"] == "income" and one["use"] == "sum"]
    assert not any(one["allowed"] for one in income)  # both must open it
    assert all(one["reasons"] for one in found if not one["allowed"])
    assert run("explain", files / "new.json").exit_code == 0


def test_a_policy_goes_out_and_comes_back(files):
    offer = files / "offer.json"
    offer.write_text(run("export", files / "old.json").stdout)
    assert json.loads(run("import", offer).stdout) == json.loads((files / "old.json").read_text())


def test_a_sound_policy_has_nothing_to_mend(files):
    assert run("check", files / "old.json").exit_code == 0
    assert json.loads(run("check", files / "old.json", "--json").stdout) == {"findings": []}

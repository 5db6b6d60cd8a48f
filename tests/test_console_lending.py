"""The lender's pages: what they show against reports computed here, what they try out, and a whole pledge over consoles.

The pledge runs over a town's real processes: an exchange, the owner's node, and a console beside each key.
"""

import copy
import hashlib
import json
import re
import time
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from api.console.desk.pledging import ACTIONS, LENDER, OFFICER, OWNER, allowed
from api.console.everywhere import assumptions, opening
from api.console.papers import MOST, MOST_BYTES, Kind, Paper, Papers
from api.console.wording import Words
from exchange.protocol.errors import Unknown
from exchange.protocol.pledge import CAUSES, OVER, TABLE, Agreement, State
from exchange.protocol.pledge_certificate import verify as verified
from privacy import canonical
from privacy.errors import Malformed
from tests.browsing import browser, chromium
from tests.consoles import Seen, kept_town, running, visitor
from valuation import comparison, report, sheet, split
from valuation.errors import OutOfRange
from valuation.finance import document as structure

ROOT = Path(__file__).parents[1]
ASSET = "bank-a/accounts"
EN = Words("en")


def inputs(name):
    return json.loads(opening._example(name))


AIR = report.perform(inputs("air-quality"))
LOAN = report.perform(inputs("pledge-loan"))


def figures(made):
    return {one["key"]: Decimal(one["value"]) for one in made["figures"]}


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with running(kept_town(tmp_path_factory), nodes=("bank-a",)) as made:
        yield made


@pytest.fixture(scope="module")
def desk(street):
    with visitor(street.console("lender-x")) as made:
        yield made


@pytest.fixture(scope="module")
def rival(street):
    with visitor(street.console("lender-y")) as made:
        yield made


@pytest.fixture(scope="module")
def reader(street):
    """The first lender at the exchange, where nothing can be done."""
    with visitor(street.at_exchange("lender-x")) as made:
        yield made


def twin(visit, address, **query):
    path, _, asked = address.partition("?")
    answer = visit.get(f"{path}.json", params={"lang": "en", **dict(parse_qsl(asked)), **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def opened(visit, page, **form):
    answer = visit.post(page, data=form)
    assert answer.status_code == 200, answer.text
    return answer.url.path


# --- valuation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["desk", "reader"])
def test_a_report_is_shown_with_its_own_figures(place, request):
    visit = request.getfixturevalue(place)
    address = opened(visit, "/value", example="air-quality")
    assert address == f"/value/{AIR['digest']}"
    told, found = twin(visit, address), figures(AIR)
    assert {name: Decimal(told["headline"][name]) for name in ("low", "central", "high", "recognised", "limit")} == {
        "low": found["conclusion.low"],
        "central": found["conclusion.central"],
        "high": found["conclusion.high"],
        "recognised": found["pledge.recognised"],
        "limit": found["pledge.limit"],
    }
    for language in ("en", "zh"):
        words, page = Words(language), Seen(visit.get(address, params={"lang": language}).text)
        for key in ("conclusion.central", "pledge.recognised", "pledge.limit", "income.central", "market.central"):
            assert words.brief(found[key]) in page.text, (language, key)
        for one in AIR["inputs"]["necessity"]["withheld"]:
            assert one["reason"] in page.text
    assert sum(Decimal(one["weight"]) for one in told["approaches"]) == 1


def test_the_way_from_value_to_limit_is_that_of_the_haircuts(desk):
    told = twin(desk, opened(desk, "/value", example="air-quality"))
    steps = told["waterfall"]
    left = Decimal(steps[1]["start"])
    for step in steps[2:-2]:
        assert Decimal(step["end"]) == left
        left = left * (1 - Decimal(AIR["conclusion"]["haircuts"][step["key"].removeprefix("haircut.")]["share"]))
        assert abs(Decimal(step["start"]) - left) < Decimal("1e-10")
    assert abs(left - figures(AIR)["pledge.recognised"]) < Decimal("1e-10")
    assert {step["why"] for step in steps[2:-2]} == {one["reason"] for one in AIR["conclusion"]["haircuts"].values()}


def test_every_number_is_explained_down_to_its_documents(desk):
    address = opened(desk, "/value", example="air-quality")
    by_key = {one["key"]: one for one in AIR["figures"]}
    key, seen = "conclusion.central", []
    while True:
        told = twin(desk, f"{address}/why", figure=key)["figure"]
        assert (told["value"], told["source"]) == (by_key[key]["value"], by_key[key]["source"])
        assert [one["key"] for one in told["because"]] == by_key[key]["because"]
        seen.append(key)
        if not told["because"]:
            break
        key = told["because"][0]["key"]
    assert len(seen) >= 3
    page = desk.get(f"{address}/why", params={"figure": "book.value", "lang": "en"}).text
    assert by_key["book.value"]["evidence"] in page
    assert desk.get(f"{address}/why", params={"figure": "nothing"}).status_code == 404
    fit = twin(desk, f"{address}/why", q="haircut")["all"]
    assert fit
    assert all("haircut" in one["key"] or "haircut" in one["label"] for one in fit)


def test_a_report_is_handed_out_in_every_form(desk):
    address = opened(desk, "/value", example="air-quality")
    text = desk.get(f"{address}/as/report.json")
    assert text.content == (ROOT / "docs/cases/air-quality-report.json").read_bytes().removesuffix(b"\n") + b"\n"
    begins = {"pdf": b"%PDF-", "xlsx": b"PK", "html": b"<!doctype html>"}
    for ending, first in begins.items():
        answer = desk.get(f"{address}/as/report.{ending}")
        assert answer.content.startswith(first), ending
        assert "attachment" in answer.headers["content-disposition"]
    assert AIR["notice"]["en"] in desk.get(f"{address}/as/report.html?lang=en").text
    assert desk.get(f"{address}/as/other.pdf").status_code == 404


@pytest.mark.parametrize("place", ["desk", "reader"])
def test_what_does_not_follow_is_named_and_not_opened(place, request):
    visit = request.getfixturevalue(place)
    changed = copy.deepcopy(AIR)
    next(one for one in changed["figures"] if one["key"] == "quality.completeness")["value"] = "0.99"
    answer = visit.post("/value?lang=en", data={"text": json.dumps(changed)})
    assert answer.status_code in range(400, 500)
    assert "quality.completeness" in Seen(answer.text).text
    assert "quality.completeness" in answer.text.partition("<textarea")[2]  # what was pasted is still there
    assert visit.post("/value", data={"text": "{"}).status_code in range(400, 500)
    assert visit.post("/value", data={}).status_code in range(400, 500)
    assert visit.post("/value", data={"text": "[1]"}).status_code in range(400, 500)
    assert visit.post("/value", data={"example": "../../pyproject"}).status_code == 404


def test_a_file_is_taken_as_well_as_a_text_and_a_signature_is_checked(desk, rival, street, tmp_path):
    plain = json.dumps(AIR).encode()
    answer = desk.post("/value", files={"file": ("report.json", plain, "application/json")})
    assert answer.url.path == f"/value/{AIR['digest']}"
    from api.commands.valuing import sign

    paper = tmp_path / "report.json"
    paper.write_bytes(canonical.encode(AIR))
    sign(paper, home=street.home / "lender-y", output=tmp_path / "signed.json")
    signed = (tmp_path / "signed.json").read_text()
    assert twin(rival, opened(rival, "/value", text=signed))["signer"] == "lender-y"
    forged = json.loads(signed) | {"signer": "lender-x"}
    refused = rival.post("/value?lang=en", data={"text": json.dumps(forged)})
    assert refused.status_code in range(400, 500)


def test_papers_are_of_one_session(street, desk):
    address = opened(desk, "/value", example="air-quality")
    with visitor(street.at_exchange("lender-x")) as other:
        assert other.get(address).status_code == 404
        assert other.get(f"{address}/as/report.json").status_code == 404


def test_papers_make_room_and_are_never_too_many():
    papers = Papers()
    for number in range(MOST + 3):
        papers.lay(Paper(Kind.SPLIT, str(number), {"n": number}))
    held = [one.name for one in papers.every(Kind.SPLIT)]
    assert held == [str(number) for number in range(MOST + 2, 2, -1)]
    with pytest.raises(Unknown):
        papers.find("0", Kind.SPLIT)
    with pytest.raises(Unknown):
        papers.find(held[0], Kind.REPORT)
    half = "x" * (MOST_BYTES // 2 - 100)
    for name in ("a", "b", "c"):
        papers.lay(Paper(Kind.REPORT, name, {name: half}))
    assert [one.name for one in papers.every(Kind.REPORT)] == ["c", "b"]
    with pytest.raises(Malformed):
        papers.lay(Paper(Kind.REPORT, "d", {"d": [half] * 3}))
    assert [one.name for one in papers.every(Kind.REPORT)] == ["c", "b"]


# --- what if -----------------------------------------------------------------------------------------------------------

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "facts.income.fade.half_life_years": st.decimals(4, 20, places=2).map(str),
        "facts.income.rate.parts.specific_premium.value": st.decimals(1, 12, places=2).map(str),
        "terms.haircuts.liquidity.share": st.decimals(20, 60, places=1).map(str),
        "terms.policy_cap.amount": st.integers(1, 50_000_000).map(str),
        "method.judgement.weights.cost.share": st.integers(0, 40).map(str),
    },
)


def by_hand(told):
    """The inputs with these changes, put in by hand."""
    made = inputs("air-quality")
    for path, text in told.items():
        *walk, last = path.split(".")
        inner = made
        for key in walk:
            inner = inner[key]
        share = path.endswith(("share", "premium.value"))
        spelled = format(Decimal(text) / (100 if share else 1), "f")
        inner[last] = spelled.rstrip("0").rstrip(".") if "." in spelled else spelled
    weights = made["method"]["judgement"]["weights"]
    rest = 1 - Decimal(weights["cost"]["share"]) - Decimal(weights["income"]["share"])
    weights["market"]["share"] = format(rest.normalize(), "f")
    return made


@settings(max_examples=12, deadline=None)
@given(CHANGES)
def test_what_if_is_the_report_that_the_changed_facts_make(told):
    changes = assumptions.changes(AIR, told)
    assert report.perform(assumptions.changed(AIR, changes)) == report.perform(by_hand(told))
    assert set(changes) <= set(told)
    assert assumptions.changed(AIR, {}) == AIR["inputs"]
    shown = {one["name"]: one["value"] for one in assumptions.fields(AIR)}
    assert assumptions.changes(AIR, shown) == {}


@given(st.text(max_size=60))
def test_no_text_in_a_field_is_more_than_a_number_or_refused(text):
    try:
        changes = assumptions.changes(AIR, {"facts.income.fade.growth": text})
    except OutOfRange as error:
        named = error.reason
        changes = None
    if changes is None:
        assert "facts.income.fade.growth" in named
        return
    changed = assumptions.changed(AIR, changes)
    assert Decimal(changed["facts"]["income"]["fade"]["growth"]).is_finite()


def test_what_if_stands_beside_the_report_with_its_causes_and_is_marked_as_a_draft(desk):
    address = opened(desk, "/value", example="air-quality")
    told = {"facts.income.fade.half_life_years": "8", "terms.haircuts.liquidity.share": "50"}
    made = report.perform(by_hand(told))
    facts = twin(desk, f"{address}/what-if", **told, why="1")
    assert Decimal(facts["after"]["central"]) == figures(made)["conclusion.central"]
    assert Decimal(facts["after"]["limit"]) == figures(made)["pledge.limit"]
    assert Decimal(facts["before"]["limit"]) == figures(AIR)["pledge.limit"]
    compared = comparison.compare(AIR, made).to_json()
    for one, part in zip(facts["causes"], ("value", "limit"), strict=True):
        assert one["change"] == compared[part]["change"]
        assert sum(Decimal(cause["part"]) for cause in one["causes"]) == Decimal(one["change"])
    page = Seen(desk.get(f"{address}/what-if", params={**told, "lang": "en"}).text)
    assert "A draft: nobody signed it" in page.text
    assert {one["name"] for one in page.all("input") if one.get("inputmode") == "decimal"} >= set(told)
    form = next(one for one in page.all("form") if one.get("method") == "get")
    assert form["action"] == f"{address}/what-if"  # a plain form, which a script only sends earlier
    kept = desk.post(f"{address}/what-if", params=told)
    assert kept.url.path == f"/value/{made['digest']}"
    assert desk.get(f"{kept.url.path}/as/report.json").content == canonical.encode(made) + b"\n"


def test_an_assumption_that_cannot_be_is_refused_beside_the_report(desk):
    address = opened(desk, "/value", example="air-quality")
    for name, text in (
        ("terms.ltv_cap", "90"),
        ("facts.income.fade.half_life_years", "soon"),
        ("method.judgement.weights.cost.share", "80"),
        ("terms.maturity", "2080-01-01"),
    ):
        answer = desk.get(f"{address}/what-if", params={name: text, "lang": "en"})
        assert answer.status_code == 200
        assert "What to do:" in answer.text, name
        assert f'value="{text}"' in answer.text, name


# --- the loan ----------------------------------------------------------------------------------------------------------


def test_a_loan_is_shown_as_the_report_plans_it(desk):
    address = opened(desk, "/quote", example="pledge-loan")
    told, found = twin(desk, address), figures(LOAN)
    loan = told["loan"]
    assert Decimal(loan["amount"]) == found["loan.amount"]
    assert min(Decimal(one["value"]) for one in told["constraints"]) // 1 == found["pledge.limit"]
    assert [one["key"] for one in told["constraints"] if one["binds"]] == ["limit.ltv"]
    assert abs(sum(Decimal(one["rate"]) for one in loan["price"]) - found["price.floor"]) < Decimal("1e-15")
    assert sum(Decimal(one["principal"]) for one in loan["payments"]) == found["loan.amount"]
    assert sum(Decimal(one["interest"]) for one in loan["payments"]) == found["schedule.interest"]
    assert Decimal(loan["payments"][-1]["balance"]) == 0
    assert len(loan["covenants"]) == len(LOAN["conclusion"]["loan"]["covenants"])
    assert {one["state"] for one in loan["stresses"]} == {
        one["state"] for one in LOAN["conclusion"]["loan"]["stresses"]
    }
    for point, payment in zip(loan["path"][1:], loan["payments"], strict=True):
        wanted = Decimal(payment["balance"]) / found["pledge.recognised"]
        assert abs(Decimal(point["ltv"]) - wanted) < Decimal("1e-6")
    for language in ("en", "zh"):
        page = Seen(desk.get(address, params={"lang": language}).text).text
        assert Words(language).money(found["loan.amount"], places=0) in page
        assert Words(language).share(found["price.floor"], 2) in page
    assert desk.get(f"{address}/as/committee.pdf").content.startswith(b"%PDF-")
    assert sheet.sheet(LOAN)["digest"] in desk.get(f"{address}/as/committee.html").text


def test_a_report_without_a_loan_says_what_is_missing(desk, reader):
    address = opened(reader, "/quote", example="air-quality")
    assert twin(reader, address)["loan"] is None
    assert "terms.loan" in reader.get(address, params={"lang": "en"}).text
    bare = report.perform(inputs("air-quality") | {"terms": None})
    answer = desk.post("/quote?lang=en", data={"text": json.dumps(bare)})
    assert answer.status_code in range(400, 500)
    assert "terms" in Seen(answer.text).text
    assert desk.get(opened(desk, "/value", text=json.dumps(bare)).replace("value", "quote")).status_code == 404


# --- contribution, structures, cover -------------------------------------------------------------------------------------


def test_a_pool_is_split_to_the_cent(reader):
    address = opened(reader, "/contribution", example="split")
    told, made = twin(reader, address), split.perform(inputs("split"))
    found = figures(made)
    assert Decimal(told["sum"]) == found["pool"]
    parts = [Decimal(one["central"]) for one in told["parts"]]
    assert parts == sorted(parts, reverse=True)
    for one in told["parts"]:
        ends = [found[f"money.{one['name']}{end}"] for end in (".low", "", ".high")]
        assert [Decimal(one[end]) for end in ("low", "central", "high")] == ends
        assert EN.money(ends[1]) in reader.get(address, params={"lang": "en"}).text
    assert reader.get(f"{address}/as/split.json").content == canonical.encode(made) + b"\n"
    changed = copy.deepcopy(made)
    next(one for one in changed["figures"] if one["key"] == "money.bank-a")["value"] = "5000000"
    refused = reader.post("/contribution?lang=en", data={"text": json.dumps(changed)})
    assert refused.status_code in range(400, 500)
    assert "money.bank-a" in Seen(refused.text).text


@pytest.mark.parametrize("kind", ["guarantee", "trust", "abs"])
def test_a_structure_is_worked_out_and_drawn(reader, kind):
    address = opened(reader, "/structures", example=kind)
    made = structure.perform(kind, inputs(kind))
    assert address == f"/structures/{made['digest']}"
    told = twin(reader, address)
    assert len(told["concluded"]) == len(made["conclusion"])
    assert told["picture"]["rows"]
    assert reader.get(f"{address}/as/sheet.pdf").content.startswith(b"%PDF-")
    assert reader.get(address, params={"lang": "zh"}).status_code == 200


def test_a_history_of_readings_is_drawn_against_its_bands(reader):
    text = (ROOT / "docs/collateral.md").read_text("utf-8")
    history = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL).group(1))
    second = copy.deepcopy(history["readings"][0])
    second |= {"on": "2026-12-20", "balance": {"amount": "730000", "currency": "CNY"}, "watch": "late"}
    history["readings"].append(second)
    told = twin(reader, opened(reader, "/cover", text=json.dumps(history)))
    wanted = [Decimal(one["balance"]["amount"]) / Decimal(one["value"]["amount"]) for one in history["readings"]]
    assert [round(Decimal(one["ltv"]), 12) for one in told["points"]] == [round(one, 12) for one in wanted]
    assert told["last"]["state"] == "margin_call"
    assert told["last"]["revalue"] == ["identity: the rows are late"]
    second["release"] = "1" * 64  # noise drawn again
    refused = reader.post("/cover?lang=en", data={"text": json.dumps(history)})
    assert refused.status_code in range(400, 500)
    assert "noise is drawn once" in refused.text


def test_examples_are_those_of_the_documents():
    vectors = {
        "air-quality": ROOT / "docs/cases/air-quality.json",
        "pledge-loan": ROOT / "tests/vectors/pledge_loan.json",
        **{kind: ROOT / f"tests/vectors/finance_{kind}.json" for kind in ("guarantee", "trust", "abs")},
    }
    for name in opening.EXAMPLES:
        if name in vectors:
            assert inputs(name) == json.loads(vectors[name].read_text("utf-8")), name


# --- pledges -----------------------------------------------------------------------------------------------------------


def test_steps_are_offered_exactly_where_the_table_allows_them():
    makes = {LENDER: ("bank", "lender"), OWNER: ("owner", "institution"), OFFICER: ("person", "officer")}
    usual = {"id": "0" * 64, "asset": "owner/rows", "owner": "owner", "lender": "bank", "holder": "bank", "rank": 1}
    for state in State:
        made = Agreement(**usual, matures="2027-01-01", forbids_juniors=False, secured=100, state=state)
        for role, (party, kind) in makes.items():
            names = {one.name for one in allowed(made, party=party, role=kind)}
            for action in ACTIONS:
                may = (state, action.event) in TABLE and role in action.by
                assert (action.name in names) is may, (state, role, action.name)
        assert not allowed(made, party="stranger", role="lender")
        if state in OVER:
            assert not any(allowed(made, party=party, role=kind) for party, kind in makes.values())
    taken = {action.event for action in ACTIONS}
    by_hand = {event for event, (who, _) in CAUSES.items() if who not in ("the owner", "the exchange")}
    # the second approval, the second signature and a sweep are the same steps as the first, or another pledge's
    assert {event.name for event in by_hand - taken} == {"ALL_ENDORSED", "ALL_SIGNED", "SWEPT"}


def step(visit, pledge, act, **form):
    files = {name: ("evidence.pdf", data) for name, data in form.items() if isinstance(data, bytes)}
    fields = {name: text for name, text in form.items() if isinstance(text, str)}
    return visit.post(
        f"/pledges/{pledge}?lang=en", data={"act": act, "confirmed": "yes", **fields}, files=files or None
    )


def state(visit, pledge):
    return twin(visit, f"/pledges/{pledge}")["record"]["state"]


def key_of(street):
    """The exchange's public key, from its own directory."""
    signing = bytes.fromhex((street.home / "exchange" / "signing.key").read_text("ascii"))
    return Ed25519PrivateKey.from_private_bytes(signing).public_key().public_bytes_raw()


def quoted(visit, street, **terms):
    """Open the town's report and ask for a loan on it, as a lender does; the answer of the exchange."""
    paper = (street.home / "valuation-report.json").read_text("utf-8")
    address = opened(visit, "/value", text=paper)
    filled = twin(visit, "/pledges/new", report=address.rpartition("/")[2])["filled"]
    assert filled["asset"] == ASSET
    return visit.post("/pledges/new?lang=en", data=filled | terms)


def refused_with_holder_and_time(street, desk, rival):
    """The second lender is refused before anybody signs, and learns nothing else; return the first one's pledge."""
    first = twin(desk, "/pledges")["live"][0]
    assert (first["state"], first["lender"]) == ("registered", "lender-x")
    refused = quoted(rival, street)
    assert refused.status_code == 409
    assert f"{ASSET} is pledged to lender-x at rank 1 since {first['since']}" in Seen(refused.text).text
    nearest = next(one["href"] for one in Seen(refused.text).all("a") if "rank=2" in one.get("href", ""))
    assert twin(rival, nearest)["filled"]["rank"] == "2"  # the nearest quote that passes, a click away
    told = twin(rival, "/pledges")
    assert (told["live"], told["over"]) == ([], [])
    assert rival.get(f"/pledges/{first['id']}").status_code == 404
    return first["id"]


def lived_through(street, desk, reader, pledge):
    """The first pledge is drawn, paid, warned, called, cured, lifted and released; evidence of any kind is known by its hash."""
    evidence = bytes(range(256))
    unread = desk.post(f"/pledges/{pledge}?lang=en", data={"act": "draw", "amount": "1000.00"})
    assert unread.status_code in range(400, 500)
    assert "the step was not confirmed" in unread.text
    assert step(desk, pledge, "draw", amount="a lot").status_code in range(400, 500)
    assert step(desk, pledge, "draw", amount="120000.00").status_code == 200
    assert step(desk, pledge, "step-in", operator="bank-b", evidence_sha256=evidence).status_code in range(400, 500)
    assert step(desk, pledge, "pay", amount="400.50").status_code == 200
    assert step(desk, pledge, "warn", evidence_sha256=evidence).status_code == 200
    assert state(desk, pledge) == "warning"
    assert step(desk, pledge, "call", evidence_sha256=evidence, cure_by="2027-01-10").status_code == 200
    told = twin(desk, f"/pledges/{pledge}")
    assert told["waits"]["until"] == "2027-01-10"
    assert told["record"]["claim"] == 11_959_950
    assert hashlib.sha256(evidence).hexdigest() in json.dumps(told["timeline"])
    assert step(desk, pledge, "cured", evidence_sha256=evidence).status_code == 200
    assert step(desk, pledge, "lift", evidence_sha256=evidence).status_code == 200

    # with the cited report open here, the claim stands against its recognised value
    paper = json.loads((street.home / "valuation-report.json").read_text("utf-8"))
    opened(desk, "/value", text=json.dumps(paper))
    cover = twin(desk, f"/pledges/{pledge}")["cover"]
    recognised = figures(paper)["pledge.recognised"]
    assert Decimal(cover["points"][-1]["ltv"]) == round(Decimal("119599.50") / recognised, 4)
    assert cover["report"] == paper["digest"]
    assert twin(reader, f"/pledges/{pledge}")["cover"]["report"] is None

    # the exchange's console tells the same and can do nothing
    page = Seen(reader.get(f"/pledges/{pledge}", params={"lang": "en"}).text)
    assert not [one for one in page.all("input") if one.get("name") == "act"]
    assert step(reader, pledge, "release").status_code == 405
    certificate = desk.get(f"/pledges/{pledge}/as/certificate.json").json()
    proven = verified(certificate, exchange_key=key_of(street)).agreement
    assert (proven.id, proven.state, proven.claim) == (pledge, State.ACTIVE, 11_959_950)
    assert "登记要素表" in desk.get(f"/pledges/{pledge}/as/field-sheet.html").text

    assert step(desk, pledge, "release").status_code == 200
    assert state(desk, pledge) == "released"
    assert step(desk, pledge, "pay", amount="1").status_code in range(400, 500)
    assert "It is over" in desk.get(f"/pledges/{pledge}", params={"lang": "en"}).text


def begun(street, rival):
    """Name officers, quote again and have both approve; return the pledge."""
    assert rival.post("/pledges", data={"officers": "y-credit, y-risk"}).status_code == 200
    stepping = {"reserve": "0.001", "operators": "lender-y", "purpose": "pledge-valuation"}
    assert quoted(rival, street, reserve="0.001").status_code in range(400, 500)
    told = twin(rival, quoted(rival, street, **stepping).url.path)
    assert (Decimal(told["reserve"]), told["record"]["step_in"]["operators"]) == (Decimal("0.001"), ["lender-y"])
    answer = quoted(rival, street)
    assert answer.status_code == 200, Seen(answer.text).text
    pledge = answer.url.path.rpartition("/")[2]
    assert step(rival, pledge, "approve").status_code in range(400, 500)
    with visitor(street.console("y-credit")) as credit, visitor(street.console("y-risk")) as risk:
        assert pledge in credit.get("/").text  # home leads there
        assert step(credit, pledge, "approve").status_code == 200
        assert step(credit, pledge, "approve").status_code in range(400, 500)
        assert step(rival, pledge, "sign").status_code in range(400, 500)
        assert step(risk, pledge, "approve").status_code == 200
        assert not twin(credit, f"/pledges/{pledge}")["actions"]
    return pledge


def test_a_pledge_runs_from_a_second_lenders_refusal_to_its_own_lien(street, desk, rival, reader):
    first = refused_with_holder_and_time(street, desk, rival)
    lived_through(street, desk, reader, first)
    pledge = begun(street, rival)
    assert step(rival, pledge, "sign").status_code == 200
    deadline = time.monotonic() + 60
    while state(rival, pledge) == "approved" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert state(rival, pledge) == "signed"
    assert step(rival, pledge, "register", expires="2027-11-20").status_code == 200
    told = twin(rival, f"/pledges/{pledge}")
    assert (told["record"]["state"], told["live"]) == ("registered", True)
    titles = [one["title"] for one in told["timeline"]]
    assert titles[-1] == "Registered: from now on it is a live lien"
    assert [one["who"] for one in told["timeline"]] == ["y-credit", "y-risk", "lender-y", "bank-a", "lender-y"]
    for language in ("en", "zh"):
        assert rival.get(f"/pledges/{pledge}", params={"lang": language}).status_code == 200

    # and the first lender, now second, is told who holds it since when
    late = quoted(desk, street)
    assert late.status_code == 409
    assert f"is pledged to lender-y at rank 1 since {told['record']['since']}" in Seen(late.text).text


# --- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")
def test_a_field_that_changes_is_computed_at_once_and_axe_finds_nothing(street):
    from axe_playwright_python.sync_playwright import Axe

    heard = []
    with browser() as made, made.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.on("console", lambda told: heard.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.goto(street.at_exchange("lender-y"))
        base = page.url.rstrip("/")
        for start, example in (("value", "air-quality"), ("quote", "pledge-loan"), ("contribution", "split")):
            page.goto(f"{base}/{start}")
            page.click(f'button[value="{example}"]')
            page.wait_for_url(f"**/{start}/*")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                found = Axe().run(page).response["violations"]
                assert not found, (start, scheme, [(one["id"], one["nodes"][0]["html"]) for one in found])
        page.goto(f"{base}/value/{AIR['digest']}/what-if")
        assert not Axe().run(page).response["violations"]
        field = "facts.income.fade.half_life_years"
        page.locator(f'input[name="{field}"]').fill("8")
        wanted = figures(report.perform(by_hand({field: "8"})))["conclusion.central"]
        page.locator("#outcome", has_text=EN.money(wanted, places=0)).wait_for(timeout=60_000)
        page.locator("#causes h3").wait_for(timeout=60_000)  # fetched by itself, a moment later
        assert page.evaluate("document.activeElement.name") == field
        assert f"{field}=8" in page.url
        for address in (f"value/{AIR['digest']}", f"value/{AIR['digest']}/what-if", f"quote/{LOAN['digest']}"):
            page.set_viewport_size({"width": 320, "height": 800})
            page.goto(f"{base}/{address}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, address
    assert heard == []

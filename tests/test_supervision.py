"""A supervisor reads the register of a running exchange: every pledge, refusals as counts, and a portfolio that guesses nothing."""

import copy
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from api import cli, supervising
from api.demo.town import Town
from exchange import identity
from exchange.analyst.reading import parse
from exchange.hub import catalog, liens, rounds, supervision
from exchange.hub.store import Store
from exchange.line import Line
from exchange.protocol.agreement import Endorsement, Level, Notice, Payment
from exchange.protocol.declaration import Declaration, Right
from exchange.protocol.errors import Forbidden, Overreach
from exchange.protocol.messages import Appraisal, Offer, Publication, Registration
from exchange.standards import shipped
from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError
from tests import pledging
from tests.marked import mark
from tests.pledging import nonce
from tests.test_pledge_loan import INPUTS, WHOLE
from valuation import report
from valuation.finance import document

CREDIT = shipped("consumer_credit/1")
OWNER, DATASET = WHOLE["inputs"]["asset"]["owner"], WHOLE["inputs"]["asset"]["dataset"]
ASSET = f"{OWNER}/{DATASET}"
ROLES = {
    OWNER: "institution", "bank-z": "institution", "lender-x": "lender", "lender-y": "lender", "bureau": "regulator",
}  # fmt: skip
OFFICERS = {officer: Ed25519PrivateKey.generate() for officer in ("ann", "ben")}
KEYS = {party: Ed25519PrivateKey.generate() for party in ROLES} | OFFICERS
YEAR = datetime.now(tz=UTC).year
MATURES, TITLE_ENDS = f"{YEAR + 2}-12-31", f"{YEAR + 3}-06-30"
PURPOSE = "pledge-valuation"
EVIDENCE = "e" * 64
FREE_WORDS = "a reason that stays with those concerned"


def now():
    return int(time.time())


def clock():
    return time.time_ns() // 1000


def register(store, owner, dataset, declared=None):
    message = Registration(
        dataset=dataset, title="Accounts", standard=CREDIT.id, standard_digest=CREDIT.digest, population="people",
        columns=("balance", "person"), refreshed="2026-10-31", declared=declared or Declaration(),
    )  # fmt: skip
    catalog.register(store, message.sealed_by(owner, KEYS[owner]))
    policy = {
        "owner": owner, "dataset": dataset, "standard": CREDIT.id, "version": 1, "everyone": 1, "partner": 1,
        "grants": [], "bounds": {}, "domains": {},
        "pledging": {"lenders": ["lender-x", "lender-y"], "limit": 10**9, "until": MATURES},
    }  # fmt: skip
    catalog.publish_policy(store, Publication(policy=policy).sealed_by(owner, KEYS[owner]))


def quoted(store, lender, *, asset, digest, rank=1, number=0):
    appraisal = liens.record_appraisal(
        store, Appraisal(asset=asset, report=digest, releases=()).sealed_by(lender, KEYS[lender])
    )
    offer = Offer(
        asset=asset, rank=rank, amount=2_000_000, matures=MATURES, appraisal=appraisal, nonce=nonce(number),
        forbids_juniors=False,
    )  # fmt: skip
    return liens.offer(store, offer.sealed_by(lender, KEYS[lender]))


def taken(store, offer, lender, *, owner, drawn):
    """From quote to a loan that is paid out."""
    pledging.agree(
        store, offer, lender, key=KEYS[lender], officers=OFFICERS, owner=owner, owner_key=KEYS[owner], now=now()
    )
    pledging.file(store, offer, lender, key=KEYS[lender], expires=MATURES, now=now())
    pledging.draw(store, offer, lender, key=KEYS[lender], amount=drawn, now=now())


def stepped(store, offer, lender, message):
    liens.step(store, offer, message.sealed_by(lender, KEYS[lender]), now=now())


TITLED = Declaration(
    rights=(
        Right(right="holding", source="collected", evidence=EVIDENCE, valid_until=None),
        Right(right="processing", source="authorised", evidence=EVIDENCE, valid_until=TITLE_ENDS),
    )
)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A served exchange with a pledge in each of many states; the homes of all who take part lie beside it."""
    home = tmp_path_factory.mktemp("supervision")
    store = Store.open(home / "exchange", clock=clock)
    for party, role in ROLES.items():
        raw = KEYS[party].public_key().public_bytes_raw()
        catalog.enrol(store, party=party, name=party.upper(), role=role, key=raw)
    catalog.publish_standard(store, CREDIT)
    register(store, OWNER, DATASET, TITLED)
    register(store, "bank-z", "accounts")
    mark(store, ASSET, KEYS[OWNER])
    mark(store, "bank-z/accounts", KEYS["bank-z"], range(5_000, 10_000))
    for lender in ("lender-x", "lender-y"):
        pledging.name_officers(store, lender, key=KEYS[lender], officers=OFFICERS)
    called = quoted(store, "lender-x", asset=ASSET, digest=WHOLE["digest"])
    taken(store, called, "lender-x", owner=OWNER, drawn=150_000_000)
    for number, (level, cure_by) in enumerate(((Level.WARNING, None), (Level.MARGIN_CALL, MATURES))):
        said = Notice(offer=called, level=level, evidence=f"{number}" * 64, cure_by=cure_by, nonce=nonce(number))
        stepped(store, called, "lender-x", said)
    stepped(store, called, "lender-x", Payment(offer=called, amount=50_000_001, nonce=nonce()))
    unvalued = quoted(store, "lender-y", asset="bank-z/accounts", digest="a" * 64)
    taken(store, unvalued, "lender-y", owner="bank-z", drawn=7_000_000)
    refused = quoted(store, "lender-y", asset=ASSET, digest=WHOLE["digest"], rank=2)
    stepped(store, refused, "ann", Endorsement(offer=refused, act="refuse", because=FREE_WORDS))
    waiting = quoted(store, "lender-y", asset=ASSET, digest="b" * 64, rank=3, number=5)
    grouped, plain = (
        parse(sql, standard=CREDIT, purpose=PURPOSE, parties=(OWNER,), rho=10**6)
        for sql in (
            "SELECT region, COUNT(*) FROM consumer_credit GROUP BY region",
            "SELECT COUNT(*) FROM consumer_credit",
        )
    )
    for party, one in (("lender-x", grouped), ("lender-x", grouped), (OWNER, plain)):
        with pytest.raises(Overreach):
            rounds.check(store, store.view(), plan=one.plan, asker=party, keeps=0, now=now())
    typed_in = replace(plain.plan, purpose=FREE_WORDS)
    with pytest.raises(Overreach):  # a purpose that somebody typed is on no list, so it is not written down
        rounds.check(store, store.view(), plan=typed_in, asker=OWNER, keeps=0, now=now())
    # what releases before wrote: nothing of the plan but its hash
    rule = {"item": "purpose", "layer": "policy", "rule": "bank-z.accounts@1", "why": "-", "fix": "-"}
    older = {"asker": "lender-y", "plan_hash": "0" * 64, "items": [rule]}
    store.write(lambda _: ([("refusal", older)], None))
    store.close()
    for party in ROLES:
        where = home / party
        where.mkdir()
        identity.write_secret(where / "signing.key", KEYS[party].private_bytes_raw().hex())
        identity.write_secret(where / "party", party)
    made = Town(home, [], clock=clock)
    made.start_exchange()
    yield made, {"called": called, "unvalued": unvalued, "refused": refused, "waiting": waiting}
    made.stop()


def ask(running, party, path):
    with Line(running[0].url, party=party, key=KEYS[party]) as to:
        return to.get(path)


# -- the routes ----------------------------------------------------------------------------------------------------------


def test_a_regulator_sees_every_pledge_with_what_is_on_record_of_it(running):
    _, ids = running
    told = {one["id"]: one for one in ask(running, "bureau", "/v1/supervision/pledges")["pledges"]}
    assert set(told) == set(ids.values())
    today = datetime.now(tz=UTC).date().isoformat()
    called = told[ids["called"]]
    registered = called.pop("registered")
    assert registered[:10] <= today
    assert called | {"seq": 0, "notice": None} == {
        "seq": 0, "id": ids["called"], "lender": "lender-x", "owner": OWNER, "asset": ASSET, "standard": CREDIT.id,
        "rank": 1, "state": "margin_call", "secured": 200_000_000, "claim": 99_999_999, "matures": MATURES,
        "expires": MATURES, "notice": None, "appraisal": {"report": WHOLE["digest"], "valuer": "lender-x"},
        "title_ends": TITLE_ENDS, "refused": None,
    }  # fmt: skip
    assert called["notice"] | {"on": ""} == {"level": "margin_call", "on": "", "evidence": "1" * 64, "cure_by": MATURES}
    assert told[ids["refused"]]["refused"]["by"] == "officer"
    assert [told[ids[name]]["state"] for name in ("unvalued", "refused", "waiting")] == ["active", "refused", "quoted"]
    assert told[ids["unvalued"]]["title_ends"] is None


def test_no_person_and_no_free_word_is_told(running):
    text = json.dumps([ask(running, "bureau", f"/v1/supervision/{what}") for what in ("pledges", "refusals")])
    for secret in (*OFFICERS, FREE_WORDS, "balance", "region"):
        assert f'"{secret}"' not in text
        assert secret == "ann" or secret not in text


def test_pages_join_to_the_whole(running):
    whole = ask(running, "bureau", "/v1/supervision/pledges")["pledges"]
    joined, before = [], 1 << 61
    while page := ask(running, "bureau", f"/v1/supervision/pledges?limit=1&before={before}")["pledges"]:
        joined += page
        before = page[-1]["seq"]
    assert joined == whole


def test_refused_requests_are_counted_by_closed_words(running):
    told = ask(running, "bureau", "/v1/supervision/refusals")["refusals"]
    common = {"standard": CREDIT.id, "purpose": PURPOSE}
    unnamed = {"standard": CREDIT.id, "purpose": None}
    assert told == [
        {"role": "institution", **unnamed, "item": "purpose", "refused": 1},
        {"role": "institution", **common, "item": "purpose", "refused": 1},
        {"role": "lender", **unnamed, "item": "purpose", "refused": 1},
        {"role": "lender", **common, "item": "purpose", "refused": 2},
        {"role": "lender", **common, "item": "use: group", "refused": 2},
    ]


@pytest.mark.parametrize("party", [party for party, role in ROLES.items() if role != "regulator"])
@pytest.mark.parametrize("what", ["pledges", "refusals"])
def test_nobody_else_reads_it(running, party, what):
    with pytest.raises(Forbidden, match="your role does not allow this"):
        ask(running, party, f"/v1/supervision/{what}")


def test_a_lender_reads_of_its_own_pledges_alone(running):
    for lender in ("lender-x", "lender-y"):
        assert {one["lender"] for one in ask(running, lender, "/v1/pledges")["pledges"]} == {lender}


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ("balance as sum", "use: sum"), ("rows as count", "use: count"), ("grain of opened_on", "grain"),
        ("precision of sums of balance", "precision"), ("precision", "precision"), ("bounds of income", "bounds"),
        ("contribution bounds", "contribution bounds"), ("approval", "approval"), ("retention", "retention"),
        ("<script> as sum as x", "other"), ("Zhang San 110101", "other"), ("", "other"),
    ],
)  # fmt: skip
def test_an_item_is_told_by_its_kind(item, kind):
    assert supervision.kind_of(item) == kind


# -- the portfolio -------------------------------------------------------------------------------------------------------


def typed(running, *arguments, party="bureau"):
    """Run the command as that party; return its exit code or error, its document and its notes."""
    made = running[0]
    told = CliRunner().invoke(
        cli.app,
        [
            "finance", "portfolio", "--from-exchange", "--as", str(made.home / party), "--exchange", made.url,
            *map(str, arguments),
        ],
    )  # fmt: skip
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        return told.exception, None, told.stderr
    return told.exit_code, json.loads(told.stdout), told.stderr


def rows(made, key):
    found = next(table for table in made["tables"] if table["key"] == key)
    return [dict(zip([one["key"] for one in found["columns"]], row, strict=True)) for row in found["rows"]]


def files(tmp_path):
    """Reports as a supervisor was sent them: the one that is cited, signed by its maker, and others that help nobody."""
    where = tmp_path / "reports"
    where.mkdir()
    (where / "cited.json").write_bytes(canonical.encode(WHOLE))
    foreign = copy.deepcopy(INPUTS)
    foreign["terms"]["loan"]["borrower"] = "a stranger's secret borrower"
    (where / "foreign.json").write_bytes(canonical.encode(report.perform(foreign)))
    (where / "torn.json").write_text("{")
    (tmp_path / "sectors.json").write_text(json.dumps({OWNER: "banking"}))
    override = {"seq": 7, "what": "reset-witness", "party": OWNER, "to": 1, "forgotten": 0}
    (tmp_path / "verdict.json").write_text(json.dumps({"overrides": [override], "log": "f" * 64}))
    (tmp_path / "shocks.json").write_text(json.dumps([{"name": "half off", "drop": "0.5", "impact": "0"}]))
    return where


def test_a_portfolio_of_the_register_values_what_a_verified_report_shows_and_nothing_else(running, tmp_path):
    _, ids = running
    where, kept = files(tmp_path), tmp_path / "register.json"
    code, made, notes = typed(
        running, "--valuations", where, "--sectors", tmp_path / "sectors.json", "--audit", tmp_path / "verdict.json",
        "--shocks", tmp_path / "shocks.json", "--keep", kept,
    )  # fmt: skip
    assert code == 0, code
    document.verify(canonical.encode(made))
    figures = {figure["key"]: figure["value"] for figure in WHOLE["figures"]}
    one, other = sorted(made["inputs"]["records"], key=lambda record: record["lender"])
    assert one["name"] == ids["called"][:16]
    for key, end in (("value", "central"), ("recognised", "recognised")):
        left = Decimal(figures[WHOLE["conclusion"][end]]) - Decimal(one[key]["amount"])
        assert 0 <= left < Decimal("0.01"), "to the cent, never above"
    assert (one["loan"]["amount"], one["state"], one["sector"]) == ("999999.99", "margin_call", "banking")
    assert (one["title_expires"], one["maturity"]) == (TITLE_ENDS, MATURES)
    assert one["overrides"][0]["rule"].startswith("reset-witness")
    assert (other["value"], other["recognised"], other["sector"]) == (None, None, "not stated")
    assert rows(made, "unshown") == [
        {
            "name": ids["unvalued"][:16], "lender": "lender-y", "institution": "bank-z", "loan": "70000",
            "value": "value not shown",
        }
    ]  # fmt: skip
    shown = next(figure["value"] for figure in made["figures"] if figure["key"] == "exposure.shown")
    assert Decimal(shown) == Decimal("999999.99"), "no loan without a value is compared with one"
    assert (
        sum(row["normal"] + row["warning"] + row["margin_call"] + row["liquidation"] for row in rows(made, "shocks"))
        == 1
    )
    assert sum(row["recomputed"] for row in rows(made, "states")) == 1
    assert [row["gate"] for row in rows(made, "refusals")] == ["refused by an officer of the lender"]
    assert {row["refused"] for row in rows(made, "requests")} == {1, 2}
    assert made["inputs"]["cited"]["document"] == canonical.digest(canonical.decode(kept.read_bytes()))
    assert "foreign.json is not counted: no live pledge cites it" in notes
    assert "torn.json is not counted" in notes
    assert "secret borrower" not in json.dumps(made) + notes


def test_without_reports_no_value_is_guessed(running):
    code, made, notes = typed(running)
    assert code == 0
    assert len(rows(made, "unshown")) == 2
    assert "2 of them live, 0 with a verified report" in notes
    keys = {figure["key"] for figure in made["figures"]}
    assert "ltv.portfolio" not in keys
    assert sum(row["recomputed"] for row in rows(made, "states")) == 0
    assert {row["band"]: row["pledges"] for row in rows(made, "ltv") if row["pledges"]} == {"unshown": 2}


@pytest.mark.parametrize("spoil", ["figure", "asset"])
def test_a_report_that_does_not_hold_shows_nothing(running, tmp_path, spoil, capsys):
    """A figure that does not follow from the inputs; a sound report of another asset than the pledge's."""
    if spoil == "figure":
        odd = copy.deepcopy(WHOLE)
        figure = next(one for one in odd["figures"] if one["key"] == odd["conclusion"]["recognised"])
        figure["value"] = "9" + figure["value"]
        (tmp_path / "odd.json").write_bytes(canonical.encode(odd))
        _, made, notes = typed(running, "--valuations", tmp_path)
        assert "odd.json is not counted" in notes
        assert len(rows(made, "unshown")) == 2
        return
    with Line(running[0].url, party="bureau", key=KEYS["bureau"]) as line:
        told = supervising.read(line, on=datetime.now(tz=UTC).date())
    worth = supervising.Worth("bank-z/other", 10**12, 10**12)
    made = supervising.inputs(told, worths={WHOLE["digest"]: worth}, sectors={}, overrides={}, shocks=[])
    assert all(one["value"] is None for one in made["records"])
    assert "of another asset" in capsys.readouterr().err


def test_what_is_typed_wrong_gets_a_way_forward(running, tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    for arguments, party, kind, said in (
        ((), "lender-x", Forbidden, "regulator"),
        (("--valuations", tmp_path / "nowhere"), "bureau", Malformed, "--valuations"),
        (("--sectors", tmp_path / "list.json"), "bureau", Malformed, "bank-a"),
        (("--audit", tmp_path / "list.json"), "bureau", Malformed, "audit verify"),
        (("--shocks", tmp_path / "nowhere"), "bureau", Malformed, "check its path"),
        ((tmp_path / "list.json",), "bureau", Malformed, "give a file, or --from-exchange"),
    ):
        error, made, _ = typed(running, *arguments, party=party)
        assert isinstance(error, kind), error
        assert said in f"{error} {error.fix}"
        assert made is None
    for arguments in ([], ["--from-exchange"], [str(tmp_path / "list.json"), "--keep", str(tmp_path / "x")]):
        told = CliRunner().invoke(cli.app, ["finance", "portfolio", *arguments])
        assert isinstance(told.exception, PrivacyError)


class Liar:
    """An exchange that tells what it likes."""

    def __init__(self, pages):
        self.pages = iter(pages)

    def get(self, path):
        return {"pledges": next(self.pages)} if "pledges" in path else {"refusals": []}


def test_an_exchange_that_tells_nonsense_is_stopped(running):
    sound = ask(running, "bureau", "/v1/supervision/pledges")["pledges"]
    assert supervising.read(Liar([sound[:2], sound[2:], []]), on=datetime.now(tz=UTC).date())["pledges"] == sound
    for pages, error in (
        ([sound, sound], Mismatch),
        ([sound[::-1]], Mismatch),
        ([[{**sound[0], "state": "fine"}]], Malformed),
        ([[{**sound[0], "claim": "1"}]], Malformed),
        ([[{**sound[0], "appraisal": {}}]], Malformed),
        ([{"a": 1}], Malformed),
    ):
        with pytest.raises(error):
            supervising.read(Liar(pages), on=datetime.now(tz=UTC).date())

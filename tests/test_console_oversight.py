"""The log, the nodes and supervision in the console, over a real exchange with two nodes, each held to an independent source."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright

from api.console.everywhere import log
from api.console.wording import Words
from exchange import identity
from exchange.hub.store import Store
from exchange.line import Line
from exchange.protocol.attest import attest
from exchange.protocol.log import HEAD, TreeHead
from exchange.protocol.tree import Tree
from privacy import canonical
from tests import second_verifier
from tests.consoles import Seen, kept_town, running, visitor

EN, ZH = {"lang": "en"}, {"lang": "zh"}
PLEDGED = "bank-a/accounts"


def touchstone(*arguments, cwd):
    command = [sys.executable, "-P", "-m", "api.cli", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """The town with a regulator, its one loan paid out, the log taken away as a bundle; bank-c's node is away."""
    home = kept_town(tmp_path_factory)
    key = touchstone("desk", "init", home / "bureau", "bureau", home / "lender-x" / "pinned.json", cwd=home)
    touchstone(
        "exchange", "enrol", home / "exchange", "bureau", key, "--role", "regulator", "--name", "Bureau", cwd=home
    )
    with running(home, nodes=("bank-a", "bank-b")) as made:
        listed = touchstone("pledge", "list", "lender-x", "--exchange", made.url, "--json", cwd=home)
        pledge = json.loads(listed)["pledges"][0]["id"]
        touchstone("pledge", "draw", "lender-x", pledge, "--amount", "2100.50", "--exchange", made.url, cwd=home)
        touchstone("audit", "export", made.url, "-o", "whole.bundle", "--as", "bureau", cwd=home)
        (home / "reports").mkdir()
        (home / "valuation-report.json").rename(home / "reports" / "of-a.json")
        yield made


@pytest.fixture(scope="module")
def bureau(street):
    with visitor(street.console("bureau")) as client:
        yield client


@pytest.fixture(scope="module")
def lender(street):
    with visitor(street.console("lender-x")) as client:
        yield client


@pytest.fixture(scope="module")
def texts(street):
    """The entries of the bundle."""
    lines = (street.home / "whole.bundle").read_bytes().splitlines()[1:]
    return [line[65:] for line in lines]


# -- the log ---------------------------------------------------------------------------------------------------------


def leaves(texts):
    return [hashlib.sha256(b"\0" + text).digest() for text in texts]


def test_the_head_is_that_of_the_entries_and_says_who_cosigned_it(bureau, texts):
    told = bureau.get("/log.json").json()
    held = leaves(texts)
    for one in told["cosigned"]:
        if one["size"] <= len(held):
            assert one["root"] == second_verifier.mth(held[: one["size"]]).hex()
        assert one["follows"]
    assert {one["party"] for one in told["cosigned"]} == {"bank-a", "bank-b", "bank-c"}
    page = Seen(bureau.get("/log", params=EN).text)
    assert told["log"] in page.text
    assert told["head"]["root"] in page.text
    assert "bank-c" in page.text


def test_an_entry_is_proved_by_a_path_that_a_second_verifier_finds_too(bureau, lender, texts):
    told = bureau.get("/log.json", params={"seq": 21}).json()
    size = told["head"]["size"]
    if size == len(texts):
        assert told["inclusion"]["path"] == [one.hex() for one in second_verifier.path(20, leaves(texts))]
    assert told["inclusion"]["leaf"] == leaves(texts)[20].hex()
    by_hash = lender.get("/log", params={"seq": 21, "leaf": leaves(texts)[20].hex(), **EN})
    assert "Entry 21 stands in the log" in by_hash.text
    for wrong in ({"seq": 21, "leaf": "0" * 64}, {"seq": 21}, {"seq": 0, "leaf": "0" * 64}, {"seq": 21, "leaf": "x"}):
        told = lender.get("/log.json", params=wrong).json()
        assert told["inclusion"]["holds"] is False
        assert "Not proved" in lender.get("/log", params={**wrong, **EN}).text


def test_a_head_that_was_kept_is_the_beginning_of_the_log_or_the_page_says_no(lender, texts):
    root = second_verifier.mth(leaves(texts)[:50]).hex()
    told = lender.get("/log.json", params={"old": 50, "root": root}).json()["consistency"]
    assert told["holds"]
    for wrong in ({"old": 51, "root": root}, {"old": 50, "root": "0" * 64}, {"old": 10**9, "root": root}):
        assert lender.get("/log.json", params=wrong).json()["consistency"]["holds"] is False


@given(st.integers(1, 40), st.data())
def test_a_drawn_path_names_every_hash_and_ends_at_the_root(size, data):
    tree = Tree()
    for number in range(size):
        tree.add(b"%d" % number)
    seq = data.draw(st.integers(1, size))
    path = tree.inclusion(seq - 1, size)
    lines = log.drawn(tree.leaf(seq - 1), path, seq=seq, size=size, words=Words("en")).splitlines()
    assert len(lines) == 1 + 2 * len(path)
    assert lines[0].startswith(tree.root(size).hex()[:12])
    if path:
        assert lines[-1].strip(" └─").startswith(tree.leaf(seq - 1).hex()[:12])
        beside = [line.strip(" ├─")[:12] for line in lines[1::2]]
        assert beside == [one.hex()[:12] for one in reversed(path)]


def test_entries_are_a_regulators_alone(bureau, lender, street):
    with visitor(street.at_exchange("bureau")) as at_exchange:
        assert at_exchange.get("/log/entries").status_code == 200
        assert at_exchange.get("/log/entries/1").status_code == 200
        assert at_exchange.get("/log/verify").status_code == 404
    for address in ("/log/entries", "/log/entries/1", "/supervision"):
        answer = lender.get(address)
        assert answer.status_code == 404
        assert "bank-a" not in answer.text
    assert bureau.get("/log/entries/1").status_code == 200
    for wrong in ("0", "99999", "x", "1" * 40, "-1"):
        assert bureau.get(f"/log/entries/{wrong}").status_code == 404


def test_entries_are_found_by_kind_party_and_day(bureau, texts):
    entries = [json.loads(text) for text in texts]
    told = bureau.get("/log/entries.json", params={"kind": "session"}).json()
    wanted = [one["seq"] for one in entries if one["kind"] == "session"]
    assert [one["seq"] for one in told["entries"]] == wanted[::-1]
    offers = bureau.get("/log/entries.json", params={"party": "lender-x", "kind": "offer"}).json()["entries"]
    assert [one["seq"] for one in offers] == [one["seq"] for one in entries if one["kind"] == "offer"]
    assert bureau.get("/log/entries.json", params={"to": "2000-01-01"}).json()["entries"] == []
    assert bureau.get("/log/entries", params={"from": "yesterday"}).status_code == 422
    seen, before = [], None
    while True:
        page = bureau.get("/log/entries.json", params={} if before is None else {"before": before}).json()
        seen += [one["seq"] for one in page["entries"]]
        before = page["next"]
        if before is None:
            break
    assert seen == list(range(page["size"], 0, -1))


def test_an_entry_is_shown_whole_with_its_proof(bureau, texts):
    offer = next(json.loads(text) for text in texts if json.loads(text)["kind"] == "offer")
    told = bureau.get(f"/log/entries/{offer['seq']}.json").json()
    assert told["body"] == offer["body"]
    assert told["proof"]["holds"]
    page = Seen(bureau.get(f"/log/entries/{offer['seq']}", params=ZH).text)
    assert '"asset": "bank-a/accounts"' in page.text
    assert "条记录的根" in page.text


def test_a_desk_sees_that_it_is_the_log_that_it_saw_last(bureau, street):
    first = bureau.get("/log/followed.json").json()
    again = bureau.get("/log/followed.json").json()
    assert first["forked"] is None
    assert again["before"]["size"] >= first["now"]["size"]
    kept = json.loads((street.home / "bureau" / "log.json").read_text())
    assert kept["log"] == again["log"]
    assert "Yes, it is the same log." in bureau.get("/log/followed", params=EN).text


def test_a_desk_is_told_of_a_forked_log_and_keeps_the_evidence(street):
    """The exchange's own keys sign a head with another root, which lender-y has seen: the one of now is another log."""
    home = street.home / "lender-y"
    forger = street.home.parent / "forger"
    touchstone("backup", "take", street.home / "exchange", forger.with_suffix(".backup"), cwd=street.home)
    touchstone("backup", "restore", forger.with_suffix(".backup"), forger, cwd=street.home)
    store = Store.open(forger, clock=lambda: 1)
    try:
        lie = TreeHead(size=40, root="1" * 64, chain="2" * 64, at=1)
        signed = attest(HEAD, lie.model_dump(mode="json"), store.log.signer).to_json()
        (home / "log.json").write_bytes(canonical.encode({"log": store.log.id, "head": signed}))
    finally:
        store.close()
    with visitor(street.console("lender-y")) as client:
        told = client.get("/log/followed.json").json()
        page = Seen(client.get("/log/followed", params=EN).text)
    assert "does not go on from" in told["forked"]["reason"]
    assert "This is another log than the one that you saw" in page.text
    assert (home / "log-forked.json").exists()


def checked(client, **form):
    files = {"bundle": ("log.bundle", form.pop("bundle"))} if "bundle" in form else None
    return client.post("/log/verify", data=form, files=files, params=EN)


def taken_away(street):
    """The log of this moment: an older bundle than a desk has seen is stale."""
    touchstone("audit", "export", street.url, "-o", "now.bundle", "--as", "bureau", cwd=street.home)
    return street.home / "now.bundle"


def test_a_sound_bundle_is_found_sound_with_what_it_holds(bureau, street):
    bundle = taken_away(street)
    answer = checked(bureau, path=str(bundle), log="")
    page = Seen(answer.text)
    assert "All entries are sound" in page.text
    told = bureau.get(f"{str(answer.url).replace('/log/verify', '/log/verify.json')}").json()["verdict"]
    verdict = json.loads(touchstone("audit", "verify", "now.bundle", "--as", "bureau", "--json", cwd=street.home))
    assert {name: told[name] for name in verdict if name != "reports"} == {
        name: value for name, value in verdict.items() if name != "reports"
    }
    assert told["head"]["size"] == len(bundle.read_bytes().splitlines()) - 1
    assert [one["asset"] for one in told["liens"]] == [PLEDGED]


def test_a_changed_byte_is_found_and_the_entry_named(bureau, street):
    lines = (street.home / "whole.bundle").read_bytes().splitlines(keepends=True)
    lines[40] = lines[40].replace(b'"kind"', b'"kinD"', 1)
    page = Seen(checked(bureau, bundle=b"".join(lines), log="").text)
    assert "This bundle does not hold" in page.text
    assert "TS-LOG-003" in page.text
    assert "first entry that is wrong: 40" in page.text


def test_a_byte_is_changed_in_a_copy_for_whoever_wants_to_see_it_found(bureau, street):
    bundle = taken_away(street)
    whole = bundle.read_bytes()
    answer = checked(bureau, path=str(bundle), log="", spoil="yes")
    told = bureau.get(f"{str(answer.url).replace('/log/verify', '/log/verify.json')}").json()
    size = len(whole.splitlines()) - 1
    assert not told["verdict"]["holds"]
    # the byte lies two thirds through: its entry, or the one after it if it ends a line
    ends = [sum(map(len, whole.splitlines(keepends=True)[: n + 1])) for n in range(size + 1)]
    hit = next(n for n, end in enumerate(ends) if end > len(whole) * 2 // 3)
    assert told["verdict"]["seq"] in (hit, hit + 1)
    assert f"first entry that is wrong: {told['verdict']['seq']}" in Seen(answer.text).text
    assert "your file is as it was" in answer.text
    assert bundle.read_bytes() == whole
    assert str(answer.url).rpartition("verdict=")[2].partition("&")[0] not in [one["name"] for one in told["earlier"]]


def test_a_browser_sends_the_form_and_is_shown_the_verdict(street):
    """A real one: what it says of where a form comes from is its own choice, by the headers of the page."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium")
    bundle, link = taken_away(street), street.console("bureau")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page()
        page.goto(link)
        page.goto(f"{link.partition('/enter/')[0]}/log/verify?lang=en")
        page.set_input_files("input[name=bundle]", bundle)
        page.click("main form button")
        page.wait_for_url("**/log/verify?verdict=*")
        assert "All entries are sound" in page.inner_text("main")
        browser.close()


def test_another_log_no_bundle_and_none_at_all_are_told_apart(bureau, street):
    whole = (street.home / "whole.bundle").read_bytes()
    other = Seen(checked(bureau, bundle=whole, log="0" * 64).text)
    assert "This bundle does not hold" in other.text
    for form in ({"bundle": b"hello"}, {}, {"bundle": whole, "path": "whole.bundle"}, {"path": "nowhere", "log": ""}):
        answer = checked(bureau, **form)
        assert answer.status_code == 422, answer.text[:300]
        assert "What to do:" in answer.text
    assert bureau.get("/log/verify", params={"verdict": "../../signing"}).status_code == 404


# -- nodes -----------------------------------------------------------------------------------------------------------


def test_everybody_sees_which_nodes_are_on_line_and_nobody_more_of_anothers(street, lender):
    told = {one["party"]: one for one in lender.get("/nodes.json").json()["nodes"]}
    assert {party: one["online"] for party, one in told.items()} == {"bank-a": True, "bank-b": True, "bank-c": False}
    assert told["bank-c"]["last_poll"] is None
    assert [one["asset"] for one in told["bank-a"]["datasets"]] == [PLEDGED]
    assert lender.get("/nodes.json").json()["own"] is None
    with visitor(street.at_exchange("bank-a")) as owner:
        own = owner.get("/nodes.json").json()["own"]
        page = Seen(owner.get("/nodes", params=EN).text)
    with visitor(street.at_exchange("bank-c")) as away:
        silent = away.get("/nodes.json").json()["own"]
    assert own["behind"] is False
    assert abs(own["clock"]) <= 1
    assert own["waiting"] == []
    assert own["cosigned"] >= 1
    assert "Your own node, as the exchange sees it" in page.text
    assert silent["clock"] is None


def test_the_address_tells_of_ones_own_node_alone(street):
    for party, own in (("bank-b", True), ("lender-y", False), ("bureau", False), ("x-risk", False)):
        name, key = identity.load(street.home / party, what="party")
        with Line(street.url, party=name, key=key) as line:
            told = line.get("/v1/nodes")
        assert (told["own"] is not None) is own
        assert all(one.keys() == {"party", "online", "last_poll"} for one in told["nodes"])


# -- supervision -----------------------------------------------------------------------------------------------------


def test_supervision_with_reports_is_the_portfolio_that_the_command_line_works_out(street, bureau):
    home = street.home
    (home / "shocks.json").write_text('[{"name": "values fall by 99 %", "drop": "0.99", "impact": "0.3"}]')
    touchstone(
        "finance", "portfolio", "--from-exchange", "--as", "bureau", "--exchange", street.url, "--valuations", "reports",
        "--shocks", "shocks.json", "-o", "portfolio.json", cwd=home,
    )  # fmt: skip
    made = json.loads((home / "portfolio.json").read_text())
    asked = {"reports": str(home / "reports"), "drop": "99"}
    told = bureau.get("/supervision.json", params=asked).json()
    assert told["digest"] == made["digest"]
    report = json.loads((home / "reports" / "of-a.json").read_text())
    figures = {one["key"]: Decimal(one["value"]) for one in report["figures"]}
    recognised = figures[report["conclusion"]["recognised"]].quantize(Decimal("0.01"), rounding="ROUND_DOWN")
    assert Decimal(told["recognised"]) == recognised
    assert abs(Decimal(told["cover"]) - Decimal("2100.50") / recognised) < Decimal("1e-20")
    handed = bureau.get("/supervision/as/portfolio.csv", params=asked)
    rows = list(csv.reader(io.StringIO(handed.text)))
    assert ["by.lender", "1", "name", "text", "lender-x"] in rows
    assert bureau.get("/supervision/as/portfolio.json", params=asked).json()["digest"] == made["digest"]
    page = Seen(bureau.get("/supervision", params={**asked, **EN}).text)
    assert "HHI 1.00: all in one hand, as if 1 held equal shares" in page.text
    assert "¥2,100.50" in page.text
    chinese = Seen(bureau.get("/supervision", params={**asked, **ZH}).text)
    assert "价值下跌 99%" in chinese.text
    assert "集中于一家" in chinese.text


def test_without_reports_no_value_is_guessed_and_the_exchange_reads_no_directory(street, bureau):
    plain = bureau.get("/supervision.json").json()
    assert plain["cover"] is None
    assert [row[0] for row in plain["by"][0]["table"]["rows"]] == ["lender-x"]
    with visitor(street.at_exchange("bureau")) as client:
        told = client.get("/supervision.json", params={"reports": str(street.home / "reports")}).json()
        page = Seen(client.get("/supervision", params=EN).text)
    assert told["cover"] is None
    assert "reports" not in told
    assert "Values are in reports that the exchange does not hold" in page.text


def test_what_is_typed_wrong_is_told_with_a_way_forward(bureau):
    for wrong in ({"drop": "abc"}, {"drop": "-1"}, {"drop": "100"}, {"impact": "nan"}, {"reports": "nowhere"}):
        answer = bureau.get("/supervision", params={**wrong, **EN})
        assert answer.status_code == 422
        assert "What to do:" in answer.text
    assert bureau.get("/supervision/as/other.csv").status_code == 404


def test_refused_requests_are_counts_without_a_name(bureau):
    told = bureau.get("/supervision.json").json()["requests"]
    assert told["rows"]
    assert all(row[0] == "lender" and isinstance(row[-1], int) for row in told["rows"])
    assert "lender-x" not in json.dumps(told)

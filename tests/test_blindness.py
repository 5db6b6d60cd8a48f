"""An exchange is blind, and one that is not is found out: every fault planted in a town's real journal, files and catalogue."""

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from api.commands import inspecting
from exchange import identity, journal, protecting
from exchange.audit.rules import RULES
from exchange.hub import premises
from exchange.hub.blindness import FIELDS, HOLDS, MOST, Finding, blind_check, flaw_of
from exchange.hub.fold import fold
from exchange.hub.tables import PROJECTION
from exchange.journal import Damaged, Journal
from exchange.protocol.envelope import sign
from exchange.protocol.errors import Unknown
from exchange.protocol.messages import Key
from exchange.strongbox import Opener
from privacy import seal
from privacy.masks import Masked
from privacy.modulus import to_text
from privacy.unseal import SecretKey
from tests.consoles import kept_town, running

VECTORS = Path(__file__).with_name("vectors")
DESK = "lender-x"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return kept_town(tmp_path_factory)


@pytest.fixture(scope="module")
def secret(town):
    """The asker's secret key, which no check here is given: the tests make hostile ciphertexts with it."""
    return SecretKey.from_jwk(json.loads((town / DESK / "paillier.json").read_text()))


@pytest.fixture(scope="module")
def told(town):
    return [(entry.kind, entry.body) for entry in journal.read(town / "exchange" / "journal", owner="exchange")]


@pytest.fixture
def home(town, tmp_path):
    """The town's exchange, the test's own to change."""
    shutil.copytree(town / "exchange", tmp_path / "exchange")
    return tmp_path / "exchange"


def planted(home, events):
    """Let the exchange have written these events instead, over several segments, and look through it."""
    shutil.rmtree(home / "journal")
    (home / "catalog.duckdb").unlink()
    with Journal.open(home / "journal", owner="exchange", segment_bytes=1 << 15) as written:
        for at in range(0, len(events), 8):
            written.append(events[at : at + 8], at=at)
    return blind_check(home)


def asked(events):
    """Sessions of the desk whose secret key the tests have, over several institutions."""
    opened = [body for kind, body in events if kind == "session"]
    return {body["id"] for body in opened if body["asker"] == DESK and len(body["parties"]) > 1}


def shares(events):
    """Places of the answers in these sessions among events (from 0)."""
    return [
        at
        for at, (kind, body) in enumerate(events)
        if kind == "message" and body["envelope"]["kind"] == "share" and body["session"] in asked(events)
    ]


def products(events):
    """Places of their products, by session."""
    return {
        body["session"]: at
        for at, (kind, body) in enumerate(events)
        if kind == "folded" and body["session"] in asked(events)
    }


def answer(event):
    return json.loads(event[1]["envelope"]["body"])


def resaid(town, event, **change):
    """Return a message with other fields, signed by its party's real key: what a node that lies, or is made to, could send."""
    kind, body = event
    party = body["envelope"]["signer"]
    _, key = identity.load(town / party, what="party")
    said = sign(body["envelope"]["kind"], answer(event) | change, signer=party, key=key)
    return kind, body | {"envelope": said.to_json()}


def replaced(events, at, event):
    return [*events[:at], event, *events[at + 1 :]]


def snapshot(home):
    return {
        path.relative_to(home).as_posix(): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in home.rglob("*")
        if path.is_file()
    }


# -- an honest exchange --------------------------------------------------------------------------------------------------


def test_an_exchange_that_told_a_whole_story_is_blind_and_the_counts_are_those_of_its_bundle(home, tmp_path):
    before = snapshot(home)
    found = blind_check(home)
    assert snapshot(home) == before
    assert found.blind, found.findings
    assert (found.findings, found.more, found.catalogue, found.sealed_keys) == ((), 0, "compared", 0)
    assert found.files == len(before)
    # counted again from the file that an auditor takes away, without any of the code that was used
    inspecting.export(str(home), output=tmp_path / "log.bundle", home=None)
    lines = (tmp_path / "log.bundle").read_bytes().splitlines()[1:]
    entries = [json.loads(line[65:]) for line in lines]
    said = [
        json.loads(entry["body"]["envelope"]["body"])
        for entry in entries
        if entry["kind"] == "message" and entry["body"]["envelope"]["kind"] == "share"
    ]
    kinds = [entry["kind"] for entry in entries]
    assert found.head == (len(entries), lines[-1][:64].decode())
    assert found.shares == len(said) > found.sessions
    assert found.ciphertexts == sum(len(one["ciphertexts"]) for one in said)
    assert (found.keys, found.sessions, found.products) == tuple(map(kinds.count, ("key", "session", "folded")))
    assert found.products > 0


def test_a_running_exchange_is_looked_through_while_it_works(town):
    with running(town, nodes=()):
        command = [sys.executable, "-P", "-m", "api.cli", "exchange", "blind-check", str(town / "exchange")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "0 figures of a single institution in clear"


def test_keys_that_are_sealed_are_said_to_be_unread(home):
    protecting.protect(home, Opener.passphrase("correct horse battery"))
    found = blind_check(home)
    assert found.blind
    assert found.sealed_keys == len([*home.glob("*.key")]) > 0
    said = CliRunner().invoke(cli.app, ["exchange", "blind-check", str(home)])
    assert f"{found.sealed_keys} key files are sealed and were not compared" in said.stdout


def test_only_an_exchange_is_looked_through(town, tmp_path):
    for other in (town / "bank-a", town / DESK, tmp_path / "nowhere"):
        with pytest.raises(Unknown):
            blind_check(other)


def test_every_kind_of_entry_that_an_exchange_writes_is_looked_at():
    assert {*HOLDS, *FIELDS, "standard"} == PROJECTION.apply.keys() == RULES.keys()


def test_a_changed_journal_is_no_ground_for_a_verdict(home):
    file = home / "journal" / "000001.log"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(Damaged):
        blind_check(home)
    said = CliRunner().invoke(cli.app, ["exchange", "blind-check", str(home)])
    assert said.exit_code == 1
    assert "figures" not in said.stdout


# -- ciphertexts ---------------------------------------------------------------------------------------------------------


def wire(number, key):
    return to_text(number, octets=key.ciphertext_bytes)


def readable(secret, name):
    """Return, by the name of a fault, a hostile ciphertext in wire form and what is said of it."""
    key = secret.public
    n, square, figure = key.n, key.n_squared, 1_234_567
    clear, unblinded = "it is a number in clear", "it was not blinded"
    prime = secret._phe.p
    made = {
        "1 + m n": (1 + figure * n, unblinded),
        "-1 - m n": (square - 1 - figure * n, unblinded),
        "1": (1, "between 1 and the square"),
        "0": (0, "between 1 and the square"),
        "n squared": (square, "between 1 and the square"),
        "a figure": (figure, clear),
        "a figure, negative": (square - figure, clear),
        "a masked sum that nobody sealed": (secrets.randbelow(n) | 2, clear),
        "a figure beside noise": (figure + n * secrets.randbelow(n), clear),
        "a multiple of a factor": (prime * (secrets.randbelow(square // prime - 1) + 1), "not a unit"),
    }[name]
    return wire(made[0], key), made[1]


NAMES = (
    "1 + m n", "-1 - m n", "1", "0", "n squared", "a figure", "a figure, negative", "a masked sum that nobody sealed",
    "a figure beside noise", "a multiple of a factor",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_readable_number_in_an_answer_is_found_where_it_stands(town, home, told, secret, name):
    text, said = readable(secret, name)
    at = shares(told)[NAMES.index(name) % len(shares(told))]
    party = told[at][1]["envelope"]["signer"]
    found = planted(home, replaced(told, at, resaid(town, told[at], ciphertexts=[text])))
    assert found.findings[0].seq == at + 1
    assert found.findings[0].what.startswith(f"ciphertext 1 of {party} ")
    assert said in found.findings[0].what
    # the product is another one now; nothing else is blamed, and no number is repeated
    product = products(told)[answer(told[at])["session"]]
    assert {one.seq for one in found.findings} <= {at + 1, product + 1}
    assert not re.search(r"[0-9]{4}", " ".join(one.what for one in found.findings if one.seq != at + 1))
    assert "1234567" not in json.dumps(found.to_json())


def test_no_honest_ciphertext_is_called_readable_and_no_readable_one_passes(secret):
    key = secret.public
    n, square = key.n, key.n_squared

    @settings(max_examples=60)
    @given(
        st.one_of(st.integers(0, n - 1), st.integers(0, 1 << 64), st.integers(n - (1 << 64), n - 1)),
        st.integers(1, 1 << 1000),
    )
    def holds(value, small):
        (honest,) = seal.seal(Masked((value,), n), key).to_wire()
        assert flaw_of(honest, key) == ""
        for number in (
            1 + value * n,
            square - 1 - value * n,
            small,
            square - small,
            small + n * value,
            n * value - small,
        ):
            if 0 <= number < 1 << (8 * key.ciphertext_bytes):
                assert flaw_of(wire(number, key), key)
        for text in (honest[:-1], honest + "A", "A" + honest, honest.replace(honest[5], "+"), f"{value}"):
            assert flaw_of(text, key)

    holds()


def test_a_ciphertext_that_was_sent_before_is_found(town, home, told):
    first = shares(told)[0]
    session = answer(told[first])["session"]
    later = next(at for at in shares(told) if answer(told[at])["session"] != session)
    copied = resaid(town, told[later], ciphertexts=answer(told[first])["ciphertexts"])
    found = planted(home, replaced(told, later, copied))
    party = told[later][1]["envelope"]["signer"]
    assert found.findings[0] == Finding(later + 1, f"ciphertext 1 of {party} was in the journal before")


def test_a_product_of_anything_else_is_found(home, told, secret):
    """Not even another encryption of the same sum: what was folded is what was sent, and nothing besides."""
    session, at = next(iter(products(told).items()))
    key = secret.public
    sealed = seal.Sealed.from_wire(told[at][1]["product"], key)
    other = seal.seal(Masked((1,), key.n), key)
    for product in (seal.rerandomise(sealed).to_wire(), seal.fold([sealed, other]).to_wire(), [], "none"):
        found = planted_again(home, replaced(told, at, ("folded", {"session": session, "product": product})))
        assert Finding(at + 1, "it is not the product of the session's answers") in found.findings
        assert {one.seq for one in found.findings} == {at + 1}


def planted_again(home, events):
    """As :func:`planted`, in a home of its own."""
    mine = home.with_name(secrets.token_hex(4))
    shutil.copytree(home, mine)
    return planted(mine, events)


def test_answers_and_products_out_of_place_are_found(town, home, told):
    at = shares(told)[0]
    session = answer(told[at])["session"]
    last = max(place for place in shares(told) if answer(told[place])["session"] == session)
    product = products(told)[session]
    missing = [*told[:product], *told[product + 1 :]]
    opened = next(place for place, (kind, body) in enumerate(told) if kind == "session" and body["id"] == session)
    assert planted_again(home, missing).findings == (
        Finding(opened + 1, "all answers of the session are here, and their product is missing"),
    )
    early = [*told[:last], told[product], *told[last:product], *told[product + 1 :]]
    found = planted_again(home, early)
    assert found.findings[0] == Finding(last + 1, "it is a product although the session's answers are not all here")
    twice = [*told[: at + 1], told[at], *told[at + 1 :]]
    party = told[at][1]["envelope"]["signer"]
    assert planted_again(home, twice).findings[0] == Finding(at + 2, f"{party} has no answer to give here")
    longer = resaid(town, told[at], ciphertexts=answer(told[at])["ciphertexts"] * 2)
    said = [one.what for one in planted_again(home, replaced(told, at, longer)).findings if one.seq == at + 1]
    assert said == [
        f"{party} sent another number of ciphertexts than the plan has",
        f"ciphertext {len(answer(told[at])['ciphertexts']) + 1} of {party} was in the journal before",
    ]
    foreign = resaid(town, told[at], session="0" * 64)
    assert (
        Finding(at + 1, "it answers no session that is open")
        in planted_again(home, replaced(told, at, foreign)).findings
    )


# -- fields and kinds ----------------------------------------------------------------------------------------------------


def test_a_figure_has_no_place_in_clear(town, home, told):
    """Whatever field of whatever entry it is put into beside those that there are."""
    at = shares(told)[0]
    witness = next(place for place, (kind, _) in enumerate(told) if kind == "witness")
    spoken = resaid(town, told[at], count=1_234_567)
    beside = (told[at][0], told[at][1] | {"count": 1_234_567})
    inside = (told[at][0], told[at][1] | {"envelope": told[at][1]["envelope"] | {"count": 1_234_567}})
    hidden = ("confirmation", told[at][1]["envelope"])
    for place, event, said in (
        (at, spoken, "the share message has invalid fields: body"),
        (at, beside, "it has other fields than its kind"),
        (at, inside, "the document is not a signed envelope"),
        (at, hidden, "it holds a message of another kind"),
        (witness, ("witness", told[witness][1] | {"count": 1_234_567}), "it has other fields than its kind"),
        (witness, ("partial", {"count": 1_234_567}), "it is of a kind that this release does not know"),
        (witness, ("party", {"id": "x", "name": "x", "role": "lender", "key": 1_234_567}), "it is not well formed"),
    ):
        found = planted_again(home, replaced(told, place, event))
        assert found.findings[0] == Finding(place + 1, said)
        assert "1234567" not in json.dumps(found.to_json())


def test_a_key_that_others_can_open_is_found(town, home, told, secret):
    other = SecretKey.from_jwk(json.loads((VECTORS / "paillier.json").read_text())["secret_jwk"])
    made = SecretKey(secret._phe.p, other._phe.p)
    _, signing = identity.load(town / "lender-y", what="party")

    def event(key, proof):
        said = Key(key=key.public.to_jwk(), proof=proof.to_json(key.public)).sealed_by("lender-y", signing)
        return "key", {"fingerprint": key.public.fingerprint, "envelope": said.to_json()}

    first = next(place for place, (kind, _) in enumerate(told) if kind == "key")
    found = planted_again(home, [*told, event(made, made.prove(context="lender-y"))])
    shared = "the key shares a factor with another one: each of their owners can open both"
    assert found.findings == (Finding(first + 1, shared), Finding(len(told) + 1, shared))
    unproved = planted_again(home, [*told, event(other, other.prove(context="lender-x"))])
    assert unproved.findings[0].seq == len(told) + 1
    assert "does not show that the key is a proper Paillier modulus" in unproved.findings[0].what


def test_findings_without_end_are_counted_and_no_longer_told(home, told):
    noise = [("partial", {"count": at}) for at in range(MOST + 20)]
    found = planted(home, [*told, *noise])
    assert (len(found.findings), found.more) == (MOST, 20)
    said = CliRunner().invoke(cli.app, ["exchange", "blind-check", str(home)])
    assert said.exit_code == 1
    assert f"{MOST + 20} findings: this exchange cannot be called blind" in said.stderr
    assert "in clear" not in said.stdout
    as_json = CliRunner().invoke(cli.app, ["exchange", "blind-check", str(home), "--json"])
    assert as_json.exit_code == 1
    document = json.loads(as_json.stdout)
    assert (document["status"], document["blind"], document["more"]) == ("failed", False, 20)
    assert document["findings"][0] == {"seq": len(told) + 1, "what": "it is of a kind that this release does not know"}


# -- files ---------------------------------------------------------------------------------------------------------------


def whats(home):
    found = blind_check(home)
    assert all(one.seq == 0 for one in found.findings)
    return [one.what for one in found.findings]


def test_a_file_that_no_exchange_has_is_named(home, tmp_path):
    (home / "partials.csv").write_text("bank-a,1234567\n")
    (home / "journal" / "notes").mkdir()
    (home / "journal" / "notes" / "000001.log").write_text("")
    (home / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(home / "pipe")
    assert whats(home) == [
        "elsewhere is a link: what it leads to was not looked at",
        "journal/notes/000001.log is no file that an exchange has",
        "partials.csv is no file that an exchange has",
        "pipe is neither a file nor a directory",
    ]


def test_a_secret_key_is_found_in_any_file_however_it_is_written(town, home, secret):
    text = json.dumps(secret.to_jwk())
    spellings = (
        text,
        json.dumps(secret.to_jwk(), indent=2),
        json.dumps(secret.to_jwk(), separators=(",", ":"), sort_keys=True),
        json.dumps({"body": text}),
        json.dumps({"body": json.dumps({"body": json.dumps(secret.to_jwk(), indent=1)})}),
    )
    log = home / "process.log"
    seam = 256 + (1 << 20)  # where one piece that is read ends and the next one begins
    place = text.index('"key_ops"')
    spread = [(text, seam - place - cut) for cut in (1, 12, 24)]
    for spelling, before in [*((spelling, 0) for spelling in spellings), *spread]:
        log.write_text(" " * before + spelling)
        found = premises.search(home, signers=set())
        assert found.findings == ("process.log holds a secret Paillier key",), (before, spelling[:40])
    assert whats(home) == ["process.log holds a secret Paillier key"]
    log.write_text(json.dumps(secret.public.to_jwk()))  # a public one is nobody's secret
    assert whats(home) == []
    shutil.copy(town / DESK / "paillier.json", home / "paillier.json")
    assert whats(home) == [
        "paillier.json is no file that an exchange has",
        "paillier.json holds a secret Paillier key",
    ]


def test_another_party_s_signing_key_is_found_under_any_name(town, home):
    key = (town / "bank-a" / "signing.key").read_text()
    (home / "salt.key").write_text(key)
    (home / "errors.log").write_text(f"  {key}\n")
    assert whats(home) == ["errors.log holds the signing key of a party", "salt.key holds the signing key of a party"]


# -- the catalogue -------------------------------------------------------------------------------------------------------


def changed(home, statement):
    """Change the catalogue behind the back of its exchange; return what is found by comparing it, and nothing else."""
    with duckdb.connect(str(home / "catalog.duckdb")) as connection:
        connection.execute(statement)
    catalogue, head = premises.Catalogued.open(home), (0, "")
    for entry in journal.read(home / "journal", owner="exchange"):
        catalogue.take(entry)
        head = entry.seq, entry.hash
    return catalogue.compare(head)


def test_a_catalogue_that_holds_more_or_else_than_the_journal_is_found(home):
    pristine = (home / "catalog.duckdb").read_bytes()
    other = "holds something else than the journal's entries"
    strange = "is not one of this release, or has other columns"
    for statement, said in (
        ("UPDATE product SET ciphertexts = '[\"1234567\"]'", f"table product of the catalogue {other}"),
        ("INSERT INTO message VALUES ('s', 'partial', 'bank-a', '1234567')", f"table message of the catalogue {other}"),
        ("DELETE FROM paillier", f"table paillier of the catalogue {other}"),
        ("CREATE TABLE partial (count BIGINT)", f"table partial of the catalogue {strange}"),
        ("CREATE VIEW partial AS SELECT 1 AS count", f"table partial of the catalogue {strange}"),
        ("ALTER TABLE product ADD COLUMN count BIGINT", f"table product of the catalogue {strange}"),
        ("UPDATE party SET name = '{\"key_ops\": [\"decrypt\"]}'", "table party of the catalogue holds a secret Paillier key"),
        ("UPDATE meta SET head = '00'", "the catalogue was made from another journal"),
        ("UPDATE meta SET applied_seq = 100000", "the catalogue was made from another journal"),
    ):  # fmt: skip
        (home / "catalog.duckdb").write_bytes(pristine)
        assert changed(home, statement) == [said], statement
    assert whats(home) == [said]


def test_a_catalogue_that_is_gone_or_torn_is_said_to_be(home):
    (home / "catalog.duckdb").unlink()
    found = blind_check(home)
    assert (found.blind, found.catalogue) == (True, "missing")
    (home / "catalog.duckdb").write_bytes(b"torn" * 10_000)
    assert whats(home) == ["the catalogue cannot be read, so it was not compared"]


def test_a_catalogue_that_never_stands_still_is_left_out_and_that_is_said(home, monkeypatch):
    monkeypatch.setattr(premises, "_copied", lambda _file, _to: False)
    said = CliRunner().invoke(cli.app, ["exchange", "blind-check", str(home)])
    assert said.exit_code == 0
    assert "catalogue  left out: it changed while it was copied" in said.stdout


# -- reading a journal as an onlooker ------------------------------------------------------------------------------------


def heard(path):
    """What opening a journal in earnest makes of it: its entries, or where it is damaged."""
    try:
        with Journal.open(path, owner="exchange", mend=False) as opened:
            return [entry.text for entry in opened.entries()]
    except Damaged as error:
        return error.file, error.offset


def overheard(path):
    try:
        return [entry.text for entry in journal.read(path, owner="exchange")]
    except Damaged as error:
        return error.file, error.offset


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_onlooker_reads_what_the_owner_would(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "journal"
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=8))
    with Journal.open(path, owner="exchange", segment_bytes=600) as written:
        for at, size in enumerate(sizes):
            written.append([("told", {"number": at, "text": "x" * at * 20})] * size, at=at)
    before = snapshot(path)
    assert overheard(path) == heard(path)
    assert len(overheard(path)) == sum(sizes)
    assert {name: digest for name, (_, digest) in snapshot(path).items() if name != "lock"} == {
        name: digest for name, (_, digest) in before.items() if name != "lock"
    }
    file = data.draw(st.sampled_from(sorted(path.glob("*.log"))))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    seen = overheard(path)
    assert seen == heard(path)


def test_an_onlooker_sees_whole_writes_while_the_owner_writes(tmp_path):
    path = tmp_path / "journal"
    with Journal.open(path, owner="exchange", segment_bytes=20_000) as written:
        done = threading.Event()

        def work():
            for at in range(150):
                written.append([("told", {"text": "x" * 100})] * 3, at=at)
            done.set()

        writer = threading.Thread(target=work)
        writer.start()
        seen = [[]]
        while not done.is_set():
            seen.append([entry.hash for entry in journal.read(path, owner="exchange")])
        writer.join()
        all_ = [entry.hash for entry in written.entries()]
    assert len(all_) == 450
    for one in seen:
        assert len(one) % 3 == 0
        assert one == all_[: len(one)]


def test_the_fold_is_checked_by_the_one_that_the_exchange_uses(told, secret):
    """And that is plain multiplication, done here by hand."""
    session, at = next(iter(products(told).items()))
    parts = [answer(told[place])["ciphertexts"] for place in shares(told) if answer(told[place])["session"] == session]
    square = secret.public.n_squared
    product = 1
    for (text,) in parts:
        product = product * seal.Sealed.from_wire([text], secret.public).ciphertexts[0] % square
    assert [wire(product, secret.public)] == told[at][1]["product"] == fold(parts, secret.public)

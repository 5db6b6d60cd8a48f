"""The exchange's log from outside, over real processes: promised, proved, cosigned, exported, and refused when anything is bent."""

import base64
import json
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from api.demo import people, town
from api.routes import log
from exchange import backup, connect
from exchange.analyst import desk
from exchange.analyst.logged import Proofs
from exchange.analyst.pledging import Pledges
from exchange.audit import verdict
from exchange.audit.bundle import Wrong
from exchange.audit.rules import RULES
from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.hub.tables import PROJECTION
from exchange.journal import RolledBack
from exchange.line import Line
from exchange.protocol.agreement import Endorsement, Filing, Signature
from exchange.protocol.attest import Attested, LogSigner, attest
from exchange.protocol.envelope import sign
from exchange.protocol.errors import Forbidden, PeerFault, Unknown
from exchange.protocol.log import Forked, TreeHead
from exchange.protocol.messages import Appraisal, Consent, Cosigned, Offer, Officers
from exchange.witness import Witness
from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError
from tests import second_verifier as second

SQL = "SELECT COUNT(*) FROM consumer_credit"
LABEL = b"touchstone journal entry 1\0"


def microseconds():
    return time.time_ns() // 1000


def key_of(home):
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex((home / "signing.key").read_text()))


def signer_of(home):
    seed = bytes.fromhex((home / "ml-dsa.key").read_text())
    return LogSigner(key_of(home), MLDSA65PrivateKey.from_seed_bytes(seed))


def message(kind, home, **fields):
    return kind(**fields).sealed_by(home.name, key_of(home))


TERMS = {"asset": "bank-a/accounts", "rank": 1, "amount": 1000, "matures": "2027-06-30", "forbids_juniors": False}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """One question answered, promised and proved, one lien, a bundle fetched by a regulator; then everything stops."""
    home = tmp_path_factory.mktemp("log")
    with town.Town(home, people.synthesise(home, rows=1000), clock=microseconds) as made:
        made.settle()
        ours = desk.create(home / "regulator", party="regulator", pinned={})
        with_log = Store.open(home / "exchange", clock=microseconds)
        catalog.enrol(
            with_log, party="regulator", name="Regulator", role="regulator", key=ours.public_key().public_bytes_raw()
        )
        id_ = with_log.log.id
        with_log.close()
        shutil.copytree(home / "exchange", home / "older")
        url = made.start_exchange()
        for one in made.institutions:
            made.start_node(one.party)
        Witness(home / "lender-x").pin(id_)
        with connect(home / "lender-x", url) as client:
            result = client.query(SQL, purpose=town.PURPOSE, budget=0.02).run()
            job = client.jobs()[0]
            proof = job.proof()
            line = client.desk.line
            record, plan = client.desk.record(job.id), job.plan
            recorded = message(Appraisal, home / "lender-x", asset="bank-a/accounts", report="ab" * 32, releases=())
            line.post("/v1/appraisals", recorded)
            pledges = Pledges(line, client.desk.sign)
            offer = pledges.quote(Offer(**TERMS, appraisal=recorded.id, nonce="0" * 64))
            pledges.name_officers(*town.OFFICERS["lender-x"])
            for officer in town.OFFICERS["lender-x"]:
                with Line(url, party=officer, key=key_of(home / officer)) as own:
                    Pledges.under(own, key_of(home / officer)).approve(offer)
            pledges.sign(offer)
            pledges.show(offer, wait=20)
            pledges.file(offer)
            for path, denied in (("/v1/log/entries", Forbidden), ("/v1/log/consistency?old=9&new=8", Unknown)):
                with pytest.raises(denied):
                    line.get(path)
            place = json.loads(proof["promise"]["body"])["entries"][0]
            for seq, leaf in ((place["seq"], "0" * 64), (place["seq"] + 1, place["leaf"]), (1 << 40, place["leaf"])):
                with pytest.raises(Unknown):
                    line.get(f"/v1/log/inclusion?seq={seq}&leaf={leaf}&size={1 << 41}")
        bundle, first = home / "fetched.bundle", home / "first.json"
        options = ["--as", str(home / "regulator"), "--exchange", url]
        told = run("audit", "head", *options, "-o", str(first))
        watched = run("audit", "watch", *options, "--looks", "2", "--every", "1")
        run("audit", "export", url, "-o", str(bundle), "--as", str(home / "regulator"))
    copied = home / "copied.bundle"
    run("audit", "export", str(home / "exchange"), "-o", str(copied))
    return SimpleNamespace(
        home=home, id=id_, result=result, proof=proof, bundle=bundle, copied=copied, first=first, head=json.loads(told),
        watched=watched, recorded=recorded, receipt=job.receipt(), record=record, plan=plan,
    )  # fmt: skip


def run(*arguments):
    told = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.stdout


class Bent:
    """A bundle taken apart, to be put together again as a dishonest exchange with its own keys would."""

    def __init__(self, story):
        first, *lines = story.bundle.read_bytes()[:-1].split(b"\n")
        self.opening = json.loads(first)
        self.texts = [line[65:] for line in lines]
        self.signer = signer_of(story.home / "exchange")

    def find(self, kind):
        return next(n for n, text in enumerate(self.texts) if json.loads(text)["kind"] == kind)

    def change(self, number, edit):
        entry = json.loads(self.texts[number])
        edit(entry)
        self.texts[number] = canonical.encode(entry)

    def add(self, kind, body):
        last = json.loads(self.texts[-1])
        self.texts.append(canonical.encode({"at": last["at"], "body": body, "kind": kind, "seq": last["seq"] + 1}))

    def renumber(self):
        for number in range(len(self.texts)):
            self.change(number, lambda entry, number=number: entry.update(seq=number + 1))

    def sign(self):
        """Sign the entries as they stand now; what others cosigned stays."""
        chain = second.sha(LABEL + canonical.encode({"format": "touchstone journal 1", "owner": "exchange"}))
        for text in self.texts:
            chain = second.sha(LABEL + chain + text)
        root = second.mth([second.sha(b"\0" + text) for text in self.texts])
        at = json.loads(self.opening["head"]["body"])["at"]
        head = {"size": len(self.texts), "root": root.hex(), "chain": chain.hex(), "at": at}
        self.opening["head"] = attest("head", head, self.signer).to_json()
        return self

    def bytes(self):
        chain = second.sha(LABEL + canonical.encode({"format": "touchstone journal 1", "owner": "exchange"}))
        lines = [canonical.encode(self.opening)]
        for text in self.texts:
            chain = second.sha(LABEL + chain + text)
            lines.append(chain.hex().encode() + b" " + text)
        return b"\n".join(lines) + b"\n"


def both_refuse(tmp_path, data, **named):
    """Both verifiers refuse; return the product's reason, and the entry that it names."""
    path = tmp_path / "bent.bundle"
    path.write_bytes(data)
    seen = named.get("seen")
    with pytest.raises(second.Refuted):
        second.verify(data, log=named.get("log"), seen=None if seen is None else seen.model_dump())
    with pytest.raises((Wrong, Mismatch, Malformed)) as refusal:
        verdict.verify(path, **named)
    assert refusal.value.fix
    return refusal.value.reason


# -- what an honest log holds ------------------------------------------------------------------------------------------


def test_two_verifiers_that_share_no_code_agree_on_an_honest_log(story):
    for path in (story.bundle, story.copied):
        found = verdict.verify(path, log=story.id)
        other = second.verify(path.read_bytes(), log=story.id)
        told = found.to_json()
        assert other["liens"] == {("bank-a/accounts", 1): "lender-x"}
        assert told["liens"] == [{"asset": "bank-a/accounts", "rank": 1, "holder": "lender-x"}]
        charged = story.receipt["charged"]
        assert {account["owner"]: account["everyone"] for account in told["budgets"]} == charged
        assert {name.split("/")[0]: sum(spent.values()) for name, spent in other["spent"].items()} == charged
        assert told["sessions"] == {"answered": 1, "open": 0, "all": 1}
        assert [one["report"] for one in told["appraisals"]] == ["ab" * 32]
        assert told["overrides"] == []
    assert set(found.cosigned) == {"bank-a", "bank-b", "bank-c"}


def test_the_command_tells_what_was_found_and_refuses_in_words(story, tmp_path):
    told = run("audit", "verify", str(story.bundle), "--log", story.id, "--seen", str(story.first))
    assert "all entries are sound" in told
    assert "lien     bank-a/accounts rank 1: lender-x" in told
    assert json.loads(run("audit", "verify", str(story.bundle), "--as", str(story.home / "regulator"), "--json"))
    other = subprocess.run(
        [sys.executable, "-P", "-m", "api.cli", "audit", "verify", str(story.bundle), "--log", "0" * 64],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (other.returncode, other.stdout) == (1, "")
    assert "another log than the pinned one" in other.stderr
    assert "Traceback" not in other.stderr
    for bad in ("short", "G" * 64):
        with pytest.raises(Malformed):
            cli.app(["audit", "pin", str(story.home / "lender-y"), bad], standalone_mode=False)


def test_every_kind_of_entry_has_its_rule():
    assert set(RULES) == set(PROJECTION.apply), "whoever adds an event adds what an auditor checks of it"
    assert set(second.ENVELOPES) | second.PLAIN == set(RULES)


def test_an_asker_is_promised_its_places_and_proves_them_with_its_receipt(story):
    promise = second.check_statement(story.proof["promise"], "promise", story.id)
    head = second.check_statement(story.proof["head"], "head", story.id)
    texts = [line[65:] for line in story.bundle.read_bytes()[:-1].split(b"\n")[1:]]
    kinds = []
    for place in promise["entries"]:
        leaf, steps = bytes.fromhex(place["leaf"]), story.proof["paths"][str(place["seq"])]
        root = second.root_from_path(leaf, place["seq"] - 1, head["size"], [bytes.fromhex(step) for step in steps])
        assert root.hex() == head["root"]
        text = texts[place["seq"] - 1]
        assert second.sha(b"\0" + text) == leaf
        kinds.append(json.loads(text)["kind"])
    assert kinds == ["session", "message", "message", "message", "folded"]
    assert json.loads((story.home / "lender-x" / "proofs" / f"{promise['session']}.json").read_text()) == story.proof


def test_an_answer_whose_place_is_not_promised_is_not_shown(story, tmp_path):
    home = tmp_path / "desk"
    home.mkdir()
    Witness(home).pin(story.id)
    now, session = int(time.time()), story.receipt["session"]
    whole = json.loads(json.dumps(story.record))
    honest = signer_of(story.home / "exchange")
    body = json.loads(whole["logged"]["promise"]["body"])

    def told(bend):
        record = json.loads(json.dumps(whole))
        bend(record["logged"])
        return record

    def promised(signer=honest, **changed):
        return lambda logged: logged.update(promise=attest("promise", body | changed, signer).to_json())

    def places(edit):
        return lambda logged: logged.update(places=edit(logged["places"]))

    proofs = Proofs(home, None, directory={})
    proofs.keep_promise(session, told(promised()), story.plan, now=now)
    stranger = LogSigner(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())
    for bend in (
        promised(signer=stranger),
        promised(session="0" * 64),
        promised(entries=body["entries"][1:]),
        promised(entries=[*body["entries"][:-1], body["entries"][-1] | {"leaf": "0" * 64}]),
        places(lambda held: held[1:]),
        places(lambda held: [*held, held[-1]]),
        places(lambda held: [held[0] | {"at": held[0]["at"] + 1}, *held[1:]]),
        places(lambda held: [held[0], held[1] | {"party": "bank-z"}, *held[2:]]),
        lambda logged: logged.update(promise=attest("head", body, honest).to_json()),
    ):
        with pytest.raises(Mismatch):
            proofs.keep_promise(session, told(bend), story.plan, now=now)
    for bend in (dict.clear, places(lambda held: [1]), places(lambda held: "all")):
        with pytest.raises(PeerFault):
            proofs.keep_promise(session, told(bend), story.plan, now=now)
    with pytest.raises(Unknown):
        proofs.prove("0" * 64, now=now)


def test_a_regulator_follows_the_head(story):
    watched = [json.loads(line) for line in story.watched.splitlines()]
    assert watched
    assert story.head["log"] == story.id
    sizes = [story.head["size"], *(one["size"] for one in watched)]
    assert sizes == sorted(sizes)


def test_keys_of_the_log_are_for_their_owner_alone(story):
    for name in ("ml-dsa.key", "signing.key", "salt.key", "log.json"):
        assert (story.home / "exchange" / name).stat().st_mode & 0o777 == 0o600
    held = LogSigner(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())
    assert held.ml_dsa_65.private_bytes_raw().hex()[:16] not in repr(held)


# -- what is refused, and where ----------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.data())
def test_a_single_flipped_byte_anywhere_is_refused(story, tmp_path_factory, data):
    flip(story, tmp_path_factory.mktemp("flip"), data)


@pytest.mark.long
@settings(max_examples=1000)
@given(st.data())
def test_many_flipped_bytes_are_refused(story, tmp_path_factory, data):
    flip(story, tmp_path_factory.mktemp("flip"), data)


def flip(story, directory, data):
    whole = bytearray(story.bundle.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    reason = both_refuse(directory, bytes(whole), log=story.id)
    # a line's fault is named at its line; a newline that comes or goes makes the next one wrong
    line = story.bundle.read_bytes()[:at].count(b"\n")
    if line and reason.startswith("entry "):
        assert int(reason.split(":")[0].removeprefix("entry ")) in (line, line + 1)


def test_entries_that_are_missing_moved_or_forged_are_named(story, tmp_path):
    whole = story.bundle.read_bytes()
    lines = whole.split(b"\n")
    count = len(lines) - 2
    assert "entry 11: it is missing" in both_refuse(tmp_path, b"\n".join(lines[:11]) + b"\n")
    assert f"entry {count}: the line is cut off" in both_refuse(tmp_path, whole[:-5])
    assert f"entry {count + 1}:" in both_refuse(tmp_path, whole + lines[-2] + b"\n")
    assert "entry 5: it was changed" in both_refuse(tmp_path, b"\n".join([*lines[:5], *lines[6:]]))
    moved = [*lines[:7], lines[8], lines[7], *lines[9:]]
    assert "entry 7: it was changed" in both_refuse(tmp_path, b"\n".join(moved))
    repeated = [*lines[:7], lines[7], *lines[7:]]
    assert "entry 8: it was changed" in both_refuse(tmp_path, b"\n".join(repeated))


def test_an_exchange_that_signs_a_log_of_its_own_making_is_caught_at_the_entry(story, tmp_path):
    bent = Bent(story)
    bent.texts[6], bent.texts[7] = bent.texts[7], bent.texts[6]
    assert "entry 7: it calls itself entry 8" in both_refuse(tmp_path, bent.sign().bytes())

    bent = Bent(story)
    number = max(n for n, text in enumerate(bent.texts) if b'"kind":"share"' in text)
    bent.change(
        number,
        lambda e: e["body"]["envelope"].update(
            body=e["body"]["envelope"]["body"].replace('"charged":2', '"charged":1')
        ),
    )
    reason = both_refuse(tmp_path, bent.sign().bytes())
    assert reason == f"entry {number + 1}: the signature does not belong to this message"

    bent = Bent(story)
    bent.add("gift", {})
    assert "does not know" in both_refuse(tmp_path, bent.sign().bytes())

    bent = Bent(story)
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    bent.add("party", {"id": "bank-a", "name": "Bank A", "role": "institution", "key": key})
    assert "bank-a is enrolled twice" in both_refuse(tmp_path, bent.sign().bytes())


def test_an_exchange_that_forgets_an_entry_is_caught_by_what_nodes_cosigned(story, tmp_path):
    bent = Bent(story)
    number = next(n for n, text in enumerate(bent.texts) if b'"id":"lender-y"' in text)
    del bent.texts[number]
    bent.renumber()
    reason = both_refuse(tmp_path, bent.sign().bytes())
    assert "saw other entries" in reason
    bent.opening["cosigned"] = []
    path = tmp_path / "silenced.bundle"
    path.write_bytes(bent.bytes())
    assert verdict.verify(path, log=story.id).cosigned == {}, "without witnesses, only who remembers a head can tell"
    seen = TreeHead.model_validate_json(Attested.from_json(json.loads(story.first.read_text())).body)
    reason = both_refuse(tmp_path, bent.bytes(), log=story.id, seen=seen)
    assert "stale" in reason or "forked" in reason


def test_a_head_that_was_seen_makes_a_stale_or_forked_bundle_known(story, tmp_path):
    found = verdict.verify(story.bundle)
    bent = Bent(story)
    bent.opening["cosigned"] = []
    del bent.texts[-1]
    assert "stale" in both_refuse(tmp_path, bent.sign().bytes(), seen=found.head)
    bent = Bent(story)
    bent.opening["cosigned"] = []
    bent.texts.pop()
    bent.add("witness", {"party": "bank-a", "seq": 1 << 30, "hash": "0" * 64})
    bent.add("witness", {"party": "bank-b", "seq": 1 << 30, "hash": "0" * 64})
    assert "forked" in both_refuse(tmp_path, bent.sign().bytes(), seen=found.head)


def test_a_head_without_both_signatures_of_the_pinned_log_is_none(story, tmp_path):
    stranger = LogSigner(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())
    bent = Bent(story)
    bent.signer = stranger
    assert "another log" in both_refuse(tmp_path, bent.sign().bytes(), log=story.id)
    honest = signer_of(story.home / "exchange")
    mixed = (LogSigner(honest.ed25519, stranger.ml_dsa_65), LogSigner(stranger.ed25519, honest.ml_dsa_65))
    for half, name in zip(mixed, ("ML-DSA-65", "Ed25519"), strict=True):
        bent.signer = half
        bent.sign()
        bent.opening["head"]["keys"] = honest.keys.to_json()
        other = Attested.from_json(Bent(story).opening["head"])
        assert f"{name} signature does not hold" in both_refuse(tmp_path, resigned(bent, other, half), log=story.id)
    for name in ("ed25519", "ml_dsa_65"):
        bent = Bent(story)
        del bent.opening["head"]["signatures"][name]
        assert "both signatures" in both_refuse(tmp_path, bent.bytes(), log=story.id)
        bent.opening["head"]["signatures"][name] = ""
        assert "both signatures" in both_refuse(tmp_path, bent.bytes(), log=story.id)


def resigned(bent, other, half):
    """Sign the head under the honest keys' name with the half that one has, and keep that of another body for the rest."""
    honest = other.keys
    name = canonical.encode(["head", honest.id])
    signed = b"touchstone/log/1\0" + len(name).to_bytes(4, "big") + name + other.body
    texts = {
        "ed25519": base64.urlsafe_b64encode(half.ed25519.sign(signed)).decode().rstrip("="),
        "ml_dsa_65": base64.urlsafe_b64encode(half.ml_dsa_65.sign(signed)).decode().rstrip("="),
    }
    bent.opening["head"] = {**other.to_json(), "signatures": texts}
    return bent.bytes()


def colluded(home, offer, *, filed):
    """Yield what lender-y, its officers and the owner would sign for a second lien of the same rank; ``filed`` is the first."""
    officers = town.OFFICERS["lender-y"]
    yield "officers", message(Officers, home / "lender-y", officers=officers).to_json()
    approvals = [message(Endorsement, home / one, offer=offer, act="approve", because="") for one in officers]
    said = [
        *approvals,
        message(Signature, home / "lender-y", offer=offer, endorsements=tuple(one.id for one in approvals)),
        message(Consent, home / "bank-a", offer=offer),
    ]
    for stage, envelope in zip(("quoted", "approved", "approved", "signed"), said, strict=True):
        yield "pledge", {"offer": offer, "stage": stage, "envelope": envelope.to_json()}
    searched, filing = filed
    yield "searched", searched | {"offer": offer}
    title = json.loads(filing["body"])["title"]
    yield "lien", message(Filing, home / "lender-y", offer=offer, title=title, expires=TERMS["matures"]).to_json()


def test_parties_that_collude_with_the_exchange_cannot_pledge_twice_or_spend_beyond_a_published_cap(story, tmp_path):
    bent, home = Bent(story), story.home
    bent.opening["cosigned"] = []
    terms = TERMS | {"amount": 5, "appraisal": story.recorded.id}
    bent.add("offer", message(Offer, home / "lender-y", **terms, nonce="1" * 64).to_json())
    assert "the rank was taken before" in refuse_by_product(tmp_path, bent)
    bent = Bent(story)
    bent.opening["cosigned"] = []
    offer = message(Offer, home / "lender-y", **terms, nonce="1" * 64)
    first = bent.find("searched")
    bent.texts.insert(first, canonical.encode({"at": json.loads(bent.texts[first])["at"], "body": offer.to_json(), "kind": "offer", "seq": 0}))  # fmt: skip
    bent.renumber()
    filed = [json.loads(bent.texts[bent.find(kind)])["body"] for kind in ("searched", "lien")]
    for kind, body in colluded(home, offer.id, filed=filed):
        bent.add(kind, body)
    assert "a second claim of rank 1 goes live" in both_refuse(tmp_path, bent.sign().bytes())

    bent = Bent(story)
    bent.opening["cosigned"] = []
    del bent.texts[bent.find("searched")]
    bent.renumber()
    assert "without a search that cleared its rows" in both_refuse(tmp_path, bent.sign().bytes())

    bent = Bent(story)
    bent.opening["cosigned"] = []
    number = bent.find("policy")
    envelope = json.loads(bent.texts[number])["body"]
    body = json.loads(envelope["body"])
    body["policy"]["everyone"] = body["policy"]["partner"] = 19_999_999
    for grant in body["policy"]["grants"]:
        grant["budget"] = min(grant["budget"], 19_999_999)
        grant["rho_per_query"] = min(grant["rho_per_query"], 19_999_999)
    owner = envelope["signer"]
    told = sign("policy", body, signer=owner, key=key_of(home / owner)).to_json()
    bent.change(number, lambda entry: entry.update(body=told))
    reason = both_refuse(tmp_path, bent.sign().bytes())
    assert f"{owner} charged 1 beyond its" in reason


def refuse_by_product(tmp_path, bent):
    path = tmp_path / "bent.bundle"
    path.write_bytes(bent.sign().bytes())
    with pytest.raises(Wrong) as refusal:
        verdict.verify(path)
    return refusal.value.reason


def test_a_cosignature_that_is_forged_or_of_another_log_is_refused(story, tmp_path):
    for bend in (
        lambda told: told.update(signature="A" * 86),
        lambda told: told.update(signer="bank-b" if told["signer"] != "bank-b" else "bank-c"),
        lambda told: told.update(signer="nobody"),
    ):
        bent = Bent(story)
        bend(bent.opening["cosigned"][0])
        assert both_refuse(tmp_path, bent.bytes())
    bent = Bent(story)
    other = Cosigned(log="0" * 64, size=1, root="0" * 64)
    bent.opening["cosigned"] = [other.sealed_by("bank-a", key_of(story.home / "bank-a")).to_json()]
    assert "another or a longer log" in both_refuse(tmp_path, bent.bytes())


def test_nothing_but_a_bundle_is_read(tmp_path):
    for data in (
        b"",
        b"\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"[" * 5000,
        b'{"format":"touchstone bundle 1"}\n',
        b"0" * 5_000_000,
    ):
        path = tmp_path / "none"
        path.write_bytes(data)
        with pytest.raises(PrivacyError):
            verdict.verify(path)
    with pytest.raises(Malformed):
        verdict.verify(tmp_path / "missing")


# -- who follows a log -------------------------------------------------------------------------------------------------


def store_of(home):
    return Store.open(home, clock=microseconds)


def fork(store, count, text):
    for number in range(count):
        store.write(lambda _, number=number: ([("witness", {"party": text, "seq": number, "hash": "0" * 64})], None))


@pytest.fixture
def twin(tmp_path):
    """A log of three entries, and a copy of the exchange that will go another way."""
    home = tmp_path / "one"
    with_store = store_of(home)
    fork(with_store, 3, "bank-a")
    with_store.close()
    shutil.copytree(home, tmp_path / "two")
    stores = store_of(home), store_of(tmp_path / "two")
    yield stores
    for store in stores:
        store.close()


def test_a_fork_and_a_log_that_was_set_back_are_told_in_words_and_kept_as_evidence(twin, tmp_path):
    one, two = twin
    now = int(time.time())
    home = tmp_path / "node"
    home.mkdir()
    witness = Witness(home)
    assert witness.take(log.shown(one.log, since=0, now=now), now=now).head.size == 3
    fork(one, 5, "bank-b")
    witness.take(log.shown(one.log, since=witness.size, now=now + 2), now=now)
    assert witness.size == 8
    cosigned = witness.cosign("bank-a", Ed25519PrivateKey.generate())
    assert json.loads(cosigned.body)["size"] == 8
    witness.told(8)
    assert witness.cosign("bank-a", Ed25519PrivateKey.generate()) is None
    told = log.shown(two.log, since=0, now=now)
    with pytest.raises(Forked, match="ends at entry 3; it was shown to entry 8"):
        Witness(home).take(told, now=now)
    fork(two, 5, "bank-c")
    told = log.shown(two.log, since=8, now=now + 2)
    with pytest.raises(Forked, match="other entries up to 8"):
        Witness(home).take(told, now=now)
    fork(two, 5, "bank-c")
    told = log.shown(two.log, since=8, now=now + 4)
    with pytest.raises(Forked, match="does not go on"):
        Witness(home).take(told, now=now)
    kept = json.loads((home / "log-forked.json").read_text())
    heads = [second.check_statement(kept[name], "head", one.log.id) for name in ("seen", "shown")]
    assert [head["size"] for head in heads] == [8, 13], "both are signed by the same keys: nobody can deny it"
    Witness(home).pin(two.log.id)
    assert Witness(home).take(told, now=now).head.size == 13, "a person may decide to go on"


def test_a_head_is_refused_from_another_log_too_old_or_ill_formed(twin, tmp_path):
    one, _ = twin
    now = int(time.time())
    told = log.shown(one.log, since=0, now=now)
    witness = Witness(tmp_path)
    with pytest.raises(Mismatch, match="7200 s old"):
        witness.take(told, now=now + 7200)
    for bad in (None, {}, {**told, "head": {}}, {**told, "consistency": ["x"]}, {**told, "cosigned": [1]}):
        with pytest.raises((PeerFault, Malformed)):
            witness.take(bad, now=now)
    assert witness.log is None
    witness.pin("0" * 64)
    with pytest.raises(Mismatch, match="another log"):
        witness.take(told, now=now)
    (tmp_path / "log.json").write_text("{")
    with pytest.raises(Unknown):
        Witness(tmp_path)


def test_what_pinned_parties_cosigned_exposes_a_log_that_is_shown_to_one_party_alone(twin, tmp_path):
    one, two = twin
    now, key = int(time.time()), Ed25519PrivateKey.generate()
    pinned = {"bank-a": key.public_key().public_bytes_raw()}
    fork(one, 2, "bank-b")
    fork(two, 3, "bank-c")
    said = Cosigned(log=one.log.id, size=5, root=one.log.tree.root(5).hex())
    envelope = said.sealed_by("bank-a", key)
    one.log.take(said, envelope)
    two.log.take(said, envelope)
    assert two.log.cosigned() == [], "an exchange takes no cosignature of another log"
    assert Witness(tmp_path).take(log.shown(one.log, since=0, now=now), now=now, directory=pinned).cosigned == {
        "bank-a": 5
    }
    told = log.shown(two.log, since=0, now=now)
    told["cosigned"] = [
        {"said": envelope.to_json(), "consistency": [one.hex() for one in two.log.tree.consistency(5, 6)]}
    ]
    (tmp_path / "other").mkdir()
    with pytest.raises(Forked):
        Witness(tmp_path / "other").take(told, now=now, directory=pinned)


def test_an_exchange_does_not_start_on_a_journal_that_lacks_what_it_signed(tmp_path):
    home = tmp_path / "home"
    store = store_of(home)
    fork(store, 3, "bank-a")
    store.close()
    shutil.copytree(home / "journal", tmp_path / "older")
    store = store_of(home)
    fork(store, 3, "bank-b")
    _, head = store.log.head(now=100)
    store.close()
    store = store_of(home)
    assert store.log.head(now=100)[1] == head, "a head that was signed is remembered"
    fork(store, 1, "bank-b")
    assert store.log.head(now=50)[0].size == 7, "a clock that was set back holds nothing up"
    names = list(backup._kept(home))
    assert names.index("log.json") < names.index("journal/000001.log"), "no head is kept without its entries"
    store.close()
    shutil.rmtree(home / "journal")
    shutil.copytree(tmp_path / "older", home / "journal")
    (home / "catalog.duckdb").unlink()
    with pytest.raises(RolledBack, match="has signed and shown"):
        store_of(home)
    (home / "ml-dsa.key").unlink()
    with pytest.raises(Unknown, match=r"ml-dsa\.key"):
        store_of(home)


def test_a_node_does_not_work_for_an_exchange_that_was_set_back(story, tmp_path):
    with town.Town(tmp_path, [], clock=microseconds) as made:
        shutil.copytree(story.home / "older", tmp_path / "exchange")
        shutil.copytree(story.home / "bank-a", tmp_path / "bank-a")
        url = made.start_exchange()
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "api.cli", "node", "up", str(tmp_path / "bank-a"), "--exchange", url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "TS-LOG-002" in ended.stderr
    assert "it was shown to entry" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "bank-a" / "log-forked.json").exists()


# -- who is not in it --------------------------------------------------------------------------------------------------


def test_no_person_is_in_the_log_but_by_a_salted_commitment(story, tmp_path):
    store = store_of(tmp_path / "home")
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for _ in range(2):
        catalog.enrol(store, party="officer-1", name="Zhang San", role="officer", key=key)
    (entry,) = store.book.journal.entries()
    salt = store.log.salt("officer-1")
    store.close()
    assert b"Zhang" not in entry.text
    assert entry.body["name"] == "sha256:" + second.sha(bytes.fromhex(salt) + b"Zhang San").hex()
    files = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert b"Zhang" not in files
    # what rows hold of persons is not in what was logged of a question over them
    persons = {row.split(",")[0] for path in story.home.rglob("*.csv") for row in path.read_text().splitlines()[1:]}
    assert persons
    whole = story.bundle.read_text()
    assert not [person for person in persons if len(person) > 4 and person in whole]

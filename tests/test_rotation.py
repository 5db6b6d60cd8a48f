"""Keys that change and keys that are taken away, over real processes: followed where the old key signed, refused everywhere else."""

import json
import shutil
import time
from contextlib import closing
from itertools import pairwise
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from api.demo import people, town
from exchange import connect, identity, pins, protecting, rotating
from exchange.audit import verdict
from exchange.hub import catalog, certificates, parties
from exchange.hub.store import Store
from exchange.line import Line
from exchange.node.vault import Vault, create
from exchange.pins import Pins
from exchange.protocol import certificate
from exchange.protocol.envelope import sign
from exchange.protocol.errors import Denied, PeerFault, Revoked, Unknown
from exchange.protocol.messages import Appraisal, Cosigned, Deprecation
from exchange.protocol.rotation import Rotation, chain, read_rotation, rotate
from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError
from tests import second_verifier as second
from tests.test_keys import FILE, Stopped, opening, stopping  # noqa: F401  a fixture
from tests.test_log import Bent, both_refuse

SQL = "SELECT COUNT(*) FROM consumer_credit"
LATER = "SELECT region, COUNT(*) FROM consumer_credit GROUP BY region"


def clock():
    return time.time_ns() // 1000


def fresh():
    return Ed25519PrivateKey.generate()


def raw(key):
    return key.public_key().public_bytes_raw()


def key_of(home):
    return identity.load(home, what="party")[1]


# -- what a change is ----------------------------------------------------------------------------------------------------


def test_a_change_is_signed_by_both_keys_and_by_nothing_less():
    old, new, stranger = fresh(), fresh(), fresh()
    change = rotate("bank-a", old=old, new=new)
    assert change == rotate("bank-a", old=old, new=new)
    assert read_rotation(change, {"bank-a": raw(old)}).key == raw(new).hex()
    honest = json.loads(change.body)
    forged = [
        rotate("bank-a", old=stranger, new=new),  # the pinned key did not sign
        rotate("bank-a", old=old, new=old),
        sign("rotation", honest | {"proof": "00" * 64}, signer="bank-a", key=old),
        sign("rotation", honest | {"key": raw(stranger).hex()}, signer="bank-a", key=old),
        sign("rotation", honest | {"old": raw(stranger).hex()}, signer="bank-a", key=old),
        sign("rotation", honest, signer="bank-b", key=old),  # the proof names its party
        sign("rotation", honest, signer="bank-a", key=new),
        sign("ask", honest, signer="bank-a", key=old),
    ]
    for one in forged:
        with pytest.raises((Mismatch, Malformed)):
            read_rotation(one, {"bank-a": raw(old), "bank-b": raw(old)})


@settings(max_examples=40)
@given(st.integers(0, 5), st.integers(0, 5), st.data())
def test_a_pin_follows_any_number_of_changes_from_any_of_its_keys(length, pinned, data):
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, length + 2)]
    changes = [rotate("bank-a", old=old, new=new) for old, new in pairwise(keys)]
    other = rotate("bank-b", old=fresh(), new=fresh())
    start = min(pinned, length)
    followed = chain("bank-a", held=raw(keys[start]), changes=[other, *changes, other])
    assert followed == changes[start:]
    # one that is missing, or out of order, is refused: nothing in between is made up
    if length - start >= 2:
        gap = data.draw(st.integers(start, length - 2))
        with pytest.raises(Mismatch):
            chain("bank-a", held=raw(keys[start]), changes=changes[:gap] + changes[gap + 1 :])
    if changes:
        with pytest.raises(Mismatch):
            chain("bank-a", held=raw(fresh()), changes=changes)


def test_a_store_takes_a_change_once_and_no_key_twice(tmp_path):
    with closing(Store.open(tmp_path / "exchange", clock=clock)) as store:
        old, new, other = fresh(), fresh(), fresh()
        for party, key in (("bank-a", old), ("bank-b", other)):
            catalog.enrol(store, party=party, name=party, role="institution", key=raw(key))
        before = sign("note", {"n": 1}, signer="bank-a", key=old)
        change = rotate("bank-a", old=old, new=new)
        parties.rotate(store, change)
        seq = store.book.head[0]
        assert parties.rotate(store, change) == {"key": raw(new).hex()}
        assert store.book.head[0] == seq
        view = store.view()
        assert view.signer("bank-a") == {"bank-a": raw(new)}
        assert view.signed(before) == {"bank-a": raw(old)}
        for key in (old, other, new):
            with pytest.raises((PeerFault, Mismatch)):
                parties.rotate(store, rotate("bank-a", old=new, new=key))
            with pytest.raises(PeerFault):
                catalog.enrol(store, party="late", name="late", role="lender", key=raw(key))
        # what was looked at under the old key is not written after the change
        late = Deprecation(dataset="accounts", because="x", successor=None).sealed_by("bank-a", old)
        with pytest.raises(Mismatch, match="signature"):
            store.write(lambda _: ([("deprecated", late.to_json())], None))
        with pytest.raises(Unknown):
            parties.revoke(store, "nobody", because="lost")
        for because in ("", "a\nb", "x" * 401):
            with pytest.raises(Malformed):
                parties.revoke(store, "bank-a", because=because)
        parties.revoke(store, "bank-a", because="stolen")
        with pytest.raises(PeerFault):
            parties.revoke(store, "bank-a", because="stolen")
        assert not store.view().signer("bank-a")
        with pytest.raises(Mismatch):
            parties.rotate(store, rotate("bank-a", old=new, new=fresh()))
        with pytest.raises(PeerFault):
            catalog.enrol(store, party="bank-a", name="bank-a", role="lender", key=raw(fresh()))
        again = fresh()
        catalog.enrol(store, party="bank-a", name="bank-a", role="institution", key=raw(again))
        assert store.view().signer("bank-a") == {"bank-a": raw(again)}
        assert store.view().signed(before) == {"bank-a": raw(old)}
        rows = [{name: row[name] for name in row} for row in store.view().parties()]
    (tmp_path / "exchange" / "catalog.duckdb").unlink()
    with closing(Store.open(tmp_path / "exchange", clock=clock)) as store:
        assert store.view().parties() == rows
        assert store.view().signed(before) == {"bank-a": raw(old)}


# -- from end to end -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A node, an asker and an officer change their keys between questions; a lender's key is revoked; a bundle is taken."""
    home = tmp_path_factory.mktemp("rotation")
    told = SimpleNamespace(home=home, kept={})
    with town.Town(home, people.synthesise(home, rows=1000), clock=clock) as made:
        made.settle()
        url = told.url = made.start_exchange()
        for one in made.institutions:
            made.start_node(one.party)
        with connect(home / "lender-x", url) as client:
            told.first = client.query(SQL, purpose=town.PURPOSE, budget=0.02).run()
        for party in ("bank-a", "lender-x"):
            told.kept[party] = key_of(home / party)
        # while the node runs, its key is not changed under it
        told.running = run("keys", "rotate", str(home / "bank-a"), "--exchange", url)
        node = next(process for party, process in made._processes if party == "bank-a")
        node.kill()
        node.wait(timeout=20)  # until then the directory is its own
        told.rotated = run("keys", "rotate", str(home / "bank-a"), "--exchange", url)
        told.asked = run("keys", "rotate", str(home / "lender-x"), "--exchange", url)
        made.start_node("bank-a")
        with connect(home / "lender-x", url) as client:
            told.second = client.query(LATER, purpose=town.PURPOSE, budget=0.02).run()
            old = client.jobs()[-1]
            # an answer of before the change, opened only now
            told.reopened = client.desk.open(client.desk.record(old.id), old.plan)
            told.certificate = client.desk.line.get("/v1/datasets/bank-a/accounts/certificate")
            told.exchange_key = bytes.fromhex(client.desk.line.get("/v1/exchange")["key"])
        told.refused = {}
        for party, key in told.kept.items():
            with Line(url, party=party, key=key) as line, pytest.raises(Denied) as refusal:
                line.get("/v1/parties")
            told.refused[party] = refusal.value
        with Line(url, party="lender-x", key=key_of(home / "lender-x")) as line:
            listed = line.get("/v1/rotations")["rotations"]
            told.listed = [(one["seq"], one["envelope"]["signer"]) for one in listed]
            late = Appraisal(asset="bank-a/accounts", report="ab" * 32, releases=())
            with pytest.raises(Mismatch):
                line.post("/v1/appraisals", late.sealed_by("lender-x", told.kept["lender-x"]))
        told.stops = stopped_rotations(home / "x-credit", url)
        made.stop()
        told.revoked = run("exchange", "revoke", str(home / "exchange"), "lender-y", "--reason", "laptop stolen")
        url = made.start_exchange()
        with Line(url, party="lender-y", key=key_of(home / "lender-y")) as line, pytest.raises(Revoked) as refusal:
            line.get("/v1/parties")
        told.gone = refusal.value
        with Line(url, party="lender-y", key=fresh()) as line, pytest.raises(Denied) as refusal:
            line.get("/v1/parties")
        told.stranger = refusal.value
        with Line(url, party="lender-x", key=key_of(home / "lender-x")) as line:
            told.parties = {one["id"]: one["revoked"] for one in line.get("/v1/parties")["parties"]}
    told.bundle = home / "copied.bundle"
    run("audit", "export", str(home / "exchange"), "-o", str(told.bundle))
    with closing(Store.open(home / "exchange", clock=clock)) as store:
        told.id = store.log.id
    return told


def run(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


def stopped_rotations(home, url, *, stride=3):
    """Stop a change of a key at changes of a name on the disk and around requests; finish it each time.

    With ``stride`` 1 at every one of them: see the long test below.
    """

    def line_to(party, key):
        return Line(url, party=party, key=key)

    protecting.protect(home, FILE)
    seen = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("exchange.passphrase.given", lambda _: FILE)
        identity._unwrapped.cache_clear()
        for after in range(0, 90, stride):
            before, finished = key_of(home), False
            with pytest.MonkeyPatch.context() as stops:
                count = stopping(stops, after)
                asked = Line._try

                def asking(*arguments, asked=asked, count=count, **named):
                    count()
                    told = asked(*arguments, **named)
                    count()
                    return told

                stops.setattr(Line, "_try", asking)
                try:
                    rotating.rotate(home, line_to)
                    finished = True
                except Stopped:
                    pass
            held = raw(key_of(home))
            if not finished:
                rotating.rotate(home, line_to)
            now = key_of(home)
            assert held in (raw(before), raw(now))
            assert not (home / rotating.NEXT).exists()
            with line_to(home.name, now) as line:
                line.get("/v1/exchange")
            seen.append((raw(before), raw(now)))
            if finished:
                return seen
    raise AssertionError("it never finished")


def test_a_change_is_followed_by_nodes_and_desks_and_nothing_of_before_is_lost(story):
    assert story.running.exit_code == 1
    assert story.rotated.exit_code == story.asked.exit_code == 0, (story.rotated.output, story.asked.output)
    new = bytes.fromhex(story.rotated.stdout.split()[0])
    assert new == raw(key_of(story.home / "bank-a")) != raw(story.kept["bank-a"])
    assert Pins(story.home / "lender-x")["bank-a"] == new
    asker = raw(key_of(story.home / "lender-x"))
    for node in ("bank-b", "bank-c"):
        with closing(Vault.open(story.home / node, clock=clock)) as vault:
            assert vault.directory()["bank-a"] == new
            assert vault.directory()["lender-x"] == asker
            old = sign("note", {}, signer="bank-a", key=story.kept["bank-a"])
            assert vault.signed(old) == {"bank-a": raw(story.kept["bank-a"])}
    charged = story.second.receipt["charged"]
    assert set(charged) == {"bank-a", "bank-b", "bank-c"}
    assert all(charged.values())
    assert story.reopened.receipt["plan_hash"] == story.first.receipt["plan_hash"]
    assert story.reopened.receipt["session"] == story.first.receipt["session"]
    assert {party for _, party in story.listed} == {"bank-a", "lender-x"}


def test_what_the_old_key_asks_is_refused_and_what_to_do_is_told(story):
    for refusal in story.refused.values():
        assert "replaced" in refusal.reason
        assert "keys rotate" in refusal.fix
    assert "revoked" in story.gone.reason
    assert "invite" in story.gone.fix
    assert "not signed by a registered party" in story.stranger.reason
    assert story.parties["lender-y"]
    assert story.parties["lender-x"] is None


def test_a_change_that_is_stopped_anywhere_is_finished_by_the_same_command(story):
    assert len(story.stops) > 5
    # stopped before the new key was anywhere or after it was everywhere, the same command made one change or two
    assert all(before != now for before, now in story.stops)


@pytest.mark.long
def test_a_change_that_is_stopped_at_any_step_is_finished_by_the_same_command(tmp_path):
    with town.Town(tmp_path, people.synthesise(tmp_path, rows=1000), clock=clock) as made:
        made.settle()
        assert len(stopped_rotations(tmp_path / "x-credit", made.start_exchange(), stride=1)) > 15


def test_a_certificate_of_before_and_after_holds(story):
    told, registration, _ = certificate.verify(story.certificate, exchange_key=story.exchange_key)
    assert registration.dataset == "accounts"
    assert told.owner_key == raw(key_of(story.home / "bank-a")).hex()
    assert [change.kind for change in told.rotations] == ["rotated"]
    signing = key_of(story.home / "exchange")
    for bent in (
        told.model_copy(update={"rotations": ()}),
        told.model_copy(update={"owner_key": raw(story.kept["bank-a"]).hex()}),
        told.model_copy(update={"rotations": (told.rotations[0].model_copy(update={"kind": "revoked"}),)}),
    ):
        with pytest.raises((Mismatch, Malformed)):
            certificate.verify(bent.sealed(signing).to_json(), exchange_key=story.exchange_key)


def test_a_certificate_still_holds_when_the_owners_key_is_revoked_and_it_is_enrolled_anew(story, tmp_path):
    home = shutil.copytree(story.home / "exchange", tmp_path / "exchange")
    with closing(Store.open(home, clock=clock)) as store:
        for step in ("revoked", "anew"):
            if step == "revoked":
                parties.revoke(store, "bank-a", because="lost")
            else:
                catalog.enrol(store, party="bank-a", name=people_name(store), role="institution", key=raw(fresh()))
            issued = certificates.issue(store, "bank-a/accounts", reader="bank-b")
            told, registration, _ = certificate.verify(issued.to_json(), exchange_key=story.exchange_key)
            assert registration.dataset == "accounts"
            assert [change.kind for change in told.rotations] == ["rotated", "revoked"]


def people_name(store):
    return next(one["name"] for one in store.view().parties() if one["id"] == "bank-a")


def test_two_verifiers_agree_on_a_log_with_changed_and_revoked_keys(story):
    found = verdict.verify(story.bundle, log=story.id)
    assert second.verify(story.bundle.read_bytes(), log=story.id)
    assert found.record.kinds["rotated"] >= 2 + len(story.stops)
    assert found.record.kinds["revoked"] == 1
    assert [one["what"] for one in found.record.overrides] == ["revoked"]
    assert {"bank-b", "bank-c"} <= set(found.cosigned)
    # who pins the first key sees that it signed for the present one; who pins another sees the difference
    verdict.verify(story.bundle, log=story.id, pinned={"bank-a": raw(story.kept["bank-a"])})
    with pytest.raises(verdict.Wrong, match="another key than the pinned"):
        verdict.verify(story.bundle, log=story.id, pinned={"bank-a": raw(fresh())})


def test_both_verifiers_refuse_a_log_that_takes_old_keys_or_forged_changes(story, tmp_path):
    old, new = story.kept["bank-a"], key_of(story.home / "bank-a")
    late = Deprecation(dataset="accounts", because="late", successor=None)
    entries = {
        "an old key signs after the change": ("deprecated", late.sealed_by("bank-a", old).to_json()),
        "the same change again": ("rotated", rotate("bank-a", old=old, new=new).to_json()),
        "back to a key that was given up": ("rotated", rotate("bank-a", old=new, new=old).to_json()),
        "to another's key": ("rotated", rotate("bank-a", old=new, new=key_of(story.home / "bank-b")).to_json()),
        "unproved": ("rotated", Rotation(old=raw(new).hex(), key="11" * 32, proof="00" * 64).sealed_by("bank-a", new).to_json()),
        "a key that was revoked before": ("revoked", {"party": "lender-y", "key": raw(key_of(story.home / "lender-y")).hex(), "because": "x"}),
        "an old key is revoked": ("revoked", {"party": "bank-a", "key": raw(old).hex(), "because": "x"}),
        "enrolled twice": ("party", {"id": "bank-a", "name": "a", "role": "institution", "key": "22" * 32}),
        "enrolled with a key that was given up": ("party", {"id": "late", "name": "a", "role": "lender", "key": raw(old).hex()}),
    }  # fmt: skip
    for what, (kind, body) in entries.items():
        bent = Bent(story)
        bent.add(kind, body)
        bent.sign()
        assert both_refuse(tmp_path, bent.bytes(), log=story.id), what
    honest = Bent(story)
    honest.add("deprecated", late.sealed_by("bank-a", new).to_json())
    (tmp_path / "honest").write_bytes(honest.sign().bytes())
    verdict.verify(tmp_path / "honest", log=story.id)
    # a cosignature by a key that had been given up by then
    bent = Bent(story)
    root = second.mth([second.sha(b"\0" + text) for text in bent.texts]).hex()
    for key, holds in ((new, True), (old, False)):
        bent.opening["cosigned"] = [
            Cosigned(log=story.id, size=len(bent.texts), root=root).sealed_by("bank-a", key).to_json()
        ]
        if holds:
            (tmp_path / "cosigned").write_bytes(bent.bytes())
            assert verdict.verify(tmp_path / "cosigned", log=story.id).cosigned == {"bank-a": len(bent.texts)}
            second.verify(bent.bytes(), log=story.id)
        else:
            assert both_refuse(tmp_path, bent.bytes(), log=story.id)


def test_a_pin_is_not_moved_by_an_exchange_alone(tmp_path):
    home, held = tmp_path / "desk", fresh()
    home.mkdir()
    (home / pins.PINNED).write_bytes(canonical.encode({"bank-a": raw(held).hex()}))
    new, stranger = fresh(), fresh()
    message = sign("note", {}, signer="bank-a", key=stranger)
    with pytest.raises(Mismatch, match="did not sign for it"):
        Pins(home, lambda: [(5, rotate("bank-a", old=stranger, new=new))]).of(message)
    assert Pins(home)["bank-a"] == raw(held)
    followed = Pins(home, lambda: [(7, rotate("bank-a", old=held, new=new))])
    ours, theirs = (sign("note", {}, signer="bank-a", key=key) for key in (held, new))
    assert followed.of(theirs)["bank-a"] == raw(new)
    for seq, right in ((None, held), (6, held), (7, new), (8, new)):
        assert Pins(home).of(ours, seq=seq)["bank-a"] == raw(right)
    with pytest.raises(Mismatch):
        ours.verify(followed.present(ours))
    with pytest.raises(PeerFault):
        Pins(home).add("bank-a", raw(stranger), replaces=raw(held))
    Pins(home).add("bank-a", raw(stranger), replaces=raw(new))
    assert Pins(home)["bank-a"] == raw(stranger)
    for broken in ("{", '{"bank-a": 5}', "[]"):
        (home / pins.PINNED).write_text(broken)
        with pytest.raises(PrivacyError):
            Pins(home)


def test_a_node_pins_another_key_only_in_place_of_one_that_is_named(tmp_path):
    first, second_key, third = (raw(fresh()) for _ in range(3))
    create(tmp_path / "node", party="bank-b")
    with closing(Vault.open(tmp_path / "node", clock=clock)) as vault:
        vault.pin("bank-a", first, role="institution")
        for replaces in (None, second_key):
            with pytest.raises(PeerFault):
                vault.pin("bank-a", second_key, role="institution", replaces=replaces)
        with pytest.raises(PeerFault):
            vault.pin("bank-a", second_key, role="lender", replaces=first)
        vault.pin("bank-a", second_key, role="institution", replaces=first)
        vault.pin("bank-a", second_key, role="institution", replaces=third)
        assert vault.directory() == {"bank-a": second_key}

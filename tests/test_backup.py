"""Backups of real parties, taken while they work, put back, and refused when anything in them was changed."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import closing

import pytest

from api.demo import people, town
from exchange import backup, identity
from exchange.hub.store import Store
from exchange.journal import Journal
from exchange.node.vault import Vault
from exchange.protocol.errors import PeerFault
from privacy.errors import Malformed, Mismatch, PrivacyError

AT = 1_790_000_000_000_000


def clock():
    return time.time_ns() // 1000


def touchstone(*args):
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *map(str, args)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    """An exchange, a node with a registered dataset and a desk, none of them running."""
    home = tmp_path_factory.mktemp("parties")
    with town.Town(home, people.synthesise(home, rows=1000), clock=clock) as made:
        made.settle()
    return home


@pytest.fixture
def ledger(tmp_path):
    home = tmp_path / "party"
    identity.make(home, party="bank-a", what="node")
    with Journal.open(home / "journal", owner="bank-a") as journal:
        for number in range(5):
            journal.append([("note", {"n": number})], AT + number)
    return home


@pytest.mark.parametrize("party", ["exchange", "bank-a", "lender-x"])
def test_a_party_comes_back_as_it_was(parties, tmp_path, party):
    made = backup.take(parties / party, tmp_path / "b", at=AT)
    assert (made.party, made.taken) == (party, AT)
    assert backup.verify(tmp_path / "b") == made
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert backup.restore(tmp_path / "b", tmp_path / "again") == made
    back = tmp_path / "again"
    assert identity.load(back, what="x")[0] == party
    for path in [back, *back.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0
    for name in made.files:
        assert (back / name).read_bytes() == (parties / party / name).read_bytes()
    if party == "bank-a":
        assert "collateral.key" in made.files, "without it, fingerprints could not be compared any more"
        with closing(Vault.open(parties / party, clock=clock)) as old, closing(Vault.open(back, clock=clock)) as new:
            assert old.head == new.head == made.head
            assert old.datasets() == new.datasets() != []
            assert old.spending() == new.spending()
    if party == "exchange":
        with closing(Store.open(parties / party, clock=clock)) as old, closing(Store.open(back, clock=clock)) as new:
            assert old.book.head == new.book.head == made.head
            assert old.view().parties() == new.view().parties() != []


def test_no_row_and_nothing_that_can_be_made_again_is_in_a_backup(parties, tmp_path):
    made = backup.take(parties / "bank-a", tmp_path / "b", at=AT)
    left = {path.relative_to(parties / "bank-a").parts[0] for path in (parties / "bank-a").rglob("*") if path.is_file()}
    left -= {name.partition("/")[0] for name in made.files}
    # a new kind of file must be told: kept, or made again
    assert left <= {"catalog.duckdb", "prepared", "process.log", "errors.log", "source", "documents"}


def test_a_ledger_is_backed_up_while_it_is_written(ledger, tmp_path):
    stop = threading.Event()

    def write():
        with Journal.open(ledger / "journal", owner="bank-a") as journal:
            while not stop.is_set():
                journal.append([("note", {"text": "x" * 2000})], clock())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = [backup.take(ledger, tmp_path / "b0", at=AT)]
        while len(taken) < 12 or taken[-1].head == taken[0].head:
            taken.append(backup.take(ledger, tmp_path / f"b{len(taken)}", at=AT))
    finally:
        stop.set()
        writer.join()
    with Journal.open(ledger / "journal", owner="bank-a") as journal:
        for number, made in enumerate(taken):
            assert journal.hash_at(made.head[0]) == made.head[1]
            assert backup.verify(tmp_path / f"b{number}") == made


def test_a_write_that_was_not_finished_is_cut_off_the_copy_alone(ledger, tmp_path):
    (file,) = ledger.glob("journal/*.log")
    whole = file.read_bytes()
    file.write_bytes(whole + whole[-40:-20])
    made = backup.take(ledger, tmp_path / "b", at=AT)
    assert made.head[0] == 5
    assert file.read_bytes() != whole
    backup.restore(tmp_path / "b", tmp_path / "again")
    assert (tmp_path / "again" / "journal" / file.name).read_bytes() == whole


def changed(path, act):
    """Write the archive anew with what ``act`` makes of its members' names and contents."""
    with tarfile.open(path) as archive:
        members = [(member.name, archive.extractfile(member).read()) for member in archive]
    with tarfile.open(path, "w") as archive:
        for name, content in act(members):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def with_manifest(members, change):
    told = json.loads(members[0][1])
    change(told)
    return [("backup.json", json.dumps(told).encode()), *members[1:]]


TAMPERED = {
    "a byte of a key": lambda m: [(n, (b"e" if c[:1] == b"f" else b"f") + c[1:] if n == "signing.key" else c) for n, c in m],
    "a byte of the journal": lambda m: [(n, c[:-9] + bytes([c[-9] ^ 1]) + c[-8:] if n.endswith(".log") else c) for n, c in m],
    "a file less": lambda m: m[:-1],
    "a file more": lambda m: [*m, ("pinned.json", b"{}")],
    "a file twice": lambda m: [*m, m[-1]],
    "a way out": lambda m: [*m, ("../evil.key", b"x")],
    "a way out that is listed": lambda m: with_manifest([*m, ("../evil.key", b"")], lambda t: t["files"].update({"../evil.key": [0, ""]})),
    "no list": lambda m: m[1:],
    "a list that is none": lambda m: [("backup.json", b"[]"), *m[1:]],
    "another format": lambda m: with_manifest(m, lambda t: t.update(format="x")),
    "another head": lambda m: with_manifest(m, lambda t: t["head"].__setitem__(0, 4)),
    "another party": lambda m: with_manifest(m, lambda t: t.update(party="bank-b")),
    "a negative size": lambda m: with_manifest(m, lambda t: t["files"]["party"].__setitem__(0, -1)),
    "nothing": lambda m: [],
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_changed_is_refused_and_leaves_nothing(ledger, tmp_path, how):
    place = tmp_path / "place"
    place.mkdir()
    backup.take(ledger, place / "b", at=AT)
    changed(place / "b", TAMPERED[how])
    for act in (lambda: backup.verify(place / "b"), lambda: backup.restore(place / "b", place / "again")):
        with pytest.raises((Malformed, Mismatch, PrivacyError)):
            act()
    assert [path.name for path in place.iterdir()] == ["b"]
    assert not (tmp_path / "evil.key").exists()


@pytest.mark.parametrize("content", [b"", b"not a backup", b"\x1f\x8b" + bytes(600), bytes(10_240)])
def test_what_is_no_backup_is_refused(tmp_path, content):
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(Malformed):
        backup.verify(tmp_path / "b")


def test_links_are_not_followed(ledger, tmp_path):
    (tmp_path / "rows.json").write_text("secret rows")
    (ledger / "rows.json").symlink_to(tmp_path / "rows.json")
    assert "rows.json" not in backup.take(ledger, tmp_path / "b", at=AT).files


def test_nothing_is_overwritten(ledger, tmp_path):
    backup.take(ledger, tmp_path / "b", at=AT)
    with pytest.raises(PeerFault, match="a file of that name"):
        backup.take(ledger, tmp_path / "b", at=AT)
    with pytest.raises(PeerFault, match="not empty"):
        backup.restore(tmp_path / "b", ledger)
    with pytest.raises(Malformed, match="no party lives"):
        backup.take(tmp_path, tmp_path / "c", at=AT)


def test_the_command_line_tells_what_it_did(parties, tmp_path):
    made = touchstone("backup", "take", parties / "bank-a", tmp_path / "b")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("bank-a, 20")
    assert touchstone("backup", "verify", tmp_path / "b").stdout == "sound: " + made.stdout
    back = touchstone("backup", "restore", tmp_path / "b", tmp_path / "again")
    assert (back.returncode, back.stdout) == (0, made.stdout)
    assert "answers nothing until that is settled" in back.stderr
    failed = touchstone("backup", "take", parties / "bank-a", tmp_path / "nowhere" / "b")
    assert failed.returncode == 1
    assert "cannot be read or written" in failed.stderr


# -- the doctor --------------------------------------------------------------------------------------------------------


def examined(home, *args):
    run = touchstone("doctor", home, "--json", *args)
    found = json.loads(run.stdout)["items"]
    assert run.returncode == int(any(finding["state"] == "fault" for finding in found)), run.stderr
    return found


def test_a_sound_party_gets_a_clean_bill(parties, tmp_path):
    home = shutil.copytree(parties / "bank-a", tmp_path / "bank-a")
    found = examined(home)
    assert {finding["state"] for finding in found} == {"fine"}
    told = " ".join(finding["text"] for finding in found)
    for words in (
        "only you can read",
        "GiB are left",
        "bank-a, key",
        "journal is whole",
        "source of accounts can be read",
    ):
        assert words in told
    shown = touchstone("doctor", home)
    assert shown.stderr == "all is well\n"
    assert shown.stdout.startswith(" 1  fine")


def test_what_is_wrong_is_named_and_what_is_safe_is_mended(parties, tmp_path):
    home = shutil.copytree(parties / "bank-a", tmp_path / "bank-a")
    (home / "signing.key").chmod(0o644)
    (home / "pinned.json.new").write_text("half")
    with (home / "journal" / "000001.log").open("ab") as file:
        file.write(b"\x00\x00\x10\x00half a frame")
    os.truncate(home / "catalog.duckdb", 5000)
    found = examined(home)
    faults = [finding for finding in found if finding["state"] == "fault"]
    assert ["signing.key" in finding["text"] for finding in faults] == [True]
    assert (home / "pinned.json.new").exists()
    assert any("never acknowledged" in finding["text"] for finding in found)
    found = examined(home, "--fix")
    assert not [finding for finding in found if finding["state"] == "fault"]
    assert (home / "signing.key").stat().st_mode & 0o777 == 0o600
    assert not (home / "pinned.json.new").exists()
    assert {finding["state"] for finding in examined(home)} <= {"fine", "note"}


def test_what_cannot_be_mended_says_what_to_do(parties, tmp_path):
    home = shutil.copytree(parties / "bank-a", tmp_path / "bank-a")
    (home / "signing.key").write_text("no key")
    path = home / "journal" / "000001.log"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    found = examined(home, "--fix")
    faults = {finding["text"]: finding["do"] for finding in found if finding["state"] == "fault"}
    assert faults["the signing key cannot be read"].startswith("restore it from a backup")
    assert len(faults) == 2
    assert all(faults.values())
    (found,) = examined(tmp_path)
    assert found["state"] == "fault"
    assert "no party lives under" in found["text"]


def test_a_running_party_is_left_alone_and_the_way_to_the_exchange_is_tried(parties, tmp_path):
    home = shutil.copytree(parties, tmp_path / "town")
    made = town.Town(home, people.synthesise(tmp_path, rows=1000), clock=clock)
    with made:
        made.start_exchange()
        running = examined(home / "exchange")
        assert any("it is running as process" in finding["text"] for finding in running)
        told = [finding["text"] for finding in examined(home / "bank-a", "--exchange", made.url)]
        assert f"{made.url} serves" in told
        assert "the exchange knows bank-a by this key" in told
        identity.make(tmp_path / "stranger", party="stranger", what="desk")
        faults = [f for f in examined(tmp_path / "stranger", "--exchange", made.url) if f["state"] == "fault"]
        assert [f["text"].startswith("the exchange does not know this party") for f in faults] == [True]
    gone = [f for f in examined(home / "bank-a", "--exchange", made.url) if f["state"] == "fault"]
    assert [f["text"].startswith(f"{made.url} does not answer") for f in gone] == [True]

import errno
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import journal as room
from exchange.journal import Broken, Damaged, Held, Journal, NoSpace, RolledBack
from privacy.errors import Malformed

OWNER = "north-bank"
ROOT = Path(__file__).parents[1]

bodies = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.text(max_size=20).filter(lambda t: t.isprintable()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
kinds = st.sampled_from(["charged", "granted", "pledged"])
groups = st.lists(st.tuples(st.lists(st.tuples(kinds, bodies), max_size=4), st.integers(-5, 1000)), max_size=6)


def fill(path, groups, **options):
    """Write groups of events and return (head, offset of every frame's end in the last segment)."""
    with Journal.open(path, owner=OWNER, **options) as journal:
        for events, at in groups:
            journal.append(events, at)
        return journal.head


def listed(path, **options):
    with Journal.open(path, owner=OWNER, **options) as journal:
        return [(e.seq, e.at, e.kind, e.body, e.hash) for e in journal.entries()]


def sample(path, count=6, **options):
    fill(path, [([("charged", {"n": i, "who": "x" * i})], 10 * i) for i in range(count)], **options)
    return path / "000001.log"


def verdict(path):
    """Open a journal; return the seq of its head and the bytes recovered, or the refusal."""
    try:
        with Journal.open(path, owner=OWNER) as journal:
            return journal.head[0], journal.recovered
    except Damaged as error:
        return error


def frames(data):
    """Cut a segment into its frames, the header first, from the format's description alone."""
    out, position = [], 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        out.append(data[position : position + 8 + length])
        position += 8 + length
    return out


@settings(max_examples=40, deadline=None)
@given(groups)
def test_the_chain_is_what_the_format_says(tmp_path_factory, groups):
    path = tmp_path_factory.mktemp("j") / "journal"
    head = fill(path, groups)
    previous = sha256(
        b"touchstone journal entry 1\x00"
        + json.dumps({"format": room.FORMAT, "owner": OWNER}, sort_keys=True, separators=(",", ":")).encode()
    ).digest()
    with Journal.open(path, owner=OWNER) as journal:
        assert journal.hash_at(0) == previous.hex()
        entries = list(journal.entries())
        wanted = [event for events, _ in groups for event in events]
        assert [(e.kind, e.body) for e in entries] == wanted
        at = 0
        for seq, entry in enumerate(entries, 1):
            value = {"at": entry.at, "body": entry.body, "kind": entry.kind, "seq": entry.seq}
            text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            assert entry.seq == seq
            assert entry.at >= at
            assert entry.previous == previous.hex()
            previous, at = sha256(b"touchstone journal entry 1\x00" + previous + text).digest(), entry.at
            assert entry.hash == previous.hex() == journal.hash_at(seq)
        assert journal.head == head == (len(entries), previous.hex())
        assert journal.hash_at(len(entries) + 1) is None
        for after in range(len(entries) + 2):
            assert list(journal.entries(after)) == entries[after:]
        assert journal.recovered == 0


def test_time_never_runs_backwards(tmp_path):
    fill(tmp_path / "j", [([("a", 1)], 50), ([("a", 2)], 20), ([("a", 3)], 60), ([("a", 4)], -7)])
    assert [entry[1] for entry in listed(tmp_path / "j")] == [50, 50, 60, 60]


def test_other_owners_have_other_chains(tmp_path):
    fill(tmp_path / "j", [([("a", 1)], 1)])
    with pytest.raises(Damaged, match=r"000001\.log, byte 0.*another owner"):
        Journal.open(tmp_path / "j", owner="south-bank")
    with Journal.open(tmp_path / "k", owner="south-bank") as journal:
        assert journal.append([("a", 1)], 1)[0].hash != listed(tmp_path / "j")[0][4]


def test_files_are_private(tmp_path):
    fill(tmp_path / "j", [([("a", 1)], 1)])
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o700
    for file in (tmp_path / "j").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_values_without_a_canonical_form_are_refused_and_leave_nothing(tmp_path):
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        for kind, body in [("a", 1.5), ("a", 2**63), ("", 1), ("a", {1: 2}), ("a", "\ud800"), ("a", "x" * (1 << 22))]:
            with pytest.raises(Malformed):
                journal.append([("good", 0), (kind, body)], 1)
        assert journal.head[0] == 0
        journal.append([("a", {"t": (1, 2)})], 1)
        assert [e.body for e in journal.entries()] == [{"t": [1, 2]}]


def test_a_body_is_taken_when_it_is_prepared(tmp_path):
    body = {"list": [1]}
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        entries = journal.prepare([("a", body)], at=1)
        body["list"].append(2)
        journal.commit(entries)
        assert [e.body for e in journal.entries()] == [e.body for e in entries] == [{"list": [1]}]


def test_entries_prepared_on_another_head_are_refused(tmp_path):
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        first, second = journal.prepare([("a", 1)], at=1), journal.prepare([("a", 2)], at=1)
        third = journal.prepare([("a", 3)], at=1, after=first[-1])
        journal.commit(first)
        with pytest.raises(Malformed, match="another head"):
            journal.commit(second)
        journal.commit(third)
        journal.commit([])
        assert [e.body for e in journal.entries()] == [1, 3]


def test_a_group_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "GROUP_BYTES", 500)
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        with pytest.raises(Malformed, match="longer than 500"):
            journal.append([("a", "x" * 500)], 1)
        journal.append([("a", "x" * 50)], 1)


def test_segments_rotate_and_reading_starts_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_SPAN_BYTES", 300)
    with Journal.open(tmp_path / "j", owner=OWNER, segment_bytes=2000) as journal:
        for i in range(60):
            journal.append([("a", i), ("b", "y" * i)], i)
            if i % 7 == 0:
                assert [e.seq for e in journal.entries(2 * i)] == [2 * i + 1, 2 * i + 2]
        everything = list(journal.entries())
    names = sorted(p.name for p in (tmp_path / "j").glob("*.log"))
    assert len(names) > 5
    assert names[0] == "000001.log"
    with Journal.open(tmp_path / "j", owner=OWNER, segment_bytes=2000) as journal:
        for after in (0, 1, 2, 3, 50, 119, 120, 121):
            assert list(journal.entries(after)) == everything[after:]
        journal.append([("a", 60)], 60)
        assert journal.head[0] == 121


def test_a_reader_sees_the_head_of_the_moment_it_started(tmp_path):
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        journal.append([("a", 1), ("a", 2)], 1)
        reader = journal.entries()
        first = next(reader)
        journal.append([("a", 3)], 1)
        assert [first.body, *[e.body for e in reader]] == [1, 2]


# --- damage ---------------------------------------------------------------------------------------------------------


def test_every_flipped_byte_is_refused_or_reported(tmp_path):
    log = sample(tmp_path / "j", 4)
    good = log.read_bytes()
    last = len(good) - len(frames(good)[-1])
    before = listed(tmp_path / "j")
    for position in range(len(good)):
        for mask in (0x01, 0x80):
            log.write_bytes(good[:position] + bytes([good[position] ^ mask]) + good[position + 1 :])
            found = verdict(tmp_path / "j")
            if isinstance(found, Damaged):
                assert found.file == "000001.log"
                assert found.offset <= position
                assert "000001.log" in found.reason
            else:
                assert position >= last
                assert found == (3, len(good) - last)
    log.write_bytes(good)
    assert listed(tmp_path / "j") == before


def test_a_cut_tail_is_reported_at_every_length(tmp_path):
    path = tmp_path / "j"
    fill(path, [([("a", 1)], 1), ([("a", 2), ("b", 3), ("c", 4)], 2)])
    log = path / "000001.log"
    good = log.read_bytes()
    whole = len(good) - len(frames(good)[-1])
    for cut in range(whole, len(good)):
        log.write_bytes(good[:cut])
        with Journal.open(path, owner=OWNER, mend=False) as journal:
            assert journal.recovered == cut - whole
            # one write is one fact: its first entry never stands without the rest
            assert journal.head[0] == 1
        assert log.stat().st_size == cut
        with Journal.open(path, owner=OWNER) as journal:
            assert log.stat().st_size == whole
            journal.append([("a", 5)], 3)
        assert [entry[3] for entry in listed(path)] == [1, 5]


def test_an_unfilled_page_at_the_end_is_an_unfinished_write(tmp_path):
    log = sample(tmp_path / "j", 3)
    good = log.read_bytes()
    last = len(frames(good)[-1])
    for tail in (bytes(last), bytes(30) + good[-last:][30:], bytes(4096), bytes(3)):
        log.write_bytes(good[:-last] + tail)
        with Journal.open(tmp_path / "j", owner=OWNER) as journal:
            assert journal.recovered == len(tail)
            assert journal.head[0] == 2


def test_moved_repeated_and_missing_frames_are_refused(tmp_path):
    log = sample(tmp_path / "j", 6)
    header, *rest = frames(log.read_bytes())
    for i in range(6):
        forgeries = {"repeated": rest[: i + 1] + rest[i:]}
        if i < 5:
            forgeries["missing"] = rest[:i] + rest[i + 1 :]
            forgeries["swapped"] = [*rest[:i], rest[i + 1], rest[i], *rest[i + 2 :]]
            forgeries["cut short"] = [*rest[:i], rest[i][:-3], *rest[i + 1 :]]
        for name, forged in forgeries.items():
            log.write_bytes(b"".join([header, *forged]))
            with pytest.raises(Damaged) as caught:
                Journal.open(tmp_path / "j", owner=OWNER)
            assert caught.value.seq == i + 1 + (name == "repeated"), name
            assert caught.value.offset == len(header) + sum(map(len, rest[: i + (name == "repeated")])), name


def test_a_frame_made_anew_with_a_good_crc_breaks_the_chain(tmp_path):
    log = sample(tmp_path / "j", 4)
    header, *rest = frames(log.read_bytes())
    forged = rest[1][8:].replace(b'"n":1', b'"n":7')
    log.write_bytes(b"".join([header, rest[0], room._frame(forged), *rest[2:]]))
    with pytest.raises(Damaged, match="chain") as caught:
        Journal.open(tmp_path / "j", owner=OWNER)
    assert caught.value.seq == 2


def test_a_chain_made_anew_must_still_hold_events_in_order(tmp_path):
    """Whoever rewrites the chain to its end is caught by a witness only, but nonsense is not let in."""
    start = None
    for text in (
        b'{"at":5,"body":1,"kind":"a","seq":3}',
        b'{"at":3,"body":1,"kind":"a","seq":2}',
        b'{"at":-3,"seq":2}',
        b'{"at":9,"seq":2}',
        b'[1,"seq":2}',
    ):
        path = tmp_path / sha256(text).hexdigest()[:8]
        fill(path, [([("a", 1)], 5)])
        with Journal.open(path, owner=OWNER) as journal:
            start = bytes.fromhex(journal.head[1])
        digest = sha256(room._LABEL + start + text).hexdigest().encode()
        with (path / "000001.log").open("ab") as file:
            file.write(room._frame(digest + b" " + text))
        with pytest.raises(Damaged) as caught:
            listed(path)
        assert caught.value.seq == 2


def test_two_damaged_writes_at_the_end_are_not_a_torn_tail(tmp_path):
    log = sample(tmp_path / "j", 4)
    cut = frames(log.read_bytes())
    data = bytearray(log.read_bytes())
    data[-2] ^= 1
    data[-len(cut[-1]) - 2] ^= 1
    log.write_bytes(data)
    with pytest.raises(Damaged) as caught:
        Journal.open(tmp_path / "j", owner=OWNER)
    assert caught.value.seq == 3


def test_missing_foreign_and_exchanged_segments_are_refused(tmp_path):
    path = tmp_path / "j"
    head = fill(path, [([("a", "x" * 200)], i) for i in range(30)], segment_bytes=1000)
    names = sorted(p.name for p in path.glob("*.log"))
    assert len(names) > 4

    def refused(change, **options):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path, copy)
        change(copy)
        with pytest.raises(Damaged) as caught:
            Journal.open(copy, owner=OWNER, **options)
        return caught.value

    for name in names[:-1]:
        assert refused(lambda copy, name=name: (copy / name).unlink()).file == name
        assert refused(lambda copy, name=name: (copy / name).write_bytes(b"")).file == name
        # in the middle of the chain a cut is not an unfinished write
        error = refused(lambda copy, name=name: os.truncate(copy / name, (copy / name).stat().st_size - 5))
        assert error.file == name
        assert error.offset > 0
    assert refused(lambda copy: shutil.copy(copy / names[1], copy / names[2])).file == names[2]
    assert refused(lambda copy: (copy / "notes.txt").write_text("hello")).file == "notes.txt"
    assert refused(lambda copy: (copy / "000099.log").write_bytes(b"")).file == f"{len(names) + 1:06}.log"
    assert refused(lambda copy: [file.unlink() for file in copy.glob("*.log")]).file == "000001.log"
    # the last segment removed is a chain that ends earlier: only a witness can tell
    error = refused(lambda copy: (copy / names[-1]).unlink(), witnessed=head)
    assert isinstance(error, RolledBack)


def test_an_unfinished_rotation_is_swept_away(tmp_path):
    fill(tmp_path / "j", [([("a", 1)], 1)])
    (tmp_path / "j" / "000002.log.new").write_bytes(b"half a head")
    assert len(listed(tmp_path / "j")) == 1
    assert not (tmp_path / "j" / "000002.log.new").exists()


def test_damage_after_opening_is_noticed_by_the_reader(tmp_path):
    log = sample(tmp_path / "j", 5)
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 4
        log.write_bytes(data)
        with pytest.raises(Damaged, match=r"000001\.log"):
            list(journal.entries())


def test_a_rolled_back_journal_is_refused_by_its_witness(tmp_path):
    path, old = tmp_path / "j", tmp_path / "old"
    fill(path, [([("a", 1)], 1)])
    shutil.copytree(path, old)
    early = fill(path, [([("a", 2)], 1)])
    late = fill(path, [([("a", 3)], 1)])
    for witnessed in (early, late, (0, listed_origin(path)), None):
        Journal.open(path, owner=OWNER, witnessed=witnessed).close()
    with pytest.raises(RolledBack, match="ends before the witnessed entry 3"):
        Journal.open(old, owner=OWNER, witnessed=late)
    fill(old, [([("a", 9)], 1), ([("a", 9)], 1), ([("a", 9)], 1)])
    with pytest.raises(RolledBack, match="something else at the witnessed entry 2"):
        Journal.open(old, owner=OWNER, witnessed=early)


def listed_origin(path):
    with Journal.open(path, owner=OWNER) as journal:
        return journal.hash_at(0)


def test_a_refused_rollback_changes_nothing(tmp_path):
    log = sample(tmp_path / "j", 3)
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        head = journal.head
    torn = log.read_bytes()[:-4]
    log.write_bytes(torn)
    with pytest.raises(RolledBack):
        Journal.open(tmp_path / "j", owner=OWNER, witnessed=head)
    assert log.read_bytes() == torn


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path):
    with Journal.open(tmp_path / "j", owner=OWNER):
        code = (
            "import sys; from pathlib import Path; from exchange.journal import Journal, Held\n"
            "try: Journal.open(Path(sys.argv[1]), owner='north-bank')\n"
            "except Held as error: print(error.pid, error.reason)"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert run.stdout == f"{os.getpid()} held by process {os.getpid()}; stop it first\n"
        with pytest.raises(Held):
            Journal.open(tmp_path / "j", owner=OWNER)
    Journal.open(tmp_path / "j", owner=OWNER).close()


def test_a_holder_that_has_not_told_its_number(tmp_path):
    with Journal.open(tmp_path / "j", owner=OWNER):
        (tmp_path / "j" / "lock").write_text("")
        with pytest.raises(Held, match="another process"):
            Journal.open(tmp_path / "j", owner=OWNER)


def test_a_full_disk_loses_nothing_and_writing_goes_on_afterwards(tmp_path):
    path = tmp_path / "j"
    head = fill(path, [([("a", 1)], 1)])
    size = (path / "000001.log").stat().st_size
    with Journal.open(path, owner=OWNER) as journal:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        try:
            entries = journal.prepare([("a", "x" * 1000)], at=2)
            for _ in range(3):
                with pytest.raises(NoSpace):
                    journal.commit(entries)
                assert journal.head == head
                assert (path / "000001.log").stat().st_size == size
                assert len(list(journal.entries())) == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.commit(entries)
    assert len(listed(path)) == 2


def test_a_full_disk_while_rotating(tmp_path, monkeypatch):
    with Journal.open(tmp_path / "j", owner=OWNER, segment_bytes=400) as journal:
        journal.append([("a", "x" * 300)], 1)
        real = os.pwrite

        def full(file, data, offset):
            if offset == 0:
                raise OSError(errno.ENOSPC, "full")
            return real(file, data, offset)

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(NoSpace):
            journal.append([("a", "y" * 300)], 1)
        assert not (tmp_path / "j" / "000002.log.new").exists()
        monkeypatch.undo()
        journal.append([("a", "z" * 300)], 1)
    assert [entry[3][0] for entry in listed(tmp_path / "j")] == ["x", "z"]


@pytest.mark.parametrize("call", ["fdatasync", "pwrite", "fsync"])
def test_a_disk_that_fails_to_confirm_ends_writing_for_good(tmp_path, monkeypatch, call):
    with Journal.open(tmp_path / "j", owner=OWNER, segment_bytes=400) as journal:
        journal.append([("a", "x" * 300)], 1)
        calls = []

        def fail(*_):
            calls.append(1)
            raise OSError(errno.EIO, "broken")

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(Broken, match="EIO"):
                journal.append([("a", "y" * 300)], 1)  # in a new segment: creates, syncs and names it
            assert len(calls) == 1
        # the disk is well again, but what the kernel dropped in between nobody knows
        with pytest.raises(Broken):
            journal.append([("a", 3)], 1)
        assert journal.head[0] == 1
        assert len(list(journal.entries())) == 1
    assert [entry[0] for entry in listed(tmp_path / "j")] == [1]


def test_a_write_that_was_interrupted_midway_leaves_no_rest(tmp_path, monkeypatch):
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        real = os.pwrite

        def half(file, data, offset):
            real(file, data[: len(data) // 2], offset)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", half)
            with pytest.raises(KeyboardInterrupt):
                journal.append([("a", "x" * 5000)], 1)
        journal.append([("a", 1)], 1)
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        assert journal.recovered == 0
        assert [e.body for e in journal.entries()] == [1]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, data[:7], offset))
    fill(tmp_path / "j", [([("a", "x" * 100)], 1)])
    assert listed(tmp_path / "j")[0][3] == "x" * 100


def test_the_write_is_confirmed_before_the_head_moves(tmp_path, monkeypatch):
    with Journal.open(tmp_path / "j", owner=OWNER) as journal:
        seen = []
        real = os.fdatasync

        def watch(file):
            seen.append((journal.head[0], b"charged" in Path(tmp_path / "j" / "000001.log").read_bytes()))
            real(file)

        monkeypatch.setattr(os, "fdatasync", watch)
        journal.append([("charged", 1), ("charged", 2)], 1)
        assert seen == [(0, True)]
        assert journal.head[0] == 2


def test_a_closed_journal_refuses_writes(tmp_path):
    journal = Journal.open(tmp_path / "j", owner=OWNER)
    journal.close()
    journal.close()
    with pytest.raises(Broken, match="closed"):
        journal.append([("a", 1)], 1)

"""The journal: an append-only, hash-chained file that is the truth of an exchange or a node.

A journal is a directory of segments ``000001.log``, ``000002.log``, ... A segment is a sequence of frames, and a frame is
what one ``append`` made durable: all of it or nothing::

    4 bytes   length of the payload, big-endian
    4 bytes   CRC-32 of the length and the payload, big-endian
    payload   one line per entry: hash in hexadecimal, a space, canonical JSON of at, body, kind and seq

The first frame of a segment is its header: the format, the owner, and where the chain stands. The hash of an entry is
SHA-256 over a label, the hash before it and its canonical JSON; the chain starts from the digest of format and owner.

A CRC tells an unfinished write from a finished one; the chain tells a changed, lost, moved or repeated entry; only a
witness who remembers a head can tell that the end of a chain was cut off cleanly (``witnessed``). Times are integer
microseconds since 1970 in UTC and never decrease; they come from the caller's clock.

::

    JournalError
     +-- Damaged      what is stored is not what was written: file, offset and seq are named, nothing is opened
     |    +-- RolledBack   the chain is sound but lacks a head that somebody has seen
     +-- Held         another process has the journal
     +-- NoSpace      nothing was written; the journal goes on when there is room
     +-- Broken       the disk failed to confirm a write; nothing more is written until the process starts again
"""

import errno
import fcntl
import json
import os
import re
import shutil
import struct
import threading
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from privacy import canonical
from privacy.errors import Malformed, PrivacyError

FORMAT = "touchstone journal 1"
SEGMENT_BYTES = 64 << 20
GROUP_BYTES = 64 << 20
LEAST_FREE = 64 << 20
"""Bytes that the disk must have left for the journal to call itself ready."""

Event = tuple[str, Any]  # kind and body
Head = tuple[int, str]  # seq and hash of an entry
Onlooker = Callable[[Sequence[bytes]], None]  # takes the texts of the entries of one write

_LABEL = b"touchstone journal entry 1\x00"
_FRAME = struct.Struct(">II")
_SPAN_BYTES = 256 << 10  # how far apart the places are from which reading can start
_SEGMENT_NAME = re.compile(r"[0-9]{6}\.log")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class JournalError(PrivacyError):
    """Root of what a journal raises."""

    code = "TS-LOG-001"


class Damaged(JournalError):
    """The files are not what was written: ``file`` (name), ``offset`` (bytes) and ``seq`` (first entry in doubt) say where."""

    def __init__(self, reason: str, *, file: str, offset: int, seq: int, fix: str = "") -> None:
        fix = fix or "restore the journal from a backup and compare its head with one that a partner has witnessed"
        super().__init__(f"journal file {file}, byte {offset}, entry {seq}: {reason}", fix=fix)
        self.file = file
        self.offset = offset
        self.seq = seq


class RolledBack(Damaged):
    """The chain is sound, but an entry that was witnessed is not in it."""


class Held(JournalError):
    """Another process works on the files; ``pid`` is its number, ``None`` if it has not told."""

    code = "TS-ENV-001"

    def __init__(self, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"held by {holder}; stop it first", fix="talk to the running service, or stop it first")
        self.pid = pid


class NoSpace(JournalError):
    """The disk, the quota or the file-size limit is exhausted; nothing was written and nothing is lost."""

    def __init__(self) -> None:
        super().__init__("there is no space left to write", fix="free some disk space and send the request again")


class Broken(JournalError):
    """A write could not be confirmed, so nothing more may be promised by this process."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, fix="check the disk, then start the service again: it verifies what was kept")


@dataclass(frozen=True, slots=True)
class Entry:
    """One event with its place in the chain; ``text`` is the canonical JSON that ``hash`` covers."""

    seq: int
    at: int
    kind: str
    body: Any
    previous: str
    hash: str
    text: bytes = field(repr=False, compare=False)


class _Tip(NamedTuple):
    """The end of a chain: the last entry's seq, time and hash."""

    seq: int
    at: int
    hash: bytes


@dataclass(slots=True)
class _Span:
    """Whole frames of one segment, from byte ``offset`` to ``end``, that follow ``before`` in the chain."""

    segment: int
    offset: int
    end: int
    before: _Tip


class Journal:
    """One open journal; one process at a time, any number of threads."""

    def __init__(self, path: Path, *, owner: str, segment_bytes: int, onlooker: Onlooker | None = None) -> None:
        self._path = path
        self._owner = owner
        self._segment_bytes = segment_bytes
        self._onlooker = onlooker
        self._lock = threading.Lock()
        self._hold = _hold(path)
        self._file = -1  # descriptor of the last segment
        self._spans: list[_Span] = []
        self._segment = 0
        self._end = 0  # bytes of the last segment that are known to be good
        self._torn = False
        self._refusal = ""  # why nothing more is written
        self._tip = _Tip(0, 0, origin(owner))
        self._origin = self._tip.hash.hex()
        self.recovered = 0
        """Bytes of an unfinished, never acknowledged write found at the end when the journal was opened."""

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        owner: str,
        witnessed: Head | None = None,
        mend: bool = True,
        segment_bytes: int = SEGMENT_BYTES,
        onlooker: Onlooker | None = None,
    ) -> Self:
        """Verify the whole chain under ``path`` (created if absent) and open it for appending.

        ``owner`` names whose journal it is; ``witnessed`` is a head seen earlier that the journal must contain. An
        unfinished write at the very end is cut off, at once or with ``mend=False`` before the next write. ``onlooker`` is
        shown the texts of every write once, in order: of those that are there, and of others as soon as they are durable.

        Raises:
            Damaged: for any other fault of the files, and for the journal of another owner.
            RolledBack: if ``witnessed`` is not in the chain.
            Held: while another process has the journal.
            NoSpace, Broken: if the disk does not let it be opened for writing.
        """
        try:
            if not path.exists():
                path.mkdir(mode=0o700, parents=True)
                _sync_directory(path.parent)
            path.chmod(0o700)
            journal = cls(path, owner=owner, segment_bytes=segment_bytes, onlooker=onlooker)
            try:
                journal._start()
                if witnessed is not None:
                    journal._require(witnessed)
                if mend:
                    journal.mend()
            except BaseException:
                journal.close()
                raise
        except OSError as error:  # a disk that is full or may only be read, files of another user
            what = errno.errorcode.get(error.errno or 0, "unknown error")
            told = Broken(f"the disk does not let the journal be opened ({what})")
            raise NoSpace() if error.errno in _FULL else told from error
        return journal

    @property
    def head(self) -> Head:
        """Seq and hash of the last entry; seq 0 and the digest of the identity while there is none."""
        tip = self._tip
        return tip.seq, tip.hash.hex()

    @property
    def moment(self) -> int:
        """Time of the last entry (microseconds since 1970, never falling), 0 while there is none."""
        return self._tip.at

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of entry ``seq`` (0: where the chain starts), ``None`` beyond the head."""
        last, digest = self.head
        if seq == last:
            return digest
        if seq == 0:
            return self._origin
        return next((entry.hash for entry in self.entries(after=seq - 1)), None)

    def prepare(self, events: Sequence[Event], *, at: int, after: Entry | None = None) -> list[Entry]:
        """Chain events to the head, or to an entry that was prepared but not yet committed, without writing anything.

        ``at`` is raised to the time of the entry before. Bodies come back as they will be read.

        Raises:
            Malformed: if a kind is empty or a body has no canonical form or is too long.
        """
        tip = self._tip if after is None else _Tip(after.seq, after.at, bytes.fromhex(after.hash))
        entries = []
        for kind, body in events:
            if not kind:
                raise Malformed("an event has no kind", fix="name the kind of the event")
            seq, moment = tip.seq + 1, max(at, tip.at)
            text = canonical.encode({"at": moment, "body": body, "kind": kind, "seq": seq})
            if len(text) > canonical.MAX_BYTES:
                raise Malformed(f"an event is longer than {canonical.MAX_BYTES} bytes", fix="send less in one event")
            digest = sha256(_LABEL + tip.hash + text).digest()
            # parsed from what will be stored: the caller's object may change later, and a tuple comes back as a list
            kept = json.loads(text)["body"]
            entries.append(Entry(seq, moment, kind, kept, tip.hash.hex(), digest.hex(), text))
            tip = _Tip(seq, moment, digest)
        return entries

    def check_ready(self) -> None:
        """Return if the next write is likely to be taken.

        Raises:
            NoSpace: if less than ``LEAST_FREE`` bytes are left on the disk. Broken: if nothing more is written.
        """
        if self._refusal:
            raise Broken(self._refusal)
        if shutil.disk_usage(self._path).free < LEAST_FREE:
            raise NoSpace

    def commit(self, entries: Sequence[Entry]) -> None:
        """Write prepared entries as one frame and wait until the disk has them; afterwards they are durable.

        Raises:
            NoSpace: nothing was written; the same entries may be committed later.
            Broken: it is not known whether the entries are on the disk; every later write is refused.
            Malformed: if all entries together are longer than ``GROUP_BYTES``.
        """
        if not entries:
            return
        payload = b"\n".join(entry.hash.encode() + b" " + entry.text for entry in entries)
        if len(payload) > GROUP_BYTES:
            raise Malformed(f"one write is longer than {GROUP_BYTES} bytes", fix="send less at once")
        with self._lock:
            if self._refusal:
                raise Broken(self._refusal)
            if entries[0].previous != self._tip.hash.hex():
                raise Malformed("the entries were prepared on another head", fix="prepare them again")
            self._mend()
            frame = _frame(payload)
            if (
                self._spans
                and self._spans[-1].segment == self._segment
                and self._end + len(frame) > self._segment_bytes
            ):
                self._create_segment()
            self._torn = True  # until the new tip stands, whatever interrupts us: the next write cuts the rest off
            self._write(frame)
            self._extend(len(frame))
            if self._onlooker is not None:  # before the tip moves: whoever reads the head finds all of it looked at
                self._onlooker([entry.text for entry in entries])
            last = entries[-1]
            self._tip = _Tip(last.seq, last.at, bytes.fromhex(last.hash))
            self._torn = False

    def append(self, events: Sequence[Event], at: int) -> list[Entry]:
        """Prepare and commit; for a single writer. Raises what :meth:`prepare` and :meth:`commit` raise."""
        entries = self.prepare(events, at=at)
        self.commit(entries)
        return entries

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the committed entries with a seq above ``after``, up to the head of this moment, verifying them again.

        Raises:
            Damaged: if the files have changed since they were opened.
        """
        with self._lock:
            first = max(0, bisect_right(self._spans, after, key=lambda span: span.before.seq) - 1)
            spans = [(span.segment, span.offset, span.end, span.before) for span in self._spans[first:]]
        for segment, offset, end, before in spans:
            name = _name(segment)
            with (self._path / name).open("rb") as file:
                file.seek(offset)
                data = file.read(end - offset)
            tip, position = before, 0
            while position < end - offset:
                payload = _payload(data, position)
                if payload is None:
                    raise Damaged("the bytes have changed", file=name, offset=offset + position, seq=tip.seq + 1)
                place = (name, offset + position)
                for line in payload.split(b"\n"):
                    previous, tip = tip, _follow(tip, line, place)
                    if tip.seq > after:
                        yield _parse(line, previous, tip, place)
                position += _FRAME.size + len(payload)

    def mend(self, *, acknowledged: int = 0) -> None:
        """Cut off the unfinished write that opening found, if there is one.

        ``acknowledged`` is a seq known to have been acknowledged: if only what would be cut off can hold it, the write was
        finished once and has been damaged since.

        Raises:
            Damaged: in that case; nothing is cut off.
        """
        with self._lock:
            if self._torn and acknowledged > self._tip.seq:
                reason = f"entry {acknowledged} was acknowledged, but the bytes here have changed"
                raise Damaged(reason, file=_name(self._segment), offset=self._end, seq=self._tip.seq + 1)
            self._mend()

    def close(self) -> None:
        """Let go of the files; later writes are refused."""
        with self._lock:
            self._refusal = self._refusal or "the journal is closed"
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            if self._hold >= 0:
                # unlocked by name, because a child process may have inherited the descriptor
                fcntl.flock(self._hold, fcntl.LOCK_UN)
                os.close(self._hold)
                self._hold = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        """Verify all segments, or create the first."""
        names = sorted(file.name for file in self._path.iterdir() if file.name != "lock")
        for name in [name for name in names if name.endswith(".log.new")]:
            (self._path / name).unlink()  # a rotation that was not finished holds no entry
            names.remove(name)
        for name in names:
            if not _SEGMENT_NAME.fullmatch(name):
                raise Damaged("it does not belong here", file=name, offset=0, seq=0, fix="move it elsewhere")
        # the lock names a process only after the first segment was safe: then a journal without segments was emptied
        expected = max(len(names), 1 if os.fstat(self._hold).st_size else 0)
        for number in range(1, expected + 1):
            if _name(number) not in names:
                raise Damaged("the file is missing", file=_name(number), offset=0, seq=self._tip.seq + 1)
            self._verify(number, last=number == expected)
        if expected:
            self._file = os.open(self._path / _name(expected), os.O_RDWR | os.O_CLOEXEC)
        else:
            self._create_segment()
        with suppress(OSError):  # a full disk must not keep a journal from being read; the lock itself is held already
            os.pwrite(self._hold, f"{os.getpid():<20}\n".encode(), 0)

    def _verify(self, number: int, *, last: bool) -> None:
        """Walk through a segment's frames and chain, and remember from where it can be read."""
        name = _name(number)
        data = (self._path / name).read_bytes()
        header = _header(number, owner=self._owner, tip=self._tip)
        if not data.startswith(header):
            seq = self._tip.seq + 1
            if number == 1 and _is_header(data):
                raise Damaged("this is the journal of another owner or format", file=name, offset=0, seq=seq)
            raise Damaged("the header is not the one that belongs here", file=name, offset=0, seq=seq)
        self._segment, self._end = number, len(header)
        while self._end < len(data):
            payload = _payload(data, self._end)
            if payload is None:
                if not last or not _is_torn(data, self._end):
                    raise Damaged("the bytes have changed", file=name, offset=self._end, seq=self._tip.seq + 1)
                self.recovered, self._torn = len(data) - self._end, True
                return
            tip, place = self._tip, (name, self._end)
            lines = payload.split(b"\n")
            for line in lines:
                tip = _follow(tip, line, place)
            if self._onlooker is not None:
                self._onlooker([line[65:] for line in lines])
            self._extend(_FRAME.size + len(payload))
            self._tip = tip

    def _require(self, witnessed: Head) -> None:
        seq, digest = witnessed
        if self.hash_at(seq) != digest:
            last = self._tip.seq
            reason = "it ends before" if seq > last else "it holds something else at"
            raise RolledBack(
                f"{reason} the witnessed entry {seq}", file=_name(self._segment), offset=self._end, seq=last
            )

    def _extend(self, length: int) -> None:
        """Count ``length`` more good bytes of the last segment; the tip is still the one before them."""
        span = self._spans[-1] if self._spans else None
        if span is not None and span.segment == self._segment and span.end - span.offset < _SPAN_BYTES:
            span.end += length
        else:
            self._spans.append(_Span(self._segment, self._end, self._end + length, self._tip))
        self._end += length

    def _mend(self) -> None:
        """Cut the last segment back to its good bytes; durable at the latest with the next write."""
        if not self._torn:
            return
        try:
            os.ftruncate(self._file, self._end)
        except OSError as error:
            raise self._break(error) from error
        self._torn = False

    def _create_segment(self) -> None:
        """Begin the next segment: written and synced under another name first, so that a header is never torn."""
        number = self._segment + 1
        header = _header(number, owner=self._owner, tip=self._tip)
        fresh = self._path / (_name(number) + ".new")
        file = -1
        try:
            file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            _write_all(file, header, 0)
        except OSError as error:
            if file >= 0:
                os.close(file)
            with suppress(OSError):
                fresh.unlink()
            raise self._fault(error) from error
        self._sync(file)
        try:
            fresh.rename(self._path / _name(number))
            _sync_directory(self._path)
        except OSError as error:
            raise self._break(error) from error
        if self._file >= 0:
            os.close(self._file)
        self._file, self._segment, self._end = file, number, len(header)

    def _write(self, frame: bytes) -> None:
        try:
            _write_all(self._file, frame, self._end)
        except OSError as error:
            self._mend()
            raise self._fault(error) from error
        try:
            self._sync(self._file)
        except Broken:
            # the callers are told that it failed, so it should not reappear; what the disk does now is beyond knowing
            with suppress(Broken):
                self._mend()
            raise

    def _sync(self, file: int) -> None:
        """Wait for the disk. A failed sync is final: the kernel may have dropped the pages, so a second try would lie."""
        try:
            os.fdatasync(file)
        except OSError as error:
            raise self._break(error) from error

    def _fault(self, error: OSError) -> NoSpace | Broken:
        return NoSpace() if error.errno in _FULL else self._break(error)

    def _break(self, error: OSError) -> Broken:
        self._refusal = f"the disk failed to keep a write ({errno.errorcode.get(error.errno or 0, 'unknown error')})"
        return Broken(self._refusal)


def origin(owner: str) -> bytes:
    """Return the digest from which the chain of an owner's journal starts."""
    return sha256(_LABEL + canonical.encode({"format": FORMAT, "owner": owner})).digest()


def chained(previous: bytes, text: bytes) -> bytes:
    """Return the hash of an entry by the hash before it and its canonical JSON."""
    return sha256(_LABEL + previous + text).digest()


def read(path: Path, *, owner: str) -> Iterator[Entry]:
    """Yield the entries of a journal that its owner may be writing meanwhile: nothing is locked, made or mended.

    What is read are the segments that are there when it begins, each as long as it is when its turn comes; an unfinished
    write at the very end is left out.

    Raises:
        Damaged: like :meth:`Journal.open`, for the first fault that is come upon.
        OSError: if a file cannot be read.
    """
    names = sorted(file.name for file in path.iterdir() if _SEGMENT_NAME.fullmatch(file.name))
    tip = _Tip(0, 0, origin(owner))
    for number in range(1, max(1, len(names)) + 1):
        name = _name(number)
        if name not in names:
            raise Damaged("the file is missing", file=name, offset=0, seq=tip.seq + 1)
        with (path / name).open("rb") as file:
            data = file.read(os.fstat(file.fileno()).st_size)
        header = _header(number, owner=owner, tip=tip)
        if not data.startswith(header):
            raise Damaged("the header is not the one that belongs here", file=name, offset=0, seq=tip.seq + 1)
        position = len(header)
        while position < len(data):
            payload = _payload(data, position)
            if payload is None:
                if number < len(names) or not _is_torn(data, position):
                    raise Damaged("the bytes have changed", file=name, offset=position, seq=tip.seq + 1)
                return
            for line in payload.split(b"\n"):
                previous, tip = tip, _follow(tip, line, (name, position))
                yield _parse(line, previous, tip, (name, position))
            position += _FRAME.size + len(payload)


def _name(number: int) -> str:
    return f"{number:06}.log"


def _header(number: int, *, owner: str, tip: _Tip) -> bytes:
    """Return the first frame of a segment that follows ``tip``."""
    value = {
        "format": FORMAT,
        "owner": owner,
        "previous": tip.hash.hex(),
        "segment": number,
        "seq": tip.seq,
    }
    return _frame(canonical.encode(value))


def _hold(path: Path) -> int:
    """Take the lock of a journal directory; the kernel lets go of it when the process ends, however it ends."""
    file = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(file, 32, 0).strip()
        os.close(file)
        raise Held(int(text) if text.isdigit() else None) from None
    return file


def _sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_all(file: int, data: bytes, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:] if done else data, offset + done)


def _frame(payload: bytes) -> bytes:
    length = len(payload).to_bytes(4, "big")
    return length + zlib.crc32(payload, zlib.crc32(length)).to_bytes(4, "big") + payload


def _payload(data: bytes, position: int) -> bytes | None:
    """Return the payload of the frame at ``position``, ``None`` if there is no whole and sound one."""
    start = position + _FRAME.size
    if position < 0 or start > len(data):
        return None
    length, check = _FRAME.unpack_from(data, position)
    payload = data[start : start + length]
    if not length or len(payload) != length or zlib.crc32(payload, zlib.crc32(data[position : position + 4])) != check:
        return None
    return payload


def _is_torn(data: bytes, position: int) -> bool:
    """Whether an unfinished last write explains the bad frame at ``position``: it reaches the end, nothing sound follows.

    A length of zero is a page that the file system had made room for but not filled. Entries cannot imitate a frame,
    because a length of at most ``GROUP_BYTES`` begins with a control character and JSON text holds none.
    """
    start = position + _FRAME.size
    if start < len(data):
        length, _ = _FRAME.unpack_from(data, position)
        if length and start + length < len(data):
            return False
    mark = b' {"at":'
    found = data.find(mark, position)
    while found >= 0:
        candidate = found - 64 - _FRAME.size
        if candidate > position and _payload(data, candidate) is not None:
            return False
        found = data.find(mark, found + 1)
    return True


def _is_header(data: bytes) -> bool:
    payload = _payload(data, 0)
    try:
        value = canonical.decode(payload) if payload else None
    except Malformed:
        return False
    return isinstance(value, dict) and "format" in value


def _follow(tip: _Tip, line: bytes, place: tuple[str, int]) -> _Tip:
    """Check that a stored line continues the chain and return the new tip; its JSON is parsed when it is read."""
    text = line[65:]
    digest = sha256(_LABEL + tip.hash + text).digest()
    if line[:65] != digest.hex().encode() + b" " or not text.endswith(b',"seq":%d}' % (tip.seq + 1)):
        raise Damaged("the chain does not continue here", file=place[0], offset=place[1], seq=tip.seq + 1)
    at = text[6 : text.find(b",")]
    if not at.isdigit() or int(at) < tip.at:
        raise Damaged("time runs backwards", file=place[0], offset=place[1], seq=tip.seq + 1)
    return _Tip(tip.seq + 1, int(at), digest)


def _parse(line: bytes, previous: _Tip, tip: _Tip, place: tuple[str, int]) -> Entry:
    text = line[65:]
    try:
        value = canonical.decode(text)
        if value.keys() == {"at", "body", "kind", "seq"} and isinstance(value["kind"], str):
            return Entry(tip.seq, tip.at, value["kind"], value["body"], previous.hash.hex(), tip.hash.hex(), text)
    except (Malformed, AttributeError):
        pass
    raise Damaged("the entry is not an event", file=place[0], offset=place[1], seq=tip.seq)

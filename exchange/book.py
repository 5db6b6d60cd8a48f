"""A book: a journal that is the truth, and a DuckDB catalogue of it that can be asked.

All writing happens in one thread. It takes every waiting command, decides them one after the other inside one DuckDB
transaction to which each adds its effects, writes all their events to the journal in one durable frame, commits the
transaction, and only then answers: what was acknowledged is in the journal. Rules that compare before they write (a
budget, a lien) hold because nothing else writes; DuckDB's own isolation would let two of them slip past each other.

The catalogue carries the journal's head that it stands at. It is never the truth: a catalogue that is torn, of another
schema or of another history is put aside and made again from the journal. (A DuckDB checkpoint rewrites its metadata in
place, so a power cut there leaves a file that no version can open.)
"""

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb

from exchange.journal import Entry, Event, Head, Held, Journal, NoSpace, Onlooker, RolledBack
from exchange.projection import Draft, Foreseen, Projection, Stuck, parsed
from exchange.recall import Recall
from privacy.errors import Malformed, PrivacyError

T = TypeVar("T")
Cursor = duckdb.DuckDBPyConnection
Decide = Callable[[Any], tuple[Sequence[Event], T]]
"""Takes what runs a SELECT as a cursor does; returns events and a result."""

MEMORY = "1GB"

_WAITING = 4096  # commands in the queue before callers have to wait at the door
_COMMANDS = 512  # commands in one transaction
_BATCH_BYTES = 16 << 20  # a batch ends with the command that passes this
_COMMAND_BYTES = 32 << 20  # with the line above, always within one frame of the journal
_REPLAY = 10_000  # entries in one transaction of a replay
_REPLAY_BYTES = 32 << 20  # and their bytes
_META = "CREATE TABLE meta (one INTEGER PRIMARY KEY, applied_seq BIGINT, head VARCHAR, schema_version VARCHAR)"
_TABLE = re.compile(r"CREATE TABLE (\w+)")
_HOLDER = re.compile(r"Conflicting lock is held.*?PID (\d+)", re.DOTALL)

_log = logging.getLogger(__name__)


class Closed(PrivacyError):
    """The book was closed before the command got its turn."""

    def __init__(self) -> None:
        super().__init__("the service is stopping", fix="send the request again when the service is back")


class Mended(PrivacyError):
    """The catalogue proved damaged in use and could not be made again from the journal at once; nothing is lost."""

    def __init__(self) -> None:
        super().__init__("the catalogue was damaged and is being made again", fix="send the request again in a moment")


@dataclass(slots=True)
class _Command:
    """A caller's wish: to be decided, applied, written and answered."""

    decide: Decide[Any]
    foreseen: Sequence[Foreseen] = ()
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: BaseException | None = None
    firm: bool = False
    """The outcome rests on durable state only: it stands even if the batch cannot be written."""

    def answer(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Book:
    """One open book: any number of reading threads and callers, one writer."""

    def __init__(
        self, directory: Path, *, journal: Journal, projection: Projection, clock: Callable[[], int], memory: str
    ) -> None:
        self.journal = journal
        self._file = directory / "catalog.duckdb"
        self._projection = projection
        self._clock = clock
        self._memory = memory
        self._root: Cursor | None = None
        self._cursor: Cursor | None = None  # the writer's
        self._recall = Recall(_TABLE.findall(" ".join([_META, *projection.tables])))
        self._touched: set[str] = set()  # tables that the open transaction has changed
        self._notes: list[str] = []
        self._suspect = ""  # why the catalogue must be made again before it is used
        self._behind = False  # the journal has entries that the catalogue could not take
        self._gate = threading.Condition()  # guards the two lines below: who reads, and whether reading must wait
        self._readers = 0
        self._shut = False
        self._turn = threading.Condition()  # guards the two lines below
        self._queue: deque[_Command] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="book-writer", daemon=True)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        owner: str,
        projection: Projection,
        clock: Callable[[], int],
        witnessed: Head | None = None,
        memory: str = MEMORY,
        onlooker: Onlooker | None = None,
    ) -> Self:
        """Open the journal and the catalogue under ``directory`` (created if absent) and bring them together.

        ``clock`` returns integer microseconds since 1970 in UTC; ``witnessed`` is a head that the journal must contain;
        ``onlooker`` is shown every entry of the journal, as :meth:`Journal.open` says.

        Raises:
            Damaged: if the journal is not what was written, or lacks the end of what was acknowledged.
            Held: while another process has the book.
            Unknown: if the journal was written by a version with other events.
        """
        journal = Journal.open(directory / "journal", owner=owner, witnessed=witnessed, mend=False, onlooker=onlooker)
        try:
            directory.chmod(0o700)
            book = cls(directory, journal=journal, projection=projection, clock=clock, memory=memory)
            try:
                book._load()
            except BaseException:
                book._drop()
                raise
        except BaseException:
            journal.close()
            raise
        if journal.recovered:
            book._notes.insert(0, f"{journal.recovered} bytes of an unfinished write were cut off the journal")
        book._thread.start()
        return book

    @property
    def head(self) -> Head:
        """Seq and hash of the journal's last entry."""
        return self.journal.head

    @property
    def recovered(self) -> tuple[str, ...]:
        """What had to be mended when the book was opened or since, in words; empty if nothing."""
        return tuple(self._notes)

    def check_ready(self) -> None:
        """Return if a write would be taken now.

        Raises:
            Closed: after the book was closed. Mended: while the catalogue is suspect or behind its journal.
            NoSpace: if the disk is all but full. Broken: if the journal takes nothing more until a restart.
        """
        if self._closing:
            raise Closed
        if self._suspect or self._behind or self._root is None:
            raise Mended
        self.journal.check_ready()

    def write(self, decide: Decide[T], foreseen: Sequence[Foreseen] = ()) -> T:
        """Run ``decide`` in the writer's turn; make its events durable and visible; return its result.

        ``decide`` sees everything written before it and returns events and a result. It refuses by raising; it must not
        write SQL, and it may run again if its batch has to be repeated. What it will ask by key may be ``foreseen``: then
        a whole batch's questions are asked at once.

        Raises:
            NoSpace, Broken: the events could not be written and have no effect.
            Malformed: if an event has no canonical form.
            Closed: after the book was closed.
            Exception: whatever ``decide`` raises; nothing of it is written.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a decision must not write: it would wait for itself")
        try:
            return self._ask(decide, foreseen)
        except Mended:
            return self._ask(decide, foreseen)

    def read(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query over committed state, each by column name; writing is refused by the engine.

        Raises:
            Mended: if the catalogue proved damaged and could not be made again from the journal yet.
            Closed: after the book was closed.
        """
        try:
            return self._rows(sql, params)
        except Mended:
            if threading.current_thread() is self._thread:
                raise
        self._ask(_nothing)  # the writer mends before it does anything else
        return self._rows(sql, params)

    def close(self) -> None:
        """Finish what is waiting, then let go of the files."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        self._thread.join()
        with self._alone():
            self._drop()
            self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, decide: Decide[T], foreseen: Sequence[Foreseen] = ()) -> T:
        command = _Command(decide, foreseen)
        with self._turn:
            self._turn.wait_for(lambda: len(self._queue) < _WAITING or self._closing)
            if self._closing:
                raise Closed
            self._queue.append(command)
            self._turn.notify_all()
        result: T = command.future.result()
        return result

    def _rows(self, sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._reading() as root:
            asked = [*params.items()] if isinstance(params, Mapping) else params
            known = self._recall.find(sql, asked)
            if known is not None:
                return known
            stamp = self._recall.stamp(sql)
            try:
                with root.cursor() as cursor:
                    cursor.execute(parsed("BEGIN TRANSACTION READ ONLY"))
                    rows = cursor.execute(parsed(sql), params or None).fetchall()
                    names = [column[0] for column in cursor.description or []]
            except duckdb.Error as error:
                if not _is_fatal(error):
                    raise
                self._suspect = str(error)
                raise Mended from error
        if len(set(names)) < len(names):
            raise ValueError(f"two columns of a query have the same name: {names}")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        self._recall.keep(sql, asked, stamp, found)
        return found

    # --- the writer's thread -------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _COMMANDS))]
                self._turn.notify_all()
            try:
                while batch:
                    batch = self._settle(batch)
            except BaseException as error:  # noqa: BLE001  a caller must hear of it, and the writer must live on
                for command in batch:
                    if not command.future.done():
                        command.future.set_exception(error)

    def _settle(self, batch: list[_Command], *, singly: bool = False) -> list[_Command]:
        """Decide, apply, write and answer the first commands of a batch; return the rest."""
        self._recover()
        cursor = self._writer()
        cursor.begin()
        draft = Draft(cursor, self._projection, self._recall, self._touched, singly=singly)
        entries: list[Entry] = []
        size = taken = 0
        try:
            draft.foresee([one for command in batch for one in command.foreseen])
            while taken < len(batch) and size < _BATCH_BYTES:
                before = len(entries)
                self._consider(batch[taken], entries, draft)
                size += sum(len(entry.text) for entry in entries[before:])
                taken += 1
            if entries:
                draft.flush()
                _stand_at(cursor, entries[-1].seq, entries[-1].hash)
                self.journal.commit(entries)
        except BaseException as error:  # noqa: BLE001  nothing was written: everybody whose outcome depends on it hears why
            _roll_back(cursor)
            cause = error.__cause__ if isinstance(error, Stuck) and error.__cause__ is not None else error
            if draft.stuck and not _is_fatal(cause):
                return self._settle(batch, singly=True)  # so that only the command at fault fails
            if _is_fatal(cause):
                self._suspect = str(cause)
                cause = Mended()
            # a command at which the engine failed runs again after the mending, unless it was the first
            for command in batch[: max(taken, 1)]:
                command.error = command.error if command.firm else cause
        else:
            if entries:
                self._commit(cursor)
            else:
                _roll_back(cursor)
        for command in batch[: max(taken, 1)]:
            command.answer()
        return batch[max(taken, 1) :]

    def _consider(self, command: _Command, entries: list[Entry], draft: Draft) -> None:
        """Decide one command after those that led to ``entries``; add its own, or its error and nothing else."""
        prepared: list[Entry] = []
        nothing_before = not entries
        command.error, command.firm = None, False
        try:
            events, command.result = command.decide(draft)
            prepared = self.journal.prepare(events, at=self._clock(), after=entries[-1] if entries else None)
            _check_size(prepared)
            for entry in prepared:
                draft.take(entry)
        except BaseException as error:
            if draft.stuck or _is_fatal(error):
                raise
            command.error = error
            command.firm = nothing_before
            if prepared or draft.spoilt:
                self._restore(entries, draft)
            return
        if draft.stuck:  # a decision must not swallow this
            raise Stuck
        command.firm = nothing_before and not prepared
        if draft.spoilt:
            self._restore(entries, draft)
        entries += prepared

    def _restore(self, entries: Sequence[Entry], draft: Draft) -> None:
        """Bring the open transaction back to exactly ``entries`` after a failed command has spoilt it.

        Any SQL error, even one that a decision has swallowed, makes DuckDB refuse the rest of its transaction.
        """
        cursor = self._writer()
        if draft.spoilt is not None and _is_fatal(draft.spoilt):
            raise draft.spoilt
        _roll_back(cursor)
        cursor.begin()
        draft.restart()
        for entry in entries:
            draft.take(entry)

    def _commit(self, cursor: Cursor) -> None:
        """Commit what the journal has already made durable; a catalogue that cannot follow now follows later."""
        try:
            cursor.commit()
            self._recall.changed({"meta", *self._touched})
            self._touched.clear()
        except duckdb.Error as error:
            _log.warning("the catalogue could not take a batch that the journal holds: %s", error)
            _roll_back(cursor)
            self._behind = True
            self._suspect = str(error) if _is_fatal(error) else ""
            with suppress(duckdb.Error, PrivacyError, OSError):
                self._recover()

    def _recover(self) -> None:
        """Bring the catalogue to the journal's head if it is suspect or behind."""
        if self._suspect or self._root is None:
            with self._alone():
                self._load()
        elif self._behind:
            try:
                self._replay()
            except duckdb.Error as error:
                _roll_back(self._writer())
                if _is_fatal(error):
                    self._suspect = str(error)
                if re.search("No space left|File too large|quota", str(error)):
                    raise NoSpace from error
                raise

    # --- the catalogue -------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Open the catalogue, or make it again, and bring it to the journal's head."""
        self._drop()
        last = self.journal.head[0]
        complaint = "failed while in use" if self._suspect else ""
        if not complaint:
            complaint = self._adopt() if self._file.exists() else "was missing" if last else "new"
        self.journal.mend()
        if complaint:
            self._set_aside()
            self._create()
        replayed = self._replay()
        self._suspect, self._behind = "", False
        if complaint and complaint != "new":
            self._notes.append(f"the catalogue {complaint}; it was made again from {replayed} entries")
        elif replayed:
            self._notes.append(f"{replayed} entries were added to the catalogue")

    def _adopt(self) -> str:
        """Open the catalogue that is there; return what is wrong with it, if anything."""
        try:
            self._connect()
            cursor = self._writer()
            standing = cursor.execute("SELECT applied_seq, head, schema_version FROM meta").fetchone()
            tables = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
            for (table,) in tables:  # reads every block, and with it every checksum
                cursor.execute(f'SELECT bit_xor(hash(t)) FROM "{table}" t').fetchall()  # noqa: S608  the name is the catalogue's own
        except duckdb.Error as error:
            self._drop()
            holder = _HOLDER.search(str(error))
            if holder:
                raise Held(int(holder[1])) from None
            return "could not be read"
        if standing is None:
            return "was empty"
        seq, digest, schema = standing
        if schema != self._projection.stamp:
            return "was of another schema"
        last = self.journal.head[0]
        if seq > last:
            # what looks like an unfinished write was acknowledged: cutting it off would lose it
            self.journal.mend(acknowledged=seq)
            # the journal is always durable before the catalogue commits: an older journal was put in its place
            self._drop()
            raise RolledBack(
                f"the catalogue stands at entry {seq}, the journal ends at {last}",
                file="catalog.duckdb",
                offset=0,
                seq=last + 1,
                fix="put the newest journal back; delete catalog.duckdb only if the entries since are lost for good",
            )
        return "" if self.journal.hash_at(seq) == digest else f"stood at another entry {seq} than the journal's"

    def _connect(self) -> None:
        self._root = duckdb.connect(
            str(self._file),
            config={
                "default_block_size": "16384",  # a smaller file and a narrower window for a torn checkpoint
                "storage_compatibility_version": "v1.4.0",  # still opens in older versions
                "enable_external_access": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_persistent_secrets": "false",
                "threads": "1",
                "memory_limit": self._memory,
                "lock_configuration": "true",
            },
        )
        self._cursor = self._root.cursor()

    def _create(self) -> None:
        self._connect()
        self._file.chmod(0o600)
        cursor = self._writer()
        cursor.begin()
        for statement in (_META, *self._projection.tables):
            cursor.execute(statement)
        cursor.execute("INSERT INTO meta VALUES (1, 0, ?, ?)", [self.journal.hash_at(0), self._projection.stamp])
        cursor.commit()

    def _set_aside(self) -> None:
        """Keep the file for whoever wants to know what happened to it, but only the last one."""
        self._drop()
        name = self._file.name
        for old in self._file.parent.glob(f"{name}.damaged-*"):
            old.unlink()
        aside = self._file.with_name(f"{name}.damaged-{self.journal.head[0]}")
        for suffix in ("", ".wal"):
            with suppress(FileNotFoundError):
                self._file.with_name(name + suffix).rename(aside.with_name(aside.name + suffix))

    def _replay(self) -> int:
        """Apply the entries that the catalogue does not have yet; return how many."""
        cursor = self._writer()
        row = cursor.execute("SELECT applied_seq FROM meta").fetchone()
        count = 0
        for chunk in _chunks(self.journal.entries(after=row[0] if row else 0)):
            try:
                self._take_up(cursor, chunk, singly=False)
            except Stuck:
                _roll_back(cursor)
                self._take_up(cursor, chunk, singly=True)
            count += len(chunk)
        self._behind = False
        self._recall.forget()
        return count

    def _take_up(self, cursor: Cursor, entries: Sequence[Entry], *, singly: bool) -> None:
        cursor.begin()
        draft = Draft(cursor, self._projection, self._recall, self._touched, singly=singly)
        for entry in entries:
            draft.take(entry)
        draft.flush()
        _stand_at(cursor, entries[-1].seq, entries[-1].hash)
        cursor.commit()

    def _writer(self) -> Cursor:
        if self._cursor is None:
            raise Mended
        return self._cursor

    def _drop(self) -> None:
        for connection in (self._cursor, self._root):
            if connection is not None:
                with suppress(duckdb.Error):
                    connection.close()
        self._cursor = self._root = None

    @contextmanager
    def _reading(self) -> Iterator[Cursor]:
        """Hold the catalogue open while somebody reads."""
        with self._gate:
            self._gate.wait_for(lambda: not self._shut)
            if self._root is None:
                raise Closed if self._closing else Mended
            self._readers += 1
            root = self._root
        try:
            yield root
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for the readers to leave and keep new ones out."""
        with self._gate:
            self._shut = True
            self._gate.wait_for(lambda: not self._readers)
        try:
            yield
        finally:
            with self._gate:
                self._shut = False
                self._gate.notify_all()


def _nothing(_: Any) -> tuple[Sequence[Event], None]:
    return (), None


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Divide a journal into what one transaction of a replay takes up."""
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        chunk.append(entry)
        size += len(entry.text)
        if len(chunk) == _REPLAY or size >= _REPLAY_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _check_size(entries: Sequence[Entry]) -> None:
    if sum(len(entry.text) for entry in entries) > _COMMAND_BYTES:
        raise Malformed(f"one command writes more than {_COMMAND_BYTES} bytes", fix="send less at once")


def _stand_at(cursor: Cursor, seq: int, digest: str) -> None:
    cursor.execute(parsed("UPDATE meta SET applied_seq = ?, head = ?"), [seq, digest])


def _roll_back(cursor: Cursor) -> None:
    with suppress(duckdb.Error):  # there may be no transaction left to roll back
        cursor.rollback()


def _is_fatal(error: BaseException) -> bool:
    """Whether DuckDB reports a damaged file or has given the database up, rather than refused a statement.

    A damaged index block is noticed at its first use only, and comes as a plain ``duckdb.Error``.
    """
    if isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return True
    return isinstance(error, duckdb.Error) and "corrupt database file" in str(error).lower()

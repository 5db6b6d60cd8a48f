"""Where engines run: for each source a process of its own, bounded by the operating system, that the node can lose.

The process (:mod:`exchange.node.worker`) stays, so that a question costs no start, and ends with the node. A statement that
takes too long has its process killed; one that exceeds its memory, or breaks the engine, ends it as well. What was under way
then is a fault of the source, and the next question starts another process.
"""

import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from exchange.node.engine import Cursor, Ended, Files, NoRoom, Parameters, TooLong, Unread
from exchange.node.worker import read_frame, write_frame

WARM = 8
"""Processes that are kept at most; the one used longest ago makes room."""

STARTING = 60
"""Seconds for what reads no row: to start, to open files."""

_PROGRAM = Path(__file__).with_name("worker.py")
_BROKE = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
_FAULTS = {"memory": duckdb.OutOfMemoryException, "statement": duckdb.BinderException, "engine": duckdb.Error}

log = logging.getLogger(__name__)


class Sandbox:
    """The engines of one node; ``directory`` is the node's own, for its tables and for rows that do not fit into memory."""

    def __init__(self, directory: Path | None = None, *, memory: int | None = None) -> None:
        """``memory`` is what all engines of one source may use, in bytes: half of what the machine has, if not told."""
        self._directory = directory
        self._memory = half_of_memory() if memory is None else memory
        self._workers: dict[str, _Worker] = {}
        self._turn = threading.Lock()
        self._closed = False

    def open(self, files: Files) -> Cursor:
        """Open an engine in the process of its source, which is started if it does not run.

        Raises:
            duckdb.Error: if the files cannot be opened.
            Unread: if the process ends meanwhile.
        """
        worker = self._worker(files.source)
        spill = "" if worker.spill is None else str(worker.spill)
        told = worker.ask(opening(files, spill=spill), seconds=STARTING)
        if not isinstance(told.get("opened"), int):
            raise worker.broken()
        return _Engine(worker, told["opened"], seconds=files.seconds)

    def close(self) -> None:
        """Kill all processes, whatever they are doing."""
        self._closed = True
        for worker in list(self._workers.values()):
            worker.kill()

    def _worker(self, source: str) -> "_Worker":
        with self._turn:
            if self._closed:
                raise Ended(broke=False)
            worker = self._workers.pop(source, None)
            # a file that took another's place is another file to a process that may open that one alone
            if worker is not None and not (worker.alive and worker.file == _identity(source)):
                worker.kill()
                worker = None
            while len(self._workers) >= WARM:
                self._workers.pop(next(iter(self._workers))).kill()
            if worker is None:
                worker = _Worker(source, directory=self._directory, memory=self._memory)
            self._workers[source] = worker
        return worker


class _Worker:
    """One process; one thing is asked of it at a time."""

    def __init__(self, source: str, *, directory: Path | None, memory: int) -> None:
        self.file = _identity(source)
        # nothing of this process is handed on: no variable, no open file, no directory, no terminal
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"LC_ALL": "C.UTF-8"},
            process_group=0,
        )
        self._turn = threading.Lock()
        self._late = False
        self._killed = False
        self.spill: Path | None = None
        writes: list[str] = []
        if directory is not None:
            directory.mkdir(mode=0o700, exist_ok=True)
            self.spill = directory / f"spill-{self.pid}"
            writes = [str(directory)]
        terms = {"parent": os.getpid(), "memory": memory, "reads": [source, f"{source}.wal"], "writes": writes}
        match self.ask({"begin": terms}, seconds=STARTING):
            case {"confined": ["files", "calls"]}:
                pass
            case _:
                log.warning("this system cannot confine the process that reads rows; the engine's own bounds are left")

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, message: dict[str, Any], *, seconds: int) -> dict[str, Any]:
        """Send a message and return the answer; the process is killed after ``seconds``.

        Raises:
            duckdb.Error: what the engine complained of, without its words.
            Unread: if the process ended.
        """
        try:
            answer = self._answer(message | {"seconds": seconds}, seconds=seconds)
        except (OSError, EOFError):
            raise self._ended() from None
        except ValueError:
            raise self.broken() from None
        if not isinstance(answer, dict):
            raise self.broken()
        if "fault" in answer:
            raise complaint(answer["fault"]) or self.broken()
        return answer

    def kill(self) -> None:
        """End the process and what it has put aside."""
        self._killed = True
        self._process.kill()
        self._process.wait()
        self._leave()

    def broken(self) -> Unread:
        """End a process that does not keep to the format, and return the fault."""
        log.warning("the process that reads rows said what it must not, and was ended")
        self.kill()
        return Ended(broke=True)

    def _answer(self, message: dict[str, Any], *, seconds: int) -> Any:
        asked, told = self._process.stdin, self._process.stdout
        with self._turn:
            if asked is None or told is None or asked.closed:
                raise EOFError
            alarm = threading.Timer(seconds, self._end_late)
            alarm.daemon = True
            alarm.start()
            try:
                write_frame(asked, message)
                return read_frame(told)
            finally:
                alarm.cancel()

    def _leave(self) -> None:
        """Let go of the pipes and of what an ended process has put aside; who waits at a pipe does so when it wakes."""
        if self._turn.acquire(blocking=False):
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with suppress(OSError):  # what was left to send has nobody to go to
                        stream.close()
            self._turn.release()
        if self.spill is not None:
            shutil.rmtree(self.spill, ignore_errors=True)

    def _end_late(self) -> None:
        self._late = True
        self._process.kill()

    def _ended(self) -> Unread:
        """Say why the process has ended."""
        self._process.kill()  # it may have closed its pipe alone
        code = self._process.wait()
        self._leave()
        if self._late or -code == signal.SIGXCPU:
            log.warning("a statement took too long; the process that ran it was ended")
            return TooLong(
                "the engine took too long to read the source", fix="ask for less at once, or when it is less busy"
            )
        if self._killed:
            return Ended(broke=False)
        log.warning("the process that reads rows ended with code %d", code)
        if -code == signal.SIGKILL:  # nobody else kills it but a system without memory
            return NoRoom("the node has too little memory", fix="give it 200 bytes for each row of the source")
        return Ended(broke=-code in _BROKE)


class _Engine:
    """One engine of a process, told from its others by a number."""

    def __init__(self, worker: _Worker, number: int, *, seconds: int) -> None:
        self._worker = worker
        self._number = number
        self._seconds = seconds
        self._rows: list[tuple[Any, ...]] = []

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self._worker.alive

    def execute(self, statement: str, parameters: Parameters | Sequence[Any] | None = None) -> "_Engine":
        """Run a statement; :meth:`fetchall` has its rows."""
        message = {"run": statement, "in": self._number, "with": {} if parameters is None else parameters}
        try:
            self._rows = _rows(self._worker.ask(message, seconds=self._seconds).get("rows"))
        except ValueError:
            raise self._worker.broken() from None
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the statement that ran last."""
        return self._rows

    def close(self) -> None:
        """Let go of the files."""
        if self.alive:
            try:
                self._worker.ask({"close": self._number}, seconds=STARTING)
            except (Unread, duckdb.Error):  # with its process, it lets go all the same
                log.warning("an engine did not close; its process was ended")
                self._worker.kill()


def opening(files: Files, *, spill: str) -> dict[str, Any]:
    """Return the message that asks for an engine; ``spill`` is a directory for what does not fit into memory, or nothing."""
    named = {"attached": files.attached, "allowed": files.allowed, "spill": spill, "uses": files.uses}
    return {"open": named}


def complaint(fault: Any) -> duckdb.Error | None:
    """Return the error that a fault of an answer stands for, if it is one."""
    kind = _FAULTS.get(fault) if isinstance(fault, str) else None
    return None if kind is None else kind("the engine refused")


def half_of_memory() -> int:
    """Return half of the bytes that this machine, or the container that this process lives in, has."""
    most = os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()
    with suppress(OSError, ValueError):  # no container, or one without a limit
        most = min(most, int(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    return max(most // 2, 1 << 28)


def _identity(source: str) -> tuple[int, int] | None:
    try:
        told = os.stat(source)  # noqa: PTH116  follows links, as reading does
    except OSError:
        return None
    return told.st_dev, told.st_ino


def _rows(told: Any) -> list[tuple[Any, ...]]:
    if not isinstance(told, list) or not all(isinstance(row, list) for row in told):
        raise ValueError
    return [tuple(_value(value) for value in row) for row in told]


def _value(value: Any) -> Any:
    """Read one value of an answer: a whole number, a truth, a text, nothing, or bytes."""
    if value is None or isinstance(value, bool | int | str):
        return value
    match value:
        case {"hex": str(digits)} if len(value) == 1:
            return bytes.fromhex(digits)
    raise ValueError

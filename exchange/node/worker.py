"""The process that has rows open: it runs the statements that its node prints, and knows nothing else of the node.

A program of its own, started by :mod:`exchange.node.sandbox` with an empty environment; it imports nothing of the project. It
talks over its standard input and output in frames, four bytes of length and one JSON object, of which there are four, and
four answers::

    {"begin": {parent, memory, reads, writes}}          {"confined": [...]}
    {"open": {attached, allowed, spill, uses}, seconds} {"opened": number}
    {"run": statement, "in": number, "with": parameters, seconds}   {"rows": [[...]]}
    {"close": number}                                   {"closed": number}

or, instead of any, ``{"fault": kind}``: the words of an engine stay here, since they may quote a row. Values are whole
numbers, truths, texts, ``null``, and bytes as ``{"hex": ...}``; there is no other.

Before a file is opened the process gives up what it does not need: address space beyond its share, core dumps, other files
(Landlock: the source for reading, one directory of the node's for tables and what does not fit into memory), TCP, sockets,
other programs and other processes (seccomp). It ends with its parent. Where the system knows no such bounds, those of the
engine are left: no access to any other file or host, a locked configuration, a limit of memory.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import IO, Any

import duckdb

MOST = 1 << 28
"""Bytes of the longest frame."""

ROOM = 3 << 29
"""Address space that interpreter, engine and their threads take beside the memory that an engine is told it may use."""

THREADS = 2

_HEAD = struct.Struct(">I")


def write_frame(stream: IO[bytes], value: Any) -> None:
    """Write one value.

    Raises:
        ValueError: if it is longer than a frame may be.
    """
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    if len(data) > MOST:
        raise ValueError
    stream.write(_HEAD.pack(len(data)) + data)
    stream.flush()


def read_frame(stream: IO[bytes]) -> Any:
    """Read one value.

    Raises:
        EOFError: if the other side has ended.
        ValueError: if it sent something else.
    """
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError
    (length,) = _HEAD.unpack(head)
    if length > MOST:
        raise ValueError
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    try:
        return json.loads(data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
    except RecursionError:
        raise ValueError from None


def _no_float(_: str) -> Any:
    raise ValueError


class Bench:
    """The engines that one source is read with, by their numbers."""

    def __init__(self, *, memory: int) -> None:
        """``memory`` is how many bytes each engine may use."""
        self._memory = memory
        self._engines: dict[int, duckdb.DuckDBPyConnection] = {}
        self._opened = 0

    def answer(self, message: Any) -> dict[str, Any]:
        """Do what a message asks for."""
        try:
            match message:
                case {"open": dict(files)}:
                    return {"opened": self._open(files)}
                case {"run": str(statement), "in": int(number), "with": parameters}:
                    found = self._engines[number].execute(statement, parameters).fetchall()
                    return {"rows": [[_spelt(value) for value in row] for row in found]}
                case {"close": int(number)}:
                    self._engines.pop(number).close()
                    return {"closed": number}
                case _:
                    return {"fault": "message"}
        except (duckdb.OutOfMemoryException, MemoryError):
            return {"fault": "memory"}
        except (duckdb.BinderException, duckdb.ParserException):
            return {"fault": "statement"}
        except (duckdb.Error, KeyError, TypeError, ValueError, RuntimeError):
            return {"fault": "engine"}

    def close(self) -> None:
        """Close every engine."""
        for opened in self._engines.values():
            opened.close()

    def _open(self, files: dict[str, Any]) -> int:
        opened = duckdb.connect(":memory:", config={"threads": THREADS, "memory_limit": f"{self._memory >> 20}MiB"})
        try:
            opened.execute(f"SET temp_directory = {_quoted(files['spill'])}")
            for name, path, mode in files["attached"]:
                opened.execute(f"ATTACH {_quoted(path)} AS {name} ({mode})")
            if files["allowed"]:
                opened.execute(f"SET allowed_paths = [{', '.join(map(_quoted, files['allowed']))}]")
            if files["uses"]:
                opened.execute(f"USE {files['uses']}")
            _lock(opened)
        except BaseException:
            opened.close()
            raise
        self._opened += 1
        self._engines[self._opened] = opened
        return self._opened


def _lock(opened: duckdb.DuckDBPyConnection) -> None:
    """Take from an engine the ways to any other file or host, and the way to get them back."""
    for setting in (
        "TimeZone = 'UTC'",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        opened.execute(f"SET {setting}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _spelt(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise ValueError


# -- what the process gives up ---------------------------------------------------------------------------------------

_DEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVILEGES = 1, 4, 22, 38  # prctl(2)
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3  # landlock(7)
# write, read, list, remove directories and files, make directories and files
_KEEP_FILES = 1 << 1 | _READ_FILE | _READ_DIRECTORY | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8
_TRUNCATE = 1 << 14
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many there are, by version
# the engine looks there for how much of the machine it may use
_SHARES = ("/proc/self/cgroup", "/proc/self/mountinfo", "/proc/meminfo", "/sys/fs/cgroup")
# socket, socketpair, execve, execveat, ptrace, process_vm_readv and _writev, kill, pidfd_open, pidfd_getfd, bpf, mount,
# unshare, setns, io_uring_setup, open_by_handle_at
_DENIED = {
    "x86_64": (0xC000003E, (41, 53, 59, 322, 101, 310, 311, 62, 434, 438, 321, 165, 272, 308, 425, 304)),
    "aarch64": (0xC00000B7, (198, 199, 221, 281, 117, 270, 271, 129, 434, 438, 280, 40, 97, 268, 425, 265)),
}


def confine(*, parent: int, memory: int, reads: list[str], writes: list[str]) -> list[str]:
    """Give up what reading ``reads`` and keeping files under ``writes`` does not need; return what the system enforces."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory + ROOM, memory + ROOM))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    if sys.platform != "linux":
        return []
    with contextlib.suppress(OSError):
        # if memory runs out all the same, this process is the one to end, not the node
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_DEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    system.prctl(_DUMPABLE, 0, 0, 0, 0)
    system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    held = {"files": _confine_files(system, reads=reads, writes=writes), "calls": _confine_calls(system)}
    return [name for name, done in held.items() if done]


def _confine_files(system: ctypes.CDLL, *, reads: list[str], writes: list[str]) -> bool:
    """Close every file but these to this process, and TCP; whether the system can."""
    version = system.syscall(444, None, 0, 1)
    if version < 1:
        return False
    every = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    # handled rights of files, of TCP (bind, connect), of signals and abstract sockets, as many as this version knows
    handled = [every, 3, 3][: 1 if version < 4 else 2 if version < 6 else 3]
    asked = struct.pack(f"={len(handled)}Q", *handled)
    rules = system.syscall(444, asked, len(asked), 0)
    if rules < 0:
        return False
    granted = [(path, _READ_FILE) for path in (*reads, *_SHARES)]
    granted += [(path, (_KEEP_FILES | _TRUNCATE) & every) for path in writes]
    for path, rights in granted:
        with contextlib.suppress(OSError):  # what is not there cannot be opened
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            system.syscall(445, rules, 1, struct.pack("=Qi", rights, place), 0)
            os.close(place)
    held = bool(system.syscall(446, rules, 0) == 0)
    os.close(rules)
    return held


def _confine_calls(system: ctypes.CDLL) -> bool:
    """Deny the calls that lead to other hosts, programs and processes; whether the system can."""
    known = _DENIED.get(platform.machine())
    if known is None:
        return False
    architecture, numbers = known
    # load the architecture; another one is denied; load the number; x86's second table and each listed number are denied
    last = len(numbers) + 4
    steps = [(0x20, 0, 0, 4), (0x15, 0, last - 1, architecture), (0x20, 0, 0, 0), (0x35, last - 3, 0, 0x40000000)]
    steps += [(0x15, last - 4 - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(filters))
    return bool(system.prctl(_SECCOMP, 2, program, 0, 0) == 0)


def _allow_seconds(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + THREADS * seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    """Answer frames until the other side ends."""
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    bench = None
    with contextlib.suppress(EOFError):
        while True:
            message = read_frame(asked)
            if bench is None:
                terms = message["begin"]
                for directory in terms["writes"]:
                    # never closed: who opens the directory anew waits until nobody works in it
                    fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_SH)
                bench, told_first = Bench(memory=terms["memory"]), {"confined": confine(**terms)}
                write_frame(told, told_first)
                continue
            _allow_seconds(message.get("seconds", 60))
            try:
                write_frame(told, bench.answer(message))
            except ValueError:
                write_frame(told, {"fault": "engine"})
    if bench is not None:
        bench.close()


if __name__ == "__main__":
    main()

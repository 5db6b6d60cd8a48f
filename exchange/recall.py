"""What a catalogue was asked before: answers that still hold because no table that they mention has changed since.

One DuckDB statement costs about a millisecond, mostly in planning; a session asks the same things again and again.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

_MOST = 4_096
"""Answers held at most; then all are forgotten, which costs asking once more."""

_MOST_ROWS = 1_000
"""An answer with more rows is not held; nor is one that mentions no table."""

Rows = list[dict[str, Any]]
Stamp = tuple[int, ...]
"""How often each table that a statement mentions had changed when it was asked."""


class Recall:
    """Answers by statement and parameters, over the named tables; for any number of threads."""

    def __init__(self, tables: Iterable[str]) -> None:
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, tables))})\b")
        # a name that only looks like a table makes an answer hold for a shorter time, never for too long
        self.mentioned = lru_cache(maxsize=1_024)(lambda sql: tuple(sorted(set(pattern.findall(sql)))))
        self._changes: dict[str, int] = {}
        self._held: dict[tuple[str, tuple[Any, ...]], tuple[Stamp, Rows]] = {}
        self._lock = threading.Lock()

    def stamp(self, sql: str) -> Stamp:
        """Return how the tables of a statement stand; taken before it is asked, so that a later change is never missed."""
        return tuple(self._changes.get(table, 0) for table in self.mentioned(sql))

    def find(self, sql: str, params: Sequence[Any]) -> Rows | None:
        """Return the answer to a statement if it still holds; the caller may change what it gets."""
        try:
            found = self._held.get((sql, tuple(params)))
        except TypeError:  # a parameter without a hash
            return None
        return [dict(row) for row in found[1]] if found is not None and found[0] == self.stamp(sql) else None

    def keep(self, sql: str, params: Sequence[Any], stamp: Stamp, rows: Rows) -> None:
        """Hold an answer that was asked for when the tables stood at ``stamp``."""
        if len(rows) > _MOST_ROWS or not stamp:
            return
        try:
            key = (sql, tuple(params))
            hash(key)
        except TypeError:
            return
        with self._lock:
            if len(self._held) >= _MOST:
                self._held.clear()
            self._held[key] = stamp, [dict(row) for row in rows]

    def changed(self, tables: Iterable[str]) -> None:
        """Note that tables have changed; called once the change can be read, and before it is acknowledged."""
        with self._lock:
            for table in tables:
                self._changes[table] = self._changes.get(table, 0) + 1

    def forget(self) -> None:
        """Hold nothing any more: the tables were made again."""
        with self._lock:
            self._held.clear()
            self._changes = {table: count + 1 for table, count in self._changes.items()}

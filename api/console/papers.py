"""Papers on a console's table: documents that somebody opened here, each verified first, kept in memory and for the session only.

A page of a paper is an address (``/value/<digest>``) with a twin and files; nothing is written to disk or put on record.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.errors import Malformed

MOST_BYTES = 6 << 20
MOST = 24
"""Papers of one session, together and in number; the oldest makes room."""


class Kind(StrEnum):
    """What a paper is."""

    REPORT = "report"
    SPLIT = "split"
    STRUCTURE = "structure"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Paper:
    """One document that follows from its inputs; ``signer`` is the party whose signature on it was checked, if any.

    ``name`` is its digest, by which it is found again.
    """

    kind: Kind
    name: str
    document: Mapping[str, Any]
    signer: str | None = None


class Papers:
    """The papers of one session, newest last; any thread may lay one down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Paper, int]] = {}

    def lay(self, paper: Paper) -> str:
        """Keep a paper and return its name; the oldest ones make room for it.

        Raises:
            Malformed: if it is longer than all papers together may be.
        """
        size = len(canonical.encode(paper.document))
        if size > MOST_BYTES:
            raise Malformed("the document is too long to be kept open", fix="read it with the command line")
        with self._lock:
            self._held.pop(paper.name, None)
            while len(self._held) >= MOST or sum(held for _, held in self._held.values()) + size > MOST_BYTES:
                self._held.pop(next(iter(self._held)))
            self._held[paper.name] = paper, size
        return paper.name

    def find(self, name: str, kind: Kind) -> Paper:
        """Return a paper by its name.

        Raises:
            Unknown: if no such paper is open in this session.
        """
        with self._lock:
            held = self._held.get(name)
        if held is None or held[0].kind is not kind:
            raise Unknown(f"{kind} open in this session: open its file again")
        return held[0]

    def every(self, kind: Kind) -> list[Paper]:
        """Return the papers of a kind, newest first."""
        with self._lock:
            return [paper for paper, _ in reversed(self._held.values()) if paper.kind is kind]

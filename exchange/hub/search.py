"""Searching the catalog in Chinese and English: an SQLite file with a full-text index beside the projection.

It is never the truth: it carries the entry of the journal that it stands at, takes up what changed since before each search,
and is made again when it is missing, damaged, of another form or of another history.

Han text has no spaces: it is indexed as pairs of neighbouring characters, so that every word of two or more is a phrase of
pairs and a single character the beginning of one. Other words are folded and stemmed (Porter). What is filtered by is a word
of a column of its own, so that the index intersects it with the rest instead of looking at every row.

Order: datasets whose title says it all come first; then the newest change first. The index keeps rows by the entry of their
last change, so a page costs what is on it, and a cursor is a place in that order: no page shifts or repeats a dataset while
others are registered; one that changes meanwhile moves to the front.
"""

import base64
import hashlib
import json
import re
import sqlite3
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from privacy import canonical
from privacy.errors import Malformed

FACETS = ("standard", "owner", "level", "state")
UNDECLARED_LEVEL = "undeclared"

FORM = "1"
MOST = 500
"""Datasets on one page at most."""

LONGEST_QUESTION = 200
COUNTED = 5_000
"""Of what a search finds, at most so many of the newest are counted by facet; the answer says whether that was all."""

_LISTED_VALUES = 50
_TAKEN_UP = 5_000
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{_HAN}]+")
_WORD = re.compile(f"[{_HAN}]+|[^\\W{_HAN}]+")
_STATES = ("active", "deprecated", "withdrawn")
_TABLES = """
CREATE TABLE meta (form TEXT, seq INTEGER, hash TEXT);
CREATE TABLE value (id INTEGER PRIMARY KEY, facet TEXT, value TEXT, UNIQUE (facet, value));
CREATE TABLE dataset (
    id INTEGER PRIMARY KEY, asset TEXT UNIQUE, standard INTEGER, owner INTEGER, level INTEGER, state INTEGER);
CREATE TABLE record (id INTEGER PRIMARY KEY, told TEXT);
CREATE VIRTUAL TABLE words USING fts5(title, body, marks, tokenize='porter unicode61 remove_diacritics 2');
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: words, if any, and values of facets; ``None`` stands for any, and for all but withdrawn ones."""

    words: str = ""
    standard: str | None = None
    owner: str | None = None
    level: str | None = None
    state: str | None = None

    def __post_init__(self) -> None:
        if len(self.words) > LONGEST_QUESTION:
            raise Malformed(f"the search is longer than {LONGEST_QUESTION} characters", fix="search for fewer words")
        if self.words and not _WORD.search(unicodedata.normalize("NFKC", self.words)):
            raise Malformed("the search has no word in it", fix="search for letters, digits or characters")
        if self.state is not None and self.state not in _STATES:
            raise Malformed("there is no such state", fix=f"states: {', '.join(_STATES)}")
        if self.level is not None and self.level not in {*"12345", UNDECLARED_LEVEL}:
            raise Malformed("there is no such level", fix=f"levels: 1 to 5, {UNDECLARED_LEVEL}")

    @property
    def conditions(self) -> dict[str, str]:
        """The facets with a value asked for."""
        asked = {facet: getattr(self, facet) for facet in FACETS}
        return {facet: value for facet, value in asked.items() if value is not None}

    @property
    def digest(self) -> str:
        """Names the question, so that a cursor is not taken for another one's."""
        return canonical.digest([self.words, sorted(self.conditions.items())])[:16]


@dataclass(frozen=True, slots=True)
class Found:
    """One page, the cursor of the next, and counts by facet: of everything found, or of its newest part."""

    datasets: list[dict[str, Any]]
    following: str | None
    facets: dict[str, dict[str, int]] | None
    exact: bool


class Catalogue(Protocol):
    """What a search is fed from: the projection of the journal, as it was committed last."""

    def standing_at(self) -> tuple[int, str]:
        """Return the entry of the journal that the projection stands at: seq and hash."""

    def changed(self, after: int, most: int) -> list[dict[str, Any]]:
        """Return up to ``most`` datasets that changed after an entry, in the order of their last changes."""

    def tally(self, conditions: Mapping[str, str], most: int) -> dict[str, dict[str, int]]:
        """Count by facet what meets all conditions; of each facet the ``most`` frequent values."""


class Search:
    """The search file at ``path`` over one catalogue; ``hash_at`` gives the hash of an entry. For any number of threads."""

    def __init__(self, path: Path, *, catalogue: Callable[[], Catalogue], hash_at: Callable[[int], str | None]) -> None:
        self._catalogue = catalogue
        self._hash_at = hash_at
        self._path = path
        self._lock = threading.Lock()  # of who brings the file up to date
        self._idle: list[sqlite3.Connection] = []
        self._standing = 0
        with self._lock:
            self._open()

    def find(
        self,
        question: Question,
        *,
        hidden: Collection[str],
        cursor: str | None = None,
        limit: int = 50,
        facets: bool = False,
    ) -> Found:
        """Return one page of what a question finds; ``hidden`` are owners whose datasets are neither shown nor counted.

        Raises:
            Malformed: if the cursor is not one of this question.
        """
        if not 1 <= limit <= MOST:
            raise Malformed(f"a page has 1 to {MOST} datasets", fix=f"ask for at most {MOST}")
        tier, before = (0, 1 << 62) if cursor is None else _place(cursor, question)
        self._catch_up()
        with self._connected() as connection:
            rows: list[tuple[int, int, str]] = []
            for current, match in enumerate(_matches(question, hidden)):
                if current < tier or len(rows) > limit:
                    continue
                start = before if current == tier else 1 << 62
                sql = (
                    "SELECT ?, words.rowid, record.told FROM words JOIN record ON record.id = words.rowid "
                    "WHERE words MATCH ? AND words.rowid < ? ORDER BY words.rowid DESC LIMIT ?"
                )
                rows += connection.execute(sql, (current, match, start, limit + 1 - len(rows))).fetchall()
            counts, exact = self._counts(connection, question, hidden) if facets else (None, True)
        page = rows[:limit]
        following = _cursor(page[-1][0], page[-1][1], question) if len(rows) > limit else None
        return Found([json.loads(told) for _, _, told in page], following, counts, exact)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _counts(
        self, connection: sqlite3.Connection, question: Question, hidden: Collection[str]
    ) -> tuple[dict[str, dict[str, int]], bool]:
        if not question.words and not hidden:
            return self._catalogue().tally(question.conditions, _LISTED_VALUES), True
        sql = (
            "SELECT standard, owner, level, state FROM (SELECT rowid AS id FROM words WHERE words MATCH ? "
            "ORDER BY rowid DESC LIMIT ?) JOIN dataset USING (id)"
        )
        rows = connection.execute(sql, (_everything(question, hidden), COUNTED)).fetchall()
        counts: dict[str, dict[str, int]] = {}
        for facet, column in zip(FACETS, zip(*rows, strict=True) if rows else [()] * len(FACETS), strict=True):
            counted = Counter(column)
            told = connection.execute("SELECT id, value FROM value WHERE facet = ?", (facet,))
            counts[facet] = {value: counted[id_] for id_, value in told if id_ in counted}
        return _largest(counts), len(rows) < COUNTED

    # -- keeping up ------------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take up what changed since; a file that fails is made again."""
        if self._standing == self._catalogue().standing_at()[0]:
            return
        with self._lock:
            try:
                self._take_up()
            except sqlite3.DatabaseError:
                self._remove()
                self._open()

    def _open(self) -> None:
        try:
            with closing(self._connect()) as connection:
                row = connection.execute("SELECT form, seq, hash FROM meta").fetchone()
            sound = row is not None and row[0] == FORM and self._hash_at(row[1]) == row[2]
        except sqlite3.DatabaseError:
            sound = False
        if not sound:
            self._remove()
            with closing(self._connect()) as connection:
                connection.executescript(_TABLES)
                connection.execute("INSERT INTO meta VALUES (?, 0, ?)", (FORM, self._hash_at(0)))
                connection.commit()
            self._path.chmod(0o600)
            row = (FORM, 0, "")
        self._standing = row[1]
        self._take_up()

    def _take_up(self) -> None:
        view = self._catalogue()
        seq, digest = view.standing_at()  # before the rows: what is newer than it is taken up once more
        with self._connected() as connection:
            after = self._standing
            while changed := view.changed(after, _TAKEN_UP):
                for record in changed:
                    _put(connection, record)
                connection.commit()  # the mark below moves last: what is taken up twice stands there once
                after = changed[-1]["changed"]
                if len(changed) < _TAKEN_UP:
                    break
            connection.execute("UPDATE meta SET seq = ?, hash = ?", (seq, digest))
            connection.commit()
        self._standing = seq

    def _remove(self) -> None:
        while self._idle:
            self._idle.pop().close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        # it can be made again at any time, so it need not wait for the disk
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;")
        return connection

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            with suppress(sqlite3.Error):
                connection.close()
            raise
        self._idle.append(connection)


def _put(connection: sqlite3.Connection, record: Mapping[str, Any]) -> None:
    """Write one dataset's rows under the entry of its last change, in place of those under an earlier one."""
    declared = record["declared"]
    title, description = declared.get("title") or {}, declared.get("description") or {}
    coverage = declared.get("coverage") or {}
    titles = [record["title"], title.get("zh"), title.get("en"), record["asset"]]
    body = [
        description.get("zh"),
        description.get("en"),
        record["standard"],
        declared.get("steward"),
        *record["columns"],
    ]
    body += [declared.get("licence"), *coverage.get("regions", [])]
    level = str(record["level"] or UNDECLARED_LEVEL)
    values = {"standard": record["standard"], "owner": record["owner"], "level": level, "state": record["state"]}
    marks = [_mark(facet, value) for facet, value in values.items()]
    marks += [_mark("listed", "")] if record["state"] != "withdrawn" else []
    for (old,) in connection.execute("SELECT id FROM dataset WHERE asset = ?", (record["asset"],)).fetchall():
        connection.execute("DELETE FROM words WHERE rowid = ?", (old,))
        connection.execute("DELETE FROM dataset WHERE id = ?", (old,))
        connection.execute("DELETE FROM record WHERE id = ?", (old,))
    told = [record["changed"], record["asset"], *(_number(connection, facet, values[facet]) for facet in FACETS)]
    connection.execute("INSERT INTO dataset VALUES (?, ?, ?, ?, ?, ?)", told)
    connection.execute("INSERT INTO record VALUES (?, ?)", (record["changed"], json.dumps(record, ensure_ascii=False)))
    words = (record["changed"], *("\n".join(_spaced(text) for text in part if text) for part in (titles, body)))
    connection.execute("INSERT INTO words (rowid, title, body, marks) VALUES (?, ?, ?, ?)", (*words, " ".join(marks)))


def _number(connection: sqlite3.Connection, facet: str, value: str) -> int:
    """Return the number that stands for a value of a facet: rows of numbers are narrow, and counted fast."""
    connection.execute("INSERT OR IGNORE INTO value (facet, value) VALUES (?, ?)", (facet, value))
    row = connection.execute("SELECT id FROM value WHERE facet = ? AND value = ?", (facet, value)).fetchone()
    return int(row[0])


def _spaced(text: str) -> str:
    """Write Han text as its pairs of neighbours and its last character; the rest stays."""

    def pairs(run: re.Match[str]) -> str:
        found = run[0]
        return f" {' '.join(found[i : i + 2] for i in range(len(found)))} "

    return _RUN.sub(pairs, unicodedata.normalize("NFKC", text))


def _mark(facet: str, value: str) -> str:
    """The word that stands for a value of a facet; no stem ends in q, so it is found as it is."""
    return f"q{hashlib.sha256(f'{facet}={value}'.encode()).hexdigest()[:20]}q"


def _terms(words: str) -> str:
    """Print a search so that the index reads nothing into it: quoted words and phrases, all of which must occur."""
    terms = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", words)):
        if not _RUN.fullmatch(word):
            terms.append(f'"{word}"')
        elif len(word) == 1:
            terms.append(f'"{word}"*')
        else:
            terms.append(f'"{" ".join(word[i : i + 2] for i in range(len(word) - 1))}"')
    return " AND ".join(terms)


def _filters(question: Question, hidden: Collection[str]) -> tuple[str, str]:
    """Return the marks that must be there, and those of which none may be."""
    wanted = [_mark(facet, value) for facet, value in question.conditions.items()]
    wanted += [] if question.state else [_mark("listed", "")]
    unwanted = [_mark("owner", owner) for owner in sorted(hidden)]
    return " AND ".join(wanted), " OR ".join(unwanted)


def _everything(question: Question, hidden: Collection[str]) -> str:
    wanted, unwanted = _filters(question, hidden)
    both = f"({_terms(question.words)}) AND {wanted}" if question.words else wanted
    return f"({both}) NOT ({unwanted})" if unwanted else both


def _matches(question: Question, hidden: Collection[str]) -> list[str]:
    """Return what to match, tier by tier."""
    everything = _everything(question, hidden)
    if not question.words:
        return [everything]
    titled = f"(title : ({_terms(question.words)}))"
    return [f"{titled} AND ({everything})", f"({everything}) NOT {titled}"]


def _largest(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Keep each facet's most frequent values."""
    return {
        facet: dict(sorted(values.items(), key=lambda item: (-item[1], item[0]))[:_LISTED_VALUES])
        for facet, values in counts.items()
    }


def _cursor(tier: int, seq: int, question: Question) -> str:
    return base64.urlsafe_b64encode(canonical.encode([tier, seq, question.digest])).decode().rstrip("=")


def _place(cursor: str, question: Question) -> tuple[int, int]:
    try:
        tier, seq, digest = canonical.decode(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        )
        if digest == question.digest and tier in (0, 1) and type(seq) is int:
            return int(tier), seq
    except (ValueError, TypeError, Malformed):
        pass
    raise Malformed("the cursor is not one of this search", fix="begin with the first page")

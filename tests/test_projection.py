"""Rows put in together and answers foreseen cannot be told from rows put in one by one and questions asked one by one."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_book import held_back, ticking

from exchange.book import Book
from exchange.projection import Draft, Find, Projection, Rows, Table
from exchange.recall import Recall
from privacy.errors import Refused

TABLES = [
    "CREATE TABLE item (id VARCHAR PRIMARY KEY, owner VARCHAR, tags VARCHAR[], units BIGINT, seq BIGINT)",
    "CREATE TABLE past (seq BIGINT PRIMARY KEY, id VARCHAR)",
    "CREATE TABLE moved (owner VARCHAR, what VARCHAR, stage VARCHAR, PRIMARY KEY (owner, what))",
    "CREATE TABLE total (owner VARCHAR PRIMARY KEY, events BIGINT)",
]
ITEM = Find("item", ("id", "owner", "units"), ("id",))
OWNED = Find("item", ("id", "units"), ("owner",))
MOVED = Find("moved", ("owner", "what", "stage"), ("owner", "what"))


def _item(entry):
    body = entry.body
    return [body["id"], body["owner"], body["tags"], body["units"], entry.seq]


def _counted(cursor, entries):
    for entry in entries:
        owner = entry.body["owner"]
        cursor.execute("INSERT OR IGNORE INTO total VALUES (?, 0)", [owner])
        cursor.execute("UPDATE total SET events = events + 1 WHERE owner = ?", [owner])


def _cleared(cursor, entry):
    cursor.execute("DELETE FROM item WHERE owner = ?", [entry.body["owner"]])


APPLY = {
    "item": Rows("item", _item, beside=(Rows("past", lambda entry: [entry.seq, entry.body["id"]], replace=False),)),
    "moved": Rows("moved", lambda entry: [entry.body[name] for name in ("owner", "what", "stage")], then=_counted),
    "only": Rows("past", lambda entry: [entry.body["seq"], entry.body["id"]], replace=False),
    "cleared": _cleared,
}
PROJECTION = Projection(version=1, tables=TABLES, apply=APPLY)
SINGLY = Projection(version=1, tables=TABLES, apply={kind: (lambda c, e, a=a: a(c, e)) for kind, a in APPLY.items()})


def book_of(path, projection=PROJECTION):
    return Book.open(path, owner="north", projection=projection, clock=ticking())


def state(book):
    return {table: book.read(f"SELECT * FROM {table} ORDER BY ALL") for table in ("item", "past", "moved", "total")}


ids, owners = st.sampled_from("abcd"), st.sampled_from(["x", "y"])
events = st.one_of(
    st.fixed_dictionaries(
        {
            "id": ids,
            "owner": owners,
            "tags": st.lists(st.sampled_from(["p", "q"]), max_size=2),
            "units": st.none() | st.integers(-5, 5),
        }
    ).map(lambda body: ("item", body)),
    st.fixed_dictionaries({"owner": owners, "what": ids, "stage": ids}).map(lambda body: ("moved", body)),
    st.fixed_dictionaries({"owner": owners}).map(lambda body: ("cleared", body)),
)
questions = st.one_of(
    st.tuples(st.just(ITEM), st.tuples(ids)),
    st.tuples(st.just(OWNED), st.tuples(owners)),
    st.tuples(st.just(MOVED), st.tuples(owners, ids)),
)
commands = st.tuples(st.lists(events, max_size=3), st.lists(questions, max_size=3), st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(commands, min_size=1, max_size=8), min_size=1, max_size=3))
def test_batches_and_single_events_lead_to_the_same_answers_and_tables(tmp_path_factory, batches):
    home = tmp_path_factory.mktemp("books")

    def decide(told, asked):
        def decision(cursor):
            return told, [sorted(cursor.execute(find.sql, values).fetchall(), key=repr) for find, values in asked]

        return decision

    answers = {}
    for name, projection in (("together", PROJECTION), ("singly", SINGLY)):
        with book_of(home / name, projection) as book:
            answers[name] = []
            for batch in batches:
                foreseen = name == "together"
                run = [
                    _Foreseeing(decide(told, asked), asked if foreseen and ahead else ())
                    for told, asked, ahead in batch
                ]
                answers[name] += (
                    held_back(_Through(book), *run) if foreseen else [book.write(one.decide) for one in run]
                )
            answers[name].append(state(book))
    assert answers["together"] == answers["singly"]
    shutil.rmtree(home / "together" / "catalog.duckdb", ignore_errors=True)
    (home / "together" / "catalog.duckdb").unlink(missing_ok=True)
    with book_of(home / "together") as again:
        assert state(again) == answers["together"][-1], "replay leads to the same tables"
    shutil.rmtree(home)


class _Foreseeing:
    def __init__(self, decide, foreseen):
        self.decide = decide
        self.foreseen = foreseen

    def __call__(self, cursor):
        return self.decide(cursor)


class _Through:
    """A book that takes along what a decision says it will ask."""

    def __init__(self, book):
        self._book = book

    def __getattr__(self, name):
        return getattr(self._book, name)

    def write(self, decide):
        return self._book.write(decide, getattr(decide, "foreseen", ()))


def put(name, owner="x", units=1):
    return lambda _: ([("item", {"id": name, "owner": owner, "tags": [], "units": units})], name)


def test_a_foreseen_rule_holds_within_one_batch(tmp_path):
    """Of many who want the same name at once, foreseen or not, exactly one gets it."""

    def claim(number):
        def decide(cursor):
            if cursor.execute(ITEM.sql, ("a",)).fetchall():
                raise Refused("taken")
            return [("item", {"id": "a", "owner": f"o{number}", "tags": [], "units": number})], number

        return _Foreseeing(decide, [(ITEM, ("a",))])

    with book_of(tmp_path) as book:
        outcomes = held_back(_Through(book), *(claim(number) for number in range(50)))
        assert [isinstance(one, Refused) for one in outcomes].count(False) == 1
        assert len(book.read("SELECT * FROM item")) == 1


def test_a_row_that_cannot_be_put_in_fails_its_own_command_only(tmp_path):
    """``past`` takes each seq once: the second use of one is a fault that the engine finds, in whatever batch."""

    def only(seq):
        return lambda _: ([("only", {"seq": seq, "id": "z"})], seq)

    with book_of(tmp_path) as book:
        outcomes = held_back(book, put("a"), only(1000), put("b"), only(1000), put("c"))
        assert outcomes[:3] == ["a", 1000, "b"]
        assert isinstance(outcomes[3], duckdb.ConstraintException)
        assert outcomes[4] == "c"
        assert [row["id"] for row in book.read("SELECT id FROM item ORDER BY id")] == ["a", "b", "c"]
        assert book.head[0] == 4
        before = state(book)
    (tmp_path / "catalog.duckdb").unlink()
    with book_of(tmp_path) as book:
        assert state(book) == before


def test_a_decision_that_swallows_the_fault_of_waiting_rows_does_not_hide_it(tmp_path):
    def only(seq):
        return lambda _: ([("only", {"seq": seq, "id": "z"})], seq)

    def swallowing(cursor):
        try:
            cursor.execute("SELECT * FROM item").fetchall()
        except Exception:  # noqa: BLE001
            return [], "swallowed"
        return [], "read"

    with book_of(tmp_path) as book:
        outcomes = held_back(book, only(1000), only(1000), swallowing)
        assert outcomes[0] == 1000
        assert isinstance(outcomes[1], duckdb.ConstraintException)
        assert outcomes[2] == "read"


def test_many_callers_one_writer(tmp_path):
    with book_of(tmp_path) as book, ThreadPoolExecutor(32) as pool:
        barrier = threading.Barrier(32)

        def work(number):
            barrier.wait()
            for turn in range(20):
                book.write(put(f"{number}-{turn}", units=turn), [(ITEM, (f"{number}-{turn}",))])

        list(pool.map(work, range(32)))
        assert book.read("SELECT count(*) AS n, sum(units) AS s FROM item") == [{"n": 640, "s": 32 * 190}]


def test_what_is_foreseen_is_asked_once_for_all(tmp_path):
    """The engine sees one statement for the questions of a whole batch."""
    asked = []

    class Watching:
        def __init__(self, cursor):
            self._cursor = cursor

        def execute(self, sql, params=None):
            asked.append(sql)
            return self._cursor.execute(sql, params)

    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        for statement in TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO item VALUES ('a', 'x', [], 1, 1), ('b', 'x', [], 2, 2)")
        draft = Draft(Watching(connection), PROJECTION, Recall(["item"]), set())
        draft.foresee([(ITEM, (name,)) for name in "abc"])
        told = [draft.execute(ITEM.sql, [name]).fetchall() for name in "abc"]
    assert told == [[("a", "x", 1)], [("b", "x", 2)], []]
    assert len(asked) == 1


@pytest.mark.parametrize("statement", TABLES)
def test_a_table_is_read_from_its_statement_as_the_engine_reads_it(statement):
    table = Table.read(statement)
    with duckdb.connect() as connection:
        connection.execute(statement)
        told = connection.execute(f"SELECT name, type, pk FROM pragma_table_info('{table.name}')").fetchall()
    assert list(zip(table.columns, table.types, [name in table.key for name in table.columns], strict=True)) == told


def test_what_is_no_table_is_refused():
    with pytest.raises(ValueError, match="CREATE TABLE"):
        Table.read("DROP TABLE item")

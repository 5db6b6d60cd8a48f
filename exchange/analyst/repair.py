"""The rewrite of a refused statement: the nearest statement that is answered, found by trying.

What a refusal says to write instead is put in its place; where it says nothing, the item, condition or clause is left out.
The result is read again, and mended again where it is refused. No text of the statement comes back that is not public: not
a value it compared with, not a quoted alias, so that a refusal repeats nothing that somebody pasted from a row.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from exchange.analyst.labels import is_dimension
from exchange.analyst.rows import AGGREGATES
from exchange.analyst.syntax import Call, Chain, Day, Fault, Item, Name, Node, Sorted, Statement, Text, walk
from exchange.analyst.writing import quoted_name, show
from privacy.terms import UNKNOWN, Kind, Standard

ROUNDS = 6
"""Refusals of one statement that are mended one after the other at most."""

MOST_READ = 12_000
"""Characters that are read again at most while a statement is mended, so that a refusal never takes long."""

_WORDS = re.compile(r"\d{4}-\d\d-\d\d|year|quarter|month", re.IGNORECASE)

Understand = Callable[[str], Statement]
"""Reads a statement to the end: returns its tree, or raises the ``Refusal`` that holds it."""


class Refusal(Exception):
    """A fault and the statement it is in, ``None`` if there is no tree of it."""

    def __init__(self, fault: Fault, statement: Statement | None) -> None:
        super().__init__(fault.reason)
        self.fault = fault
        self.statement = statement


def example(standard: Standard) -> str:
    """Return a statement over a standard that is answered."""
    named = next((quoted_name(column.name) for column in standard.columns if column.kind is Kind.CATEGORY), None)
    table = quoted_name(standard.name)
    if named is None:
        return f"SELECT COUNT(*) FROM {table}"  # noqa: S608  shown to the analyst, run by nobody
    return f"SELECT {named}, COUNT(*) FROM {table} GROUP BY {named}"  # noqa: S608  likewise


def position(refusal: Refusal) -> int:
    """Return the offset of what is refused: of what holds it, if the parser kept no place of it."""
    fault, statement = refusal.fault, refusal.statement
    if fault.at >= 0 or statement is None:
        return max(0, fault.at)
    trees = [item.of for item in statement.items] + list(statement.groups) + [one.of for one in statement.order]
    trees += [one for one in (statement.where, statement.having) if one is not None]
    held = [one for tree in trees for one in walk(tree) if any(part is fault.node for part in walk(one))]
    return max([0, *(one.at for one in held)])


def repaired(refusal: Refusal, standard: Standard, understand: Understand) -> str:
    """Return a statement that is answered, as near to the refused one as mending comes."""
    room = MOST_READ
    for _ in range(ROUNDS):
        if refusal.statement is None:
            break
        following = None
        for text in _candidates(refusal.statement, refusal.fault, standard):
            room -= len(text)
            if room < 0:
                return example(standard)
            try:
                mended = understand(text)
            except Refusal as again:
                following = following or again
                continue
            return text if _public(mended, standard) else example(standard)
        if following is None:
            break
        refusal = following
    return example(standard)


def _candidates(statement: Statement, fault: Fault, standard: Standard) -> Iterator[str]:
    cured = replace(statement, foreign=(), table=Name(0, standard.name))
    if fault.node is None:
        if statement.foreign or show_statement(statement) != show_statement(cured):
            yield show_statement(cured)
        return
    if fault.instead is not None:
        yield show_statement(cured, {id(fault.node): fault.instead})
    elif isinstance(fault.node, Call) and fault.node.where is not None:
        yield _filtered(cured, fault.node.where)
    if any(item.of is fault.node for item in statement.items) and is_dimension(fault.node) and not statement.by_all:
        yield show_statement(replace(cured, groups=(*cured.groups, fault.node)))
    rest = _without(cured, fault.node)
    if rest.items:
        yield show_statement(rest)
        groups = tuple(one for one in rest.groups if any(show(item.of) == show(one) for item in rest.items))
        yield show_statement(replace(rest, groups=groups, order=(), having=None))


def _filtered(statement: Statement, test: Node) -> str:
    """The statement of what has the same FILTER, with the test in WHERE instead."""
    told = show(test)
    calls = [
        one for held in _figures(statement) for one in walk(held) if isinstance(one, Call) and one.where is not None
    ]
    mine = {
        id(one): show(replace(one, where=None)) for one in calls if one.where is not None and show(one.where) == told
    }

    def own(held: Node) -> bool:
        return any(id(one) in mine for one in walk(held)) and all(
            id(one) in mine or one.name not in AGGREGATES for one in walk(held) if isinstance(one, Call)
        )

    rest = replace(
        statement,
        items=tuple(item for item in statement.items if is_dimension(item.of) or own(item.of)),
        where=test if statement.where is None else Chain(test.at, "AND", (statement.where, test)),
        having=statement.having if statement.having is not None and own(statement.having) else None,
        order=tuple(one for one in statement.order if is_dimension(one.of) or own(one.of)),
    )
    return show_statement(rest, mine)


def _figures(statement: Statement) -> Iterator[Node]:
    yield from (item.of for item in statement.items)
    yield from (one.of for one in statement.order)
    yield from () if statement.having is None else (statement.having,)


def _without(statement: Statement, node: Node) -> Statement:
    """The statement without the item, condition or clause that holds a node."""

    def free(one: Node) -> bool:
        return all(part is not node for part in walk(one))

    return replace(
        statement,
        items=tuple(item for item in statement.items if free(item.of)),
        where=_kept(statement.where, free),
        groups=tuple(one for one in statement.groups if free(one)),
        having=_kept(statement.having, free),
        order=tuple(one for one in statement.order if free(one.of)),
        limit=statement.limit if statement.limit is not None and free(statement.limit) else None,
        offset=statement.offset if statement.offset is not None and free(statement.offset) else None,
    )


def _kept(test: Node | None, free: Callable[[Node], bool]) -> Node | None:
    if test is None or free(test):
        return test
    if isinstance(test, Chain) and test.sign == "AND":
        kept = tuple(item for item in test.items if free(item))
        return None if not kept else kept[0] if len(kept) == 1 else replace(test, items=kept)
    return None


def show_statement(statement: Statement, instead: Mapping[int, str] | None = None) -> str:
    """Return a statement as text; ``instead`` as in :func:`show`."""

    def text(node: Node) -> str:
        return show(node, instead)

    def item(one: Item) -> str:
        return f"{text(one.of)} AS {quoted_name(one.alias)}" if one.alias else text(one.of)

    def sorting(one: Sorted) -> str:
        return f"{text(one.of)} DESC" if one.descending else text(one.of)

    parts = [f"SELECT {', '.join(map(item, statement.items))}"]
    parts += [] if statement.table is None else [f"FROM {text(statement.table)}"]
    parts += [] if statement.where is None else [f"WHERE {text(statement.where)}"]
    groups = ["ALL"] if statement.by_all else [text(one) for one in statement.groups]
    parts += [f"GROUP BY {', '.join(groups)}"] if groups else []
    parts += [] if statement.having is None else [f"HAVING {text(statement.having)}"]
    parts += [f"ORDER BY {', '.join(map(sorting, statement.order))}"] if statement.order else []
    parts += [] if statement.limit is None else [f"LIMIT {text(statement.limit)}"]
    parts += [] if statement.offset is None else [f"OFFSET {text(statement.offset)}"]
    return " ".join(parts)


def _public(statement: Statement, standard: Standard) -> bool:
    """Whether all texts of a statement are public words."""
    words = {value for column in standard.columns for value in column.domain} | {UNKNOWN}
    nodes = [item.of for item in statement.items] + list(statement.groups) + [one.of for one in statement.order]
    nodes += [one for one in (statement.where, statement.having) if one is not None]
    if any(item.alias and not (item.alias.isascii() and item.alias.isidentifier()) for item in statement.items):
        return False
    texts = [one.value for node in nodes for one in walk(node) if isinstance(one, Text | Day)]
    return all(text in words or _WORDS.fullmatch(text) for text in texts)

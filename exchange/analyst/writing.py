"""A tree back to text, as the language reads it again."""

from collections.abc import Callable, Mapping

from exchange.analyst.syntax import (
    Absent,
    Among,
    Call,
    Case,
    Chain,
    Day,
    Foreign,
    Invert,
    Minus,
    Name,
    Node,
    Number,
    Pair,
    Star,
    Text,
    When,
    Within,
)
from privacy.expression import quoted


def quoted_name(name: str) -> str:
    """Return a name as the language reads it back, in double quotes unless it is plain and no word of SQL."""
    plain = name.isascii() and name.isidentifier() and name == name.lower() and name.upper() not in RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


RESERVED = frozenset(
    [
        "ALL",
        "AND",
        "ANY",
        "AS",
        "ASC",
        "BETWEEN",
        "BY",
        "CASE",
        "CAST",
        "COLUMN",
        "CREATE",
        "CROSS",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "DATE",
        "DEFAULT",
        "DESC",
        "DISTINCT",
        "DROP",
        "ELSE",
        "END",
        "ESCAPE",
        "EXCEPT",
        "EXISTS",
        "FALSE",
        "FETCH",
        "FILTER",
        "FOR",
        "FROM",
        "FULL",
        "GROUP",
        "HAVING",
        "IF",
        "IN",
        "INDEX",
        "INNER",
        "INTERSECT",
        "INTERVAL",
        "INTO",
        "IS",
        "JOIN",
        "LATERAL",
        "LEFT",
        "LIKE",
        "LIMIT",
        "NATURAL",
        "NOT",
        "NULL",
        "OFFSET",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "OVER",
        "PARTITION",
        "PIVOT",
        "PRIMARY",
        "QUALIFY",
        "RANGE",
        "RIGHT",
        "ROW",
        "ROWS",
        "SELECT",
        "SET",
        "SOME",
        "TABLE",
        "THEN",
        "TO",
        "TRUE",
        "UNION",
        "UNIQUE",
        "UNNEST",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
        "WINDOW",
        "WITH",
        "ARRAY",
        "MAP",
        "STRUCT",
        "TIME",
        "TIMESTAMP",
        "YEAR",
        "QUARTER",
        "MONTH",
        "WEEKDAY",
        "COUNT",
        "SUM",
        "AVG",
        "MEDIAN",
        "BIN",
        "CLIP",
        "LIST",
        "INT",
        "INTEGER",
        "TEXT",
        "UUID",
        "JSON",
        "DECIMAL",
        "FLOAT",
        "DOUBLE",
        "BOOLEAN",
        "CHAR",
        "DAY",
        "HOUR",
        "MINUTE",
        "SECOND",
        "TOP",
        "NEXT",
        "FIRST",
        "LAST",
    ]
)
"""Words that a name is quoted for, when it is written back: more than need be, since quoting never hurts."""

_LOOSE = (Pair, Chain, Within, Among, Absent, Invert, Minus)
"""Nodes that go into parentheses inside others."""


def show(node: Node, instead: Mapping[int, str] | None = None) -> str:
    """Return a node as text; ``instead`` gives the text of nodes, by ``id``, that are written otherwise."""
    given = instead or {}

    def text(one: Node) -> str:
        return given[id(one)] if id(one) in given else show(one, given)

    def inner(one: Node) -> str:
        return f"({text(one)})" if isinstance(one, _LOOSE) else text(one)

    if id(node) in given:
        return given[id(node)]
    return _written(node, text, inner)


def _written(node: Node, text: Callable[[Node], str], inner: Callable[[Node], str]) -> str:  # noqa: C901, PLR0912  one kind after the other
    match node:
        case Name(_, name):
            return quoted_name(name)
        case Number(_, value):
            return f"{value:f}"
        case Text(_, value):
            return quoted(value)
        case Day(_, value):
            return f"DATE {quoted(value)}"
        case Star():
            return "*"
        case Call(_, name, args, distinct, where):
            listed = ", ".join(map(text, args))
            told = f"{name}({'DISTINCT ' if distinct else ''}{listed})"
            return told if where is None else f"{told} FILTER (WHERE {text(where)})"
        case Minus(_, of):
            return f"-{inner(of)}"
        case Invert(_, of):
            return f"NOT {inner(of)}"
        case Pair(_, sign, left, right):
            return f"{inner(left)} {sign} {inner(right)}"
        case Chain(_, sign, items):
            return f" {sign} ".join(map(inner, items))
        case Among(_, of, items):
            return f"{inner(of)} IN ({', '.join(map(text, items))})"
        case Within(_, of, low, high):
            return f"{inner(of)} BETWEEN {inner(low)} AND {inner(high)}"
        case Absent(_, of):
            return f"{inner(of)} IS NULL"
        case When(_, test, then):
            return f"WHEN {text(test)} THEN {text(then)}"
        case Case(_, branches, otherwise):
            told = " ".join(map(text, branches))
            return f"CASE {told}{'' if otherwise is None else f' ELSE {text(otherwise)}'} END"
        case Foreign(_, kind, parts):
            return f"{kind}({', '.join(map(text, parts))})"

"""A statement as a small tree of its own, with the place of everything in it; and the refusal that points at a place.

The parser's tree is large and changes with its versions. What the language reads is this one: few kinds of nodes, each with
the offset in the text where it begins. What has no kind of its own is ``Foreign``: it keeps its name and what it is made of,
so that a refusal can say what to write instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal

from privacy.errors import PrivacyError


class QueryFault(PrivacyError):
    """The statement is not in the language.

    ``line`` and ``column`` (from 1) say where, ``fix`` what to do, and ``rewrite`` is a statement that would be answered: the
    nearest one found, else an example. None of them holds a text of the statement that is not public.
    """

    code = "TS-SQL-001"

    def __init__(self, reason: str, *, fix: str, line: int = 1, column: int = 1, rewrite: str = "") -> None:
        super().__init__(reason, fix=fix)
        self.line = line
        self.column = column
        self.rewrite = rewrite


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A column's or alias' name, in lower case if it is ASCII."""

    at: int
    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A number without a sign."""

    at: int
    value: Decimal


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A text in single quotes."""

    at: int
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """``DATE '...'``, whatever the quotes hold."""

    at: int
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Star:
    """The asterisk of COUNT(*) and SELECT *."""

    at: int


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A function by its upper-case name; ``where`` is the test of its FILTER clause."""

    at: int
    name: str
    args: tuple["Node", ...]
    distinct: bool = False
    where: "Node | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Minus:
    """Unary minus."""

    at: int
    of: "Node"


@dataclass(frozen=True, slots=True, eq=False)
class Invert:
    """NOT."""

    at: int
    of: "Node"


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two operands of - * / = <> < <= > >=."""

    at: int
    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Two or more operands of one AND, OR or +."""

    at: int
    sign: str
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Among:
    """IN with a list."""

    at: int
    of: "Node"
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Within:
    """BETWEEN."""

    at: int
    of: "Node"
    low: "Node"
    high: "Node"


@dataclass(frozen=True, slots=True, eq=False)
class Absent:
    """IS NULL."""

    at: int
    of: "Node"


@dataclass(frozen=True, slots=True, eq=False)
class When:
    """One branch of a CASE."""

    at: int
    test: "Node"
    then: "Node"


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """CASE WHEN ... END."""

    at: int
    branches: tuple[When, ...]
    otherwise: "Node | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """What the language has no word for, by the name of its kind, with its parts."""

    at: int
    kind: str
    parts: tuple["Node", ...] = ()


Node = (
    Name
    | Number
    | Text
    | Day
    | Star
    | Call
    | Minus
    | Invert
    | Pair
    | Chain
    | Among
    | Within
    | Absent
    | When
    | Case
    | Foreign
)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One column of SELECT."""

    of: Node
    alias: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """One item of ORDER BY; ``last`` says where NULL was asked to stand, ``None`` if nowhere."""

    of: Node
    descending: bool
    last: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A SELECT; ``foreign`` names the clauses that the language lacks, with the offset of each."""

    text: str
    items: tuple[Item, ...]
    table: Node | None
    where: Node | None = None
    groups: tuple[Node, ...] = ()
    by_all: bool = False
    having: Node | None = None
    order: tuple[Sorted, ...] = ()
    limit: Node | None = None
    offset: Node | None = None
    foreign: tuple[tuple[str, int], ...] = ()


class Fault(Exception):
    """A refusal while reading: why, what to do, where; ``instead`` is what to write in the node's place, if anything is."""

    def __init__(self, reason: str, at: Node | int, *, fix: str, instead: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix
        self.node = None if isinstance(at, int) else at
        self.at = at if isinstance(at, int) else at.at
        self.instead = instead


def place(text: str, at: int) -> tuple[int, int]:
    """Return line and column, from 1, of an offset in a text."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes directly inside a node, in the order of the text."""
    for field in fields(node):
        held = getattr(node, field.name)
        for one in held if isinstance(held, tuple) else (held,):
            if is_dataclass(one):
                yield one  # type: ignore[misc]  # every dataclass inside a node is a node


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything inside it."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += reversed(list(children(found)))


def mention(node: Node, column: str) -> int:
    """Return where a node first names a column, or where the node begins."""
    return next((one.at for one in walk(node) if isinstance(one, Name) and one.text == column), node.at)

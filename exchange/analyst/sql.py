"""From text to the tree of ``syntax``: the only room that knows the parser. Importing it costs half a second.

What stands in the text is converted without judgement, but for what no tree can be made of: it is too long, too deeply
nested, no single SELECT, or cannot be parsed at all.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from exchange.analyst.syntax import (
    Absent,
    Among,
    Call,
    Case,
    Chain,
    Day,
    Fault,
    Foreign,
    Invert,
    Item,
    Minus,
    Name,
    Node,
    Number,
    Pair,
    Sorted,
    Star,
    Statement,
    Text,
    When,
    Within,
)

MAX_TEXT = 20_000
"""Characters of a statement at most."""

MAX_NESTING = 20
"""Levels of parentheses at most: the parser calls itself some 25 times a level."""

MAX_DIGITS = 40
"""Characters of a number at most."""

_SIGNS: Mapping[type[exp.Expression], str] = {
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_CHAINS: Mapping[type[exp.Expression], str] = {exp.And: "AND", exp.Or: "OR", exp.Add: "+"}
_FUNCTIONS: Mapping[type[exp.Expression], str] = {
    exp.Variance: "VAR_SAMP",
    exp.VariancePop: "VAR_POP",
    exp.Stddev: "STDDEV_SAMP",
    exp.PercentileCont: "QUANTILE_CONT",
    exp.PercentileDisc: "QUANTILE_DISC",
    exp.DayOfWeekIso: "ISODOW",
    exp.TimestampTrunc: "DATE_TRUNC",
    exp.DateTrunc: "DATE_TRUNC",
    exp.ApproxDistinct: "APPROX_COUNT_DISTINCT",
}
"""Functions that the parser knows under other names than the language."""

_CLAUSES = frozenset({"expressions", "from_", "where", "group", "having", "order", "limit", "offset"})


def read(text: str) -> Statement:
    """Return the statement as a tree.

    Raises:
        Fault: if there is none.
    """
    if len(text) > MAX_TEXT:
        raise Fault(f"the statement is longer than {MAX_TEXT:,} characters", 0, fix="ask a shorter question")
    tokens = _tokens(text)
    try:
        parsed = DuckDB().parser().parse(tokens, text)
        selects = [one for one in parsed if one is not None]
        if len(selects) != 1 or not isinstance(selects[0], exp.Select):
            raise Fault("only one SELECT statement is answered", 0, fix="write a single SELECT")
        return _Reader(text, tokens).statement(selects[0])
    except SqlglotError as error:
        raise _unparsed(text, error) from None
    except RecursionError:
        raise Fault("the statement is nested too deeply", 0, fix="write it with fewer levels") from None


def _tokens(text: str) -> list[Token]:
    try:
        tokens = list(DuckDB().tokenize(text))
    except SqlglotError as error:
        raise _unparsed(text, error) from None
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens or tokens[0].token_type not in (TokenType.SELECT, TokenType.FROM, TokenType.WITH):
        at = tokens[0].start if tokens else 0
        raise Fault("only SELECT statements are answered", at, fix="write SELECT ... FROM ...")
    depth = 0
    for token in tokens:
        match token.token_type:
            case TokenType.L_PAREN:
                depth += 1
            case TokenType.R_PAREN:
                depth -= 1
            case TokenType.L_BRACKET | TokenType.L_BRACE:
                raise Fault("lists and structs are not in the language", token.start, fix="use columns and numbers")
            case TokenType.SEMICOLON:
                raise Fault("only one statement is answered", token.start, fix="ask one question at a time")
            case _:
                pass
        if depth > MAX_NESTING:
            raise Fault("the statement is nested too deeply", token.start, fix=f"use {MAX_NESTING} levels at most")
    return tokens


def _unparsed(text: str, error: SqlglotError) -> Fault:
    at = 0
    for told in getattr(error, "errors", ()):
        line, column = int(told.get("line") or 1), int(told.get("col") or 0)
        starts = [0, *(index + 1 for index, sign in enumerate(text) if sign == "\n")]
        # the parser tells where the offending token ends
        begin = column - max(1, len(told.get("highlight") or ""))
        at = min(max(0, starts[min(line, len(starts)) - 1] + begin), max(0, len(text) - 1))
        break
    fix = "write SELECT ... FROM ... [WHERE ...] [GROUP BY ...] [HAVING ...] [ORDER BY ...] [LIMIT ...]"
    return Fault("the statement cannot be parsed", at, fix=fix)


class _Reader:
    """Converts one parsed statement; offsets come from the parser where it kept them, else from the tokens."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._index = {token.start: number for number, token in enumerate(tokens)}

    def statement(self, select: exp.Select) -> Statement:
        args = select.args
        foreign = [
            (clause.strip("_").upper(), self._start(value[0] if isinstance(value, list) else value))
            for clause, value in args.items()
            if value and clause not in _CLAUSES
        ]
        origin, where, having = args.get("from_"), args.get("where"), args.get("having")
        group, order, limit, offset = (args.get(clause) for clause in ("group", "order", "limit", "offset"))
        if group is not None:
            kinds = {"expressions", "all"}
            foreign += [
                (name.upper(), self._start(group)) for name, held in group.args.items() if held and name not in kinds
            ]
        return Statement(
            text=self._text,
            items=tuple(self._item(one) for one in select.expressions),
            table=None if origin is None else self._node(origin.this),
            where=None if where is None else self._node(where.this),
            groups=() if group is None else tuple(self._node(one) for one in group.expressions),
            by_all=group is not None and bool(group.args.get("all")),
            having=None if having is None else self._node(having.this),
            order=() if order is None else tuple(self._sorted(one) for one in order.expressions),
            limit=None if limit is None else self._limit(limit),
            offset=None if offset is None else self._node(offset.expression),
            foreign=tuple(foreign),
        )

    def _limit(self, one: exp.Expression) -> Node:
        return (
            self._node(one.expression)
            if isinstance(one, exp.Limit) and not _others(one, "expression")
            else self._foreign(one)
        )

    def _item(self, one: exp.Expression) -> Item:
        if isinstance(one, exp.Alias):
            return Item(self._node(one.this), one.alias)
        return Item(self._node(one))

    def _sorted(self, one: exp.Expression) -> Sorted:
        if not isinstance(one, exp.Ordered) or one.args.get("with_fill"):
            return Sorted(self._foreign(one), descending=False)
        first = one.args.get("nulls_first")
        return Sorted(self._node(one.this), descending=bool(one.args.get("desc")), last=False if first else None)

    def _node(self, one: exp.Expression) -> Node:  # noqa: C901, PLR0912  one kind after the other
        while isinstance(one, exp.Paren):
            one = one.this
        if type(one) in _CHAINS:
            return self._chain(one)
        if type(one) in _SIGNS:
            left, right = self._node(one.this), self._node(one.expression)
            return Pair(left.at, _SIGNS[type(one)], left, right)
        match one:
            case exp.Column() | exp.Table() | exp.Identifier():
                return self._name(one)
            case exp.Literal():
                return self._literal(one)
            case exp.Star() if not any(one.args.values()):
                return Star(self._start(one))
            case exp.Neg():
                of = self._node(one.this)
                return Minus(self._before(of.at, "-"), of)
            case exp.Not():
                of = self._node(one.this)
                return Invert(self._before(of.at, "NOT"), of)
            case exp.Is(this=of, expression=exp.Null()):
                left = self._node(of)
                return Absent(left.at, left)
            case exp.In() if one.expressions and not _others(one, "this", "expressions"):
                left = self._node(one.this)
                return Among(left.at, left, tuple(self._node(item) for item in one.expressions))
            case exp.Between() if not one.args.get("symmetric"):
                left = self._node(one.this)
                return Within(left.at, left, self._node(one.args["low"]), self._node(one.args["high"]))
            case exp.Case() if one.args.get("this") is None:
                return self._case(one)
            case exp.Cast(this=exp.Literal(is_string=True), to=exp.DataType(this=exp.DType.DATE)):
                return Day(self._before(self._start(one.this), "DATE"), str(one.this.this))
            case exp.Filter(this=exp.Func(), expression=exp.Where(this=test)):
                called = self._node(one.this)
                if isinstance(called, Call):
                    return Call(called.at, called.name, called.args, called.distinct, self._node(test))
            case exp.Anonymous() | exp.Func() if not isinstance(one, exp.Case | exp.If | exp.Cast):
                return self._call(one)
            case _:
                pass
        return self._foreign(one)

    def _chain(self, one: exp.Expression) -> Node:
        sign, kind = _CHAINS[type(one)], type(one)
        waiting, items = [one], []
        while waiting:
            found = waiting.pop()
            while isinstance(found, exp.Paren):
                found = found.this
            if type(found) is kind:
                waiting += [found.expression, found.this]
            else:
                items.append(self._node(found))
        return Chain(items[0].at, sign, tuple(items))

    def _name(self, one: exp.Expression) -> Node:
        held = one if isinstance(one, exp.Identifier) else one.this
        if not isinstance(held, exp.Identifier) or _others(one, "this", "quoted"):
            return self._foreign(one, "TABLE" if isinstance(one, exp.Table) else "QUALIFIED NAME")
        text = str(held.this)
        return Name(self._start(held), text.lower() if text.isascii() else text, bool(held.args.get("quoted")))

    def _literal(self, one: exp.Literal) -> Node:
        at, told = self._start(one), str(one.this)
        if one.is_string:
            return Text(at, told)
        try:
            value = Decimal(told) if len(told) <= MAX_DIGITS else Decimal("Infinity")
        except InvalidOperation:
            return Foreign(at, "NUMBER")
        if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
            return Foreign(at, "HUGE NUMBER")
        return Number(at, value)

    def _case(self, one: exp.Case) -> Node:
        branches = []
        for held in one.args["ifs"]:
            test, then = self._node(held.this), self._node(held.args["true"])
            branches.append(When(self._before(test.at, "WHEN"), test, then))
        default = one.args.get("default")
        otherwise = None if default is None or isinstance(default, exp.Null) else self._node(default)
        return Case(self._before(branches[0].at, "CASE"), tuple(branches), otherwise)

    def _call(self, one: exp.Expression) -> Node:
        name = str(one.this).upper() if isinstance(one, exp.Anonymous) else _FUNCTIONS.get(type(one), one.sql_name())  # type: ignore[attr-defined]
        listed = list(_expressions(one))
        distinct = len(listed) == 1 and isinstance(listed[0], exp.Distinct) and not _others(listed[0], "expressions")
        if distinct:
            listed = listed[0].expressions
        args = tuple(self._node(item) if not isinstance(item, exp.Var) else Text(-1, str(item.this)) for item in listed)
        if name == "DATE_TRUNC" and args and not isinstance(args[0], Text):
            args = args[::-1]
        known = [arg.at for arg in args if arg.at >= 0]
        at = self._own(one)
        if at is None:
            at = self._before(min(known), "") if known else -1
        return Call(at, name, args, distinct)

    def _foreign(self, one: exp.Expression, kind: str = "") -> Foreign:
        parts = tuple(self._node(item) for item in _expressions(one)) if not isinstance(one, exp.Query) else ()
        name = kind or _kind(one)
        return Foreign(min([part.at for part in parts if part.at >= 0], default=self._start(one)), name, parts)

    def _own(self, one: exp.Expression) -> int | None:
        return int(one.meta["start"]) if "start" in one.meta else None

    def _start(self, one: object) -> int:
        """Offset of the first thing in an expression whose place the parser kept, -1 if it kept none."""
        if not isinstance(one, exp.Expression):
            return -1
        return min((int(node.meta["start"]) for node in one.walk() if "start" in node.meta), default=-1)

    def _before(self, at: int, word: str) -> int:
        """Offset of a word (any word that is followed by a parenthesis, if empty) in front of what begins at ``at``."""
        number = self._index.get(at)
        while number is not None and number > 0:
            number -= 1
            token = self._tokens[number]
            if (word and token.text.upper() == word) or (not word and self._opens(number)):
                return int(token.start)
            if token.token_type not in (TokenType.L_PAREN, TokenType.DISTINCT, TokenType.DASH, TokenType.NOT):
                break
        return at

    def _opens(self, number: int) -> bool:
        token, after = self._tokens[number], self._tokens[number + 1]
        return after.token_type is TokenType.L_PAREN and token.text[:1].isalpha()


def _expressions(one: exp.Expression) -> Iterator[exp.Expression]:
    """Yield the expressions directly inside one, in the order in which its kind declares them."""
    for name in one.arg_types:
        held = one.args.get(name)
        for item in held if isinstance(held, list) else (held,):
            if isinstance(item, exp.Expression) and not isinstance(item, exp.Identifier | exp.DataType):
                yield item


def _others(one: exp.Expression, *names: str) -> bool:
    """Whether an expression says more than what is named."""
    return any(bool(held) for name, held in one.args.items() if name not in names)


def _kind(one: exp.Expression) -> str:
    kinds: Mapping[type[exp.Expression], str] = {
        exp.ILike: "LIKE",
        exp.Like: "LIKE",
        exp.Window: "OVER",
        exp.IntDiv: "//",
        exp.Mod: "%",
        exp.TryCast: "CAST",
    }
    return "SUBQUERY" if isinstance(one, exp.Query) else kinds.get(type(one), type(one).__name__.upper())

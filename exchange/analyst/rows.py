"""Reading what a row says: from the tree of a statement to terms and tests over the columns of a standard."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from fractions import Fraction
from functools import reduce
from math import ceil, floor

from exchange.analyst.conditions import Always, Logic, Never
from exchange.analyst.constants import EPOCH, clipped_name, span_text, spell_units
from exchange.analyst.polynomial import Polynomial, chosen, finite, spell_number
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
    Minus,
    Name,
    Node,
    Number,
    Pair,
    Star,
    Text,
    Within,
    walk,
)
from exchange.analyst.words import foreign
from exchange.analyst.writing import show
from privacy.errors import Malformed
from privacy.expression import Missing, Not, OneOf, Test, Value, extent, quoted
from privacy.terms import Bounds, Column, Kind, Standard

AGGREGATES = frozenset(
    [
        "COUNT",
        "SUM",
        "AVG",
        "MIN",
        "MAX",
        "VAR_POP",
        "VAR_SAMP",
        "STDDEV_POP",
        "STDDEV_SAMP",
        "COVAR_POP",
        "COVAR_SAMP",
        "CORR",
        "MEDIAN",
        "QUANTILE",
        "QUANTILE_CONT",
        "HISTOGRAM",
    ]
)

_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Amount:
    """A term that was read; ``days`` is how many dates are in it, those taken off counted off: 1 makes it a date, 0 a number."""

    of: Polynomial
    days: Fraction = Fraction(0)

    def scaled(self, by: Fraction) -> "Amount":
        """Product with a number."""
        return Amount(self.of.scaled(by), self.days * by)

    def plus(self, other: "Amount") -> "Amount":
        """Sum."""
        return Amount(self.of.plus(other.of), self.days + other.days)


class Reader:
    """Reads over a standard; ``bounds`` are those of its columns, or the narrower ones of CLIP (``clips``)."""

    def __init__(self, standard: Standard, statement: Iterable[Node]) -> None:
        self.standard = standard
        self.decimals = standard.decimals
        self.bounds = {column.name: column.bounds for column in standard.columns if column.bounds is not None}
        self.clips: Mapping[str, Bounds] = {}
        self.clips = self._clips(statement)
        self.bounds |= self.clips
        self.logic = Logic(standard, self.bounds)

    # -- columns ---------------------------------------------------------------------------------------------------

    def column(self, node: Node) -> Column:
        """Return the column that a node names."""
        if not isinstance(node, Name):
            raise foreign(node) or Fault("a plain column name was expected", node, fix="write the column's name alone")
        try:
            return self.standard.column(node.text)
        except KeyError:
            names = [column.name for column in self.standard.columns]
            near = get_close_matches(node.text[:63], names, n=1)
            fix, instead = f"columns: {', '.join(names)}", near[0] if near else None
            raise Fault("the standard has no such column", node, fix=fix, instead=instead) from None

    def measured(self, node: Node) -> Column:
        """Return the measure or date that a node names, bare or in CLIP."""
        clipped = isinstance(node, Call) and node.name == "CLIP" and bool(node.args)
        column = self.column(node.args[0] if isinstance(node, Call) and clipped else node)
        if column.kind is Kind.IDENTIFIER:
            raise Fault(f"{column.name} identifies people and has no amount", node, fix="use a measure")
        if column.bounds is None:
            raise Fault(f"{column.name} is a category and has no amount", node, fix=f"group by {column.name}")
        if column.name in self.clips and not clipped:
            told = clipped_name(column, self.clips[column.name])
            raise Fault(f"{column.name} is clipped elsewhere", node, fix=f"clip it everywhere: {told}", instead=told)
        return column

    def _clips(self, statement: Iterable[Node]) -> dict[str, Bounds]:
        found: dict[str, Bounds] = {}
        for node in (one for part in statement for one in walk(part)):
            if not isinstance(node, Call) or node.name != "CLIP":
                continue
            if len(node.args) != 3 or node.distinct or node.where is not None:
                raise Fault("CLIP takes a column and two bounds", node, fix="write CLIP(column, lower, upper)")
            column = self.column(node.args[0])
            if column.bounds is None:
                raise Fault(f"{column.name} has no bounds to clip to", node, fix="clip a measure", instead=column.name)
            low, high = (self.units(column, end) for end in node.args[1:])
            if not column.bounds.lower <= low < high <= column.bounds.upper:
                why = "the bounds of CLIP rise, and lie within the standard's"
                raise Fault(why, node, fix=span_text(column, column.bounds), instead=column.name)
            if found.setdefault(column.name, Bounds(low, high)) != Bounds(low, high):
                raise Fault(f"{column.name} is clipped in two ways", node, fix="clip it in one way everywhere")
        # bounds as wide as the standard's clip nothing
        return {name: clip for name, clip in found.items() if clip != self.standard.column(name).bounds}

    def units(self, column: Column, node: Node) -> int:
        """Return a constant as a whole number of a column's integer units."""
        value = self.constant(node, dated=column.kind is Kind.DATE) * 10**column.decimals
        if value.denominator != 1:
            near = spell_units(column, floor(value))
            raise Fault(f"{column.name} has {column.decimals} decimals", node, fix=f"for example {near}", instead=near)
        if abs(value) >= 1 << 53:
            raise Fault("this number is too large", node, fix="use a smaller number")
        return int(value)

    def constant(self, node: Node, *, dated: bool = False) -> Fraction:
        """Return a number, or the day of a date."""
        amount = self.amount(node, dated=dated)
        if amount.of.number is None or amount.days != int(dated):
            fix = "write DATE '2024-01-31'" if dated else "write a number"
            raise Fault(f"a {'date' if dated else 'number'} was expected", node, fix=fix)
        return amount.of.number

    # -- terms -----------------------------------------------------------------------------------------------------

    def amount(self, node: Node, *, dated: bool = False) -> Amount:  # noqa: C901, PLR0912  one kind after the other
        """Read a term; where a date is expected (``dated``) a text is one."""
        match node:
            case Name() | Call(name="CLIP"):
                column = self.measured(node)
                return Amount(Polynomial.factor(Value(column.name)), Fraction(column.kind is Kind.DATE))
            case Number(_, value):
                return Amount(Polynomial.constant(Fraction(value)))
            case Day(_, text):
                return Amount(Polynomial.constant(Fraction(_day(node, text))), Fraction(1))
            case Text(_, text) if dated:
                return Amount(Polynomial.constant(Fraction(_day(node, text))), Fraction(1))
            case Minus(_, of):
                return self.amount(of).scaled(Fraction(-1))
            case Chain(_, "+", items):
                return reduce(Amount.plus, map(self.amount, items))
            case Pair(_, "-", left, right):
                return self.amount(left).plus(self.amount(right).scaled(Fraction(-1)))
            case Pair(_, "*", left, right):
                return self._multiplied(left, right)
            case Pair(_, "/", left, right):
                return Amount(self._divided(node, left, right))
            case Case(_, branches, otherwise):
                cases = [(self.test(one.test), self._number(one.then)) for one in branches]
                rest = None if otherwise is None else self._number(otherwise)
                return Amount(Polynomial.factor(chosen(cases, rest, self.decimals)))
            case Text():
                raise Fault("a text is no number", node, fix="compare texts with categories")
            case Call(_, name) if name in AGGREGATES:
                fix = "aggregate columns, then calculate outside"
                raise Fault("an aggregate cannot stand inside another, or in a test of rows", node, fix=fix)
            case _:
                fix = "use columns, numbers, + - * and CASE"
                raise foreign(node) or Fault("a number was expected here", node, fix=fix)

    def term(self, node: Node) -> Polynomial:
        """Read a term that is a number, and make sure that its range fits the engine's arithmetic."""
        found = self._number(node)
        self.fits(found, node)
        return found

    def fits(self, of: Polynomial, node: Node) -> None:
        """Refuse a term that has too many decimals or can outgrow 62 bits."""
        try:
            extent(of.term(self.decimals), self.bounds)
        except Malformed as error:
            raise Fault(error.reason, node, fix=error.fix) from None

    def _number(self, node: Node) -> Polynomial:
        amount = self.amount(node)
        if amount.days:
            raise Fault("a date is no number", node, fix="subtract a date from it: the difference is in days")
        return amount.of

    def _multiplied(self, left: Node, right: Node) -> Amount:
        one, other = self.amount(left), self.amount(right)
        for amount, by in ((one, other), (other, one)):
            if by.of.number is not None and not by.days:
                return amount.scaled(by.of.number)
        return Amount(self._number(left).times(self._number(right), self.decimals))

    def _divided(self, node: Node, left: Node, right: Node) -> Polynomial:
        above, below = self._number(left), self._number(right).number
        if below is None:
            why = "a row's value is not divided by a column"
            raise Fault(why, node, fix="divide sums: SUM(a) / SUM(b)", instead=show(left))
        if not below:
            raise Fault("division by 0", node, fix="divide by another number", instead=show(left))
        if not finite(1 / below):
            near = spell_number(Fraction(round(10**6 / below), 10**6) or Fraction(1, 10**6))
            why, fix = "1 divided by this number has no end of decimals", f"multiply by {near}, or divide the sum"
            raise Fault(why, node, fix=fix, instead=f"({show(left)}) * {near}")
        return above.scaled(1 / below)

    # -- tests -----------------------------------------------------------------------------------------------------

    def test(self, node: Node, *, negated: bool = False) -> Test:
        """Read a test, or its negation, in normal form."""
        try:
            return self._test(node, negated=negated)
        except Never:
            raise self._idle(node, "can never be true", instead=None) from None
        except Always:
            named = next((one.text for one in walk(node) if isinstance(one, Name)), None)
            told = None if named is None else f"{named} IS NOT NULL"
            raise self._idle(node, "is true wherever there is a value", instead=told) from None
        except Malformed as error:
            raise Fault(error.reason, node, fix=error.fix) from None

    def _idle(self, node: Node, why: str, *, instead: str | None) -> Fault:
        named = dict.fromkeys(one.text for one in walk(node) if isinstance(one, Name) and one.text in self.bounds)
        told = "; ".join(span_text(self.standard.column(name), self.bounds[name]) for name in list(named)[:3])
        fix = f"{told}, and what lies beyond counts as the bound" if told else "leave it out"
        return Fault(f"this test {why}", node, fix=fix, instead=instead)

    def _test(self, node: Node, *, negated: bool) -> Test:
        match node:
            case Invert(_, of):
                return self.test(of, negated=not negated)
            case Chain(_, "AND" | "OR" as sign, items):
                tests = [self.test(item, negated=negated) for item in items]
                return self.logic.both(tests) if (sign == "AND") != negated else self.logic.either(tests)
            case Absent(_, of):
                if not isinstance(of, Name):
                    raise foreign(of) or Fault("IS NULL asks for a column", of, fix="test the columns one by one")
                missing = Missing(self.column(of).name)
                return Not(missing) if negated else missing
            case Pair(_, sign, left, right) if sign in _OPPOSITE:
                return self._compared(node, _OPPOSITE[sign] if negated else sign, left, right)
            case Within(_, of, low, high):
                signs = ("<", ">") if negated else (">=", "<=")
                return self._ends(node, [(signs[0], of, low), (signs[1], of, high)], negated=negated)
            case Among(_, of, items):
                if isinstance(of, Name) and self.column(of).bounds is None:
                    return self._listed(self.column(of), items, negated=negated)
                tests = [self._leaf(item, "<>" if negated else "=", of, item) for item in items]
                return self.logic.both(tests) if negated else self.logic.either(tests)
            case Name() | Number() | Text() | Day() | Star() | Case() | Minus() | Pair() | Chain():
                fix = "compare it: balance > 0, region = 'north', income IS NOT NULL"
                raise Fault("a test was expected here", node, fix=fix)
            case _:
                fix = "use = <> < <= > >= IN BETWEEN IS NULL AND OR NOT"
                raise foreign(node) or Fault("this test is not in the language", node, fix=fix)

    def _ends(self, node: Node, ends: list[tuple[str, Node, Node]], *, negated: bool) -> Test:
        """BETWEEN: an end that is the column's own bound says nothing, but the other one may."""
        told: list[Test] = []
        nothing = Never if negated else Always
        for sign, left, right in ends:
            try:
                told.append(self._compared(node, sign, left, right))
            except nothing:
                continue
        if not told:
            raise nothing
        return self.logic.either(told) if negated else self.logic.both(told)

    def _leaf(self, node: Node, sign: str, left: Node, right: Node) -> Test:
        try:
            return self._compared(node, sign, left, right)
        except (Never, Always):
            named = next((one.text for one in walk(left) if isinstance(one, Name)), "")
            known = named in self.bounds
            fix = span_text(self.standard.column(named), self.bounds[named]) if known else "leave it out"
            raise Fault("this value never occurs", node, fix=fix) from None

    def _compared(self, node: Node, sign: str, left: Node, right: Node) -> Test:
        """The test that ``left`` compares so with ``right``.

        Raises:
            Never, Always: if it cannot be true, or must be wherever there is a value.
        """
        if isinstance(left, Text | Day | Number):
            left, right, sign = right, left, _FLIPPED[sign]
        if any(isinstance(one, Foreign) and one.kind == "NULL" for one in (left, right)):
            told = f"{show(left)} IS {'NOT ' if sign == '<>' else ''}NULL" if isinstance(left, Name) else None
            raise Fault("nothing equals NULL, nor differs from it", node, fix="write IS NULL", instead=told)
        if isinstance(left, Name) and self.column(left).bounds is None:
            if sign not in ("=", "<>"):
                raise Fault(f"{left.text} has no order", node, fix=f"write {left.text} IN (...)")
            return self._listed(self.column(left), (right,), negated=sign == "<>")
        dated = self._dated(left) or self._dated(right)
        if isinstance(right, Text) and not dated:
            raise foreign(left) or Fault("a text is compared with a category only", right, fix="compare with a number")
        self._whole_year(node, sign, left, right)
        one, other = self.amount(left, dated=dated), self.amount(right, dated=dated)
        difference = one.plus(other.scaled(Fraction(-1)))
        if difference.days:
            raise Fault("a date is compared with a number", node, fix="write dates as DATE '2024-01-31'")
        gap = difference.of
        if gap.number is not None:
            raise Fault("this compares numbers, not columns", node, fix="leave it out")
        return self._gap(sign, gap)

    def _whole_year(self, node: Node, sign: str, left: Node, right: Node) -> None:
        """Refuse a comparison of a date's part with the range of days that it means."""
        match left, right:
            case Call(_, "YEAR", (Name() as of,)), Number(_, value) if value == int(value) and 1000 <= value <= 9999:
                first, last = f"DATE '{int(value)}-01-01'", f"DATE '{int(value)}-12-31'"
                told = {"=": f"BETWEEN {first} AND {last}", "<>": f"NOT BETWEEN {first} AND {last}"}
                told |= {"<": f"< {first}", ">=": f">= {first}", ">": f"> {last}", "<=": f"<= {last}"}
                fix = "compare the date itself"
                raise Fault("parts of dates are for GROUP BY", node, fix=fix, instead=f"{show(of)} {told[sign]}")
            case _:
                pass

    def _gap(self, sign: str, gap: Polynomial) -> Test:
        """The test that a polynomial is below, at or above 0."""
        try:
            term, scale = gap.whole(self.decimals)
        except ValueError:
            raise Never from None
        low, high = extent(term, self.bounds)
        at = -gap.offset * scale
        spans = {
            "=": [(ceil(at), floor(at))],
            "<>": [(low, ceil(at) - 1), (floor(at) + 1, high)],
            "<": [(low, ceil(at) - 1)],
            "<=": [(low, floor(at))],
            ">": [(floor(at) + 1, high)],
            ">=": [(ceil(at), high)],
        }
        return self.logic.within(term, spans[sign if scale > 0 else _FLIPPED[sign]])

    def _dated(self, node: Node) -> bool:
        """Whether a node is a date or a date's column: a text beside it is a date."""
        if isinstance(node, Call) and node.name == "CLIP" and node.args:
            node = node.args[0]
        if not isinstance(node, Name):
            return isinstance(node, Day)
        return any(column.name == node.text and column.kind is Kind.DATE for column in self.standard.columns)

    def _listed(self, column: Column, items: Iterable[Node], *, negated: bool) -> Test:
        listed = [_category_value(column, item) for item in items]
        if not column.domain:  # an identifier: minimum necessity names it when it refuses
            told = OneOf(column.name, tuple(dict.fromkeys(listed)))
            return Not(told) if negated else told
        kept = set(column.domain) - set(listed) if negated else set(listed)
        return self.logic.one_of(column.name, kept)


def _category_value(column: Column, node: Node) -> str:
    """Return a public value of a category (any text for an identifier) that a node writes."""
    public = [quoted(value) for value in column.domain]
    fix = f"public values: {', '.join(public[:20])}" if public else "write a text in single quotes"
    if not isinstance(node, Text):
        told = show(node) if isinstance(node, Number) else ""
        near = quoted(told) if told in column.domain else public[0] if public else None
        raise Fault(f"{column.name} is compared with texts", node, fix=fix, instead=near)
    if column.domain and node.value not in column.domain:
        folded = {value.casefold(): value for value in column.domain}
        found = get_close_matches(node.value.strip().casefold()[:63], list(folded), n=1, cutoff=0.5)
        instead = quoted(folded[found[0]]) if found else public[0]
        raise Fault(f"{column.name} never has this value", node, fix=fix, instead=instead)
    if not 0 < len(node.value) <= 200:
        raise Fault("a text has 1 to 200 characters", node, fix="write a shorter text")
    return node.value


def _day(node: Node, text: str) -> int:
    found = None
    with suppress(ValueError):
        found = date.fromisoformat(text) if len(text) == 10 else None  # not 20240131, nor a week's day
    if found is None:
        told = "DATE '2024-01-31'"
        raise Fault("this is no date", node, fix=f"write dates as {told}", instead=told)
    return found.toordinal() - EPOCH.toordinal()

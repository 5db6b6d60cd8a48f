"""Reading figures: from the tree of a statement to formulas over aggregates, and to conditions on them."""

from collections.abc import Callable
from fractions import Fraction

from exchange.analyst.conditions import Never
from exchange.analyst.labels import band, fine_bands
from exchange.analyst.planning import JOINT, SPREADS
from exchange.analyst.polynomial import Polynomial, of_term
from exchange.analyst.question import Aggregate, Comparison, Condition, Formula, Joined, Negated, Operation
from exchange.analyst.rows import AGGREGATES, Reader
from exchange.analyst.syntax import (
    Absent,
    Among,
    Call,
    Chain,
    Fault,
    Invert,
    Minus,
    Name,
    Node,
    Number,
    Pair,
    Star,
    Text,
    Within,
)
from exchange.analyst.words import foreign
from exchange.analyst.writing import show
from privacy.expression import ByBand, Choice, Constant, Term, Test, Value
from privacy.terms import Kind

SHEETS = frozenset({"WOE_IV", "AUC", "PSI", "CROSSTAB", "LINEAR_REGRESSION", "RIDGE_REGRESSION"})
"""Functions whose answer is a table of its own."""

BANDS = 100
"""Bands of the histogram behind a quantile."""

_TESTS = (Among, Within, Absent, Invert)
_OWN = "ask it by itself, with the test in WHERE"


class Figures:
    """Reads figures with a reader of terms; an alias of the SELECT stands for what it names."""

    def __init__(self, reader: Reader, alias: Callable[[str], Node | None] = lambda _: None) -> None:
        self._reader = reader
        self._alias = alias

    # -- formulas --------------------------------------------------------------------------------------------------

    def formula(self, node: Node) -> Formula:
        """Read arithmetic over aggregates and numbers."""
        match node:
            case Number(_, value):
                return Fraction(value)
            case Minus(_, of):
                return self._operation(node, "*", Fraction(-1), self.formula(of))
            case Chain(_, "+", items):
                found = self.formula(items[0])
                for item in items[1:]:
                    found = self._operation(node, "+", found, self.formula(item))
                return found
            case Pair(_, "+" | "-" | "*" | "/" as sign, left, right):
                return self._operation(node, sign, self.formula(left), self.formula(right))
            case Call():
                return self._aggregate(node)
            case Name(_, text) if (held := self._alias(text)) is not None:
                return Figures(self._reader).formula(held)
            case Name():
                column = self._reader.column(node)
                raise Fault(
                    f"{column.name} is neither grouped nor aggregated",
                    node,
                    fix=f"add GROUP BY {column.name}, or aggregate it",
                )
            case Star():
                names = ", ".join(column.name for column in self._reader.standard.columns)
                raise Fault("rows are never listed", node, fix=f"aggregate columns: {names}", instead="COUNT(*)")
            case _:
                fix = "use COUNT(*), COUNT(c), SUM(c), AVG(c) and their kin"
                raise foreign(node) or Fault("this is not a statistic of the language", node, fix=fix)

    def _operation(self, node: Node, sign: str, left: Formula, right: Formula) -> Formula:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            if sign == "/" and not right:
                raise Fault("division by 0", node, fix="divide by another number")
            return {"+": left + right, "-": left - right, "*": left * right}[sign] if sign != "/" else left / right
        for part in (left, right):
            if isinstance(part, Aggregate) and part.name in ("QUANTILE", "HISTOGRAM"):
                raise Fault(
                    "quantiles and histograms are shown as they are",
                    node,
                    fix="show it by itself, and calculate with the answer",
                )
        if sign == "/" and right == 0:
            raise Fault("division by 0", node, fix="divide by another number")
        return Operation(sign, left, right)

    def _aggregate(self, node: Call) -> Formula:
        name, args = node.name, node.args
        if name in SHEETS:
            raise Fault(f"{name.lower()} makes a table of its own", node, fix="ask it alone in SELECT")
        if node.distinct and name != "COUNT":
            raise Fault(
                "values are not compared between rows",
                node,
                fix="leave DISTINCT out",
                instead=show(Call(node.at, name, args, where=node.where)),
            )
        where = None if node.where is None else self._reader.test(node.where)
        match name, args:
            case "COUNT", (Star() | Number(),) | () if not node.distinct:
                return Aggregate("ROWS", where=where)
            case "COUNT", (one,):
                return self._people(node, one) if node.distinct else self._count(node, one, where)
            case "SUM" | "AVG", (one,):
                return self._sum(node, one, where)
            case "MEDIAN", (one,):
                return self._quantile(node, one, Fraction(1, 2))
            case "QUANTILE_CONT" | "QUANTILE", (one, share):
                return self._quantile(node, one, self._reader.constant(share))
            case "HISTOGRAM", _:
                return Aggregate("HISTOGRAM", band=self._bands(node, band(node, args, self._reader)))
            case _:
                return self._spread(node, where)

    def _spread(self, node: Call, where: Test | None) -> Aggregate:
        """Variances, covariances and correlations; anything else is refused."""
        name = {"VARIANCE": "VAR_SAMP", "STDDEV": "STDDEV_SAMP"}.get(node.name, node.name)
        wanted = 1 if name in SPREADS else 2 if name in JOINT else None
        if wanted == len(node.args):
            return Aggregate(name, tuple(map(self.varying, node.args)), where)
        if wanted is not None or name in AGGREGATES - {"MIN", "MAX"}:
            raise Fault(f"{name} has another number of arguments", node, fix="docs/sql.md shows how it is written")
        raise foreign(node) or Fault(
            "this function is not in the language", node, fix="docs/sql.md lists all functions"
        )

    def _people(self, node: Call, one: Node) -> Aggregate:
        unit = self._reader.standard.unit
        if not isinstance(one, Name) or self._reader.column(one).name != unit:
            fix = f"count people with COUNT(DISTINCT {unit}), or group by the column"
            why = "distinct values cannot be added up over institutions, each of which may hold the same"
            raise Fault(why, node, fix=fix, instead=f"COUNT(DISTINCT {unit})")
        if node.where is not None:
            raise Fault("people are counted over all rows of the question", node, fix=_OWN)
        return Aggregate("UNITS")

    def _count(self, node: Call, one: Node, where: Test | None) -> Aggregate:
        if isinstance(one, Name) and self._reader.column(one).bounds is None:
            column = self._reader.column(one)
            if where is None:
                return Aggregate("KNOWN", column=column.name)
            filled = self._reader.test(Invert(one.at, Absent(one.at, one)))
            return Aggregate("ROWS", where=self._both(node, where, filled))
        self._no_test(node, one, "COUNT(*)")
        if isinstance(one, Name):  # whether there is a value does not hang on how it is clipped
            column = self._reader.column(one)
            return Aggregate("COUNT", (Value(column.name),), where)
        found, where = self._split(node, self._reader.amount(one).of, where, rest=False)
        if found.number is not None:
            return Aggregate("ROWS", where=where)
        self._reader.fits(found, one)
        return Aggregate("COUNT", (self._term(found, one),), where)

    def _sum(self, node: Call, one: Node, where: Test | None) -> Formula:
        share = f"AVG(CASE WHEN {show(one)} THEN 1 ELSE 0 END)"
        self._no_test(node, one, "COUNT(*)" if node.name == "SUM" else share)
        found, where = self._split(node, self._reader.term(one), where, rest=node.name == "SUM")
        if found.number is not None:
            if node.name == "AVG":
                raise Fault("this is the same number in every row", node, fix="average a column", instead=show(one))
            return Operation("*", found.number, Aggregate("ROWS", where=where))
        return Aggregate(node.name, (self._term(found, one),), where)

    def _no_test(self, node: Call, one: Node, instead: str) -> None:
        if (
            isinstance(one, _TESTS)
            or (isinstance(one, Pair) and one.sign not in "-*/")
            or (isinstance(one, Chain) and one.sign != "+")
        ):
            told = instead if "CASE" in instead else f"{instead} FILTER (WHERE {show(one)})"
            raise Fault("a test is not a number", node, fix="count the rows that pass it", instead=told)

    def _split(self, node: Node, of: Polynomial, where: Test | None, *, rest: bool) -> tuple[Polynomial, Test | None]:
        """Take a CASE of one branch apart into its test and its term: then it is a FILTER, and one with all such spellings.

        ``rest``: ELSE 0 adds nothing either.
        """
        while len(of.parts) == 1:
            match of.parts[0]:
                case (Choice(((test, term),), otherwise),), weight if otherwise is None or (rest and _zero(otherwise)):
                    of = of_term(term).scaled(weight)
                    where = test if where is None else self._both(node, where, test)
                case _:
                    break
        return of, where

    def _both(self, node: Node, one: Test, other: Test) -> Test:
        try:
            return self._reader.logic.both([one, other])
        except Never:
            raise Fault("no row can pass these tests together", node, fix="drop one of them") from None

    def varying(self, node: Node) -> Term:
        """Read a term that differs between rows."""
        found = self._reader.term(node)
        if found.number is not None:
            raise Fault("this is the same number in every row", node, fix="use a column")
        return self._term(found, node)

    def _term(self, of: Polynomial, node: Node) -> Term:
        self._reader.fits(of, node)
        return of.term(self._reader.decimals)

    def _quantile(self, node: Call, one: Node, share: Fraction) -> Aggregate:
        if not 0 < share < 1:
            why = "a quantile lies between 0 and 1: the ends are one person's values"
            raise Fault(
                why,
                node,
                fix="ask for 0.01 or 0.99",
                instead=f"QUANTILE_CONT({show(one)}, {'0.01' if share <= 0 else '0.99'})",
            )
        if not isinstance(one, Name | Call):
            raise Fault("quantiles are of a column, not of a term", one, fix="use a column alone")
        column = self._reader.measured(one)
        if column.kind is Kind.DATE:
            raise Fault(
                "quantiles of dates are not in the language",
                node,
                fix="count rows by DATE_TRUNC('month', d)",
                instead="COUNT(*)",
            )
        bands = fine_bands(column, self._reader.bounds[column.name], BANDS)
        return Aggregate("QUANTILE", band=self._bands(node, bands), probability=share)

    def _bands(self, node: Call, bands: ByBand) -> ByBand:
        if node.where is not None:
            raise Fault("histograms count all rows of the question", node, fix=_OWN)
        return bands

    # -- conditions ------------------------------------------------------------------------------------------------

    def condition(self, node: Node) -> Condition:
        """Read HAVING."""
        match node:
            case Invert(_, of):
                return Negated(self.condition(of))
            case Chain(_, "AND" | "OR" as sign, items):
                return Joined(sign, tuple(self.condition(item) for item in items))
            case Within(_, of, low, high):
                left = self._side(of)
                return Joined(
                    "AND", (Comparison(">=", left, self._side(low)), Comparison("<=", left, self._side(high)))
                )
            case Pair(_, "=" | "<>" | "<" | "<=" | ">" | ">=" as sign, left, right):
                return Comparison(sign, self._side(left), self._side(right))
            case _:
                raise foreign(node) or Fault(
                    "HAVING compares aggregates",
                    node,
                    fix="write for example HAVING COUNT(*) >= 100",
                    instead="COUNT(*) >= 100",
                )

    def _side(self, node: Node) -> Formula:
        held = self._alias(node.text) if isinstance(node, Name) else None
        if isinstance(node, Text) or (isinstance(node, Name) and held is None):
            raise Fault("HAVING compares aggregates with numbers", node, fix="test columns in WHERE")
        found = self.formula(node)
        if isinstance(found, Aggregate) and found.name == "HISTOGRAM":
            raise Fault("a histogram is many numbers", node, fix="compare a quantile")
        return found


def _zero(term: Term) -> bool:
    return isinstance(term, Constant) and not term.units

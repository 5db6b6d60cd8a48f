"""Reading table functions: what they compare, and by which labels they count."""

from exchange.analyst.aggregating import Figures
from exchange.analyst.labels import Days, band, dimension, fine_bands
from exchange.analyst.question import Sheet
from exchange.analyst.rows import Reader
from exchange.analyst.syntax import Call, Case, Fault, Name, Node, Number, Pair
from exchange.analyst.writing import show
from privacy.expression import ByCase, Dimension, Term, quoted
from privacy.terms import Kind

MAX_REGRESSORS = 12
"""Explanatory columns of a regression at most: its cells grow as their square."""


class Sheets:
    """Reads table functions with a reader of terms."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._figures = Figures(reader)

    def sheet(self, node: Call, days: Days) -> Sheet:  # noqa: C901  one function after the other
        """Read a table function."""
        name, args = node.name.lower(), node.args
        match node.name, args:
            case "WOE_IV", (label, feature):
                dimensions = (self._feature(feature, days), self._label(label, days))
            case "AUC", (label, score):
                dimensions = (self._score(score, None, days), self._label(label, days))
            case "AUC", (label, score, Number() as bands):
                dimensions = (self._score(score, bands, days), self._label(label, days))
            case "PSI", (feature, split, day):
                dimensions = (self._feature(feature, days), self._label(Pair(split.at, ">=", split, day), days))
            case "PSI", (feature, split):
                dimensions = (self._feature(feature, days), self._label(split, days))
            case "CROSSTAB", (one, other):
                dimensions = (self._feature(one, days), self._feature(other, days))
            case "LINEAR_REGRESSION", (_, _, *_):
                return Sheet(name, terms=self._regressors(node, args))
            case "RIDGE_REGRESSION", (weight, _, _, *_):
                ridge = self._reader.constant(weight)
                if not 0 <= ridge <= 1000:
                    raise Fault("a ridge lies between 0 and 1000", weight, fix="start with 0.01", instead="0.01")
                return Sheet(name, terms=self._regressors(node, args[1:]), ridge=ridge)
            case _:
                raise Fault(f"{name} has another number of arguments", node, fix="docs/sql.md shows how it is written")
        if dimensions[0] == dimensions[1]:
            raise Fault("the two are the same", node, fix="use two columns")
        return Sheet(name, dimensions)

    def _regressors(self, node: Node, args: tuple[Node, ...]) -> tuple[Term, ...]:
        terms = tuple(self._figures.varying(one) for one in args)
        if len(set(terms)) != len(terms) or len(terms) > MAX_REGRESSORS + 1:
            raise Fault(f"a regression has up to {MAX_REGRESSORS} different columns", node, fix="name each column once")
        return terms

    def _feature(self, node: Node, days: Days) -> Dimension:
        """A dimension, or a measure by its customary bands."""
        if isinstance(node, Name) and self._reader.column(node).kind in (Kind.MEASURE, Kind.DATE):
            node = Call(node.at, "BIN", (node,))
        return dimension(node, self._reader, days)

    def _label(self, node: Node, days: Days) -> Dimension:
        """What is so or not: a category with two values, or a test."""
        if isinstance(node, Name | Case) or (isinstance(node, Call) and node.name == "BIN"):
            found = dimension(node, self._reader, days)
            if len(found.labels) == 2:
                return found
            first = getattr(self._reader.column(node), "domain", ()) if isinstance(node, Name) else ()
            told = f"{show(node)} = {quoted(first[0])}" if first else None
            raise Fault("a label has two values", node, fix="write a test, such as months_overdue >= 3", instead=told)
        return ByCase(((self._reader.test(node, negated=True), "false"), (self._reader.test(node), "true")))

    def _score(self, node: Node, bands: Number | None, days: Days) -> Dimension:
        """Bands of a score: its customary ones, or as many of equal width."""
        if not isinstance(node, Name | Call) or (isinstance(node, Call) and node.name == "BIN"):
            return dimension(node, self._reader, days)
        column = self._reader.measured(node)
        if bands is None and column.edges:
            return band(node, (node,), self._reader)
        count = 20 if bands is None else int(bands.value)
        if not 2 <= count <= 500:
            raise Fault("a score has 2 to 500 bands", node if bands is None else bands, fix="use 20", instead="20")
        return fine_bands(column, self._reader.bounds[column.name], count)

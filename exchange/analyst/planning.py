"""From figures to measures: which cells a figure is made of, chosen so that they cost as little as they can.

Sums are centred: with m the middle of a term's range, sum(x) = sum(x - m) + m count(x), and x - m reaches half as far. The
count that this takes is asked for anyway by averages and spreads; a sum alone is not centred, since the count would cost
what the centre saves. Equal measures are measured once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from exchange.analyst.polynomial import Polynomial, of_term, presence
from exchange.analyst.question import Aggregate, Question, Sheet
from privacy.errors import Malformed
from privacy.expression import Choice, Constant, Term, Test, decimals, extent
from privacy.plan import CountKnown, CountPresent, CountRows, CountUnits, Histogram, Measure, Sum
from privacy.terms import Bounds, Standard

SPREADS = ("VAR_POP", "VAR_SAMP", "STDDEV_POP", "STDDEV_SAMP")
JOINT = ("COVAR_POP", "COVAR_SAMP", "CORR")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a figure is made of: a count, and totals of centred terms.

    ``centres`` and ``reaches`` are, in the terms' units, the middle of each term's range and half its width.
    """

    count: Measure | None
    totals: tuple[Measure, ...] = ()
    centres: tuple[Fraction, ...] = ()
    reaches: tuple[Fraction, ...] = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All measures, the count first."""
        return self.totals if self.count is None else (self.count, *self.totals)


class Planner:
    """Plans figures over a standard whose columns are clipped to ``bounds``."""

    def __init__(self, standard: Standard, bounds: Mapping[str, Bounds]) -> None:
        self.bounds = bounds
        self.decimals = standard.decimals

    def recipe(self, of: Aggregate, counted: Iterable[str] = ()) -> Recipe:  # noqa: C901  one name after the other
        """Return what an aggregate is made of; ``counted`` are the keys of counts that are measured anyway.

        Raises:
            Malformed: if a term can outgrow 62 bits, or can only be 0.
        """
        match of.name:
            case "ROWS":
                return Recipe(CountRows() if of.where is None else CountPresent(_filtered(Constant(1), of.where)))
            case "UNITS":
                return Recipe(CountUnits())
            case "KNOWN":
                return Recipe(CountKnown(of.column))
            case "QUANTILE" | "HISTOGRAM" if of.band is not None:
                return Recipe(None, (Histogram(of.band),))
            case "COUNT":
                return Recipe(self.count(of.terms, of.where))
            case "SUM":
                count, middle = self.count(of.terms, of.where), self.middle(of.terms[0])
                if middle and count.key in set(counted):
                    return Recipe(count, (self.total(self._centred(of.terms[0]), of.where),), (middle,))
                return Recipe(None, (self.total(of_term(of.terms[0]), of.where),), (Fraction(0),))
            case "AVG":
                total = self.total(self._centred(of.terms[0]), of.where)
                return Recipe(self.count(of.terms, of.where), (total,), (self.middle(of.terms[0]),))
            case name if name in SPREADS:
                return self._joint(of.terms, of.where, pairs=[(0, 0)])
            case name if name in JOINT:
                pairs = [(0, 0), (1, 1), (0, 1)] if name == "CORR" else [(0, 1)]
                return self._joint(of.terms, of.where, pairs=pairs)
            case _:
                raise ValueError(of.name)

    def sheet(self, of: Sheet) -> Recipe:
        """Return what a table function is made of.

        The totals of a regression are those of its terms in their order, then of products: of each term with itself and all
        before it, the response counting as the last term.
        """
        if not of.terms:
            return Recipe(CountRows())
        terms = (*of.terms[1:], of.terms[0])
        return self._joint(terms, None, pairs=products(len(terms)))

    def count(self, terms: Iterable[Term], where: Test | None) -> Measure:
        """Return the count of rows where no term is NULL."""
        together = Polynomial.constant(Fraction(0))
        for term in terms:
            together = together.plus(of_term(term).nothing())
        held = presence(together, self.decimals)
        if held is None:
            return self.recipe(Aggregate("ROWS", where=where)).count or CountRows()
        return CountPresent(held if where is None else _filtered(held, where))

    def total(self, of: Polynomial, where: Test | None) -> Measure:
        """Return the sum of a term over the rows of a test; a sum of ones is a count."""
        term = of.term(self.decimals)
        if where is None and isinstance(term, Choice) and _nothing(term.otherwise):
            term = Choice(term.cases)
        if where is not None:
            term = _filtered(term, where)
        if isinstance(term, Choice) and term.otherwise is None and all(_one(branch) for _, branch in term.cases):
            return CountPresent(Choice(tuple((test, Constant(1)) for test, _ in term.cases)))
        if extent(term, self.bounds) == (0, 0):
            raise Malformed("the term can only be 0", fix="sum something that varies")
        return Sum(term)

    def middle(self, term: Term) -> Fraction:
        """Return the exact middle of a term's range, in its unit; that of a centred term is 0, whatever its decimals."""
        low, high = extent(term, self.bounds)
        return Fraction(low + high, 2 * 10 ** decimals(term, self.decimals))

    def _half(self, term: Term) -> Fraction:
        low, high = extent(term, self.bounds)
        return Fraction(high - low, 2 * 10 ** decimals(term, self.decimals)) or Fraction(1)

    def _centred(self, term: Term) -> Polynomial:
        return of_term(term).moved(-self.middle(term))

    def _complete(self, of: Polynomial, terms: tuple[Term, ...]) -> Polynomial:
        """Return what is ``of`` where no term is NULL, and NULL elsewhere."""
        own = dict(of.nothing().parts)
        for term in terms:
            for product, _ in of_term(term).nothing().parts:
                if product not in own:
                    of = of.plus(Polynomial.of({product: Fraction(0)}))
                    own[product] = Fraction(0)
        return of

    def _joint(self, terms: tuple[Term, ...], where: Test | None, *, pairs: Iterable[tuple[int, int]]) -> Recipe:
        moved = [self._centred(term) for term in terms]
        wanted = [*moved, *(moved[one].times(moved[other], self.decimals) for one, other in pairs)]
        return Recipe(
            self.count(terms, where),
            tuple(self.total(self._complete(one, terms), where) for one in wanted),
            tuple(map(self.middle, terms)),
            tuple(map(self._half, terms)),
        )


def planner_of(question: Question) -> Planner:
    """Return the planner that a question was, or would be, planned with."""
    bounds = {column.name: column.bounds for column in question.standard.columns if column.bounds is not None}
    return Planner(question.standard, bounds | question.plan.clipped)


def counted(aggregates: Iterable[Aggregate], planner: Planner) -> frozenset[str]:
    """Return the keys of the counts that some aggregates need anyway; sums alone never do."""
    counts = [planner.recipe(one).count for one in aggregates if one.name != "SUM"]
    return frozenset(count.key for count in counts if count is not None)


def products(size: int) -> list[tuple[int, int]]:
    """Return the products of a regression of ``size`` columns by their places: each with all before it, then itself."""
    return [(later, earlier) for later in range(size) for earlier in range(later + 1)]


def _filtered(term: Term, where: Test) -> Term:
    return Choice(((where, term),))


def _nothing(term: Term | None) -> bool:
    return isinstance(term, Constant) and not term.units


def _one(term: Term) -> bool:
    return isinstance(term, Constant) and term.units == 10**term.decimals

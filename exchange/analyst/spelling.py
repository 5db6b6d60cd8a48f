"""Back to SQL: the statement that asks a question, and what is left of a question when its plan is narrowed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from exchange.analyst.constants import EPOCH, clipped_name, spell_units
from exchange.analyst.labels import PARTS, TRUNCATED, period
from exchange.analyst.polynomial import Polynomial, Product, of_term, spell_number
from exchange.analyst.question import (
    Aggregate,
    Comparison,
    Condition,
    Formula,
    Joined,
    Negated,
    Operation,
    Output,
    Question,
    Sheet,
    Sorting,
    default_name,
)
from exchange.analyst.writing import quoted_name
from privacy.expression import (
    Added,
    AllOf,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Choice,
    Constant,
    Dimension,
    Missing,
    Not,
    OneOf,
    Term,
    Test,
    Times,
    Value,
    decimals,
    quoted,
)
from privacy.plan import Plan
from privacy.terms import UNKNOWN, Kind, Standard


def spell(question: Question, standard: Standard) -> str:
    """Return a statement that asks this question over its standard."""
    return _Speller(standard, question.plan).statement(question)


def spell_term(question: Question, term: Term) -> str:
    """Return a term of a question as it is written."""
    return _Speller(question.standard, question.plan).number(term)


def spell_dimension(question: Question, by: Dimension) -> str:
    """Return a dimension of a question as it is written."""
    return _Speller(question.standard, question.plan).dimension(by)


def spell_test(question: Question, test: Test) -> str:
    """Return a test of a question as it is written."""
    return _Speller(question.standard, question.plan).test(test)


@dataclass(frozen=True, slots=True)
class _Speller:
    """Writes items of one plan; a column that it clips more tightly than the standard is written with CLIP."""

    standard: Standard
    plan: Plan

    def statement(self, question: Question) -> str:
        shown = [self._output(output) for output in question.outputs]
        if question.sheet is not None:
            shown = [self._sheet(question.sheet)]
        parts = [f"SELECT {', '.join(shown)} FROM {quoted_name(self.standard.name)}"]  # noqa: S608  shown, run by nobody
        dimensions = question.sheet.dimensions if question.sheet is not None else question.plan.groups
        where = [
            self._operand(test)
            for test in (*question.plan.where, *self._restrictions(dimensions, grouped=question.sheet is None))
        ]
        parts += [f"WHERE {' AND '.join(where)}"] if where else []
        if question.plan.groups and question.sheet is None:
            parts.append(f"GROUP BY {', '.join(self.dimension(by) for by in question.plan.groups)}")
        parts += [] if question.having is None else [f"HAVING {self._condition(question.having)}"]
        parts += [f"ORDER BY {', '.join(map(self._sorting, question.order))}"] if question.order else []
        parts += [] if question.limit is None else [f"LIMIT {question.limit}"]
        parts += [f"OFFSET {question.offset}"] if question.offset else []
        return " ".join(parts)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _output(self, output: Output) -> str:
        of = output.of
        told = self.formula(of) if isinstance(of, Aggregate | Operation | Fraction) else self.dimension(of)
        return told if output.name == default_name(of) else f"{told} AS {quoted_name(output.name)}"

    def formula(self, of: Formula) -> str:
        match of:
            case Fraction():
                return spell_number(of) if of >= 0 else f"({spell_number(of)})"
            case Operation(sign, left, right):
                return f"{self._side(left)} {sign} {self._side(right)}"
            case Aggregate():
                told = self._called(of)
                return told if of.where is None else f"{told} FILTER (WHERE {self.test(of.where)})"

    def _side(self, of: Formula) -> str:
        return f"({self.formula(of)})" if isinstance(of, Operation) else self.formula(of)

    def _called(self, of: Aggregate) -> str:
        listed = ", ".join(map(self.number, of.terms))
        match of.name:
            case "ROWS":
                return "COUNT(*)"
            case "UNITS":
                return f"COUNT(DISTINCT {quoted_name(self.standard.unit)})"
            case "KNOWN":
                return f"COUNT({quoted_name(of.column)})"
            case "QUANTILE" if of.band is not None and of.probability is not None:
                if of.probability == Fraction(1, 2):
                    return f"MEDIAN({self._column(of.band.column)})"
                return f"QUANTILE_CONT({self._column(of.band.column)}, {spell_number(of.probability)})"
            case "HISTOGRAM" if of.band is not None:
                return self._banded("HISTOGRAM", of.band)
            case name:
                return f"{name}({listed})"

    def _sheet(self, sheet: Sheet) -> str:
        if sheet.terms:
            told = [spell_number(sheet.ridge)] if sheet.name == "ridge_regression" else []
            return f"{sheet.name}({', '.join([*told, *map(self.number, sheet.terms)])})"
        one, other = map(self._compared, sheet.dimensions)
        label = sheet.dimensions[1]
        if isinstance(label, ByCase) and [told for _, told in label.cases] == ["false", "true"]:
            other = self.test(label.cases[1][0])
        return f"{sheet.name}({', '.join([other, one] if sheet.name in ('woe_iv', 'auc') else [one, other])})"

    def _sorting(self, sorting: Sorting) -> str:
        of = sorting.of
        told = self.formula(of) if isinstance(of, Aggregate | Operation | Fraction) else self.dimension(of)
        return f"{told} DESC" if sorting.descending else told

    def _condition(self, of: Condition) -> str:
        match of:
            case Comparison(sign, left, right):
                return f"{self._side(left)} {sign} {self._side(right)}"
            case Joined(sign, conditions):
                return f" {sign} ".join(f"({self._condition(one)})" for one in conditions)
            case Negated(condition):
                return f"NOT ({self._condition(condition)})"

    # -- dimensions ------------------------------------------------------------------------------------------------

    def dimension(self, by: Dimension) -> str:
        match by:
            case ByCase(cases, otherwise):
                told = " ".join(f"WHEN {self.test(test)} THEN {quoted(label)}" for test, label in cases)
                ending = "" if otherwise in (None, UNKNOWN) else f" ELSE {quoted(str(otherwise))}"
                return f"CASE {told}{ending} END"
            case ByCategory(column):
                told = quoted_name(column)
            case ByBand():
                told = self._banded("BIN", by)
            case ByDate(column, part) if part in TRUNCATED.values() and part != "year":
                told = f"DATE_TRUNC('{part.removeprefix('year-')}', {self._column(column)})"
            case ByDate(column, part):
                name = next(name for name, held in PARTS.items() if held == part)
                told = f"{name}({self._column(column)})"
        return told

    def _compared(self, by: Dimension) -> str:
        """A dimension of a table function, which leaves out rows without a label unless it names them."""
        told = self.dimension(by)
        return f"COALESCE({told}, '{UNKNOWN}')" if UNKNOWN in by.labels and not isinstance(by, ByCase) else told

    def _banded(self, name: str, band: ByBand) -> str:
        column = self.standard.column(band.column)
        if column.edges == band.edges:
            return f"{name}({self._column(band.column)})"
        low, high, step = band.edges[0], band.edges[-1], band.edges[1] - band.edges[0]
        wide = spell_number(Fraction(step, 10**column.decimals))
        return f"{name}({self._column(band.column)}, {spell_units(column, low)}, {spell_units(column, high)}, {wide})"

    def _spans(self, by: ByBand) -> bool:
        """Whether bands hold every value that the plan lets a column have."""
        held = self.plan.clipped[by.column]
        return by.edges[0] <= held.lower and held.upper <= by.edges[-1]

    def _restrictions(self, dimensions: Iterable[Dimension], *, grouped: bool) -> Iterator[Test]:
        """Tests that leave each dimension the labels that it has, where they are not all that the standard knows.

        Where it is ``grouped`` by, a dimension has a label for rows without one unless a test leaves them out.
        """
        listed = [by for by in dimensions if UNKNOWN not in by.labels and not isinstance(by, ByCase)]
        for by in listed:
            of_column = any(_of(test, by.column) for test in self.plan.where)
            if isinstance(by, ByCategory) and set(by.labels) < set(self.standard.column(by.column).domain):
                yield OneOf(by.column, by.labels)
            elif isinstance(by, ByBand) and grouped and not self._spans(by):
                yield Between(Value(by.column), by.edges[0], by.edges[-1])
            elif grouped and not isinstance(by, ByDate) and not of_column:
                yield Not(Missing(by.column))
        for column in dict.fromkeys(by.column for by in listed if isinstance(by, ByDate)):
            if not any(_of(test, column) for test in self.plan.where):
                yield from self._days(column, [by for by in listed if isinstance(by, ByDate)], grouped=grouped)

    def _days(self, column: str, listed: Iterable[ByDate], *, grouped: bool) -> Iterator[Test]:
        """The test that leaves a date column the days of its labels."""
        spans = [
            (period(by.part, by.labels[0])[0], period(by.part, by.labels[-1])[1])
            for by in listed
            if by.column == column and by.part.startswith("year")
        ]
        held = self.plan.clipped[column]
        first = max((low for low, _ in spans), default=held.lower)
        last = min((high for _, high in spans), default=held.upper)
        if first > held.lower or last < held.upper:
            yield Between(Value(column), first if first > held.lower else None, last if last < held.upper else None)
        elif grouped:
            yield Not(Missing(column))

    # -- tests and terms -------------------------------------------------------------------------------------------

    def test(self, test: Test) -> str:
        match test:
            case OneOf(column, (value,)):
                return f"{quoted_name(column)} = {quoted(value)}"
            case OneOf(column, listed):
                return f"{quoted_name(column)} IN ({', '.join(map(quoted, listed))})"
            case Between(term, lower, upper):
                return self._between(term, lower, upper)
            case Missing(column):
                return f"{quoted_name(column)} IS NULL"
            case Not(Missing(column)):
                return f"{quoted_name(column)} IS NOT NULL"
            case Not(inner):
                return f"NOT {self._operand(inner)}"
            case AllOf(tests):
                return " AND ".join(map(self._operand, tests))
            case AnyOf(tests):
                return " OR ".join(map(self._operand, tests))

    def _operand(self, test: Test) -> str:
        return (
            f"({self.test(test)})" if isinstance(test, AnyOf | AllOf | Not) and not _absent(test) else self.test(test)
        )

    def _between(self, term: Term, lower: int | None, upper: int | None) -> str:
        told = self._factor(term)
        if isinstance(term, Value):
            column = self.standard.column(term.column)
            ends = [None if end is None else spell_units(column, end) for end in (lower, upper)]
        else:
            scale = 10 ** decimals(term, self.standard.decimals)
            ends = [None if end is None else spell_number(Fraction(end, scale)) for end in (lower, upper)]
        match ends:
            case [None, end]:
                return f"{told} <= {end}"
            case [end, None]:
                return f"{told} >= {end}"
            case [one, other]:
                return f"{told} = {one}" if one == other else f"{told} BETWEEN {one} AND {other}"
            case _:
                raise ValueError(ends)

    def term(self, term: Term) -> str:
        match term:
            case Value(column):
                return self._column(column)
            case Constant(units, places):
                return spell_number(Fraction(units, 10**places))
            case Added() | Times():
                return self._sum(of_term(term))
            case Choice(cases, otherwise):
                told = " ".join(f"WHEN {self.test(test)} THEN {self.number(branch)}" for test, branch in cases)
                return f"CASE {told}{'' if otherwise is None else f' ELSE {self.number(otherwise)}'} END"

    def number(self, term: Term) -> str:
        """A term that is a number: dates in it are counted from 1970-01-01."""
        dates = {column.name for column in self.standard.columns if column.kind is Kind.DATE}
        alone = [(product, weight) for product, weight in of_term(term).parts if len(product) == 1]
        days = sum(weight for (factor,), weight in alone if isinstance(factor, Value) and factor.column in dates)
        told = self.term(term)
        return told if not days else f"{told} - {'' if days == 1 else f'({spell_number(days)}) * '}DATE '{EPOCH}'"

    def _sum(self, of: Polynomial) -> str:
        """A sum of products as people write it: what is taken off comes last, behind its sign."""
        added = [self._product(product, weight) for product, weight in of.parts if weight >= 0]
        taken = [self._product(product, -weight) for product, weight in of.parts if weight < 0]
        return "".join([" + ".join(added), *(f" - {one}" for one in taken)]).strip()

    def _product(self, product: Product, weight: Fraction) -> str:
        factors = [self._factor(product[0])] if len(product) == 1 else [self._times(one) for one in product]
        return " * ".join(factors if weight == 1 and product else [spell_number(weight), *factors])

    def _factor(self, term: Term) -> str:
        loose = isinstance(term, Added | Times) or (isinstance(term, Constant) and term.units < 0)
        return f"({self.term(term)})" if loose else self.term(term)

    def _times(self, term: Term) -> str:
        """A factor of a product, which is a number whatever it is made of."""
        told = self.number(term)
        plain = told == self.term(term) and not isinstance(term, Added | Times)
        return told if plain and not told.startswith("-") else f"({told})"

    def _column(self, name: str) -> str:
        column, bounds = self.standard.column(name), self.plan.clipped.get(name)
        told = quoted_name(name)
        if bounds is None or bounds == column.bounds:
            return told
        return clipped_name(column, bounds).replace(name, told, 1)


def _of(test: Test, column: str) -> bool:
    return isinstance(test, Between) and test.term == Value(column)


def _absent(test: Test) -> bool:
    return isinstance(test, Not) and isinstance(test.test, Missing)

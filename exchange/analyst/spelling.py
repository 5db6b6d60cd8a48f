"""Back to SQL: the statement that asks a question, and what is left of a question when its plan is narrowed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from exchange.analyst.constants import clipped_name, spell_units
from exchange.analyst.labels import PARTS, TRUNCATED, period
from exchange.analyst.planning import Planner, counted, planner_of
from exchange.analyst.polynomial import of_term, spell_number
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
    aggregates,
    asked,
    default_name,
)
from exchange.analyst.syntax import quoted_name
from privacy.errors import Malformed
from privacy.expression import (
    UNKNOWN,
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
    known,
    quoted,
)
from privacy.plan import CountKnown, CountPresent, CountRows, CountUnits, Histogram, Measure, Plan, Sum
from privacy.terms import Standard


def spell(question: Question, standard: Standard) -> str:
    """Return a statement that asks this question over its standard."""
    return _Speller(standard, question.plan).statement(question)


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
        where = [self._operand(test) for test in (*question.plan.where, *self._restrictions(dimensions))]
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
        listed = ", ".join(map(self.term, of.terms))
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
            return f"{sheet.name}({', '.join([*told, *map(self.term, sheet.terms)])})"
        one, other = (self.dimension(by) for by in sheet.dimensions)
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
                return f"CASE {told}{'' if otherwise is None else f' ELSE {quoted(otherwise)}'} END"
            case ByCategory(column):
                told = quoted_name(column)
            case ByBand():
                told = self._banded("BIN", by)
            case ByDate(column, part) if part in TRUNCATED.values() and part != "year":
                told = f"DATE_TRUNC('{part.removeprefix('year-')}', {self._column(column)})"
            case ByDate(column, part):
                name = next(name for name, held in PARTS.items() if held == part)
                told = f"{name}({self._column(column)})"
        return f"COALESCE({told}, '{UNKNOWN}')" if UNKNOWN in by.labels else told

    def _banded(self, name: str, band: ByBand) -> str:
        column = self.standard.column(band.column)
        if column.edges == band.edges:
            return f"{name}({self._column(band.column)})"
        low, high, step = band.edges[0], band.edges[-1], band.edges[1] - band.edges[0]
        wide = spell_number(Fraction(step, 10**column.decimals))
        return f"{name}({self._column(band.column)}, {spell_units(column, low)}, {spell_units(column, high)}, {wide})"

    def _restrictions(self, dimensions: Iterable[Dimension]) -> Iterator[Test]:
        """Tests that leave each dimension the labels that it has, where they are not all that the standard knows."""
        listed = list(dimensions)
        for by in listed:
            if isinstance(by, ByCategory) and UNKNOWN not in by.labels:
                if set(by.labels) != set(self.standard.column(by.column).domain):
                    yield OneOf(by.column, by.labels)
        for column in dict.fromkeys(by.column for by in listed if isinstance(by, ByDate)):
            spans = [
                (period(by.part, known(by)[0])[0], period(by.part, known(by)[-1])[1])
                for by in listed
                if isinstance(by, ByDate) and by.column == column and by.part.startswith("year")
            ]
            held = self.plan.clipped[column]
            first, last = (
                max((low for low, _ in spans), default=held.lower),
                min((high for _, high in spans), default=held.upper),
            )
            if (first > held.lower or last < held.upper) and not any(_of(test, column) for test in self.plan.where):
                yield Between(Value(column), first if first > held.lower else None, last if last < held.upper else None)

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
            scale = 10 ** decimals(term, {column.name: column.decimals for column in self.standard.columns})
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
            case Added(terms):
                return self._sum(terms)
            case Times(left, right):
                return f"{self._product(left)} * {self._factor(right)}"
            case Choice(cases, otherwise):
                told = " ".join(f"WHEN {self.test(test)} THEN {self.term(branch)}" for test, branch in cases)
                return f"CASE {told}{'' if otherwise is None else f' ELSE {self.term(otherwise)}'} END"

    def _sum(self, terms: Iterable[Term]) -> str:
        """A sum as people write it: what is taken off comes last, behind its sign."""
        signed = [(of_term(term), self._factor(term)) for term in terms]
        told = ""
        for taken in (False, True):
            for one, text in signed:
                ((product, weight),) = one.parts
                if (weight < 0) != taken:
                    continue
                if taken:
                    units = spell_number(-weight) if not product or weight != -1 else ""
                    text = " * ".join(filter(None, (units, *map(self._factor, product))))
                told += f"{' - ' if taken else ' + ' if told else ''}{text}"
        return told.strip() if told.startswith(" ") else told

    def _product(self, term: Term) -> str:
        return self.term(term) if isinstance(term, Times) else self._factor(term)

    def _factor(self, term: Term) -> str:
        loose = isinstance(term, Added | Times) or (isinstance(term, Constant) and term.units < 0)
        return f"({self.term(term)})" if loose else self.term(term)

    def _column(self, name: str) -> str:
        column, bounds = self.standard.column(name), self.plan.clipped.get(name)
        told = quoted_name(name)
        if bounds is None or bounds == column.bounds:
            return told
        return clipped_name(column, bounds).replace(name, told, 1)


def narrow(question: Question, plan: Plan) -> Question:
    """Return the question that shows of ``question`` what ``plan``, the nearest that passes, can answer.

    What the plan measures beyond that is shown by itself, so that the spelling asks for it.
    """
    rest = _Rest(question, plan)
    if question.sheet is not None and rest.answers_sheet(question.sheet):
        return replace(question, plan=plan)
    named = {output.of: output.name for output in question.outputs if output.is_group}  # type: ignore[misc]
    outputs: list[Output] = []
    for output in question.outputs:
        if output.is_group:
            held = next((by for by in plan.groups if _same(by, output.of)), None)
            outputs += [] if held is None else [Output(output.name, held)]
        elif rest.answers(output.of):
            outputs.append(output)
    shown = {output.of for output in outputs}
    outputs = [Output(default_name(by), by) for by in plan.groups if by not in shown and by not in named] + outputs
    having = question.having if question.having is not None and rest.answers_all(question.having) else None
    order = tuple(sorting for sorting in (rest.sorting(one) for one in question.order) if sorting is not None)
    found = replace(question, plan=plan, sheet=None, outputs=tuple(outputs), having=having, order=order)
    found = replace(found, outputs=_apart((*outputs, *(Output(default_name(of), of) for of in rest.left(found)))))
    kept = len(order) == len(question.order)
    return found if kept else replace(found, limit=None, offset=0)


@dataclass(slots=True)
class _Rest:
    """What a narrower plan still answers of a question."""

    question: Question
    plan: Plan

    @property
    def _planner(self) -> Planner:
        return planner_of(replace(self.question, plan=self.plan))

    def _keys(self, of: Aggregate) -> frozenset[str]:
        try:
            return frozenset(measure.key for measure in self._planner.recipe(of, self._kept_counts()).measures)
        except Malformed:  # within narrower bounds a term may not vary at all
            return frozenset({""})

    def _kept_counts(self) -> frozenset[str]:
        return counted(asked(self.question), self._planner) & {measure.key for measure in self.plan.measures}

    def answers(self, of: Dimension | Formula) -> bool:
        held = {measure.key for measure in self.plan.measures}
        return isinstance(of, Aggregate | Operation | Fraction) and all(
            self._keys(one) <= held for one in aggregates(of)
        )

    def answers_all(self, of: Condition) -> bool:
        return all(self.answers(one) for one in aggregates(of))

    def answers_sheet(self, sheet: Sheet) -> bool:
        try:
            wanted = {measure.key for measure in self._planner.sheet(sheet).measures}
        except Malformed:
            return False
        whole = set(sheet.dimensions) == set(self.plan.groups)
        return whole and wanted == {measure.key for measure in self.plan.measures}

    def sorting(self, sorting: Sorting) -> Sorting | None:
        if isinstance(sorting.of, Aggregate | Operation | Fraction):
            return sorting if self.answers(sorting.of) else None
        held = next((by for by in self.plan.groups if _same(by, sorting.of)), None)
        return None if held is None else replace(sorting, of=held)

    def left(self, narrowed: Question) -> Iterator[Aggregate]:
        """Yield what shows the measures that nothing else of the narrowed question shows."""
        planner = planner_of(narrowed)
        shown: set[str] = set()
        keys = counted(asked(narrowed), planner)
        for one in asked(narrowed):
            shown |= {measure.key for measure in planner.recipe(one, keys).measures}
        left = {measure.key: measure for measure in self.plan.measures if measure.key not in shown}
        for column in self.plan.clipped:  # a count and a centred sum are an average
            average = Aggregate("AVG", (Value(column),))
            needed = self._average_keys(average, planner)
            if needed and needed <= {measure.key for measure in self.plan.measures} and needed & set(left):
                yield average
                left = {key: measure for key, measure in left.items() if key not in needed}
        for measure in left.values():
            yield from _alone(measure)

    def _average_keys(self, average: Aggregate, planner: Planner) -> set[str]:
        try:
            return {
                measure.key
                for measure in planner.recipe(average).totals + (planner.recipe(average).count or CountRows(),)
            }
        except Malformed:
            return set()


def _alone(measure: Measure) -> Iterator[Aggregate]:
    """What shows one measure by itself."""
    match measure:
        case CountRows():
            yield Aggregate("ROWS")
        case CountUnits():
            yield Aggregate("UNITS")
        case CountKnown(column):
            yield Aggregate("KNOWN", column=column)
        case CountPresent(Choice(((test, Constant(1, 0)),), None)):
            yield Aggregate("ROWS", where=test)
        case CountPresent(Choice(((test, term),), None)):
            yield Aggregate("COUNT", (term,), test)
        case CountPresent(term):
            yield Aggregate("COUNT", (term,))
        case Sum(Choice(((test, term),), None)):
            yield Aggregate("SUM", (term,), test)
        case Sum(term):
            yield Aggregate("SUM", (term,))
        case Histogram(band):
            yield Aggregate("HISTOGRAM", band=band)
        case _:
            pass


def _apart(outputs: Iterable[Output]) -> tuple[Output, ...]:
    """The outputs under names of their own."""
    told: dict[str, Output] = {}
    for output in outputs:
        name = output.name
        while name in told:
            name += "_"
        told[name] = replace(output, name=name)
    return tuple(told.values())


def _same(by: Dimension, other: object) -> bool:
    """Whether two dimensions are the same but for labels that were left out."""
    if by == other:
        return True
    return isinstance(by, ByCategory) and isinstance(other, ByCategory) and by.column == other.column


def _of(test: Test, column: str) -> bool:
    return isinstance(test, Between) and test.term == Value(column)


def _absent(test: Test) -> bool:
    return isinstance(test, Not) and isinstance(test.test, Missing)

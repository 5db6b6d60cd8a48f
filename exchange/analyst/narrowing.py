"""What is left of a question when its plan is narrowed to what a policy grants."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from exchange.analyst.planning import Planner, counted, planner_of
from exchange.analyst.question import (
    Aggregate,
    Condition,
    Formula,
    Operation,
    Output,
    Question,
    Sheet,
    Sorting,
    aggregates,
    asked,
    default_name,
)
from exchange.analyst.reading import QueryFault, parse
from exchange.analyst.spelling import spell
from privacy.atoms import atoms
from privacy.errors import Malformed
from privacy.expression import ByCase, ByCategory, Choice, Constant, Dimension, Value, known, summed, tested, values
from privacy.plan import CountKnown, CountPresent, CountRows, CountUnits, Histogram, Measure, Plan, Sum, term_of


def narrow(question: Question, plan: Plan) -> Question | None:
    """Return the question that shows of ``question`` what ``plan``, the nearest that passes, can answer.

    What the plan measures beyond that is shown by itself. Within narrower bounds everything is clipped to them: averages get
    their own middle, quantiles their own bands, and a test that is true of every value there asks for a value alone.
    Where that makes no question about the same rows, the sums that need the narrower bounds fall away instead; nothing is
    returned if that leaves none. What is returned is what its own spelling asks.
    """
    wide = dict(question.plan.bounds)
    tight = {column for column, bounds in plan.bounds if bounds != wide.get(column, bounds)}
    # what is kept is told by the question's own bounds, which its measures were made for
    kept = within(
        question, replace(plan, bounds=tuple((column, wide.get(column, held)) for column, held in plan.bounds))
    )
    found = _read_again(replace(kept, plan=replace(kept.plan, bounds=plan.bounds)), plan)
    free = {
        measure: price
        for measure, price in zip(plan.measures, plan.prices, strict=True)
        if not (isinstance(measure, Sum) and any(column in tight for column, _ in summed(measure.term)))
    }
    if found is not None or not tight or not free:
        return found
    inner = (*plan.where, *plan.groups, *(term for term in map(term_of, free) if term is not None))
    needed = frozenset[str]().union(*map(values, inner))
    bounds = tuple((column, wide.get(column, plan.clipped[column])) for column in needed)
    measures, prices = tuple(free), tuple(free.values())
    rest = replace(plan, measures=measures, prices=prices, rho=sum(prices), bounds=bounds)
    return _read_again(within(question, rest), plan)


def _read_again(question: Question, plan: Plan) -> Question | None:
    """Return the question that the spelling of this one asks, or the rewrite of its refusal; nothing if it might not pass."""
    sql = spell(question, question.standard)
    for _ in range(2):
        try:
            found = parse(
                sql,
                standard=question.standard,
                purpose=plan.purpose,
                parties=plan.parties,
                rho=question.plan.rho,
                shared=plan.shared,
            )
        except QueryFault as fault:
            sql = fault.rewrite
        else:
            return found if _is_part(found.plan, plan) else None
    return None


def _is_part(part: Plan, whole: Plan) -> bool:
    """Whether a plan asks of the same rows what another one asks or less: then it passes where that does."""
    added = {column for measure in part.measures if isinstance(measure, Sum) for column, _ in summed(measure.term)}
    labels = {by.column: set(known(by)) for by in whole.groups if isinstance(by, ByCategory)}
    chosen = {column for test in part.where for column in tested(test)}
    chosen |= {by.column for by in part.groups if not isinstance(by, ByCase)}
    return (
        set(atoms(part)) <= set(atoms(whole))
        and all(column in whole.clipped and whole.clipped[column].covers(part.clipped[column]) for column in added)
        and all(set(known(by)) <= labels.get(by.column, set()) for by in part.groups if isinstance(by, ByCategory))
        and all(tested(test) <= chosen for test in whole.where)
    )


def within(question: Question, plan: Plan) -> Question:
    """Return the question that shows of ``question`` what a plan of the same bounds can answer, and all else that it measures."""
    rest = _Rest(question, plan)
    if question.sheet is not None and rest.answers_sheet(question.sheet):
        return replace(question, plan=plan)
    outputs: list[Output] = []
    for output in question.outputs:
        if output.is_group:
            held = rest.dimension(output.of)
            outputs += [] if held is None else [Output(output.name, held)]
        elif rest.answers(output.of):
            outputs.append(output)
    shown = {output.of for output in outputs}
    outputs = [Output(default_name(by), by) for by in plan.groups if by not in shown] + outputs
    having: Condition | None = None
    order: tuple[Sorting, ...] = ()
    if any(not output.is_group for output in outputs):  # what is measured for HAVING alone is then shown instead
        having = question.having if question.having is not None and rest.answers_all(question.having) else None
        order = tuple(sorting for sorting in map(rest.sorting, question.order) if sorting is not None)
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

    def dimension(self, of: Dimension | Formula) -> Dimension | None:
        """What is left of a dimension: itself, or the category with fewer labels."""
        if of in self.plan.groups:
            return of  # type: ignore[return-value]  # a dimension, being among them
        fewer = (by for by in self.plan.groups if isinstance(by, ByCategory) and by not in self.question.plan.groups)
        return next((by for by in fewer if isinstance(of, ByCategory) and by.column == of.column), None)

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
        held = self.dimension(sorting.of)
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
            return {measure.key for measure in planner.recipe(average).measures}
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

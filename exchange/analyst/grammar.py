"""The grammar of a whole statement: which clauses, in which roles; what they make together is one question."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import count

from exchange.analyst import sql
from exchange.analyst.aggregating import SHEETS, Figures
from exchange.analyst.conditions import conjuncts
from exchange.analyst.labels import dimension, is_dimension, period, with_unknown, without_unknown
from exchange.analyst.planning import Planner, Recipe
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
    default_name,
)
from exchange.analyst.repair import Refusal
from exchange.analyst.rows import Reader
from exchange.analyst.sheets import Sheets
from exchange.analyst.syntax import Call, Fault, Item, Name, Node, Number, Statement, mention, place
from exchange.analyst.words import clause
from exchange.analyst.writing import show
from privacy.atoms import atoms_of
from privacy.errors import Malformed
from privacy.expression import (
    MAX_DEPTH,
    MAX_LIST,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Dimension,
    Missing,
    Not,
    OneOf,
    Test,
    Value,
    tested,
)
from privacy.plan import MAX_CELLS, Measure, Plan, computed
from privacy.terms import UNKNOWN, Bounds, Standard

MAX_COLUMNS = 200
"""Columns of an answer at most."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a question is asked: for which purpose, of whom, at which price each, with whose noise."""

    purpose: str
    parties: tuple[str, ...]
    rho: int
    shared: int | None


def understand(text: str, standard: Standard, terms: Terms) -> tuple[Question, Statement]:
    """Read a statement to the end.

    Raises:
        Refusal: if it is not in the language.
    """
    statement = None
    try:
        statement = sql.read(text)
        return _Grammar(statement, standard).question(terms), statement
    except Fault as fault:
        raise Refusal(fault, statement) from None
    except RecursionError:
        raise Refusal(Fault("the statement is nested too deeply", 0, fix="write it with fewer levels"), None) from None


@dataclass(slots=True)
class _Grammar:
    """One statement on its way to a question."""

    statement: Statement
    standard: Standard
    reader: Reader = field(init=False)
    figures: Figures = field(init=False)
    where: tuple[Test, ...] = ()
    groups: list[tuple[Node, Dimension]] = field(default_factory=list)
    aliases: dict[str, Node] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.statement.foreign:
            raise clause(*self.statement.foreign[0])
        table = self.statement.table
        if not isinstance(table, Name) or table.text != self.standard.name:
            at = table if table is not None else 0
            raise Fault("a question reads from one standard", at, fix=f"write FROM {self.standard.name}")
        self.reader = Reader(self.standard, list(_parts(self.statement)))
        self.figures = Figures(self.reader)

    def question(self, terms: Terms) -> Question:
        for item in self.statement.items:
            if item.alias:
                self.aliases.setdefault(item.alias.lower() if item.alias.isascii() else item.alias, item.of)
        if self.statement.where is not None:
            self.where = conjuncts(self.reader.test(self.statement.where))
            for column in {column for test in self.where for column in tested(test)}:
                self._place(f"{column} as filter", mention(self.statement.where, column))
        sheet = self._sheet()
        self._group()
        outputs = self._outputs() if sheet is None else ()
        for item, output in zip(self.statement.items, outputs, strict=False):
            self.aliases.setdefault(output.name, item.of)
        self.figures = Figures(self.reader, self.aliases.get)
        having = None if self.statement.having is None else self.figures.condition(self.statement.having)
        order = tuple(self._sorting(one.of, descending=one.descending, last=one.last) for one in self.statement.order)
        limit = self._count(self.statement.limit, least=1)
        offset = self._count(self.statement.offset, least=0)
        plan = self._plan(terms, outputs, sheet, self._unshown(having, order))
        return Question(plan, self.standard, outputs, sheet, having, order, limit, offset or 0, self.places)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _sheet(self) -> Sheet | None:
        calls = [item for item in self.statement.items if isinstance(item.of, Call) and item.of.name in SHEETS]
        if not calls:
            return None
        node = calls[0].of
        others = [item.of for item in self.statement.items if item.of is not node]
        others += [*self.statement.groups, *(one.of for one in self.statement.order)]
        others += [one for one in (self.statement.having, self.statement.limit) if one is not None]
        if others or self.statement.by_all:
            name = node.name.lower() if isinstance(node, Call) else ""
            raise Fault(
                f"{name} makes a table of its own",
                others[0] if others else node,
                fix="ask it alone, with FROM and WHERE",
            )
        sheet = Sheets(self.reader).sheet(node, self._days) if isinstance(node, Call) else None
        if sheet is not None and sheet.dimensions:
            sheet = replace(sheet, dimensions=tuple(map(self._restricted, sheet.dimensions)))
            self.groups = [(node, by) for by in sheet.dimensions]
            compared = sheet.dimensions if sheet.name == "crosstab" else sheet.dimensions[1:]
            if any(len(by.labels) < 2 for by in compared):
                raise Fault("WHERE leaves one value of what is compared", node, fix="compare two values at least")
        return sheet

    def _group(self) -> None:
        nodes = list(self.statement.groups)
        if self.statement.by_all:
            nodes = [item.of for item in self.statement.items if is_dimension(item.of)]
        for node in nodes:
            held = self._referred(node)
            by = self._dimension(held)
            if any(by == other for _, other in self.groups):
                raise Fault("GROUP BY lists the same twice", node, fix="list it once")
            self.groups.append((held, by))

    def _referred(self, node: Node) -> Node:
        """What a position or an alias stands for."""
        items = self.statement.items
        if isinstance(node, Number):
            if node.value != int(node.value) or not 1 <= node.value <= len(items):
                raise Fault("there is no such column of SELECT", node, fix=f"count from 1 to {len(items)}")
            return items[int(node.value) - 1].of
        names = {column.name for column in self.standard.columns}
        if isinstance(node, Name) and node.text not in names and node.text in self.aliases:
            return self.aliases[node.text]
        return node

    def _dimension(self, node: Node) -> Dimension:
        """Read a dimension; as in SQL, rows without a label make a group of their own unless WHERE leaves them out."""
        by = self._restricted(without_unknown(dimension(node, self.reader, self._days)))
        return by if self._labelled(by) else with_unknown(by)

    def _labelled(self, by: Dimension) -> bool:
        """Whether every row that passes WHERE has a label."""
        if isinstance(by, ByCase):
            return by.otherwise is not None
        of = by.column
        if isinstance(by, ByCategory):
            return any(
                test == Not(Missing(of)) or (isinstance(test, OneOf) and test.column == of) for test in self.where
            )
        spans = [test for test in self.where if isinstance(test, Between) and test.term == Value(of)]
        if not spans and Not(Missing(of)) not in self.where:
            return False
        passing = self._days(of)
        return isinstance(by, ByDate) or (by.edges[0] <= passing.lower and passing.upper <= by.edges[-1])

    def _outputs(self) -> tuple[Output, ...]:
        if len(self.statement.items) > MAX_COLUMNS:
            raise Fault(f"more than {MAX_COLUMNS} columns", self.statement.items[MAX_COLUMNS].of, fix="ask for fewer")
        outputs: list[Output] = []
        names: set[str] = set()
        for item in self.statement.items:
            told = item.alias
            of = self._shown(item)
            name = told or default_name(of)
            if name in names and told:
                raise Fault("two columns of the answer have one name", item.of, fix="give each its own name with AS")
            if name in names:
                name = next(f"{name}_{number}" for number in count(2) if f"{name}_{number}" not in names)
            names.add(name)
            outputs.append(Output(name, of))
        shown = [output.of for output in outputs if output.is_group]
        for node, by in self.groups:
            if by not in shown:
                raise Fault("this is grouped by, but not shown", node, fix=f"add {show(node)} to SELECT")
        if len(set(map(str, shown))) != len(shown):
            raise Fault("a group is shown twice", self.statement.items[0].of, fix="show it once")
        if all(output.is_group for output in outputs):
            at = self.statement.items[0].of if self.statement.items else 0
            raise Fault(
                "the statement asks for no statistic",
                at,
                fix="add COUNT(*), SUM(column) or AVG(column)",
                instead=f"{show(at)}, COUNT(*)" if not isinstance(at, int) else None,
            )
        return tuple(outputs)

    def _shown(self, item: Item) -> Dimension | Formula:
        node = item.of
        if not is_dimension(node) or not self.groups:
            return self._formula(node)
        by = self._dimension(node)
        if all(by != other for _, other in self.groups):
            raise Fault("this is neither grouped nor aggregated", node, fix="add it to GROUP BY, or aggregate it")
        return by

    def _formula(self, node: Node) -> Formula:
        found = self.figures.formula(node)
        if next(aggregates(found), None) is None:
            raise Fault("this says nothing about rows", node, fix="aggregate a column")
        return found

    def _sorting(self, node: Node, *, descending: bool, last: bool | None) -> Sorting:
        if last is False:
            raise Fault(
                "figures without a value always come last", node, fix="leave NULLS FIRST out", instead=show(node)
            )
        held = self._referred(node)
        if isinstance(node, Name) and node.text in self.aliases:
            held = self.aliases[node.text]
        if is_dimension(held):
            by = self._dimension(held)
            if all(by != other for _, other in self.groups):
                raise Fault("this is not grouped by", node, fix="order by columns of the answer")
            return Sorting(by, descending)
        found = self.figures.formula(held)
        if isinstance(found, Aggregate) and found.name == "HISTOGRAM":
            raise Fault("a histogram has no order", node, fix="order by a quantile")
        return Sorting(found, descending)

    def _count(self, node: Node | None, *, least: int) -> int | None:
        if node is None:
            return None
        if not isinstance(node, Number) or node.value != int(node.value) or not least <= node.value <= 1_000_000:
            raise Fault("LIMIT and OFFSET take whole numbers", node, fix="write for example LIMIT 10", instead="10")
        return int(node.value)

    # -- what dates and categories WHERE leaves ----------------------------------------------------------------------

    def _days(self, column: str) -> Bounds:
        """The days of a date column that pass WHERE."""
        low, high = self.reader.bounds[column].lower, self.reader.bounds[column].upper
        for test in self.where:
            match test:
                case Between(Value(name), lower, upper) if name == column:
                    low, high = max(low, low if lower is None else lower), min(high, high if upper is None else upper)
                case _:
                    pass
        return Bounds(low, high)

    def _restricted(self, by: Dimension) -> Dimension:
        """A category without the values that WHERE leaves out."""
        if not isinstance(by, ByCategory) or UNKNOWN in by.labels:
            return by
        kept = [set(test.values) for test in self.where if isinstance(test, OneOf) and test.column == by.column]
        return ByCategory(by.column, tuple(label for label in by.labels if all(label in held for held in kept)))

    def _needed(self) -> tuple[Test, ...]:
        """The tests of WHERE that the groups do not make already by having no label for other rows."""
        return tuple(test for test in self.where if not any(self._implied(test, by) for _, by in self.groups))

    def _implied(self, test: Test, by: Dimension) -> bool:
        if isinstance(by, ByCase) or UNKNOWN in by.labels:
            return False
        match test:
            case Not(Missing(column)):
                return column == by.column
            case OneOf(column, listed):
                return isinstance(by, ByCategory) and column == by.column and set(by.labels) <= set(listed)
            case Between(Value(column), lower, upper) if (
                isinstance(by, ByDate) and column == by.column and by.part.startswith("year")
            ):
                first, last = period(by.part, by.labels[0])[0], period(by.part, by.labels[-1])[1]
                return lower in (None, first) and upper in (None, last)
            case Between(Value(column), lower, upper) if isinstance(by, ByBand) and column == by.column:
                return lower in (None, by.edges[0]) and upper in (None, by.edges[-1])
            case _:
                return False

    # -- the plan --------------------------------------------------------------------------------------------------

    def _plan(
        self, terms: Terms, outputs: Sequence[Output], sheet: Sheet | None, rest: Sequence[tuple[Node, Aggregate]]
    ) -> Plan:
        planner = Planner(self.standard, self.reader.bounds)
        made: list[tuple[Node, Sheet | Aggregate]] = [] if sheet is None else [(self.statement.items[0].of, sheet)]
        for item, output in zip(self.statement.items, outputs, strict=False):
            if isinstance(output.of, Aggregate | Operation | Fraction):
                made += [(item.of, one) for one in aggregates(output.of)]
        made += rest
        counts = [
            _recipe(node, one, planner).count for node, one in made if isinstance(one, Aggregate) and one.name != "SUM"
        ]
        keys = {one.key for one in counts if one is not None}
        measures: dict[str, Measure] = {}
        for node, one in made:
            for measure in _recipe(node, one, planner, keys).measures:
                measures[measure.key] = measure
                for atom in atoms_of(measure):
                    self._place(str(atom), mention(node, atom.column))
        for node, by in self.groups:
            for atom in atoms_of(by):
                self._place(str(atom), mention(node, atom.column))
        return self._checked(terms, tuple(measures.values()))

    def _unshown(self, having: Condition | None, order: Sequence[Sorting]) -> list[tuple[Node, Aggregate]]:
        """The aggregates of HAVING and ORDER BY, which are measured too, with where they stand."""
        made: list[tuple[Node, Aggregate]] = []
        if having is not None and self.statement.having is not None:
            made += [(self.statement.having, one) for one in aggregates(having)]
        for held, sorting in zip(self.statement.order, order, strict=True):
            if isinstance(sorting.of, Aggregate | Operation | Fraction):
                made += [(held.of, one) for one in aggregates(sorting.of)]
        return made

    def _checked(self, terms: Terms, measures: tuple[Measure, ...]) -> Plan:
        groups, where = tuple(by for _, by in self.groups), self._needed()
        try:
            return Plan(
                standard=self.standard.id,
                standard_digest=self.standard.digest,
                purpose=terms.purpose,
                parties=terms.parties,
                rows_per_unit=self.standard.rows_per_unit,
                institutions_per_unit=self.standard.institutions_per_unit,
                groups=groups,
                where=where,
                measures=measures,
                bounds=tuple((column, self.reader.bounds[column]) for column in computed((*groups, *where, *measures))),
                rho=terms.rho,
                shared=terms.shared,
            )
        except Malformed as error:
            at = self.groups[0][0] if self.groups and str(MAX_CELLS) in error.reason else 0
            fix = f"ask a smaller question: {MAX_CELLS:,} cells, lists of {MAX_LIST:,}, {MAX_DEPTH} levels of tests and CASE"
            raise Fault(error.reason, at, fix=fix) from None

    def _place(self, item: str, at: int) -> None:
        self.places.setdefault(item, place(self.statement.text, max(at, 0)))


def _parts(statement: Statement) -> Iterator[Node]:
    """Yield every tree of a statement."""
    yield from (item.of for item in statement.items)
    yield from statement.groups
    yield from (one.of for one in statement.order)
    yield from (one for one in (statement.where, statement.having) if one is not None)


def _recipe(node: Node, one: Aggregate | Sheet, planner: Planner, counted: Collection[str] = ()) -> Recipe:
    try:
        return planner.sheet(one) if isinstance(one, Sheet) else planner.recipe(one, counted)
    except Malformed as error:
        raise Fault(error.reason, node, fix=error.fix) from None

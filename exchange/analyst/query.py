"""From joint SQL to a plan, or a refusal that says where and what to write instead.

The text is parsed by sqlglot and matched against a closed grammar; whatever is not in the grammar is refused with its
position. Nothing of the text travels: only the plan does.

::

    SELECT group columns, COUNT(*) | COUNT(c) | SUM(c) | AVG(c), ...
    FROM standard
    [WHERE test AND test ...]     test: category = 'x' | category IN (...) | measure = < <= > >= number | BETWEEN
    [GROUP BY group columns]
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from privacy.errors import Malformed, PrivacyError
from privacy.plan import Between, CountPresent, CountRows, CountValid, Filter, GroupBy, Measure, OneOf, Plan, Sum
from privacy.terms import Bounds, Column, Kind, Standard

_WIDEST = Bounds(-(1 << 52), 1 << 52)


class QueryFault(PrivacyError):
    """The statement is not in the language; ``line`` and ``column`` (from 1) say where, 0 if it is the whole."""

    code = "TS-SQL-001"

    def __init__(self, reason: str, *, fix: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason, fix=fix)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the answer: ``what`` is group, count, sum or avg, ``column`` what it is of (``*`` for rows)."""

    name: str
    what: str
    column: str


@dataclass(frozen=True, slots=True)
class Question:
    """A plan, the columns to show, and where each item stands in the text (line, column from 1)."""

    plan: Plan
    outputs: tuple[Output, ...]
    places: Mapping[str, tuple[int, int]]


def parse(
    sql: str, *, standard: Standard, purpose: str, parties: tuple[str, ...], rho: int, shared: int | None = None
) -> Question:
    """Turn a statement over a standard into a question to ``parties`` at ``rho`` (1e-9) each.

    ``shared`` is the number of parties that a noise shared among them must withstand; ``None`` asks for standalone noise.

    Raises:
        QueryFault: if the statement is not in the language.
    """
    select = _single_select(sql)
    _check_table(select, standard)
    groups = _groups(select, standard)
    outputs, places = _outputs(select, standard, groups)
    where = _where(select, standard, places)
    measures: dict[str, Measure] = {}
    for output in outputs:
        for measure in _measures(output, standard):
            measures[measure.key] = measure
    if not measures:
        raise QueryFault("the statement asks for no statistic", fix="add COUNT(*), SUM(column) or AVG(column)")
    try:
        plan = Plan(
            standard=standard.id,
            standard_digest=standard.digest,
            purpose=purpose,
            parties=parties,
            rows_per_unit=standard.rows_per_unit,
            institutions_per_unit=standard.institutions_per_unit,
            groups=tuple(GroupBy(name, standard.column(name).domain) for name in groups),
            where=tuple(where),
            measures=tuple(measures.values()),
            rho=rho,
            shared=shared,
        )
    except Malformed as error:
        raise QueryFault(error.reason, fix="ask a smaller question") from None
    return Question(plan, outputs, places)


def quality_plan(standard: Standard, *, party: str, rho: int) -> Plan:
    """Return the plan that measures completeness and validity of one party's dataset, for its valuation."""
    required = [column.name for column in standard.columns if column.required]
    measures: list[Measure] = [CountRows()]
    measures += [CountPresent(name) for name in required] + [CountValid(name) for name in required]
    return Plan(
        standard=standard.id,
        standard_digest=standard.digest,
        purpose="pledge-valuation",
        parties=(party,),
        rows_per_unit=standard.rows_per_unit,
        institutions_per_unit=standard.institutions_per_unit,
        groups=(),
        where=(),
        measures=tuple(measures),
        rho=rho,
    )


def narrow(question: Question, plan: Plan) -> Question:
    """Return the question that shows of ``question`` what ``plan``, the nearest that passes, can answer."""
    groups = {group.column for group in plan.groups}
    keys = {measure.key for measure in plan.measures}

    def answerable(output: Output) -> bool:
        return output.column in groups if output.what == "group" else _keys(output) <= keys

    kept = [output for output in question.outputs if answerable(output)]
    # what the plan still measures but no kept column shows is shown by itself, so that the spelling asks this very plan
    for measure in plan.measures:
        if not isinstance(measure, CountValid) and not any(measure.key in _keys(output) for output in kept):
            what = "sum" if isinstance(measure, Sum) else "count"
            column = "*" if isinstance(measure, CountRows) else measure.column
            name = _default_name(what, column)
            while any(output.name == name for output in kept):
                name += "_"
            kept.append(Output(name, what, column))
    return Question(plan, tuple(kept), {})


def spell(question: Question, standard: Standard) -> str:
    """Return a statement that asks this question."""
    terms = ", ".join(_spell_output(output) for output in question.outputs)
    text = f"SELECT {terms} FROM {_spell_name(standard.name)}"  # noqa: S608  names of a published standard, shown only
    if question.plan.where:
        text += " WHERE " + " AND ".join(_spell_filter(test, standard) for test in question.plan.where)
    if question.plan.groups:
        text += " GROUP BY " + ", ".join(_spell_name(group.column) for group in question.plan.groups)
    return text


def _spell_output(output: Output) -> str:
    column = "*" if output.column == "*" else _spell_name(output.column)
    term = column if output.what == "group" else f"{output.what.upper()}({column})"
    plain = output.name == _default_name(output.what, output.column)
    return term if plain else f"{term} AS {_spell_name(output.name)}"


def _spell_name(name: str) -> str:
    """Quote a name if the language would take it for something else."""
    return exp.to_identifier(name).sql(dialect="duckdb")


def _default_name(what: str, column: str) -> str:
    return column if what == "group" else "count" if column == "*" else f"{what}_{column}"


def _spell_filter(test: Filter, standard: Standard) -> str:
    name = _spell_name(test.column)
    match test:
        case OneOf(_, values):
            listed = ["'" + value.replace("'", "''") + "'" for value in values]
            return f"{name} = {listed[0]}" if len(listed) == 1 else f"{name} IN ({', '.join(listed)})"
        case Between(column, bounds):
            scale = Decimal(10) ** standard.column(column).decimals
            parts = []
            if bounds.lower > _WIDEST.lower or bounds.upper == _WIDEST.upper:
                parts.append(f"{name} >= {bounds.lower / scale}")
            if bounds.upper < _WIDEST.upper:
                parts.append(f"{name} <= {bounds.upper / scale}")
            return " AND ".join(parts)


def _single_select(sql: str) -> exp.Select:
    if len(sql) > 10_000:
        raise QueryFault("the statement is longer than 10,000 characters", fix="ask a shorter question")
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except (SqlglotError, RecursionError) as error:
        at = error.errors[0] if isinstance(error, sqlglot.ParseError) and error.errors else {}
        raise QueryFault(
            "the statement cannot be parsed",
            fix="write SELECT ... FROM ... [WHERE ...] [GROUP BY ...]",
            line=int(at.get("line") or 0),
            # the parser tells where the offending token ends
            column=max(0, int(at.get("col") or 0) - max(0, len(at.get("highlight") or "") - 1)),
        ) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise QueryFault("only one SELECT statement is answered", fix="write a single SELECT")
    select = statements[0]
    known = {"expressions", "from_", "where", "group"}
    for clause, value in select.args.items():
        if value and clause not in known:
            raise _fault(
                f"the clause {clause.strip('_').upper()} is not in the language",
                value[0] if isinstance(value, list) else value,
                fix="use SELECT, FROM, WHERE and GROUP BY",
            )
    return select


def _check_table(select: exp.Select, standard: Standard) -> None:
    origin = select.args.get("from_")
    table = origin.this if origin is not None else None
    extra = [name for name, value in table.args.items() if value and name != "this"] if table is not None else []
    if not isinstance(table, exp.Table) or _folded(table) != standard.name or extra:
        raise _fault("the statement must read from one standard", origin, fix=f"write FROM {standard.name}")


def _groups(select: exp.Select, standard: Standard) -> tuple[str, ...]:
    clause = select.args.get("group")
    if clause is None:
        return ()
    if any(value for name, value in clause.args.items() if name != "expressions"):
        raise _fault("only GROUP BY columns is answered", clause, fix="list the columns")
    names = []
    for item in clause.expressions:
        column = _column(item, standard)
        if column.kind is not Kind.CATEGORY:
            raise _fault(f"{column.name} is no category and has no public groups", item, fix="group by a category")
        names.append(column.name)
    if len(set(names)) != len(names):
        raise _fault("GROUP BY lists a column twice", clause, fix="list each column once")
    return tuple(names)


def _outputs(
    select: exp.Select, standard: Standard, groups: tuple[str, ...]
) -> tuple[tuple[Output, ...], dict[str, tuple[int, int]]]:
    outputs: list[Output] = []
    places: dict[str, tuple[int, int]] = {}
    for item in select.expressions:
        term = item.this if isinstance(item, exp.Alias) else item
        if isinstance(term, exp.Column):
            column = _column(term, standard)
            if column.name not in groups:
                raise _fault(
                    f"{column.name} is neither grouped nor aggregated", term, fix=f"add GROUP BY {column.name}"
                )
            if any(output.what == "group" and output.column == column.name for output in outputs):
                raise _fault(f"{column.name} is shown twice", term, fix="show it once")
            what, name = "group", column.name
            places[f"{name} as group"] = _place(term)
        else:
            what, name = _aggregate(term, standard)
            for use in {"avg": ("count", "sum")}.get(what, (what,)):
                places["rows as count" if name == "*" else f"{name} as {use}"] = _place(term)
        outputs.append(Output(item.alias or _default_name(what, name), what, name))
    missing = [name for name in groups if not any(o.what == "group" and o.column == name for o in outputs)]
    if missing:
        raise QueryFault(f"{missing[0]} is grouped but not shown", fix=f"add {missing[0]} to SELECT")
    if len({output.name for output in outputs}) != len(outputs):
        raise QueryFault("two columns of the answer have one name", fix="give each its own name with AS")
    return tuple(outputs), places


def _aggregate(term: exp.Expression, standard: Standard) -> tuple[str, str]:
    kinds: tuple[tuple[type[exp.Expression], str], ...] = ((exp.Count, "count"), (exp.Sum, "sum"), (exp.Avg, "avg"))
    for kind, what in kinds:
        if type(term) is kind:
            inner = term.this
            extra = any(value for name, value in term.args.items() if name not in ("this", "big_int"))
            if extra or not isinstance(inner, exp.Star | exp.Column):
                break
            if isinstance(inner, exp.Star):
                if what == "count" and not any(inner.args.values()):
                    return what, "*"
                break
            column = _column(inner, standard)
            if what != "count" and column.kind is Kind.CATEGORY:
                raise _fault(f"{column.name} is a category and has no {what}", term, fix=f"group by {column.name}")
            return what, column.name
    raise _fault("this is not a statistic of the language", term, fix="use COUNT(*), COUNT(c), SUM(c) or AVG(c)")


def _measures(output: Output, standard: Standard) -> Iterator[Measure]:
    match output.what, output.column:
        case "count", "*":
            yield CountRows()
        case "count", name:
            yield CountPresent(name)
        case "sum", name:
            yield _sum(name, standard)
        case "avg", name:
            yield CountPresent(name)
            yield _sum(name, standard)


def _keys(output: Output) -> set[str]:
    named = {"count": {f"count({output.column})"}, "sum": {f"sum({output.column})"}}
    return named.get(output.what, {f"count({output.column})", f"sum({output.column})"})


def _sum(name: str, standard: Standard) -> Sum:
    # an identifier has no bounds; the sum is still built, so that minimum necessity can name it when it refuses
    return Sum(name, standard.column(name).bounds or Bounds(0, 1))


def _where(select: exp.Select, standard: Standard, places: dict[str, tuple[int, int]]) -> list[Filter]:
    clause = select.args.get("where")
    merged: dict[str, Filter] = {}
    for term in _conjuncts(clause.this) if clause is not None else ():
        test = _test(term, standard)
        places[f"{test.column} as filter"] = _place(term)
        before = merged.get(test.column)
        merged[test.column] = test if before is None else _both(before, test, term)
    return list(merged.values())


def _conjuncts(term: exp.Expression) -> Iterator[exp.Expression]:
    waiting = [term]
    while waiting:
        term = waiting.pop()
        if isinstance(term, exp.Paren):
            waiting.append(term.this)
        elif isinstance(term, exp.And):
            waiting += [term.expression, term.this]
        else:
            yield term


def _test(term: exp.Expression, standard: Standard) -> Filter:
    help_text = "use category = 'x', category IN (...), measure >= number or BETWEEN, joined by AND"
    if not isinstance(term, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE | exp.In | exp.Between):
        raise _fault("this test is not in the language", term, fix=help_text)
    column = _column(term.this, standard)
    if column.kind is not Kind.MEASURE:
        return _category_test(term, column, help_text)
    match term:
        case exp.EQ():
            value = _number(term.expression, column)
            if value != value.to_integral_value():
                raise _fault(f"{column.name} never has this value", term, fix=f"use {column.decimals} decimals")
            return Between(column.name, Bounds(int(value), int(value)))
        case exp.Between():
            lower, upper = _number(term.args["low"], column), _number(term.args["high"], column)
        case exp.GT() | exp.GTE():
            lower, upper = _number(term.expression, column), Decimal(_WIDEST.upper)
            lower = lower.to_integral_value(ROUND_FLOOR) + 1 if isinstance(term, exp.GT) else lower
        case exp.LT() | exp.LTE():
            lower, upper = Decimal(_WIDEST.lower), _number(term.expression, column)
            upper = upper.to_integral_value(ROUND_CEILING) - 1 if isinstance(term, exp.LT) else upper
        case _:
            raise _fault("a measure is compared with numbers", term, fix=help_text)
    low = int(lower.to_integral_value(ROUND_CEILING))
    high = int(upper.to_integral_value(ROUND_FLOOR))
    if low > high:
        raise _fault("this test can never be true", term, fix="widen the interval")
    return Between(column.name, Bounds(low, high))


def _category_test(term: exp.Expression, column: Column, help_text: str) -> Filter:
    if isinstance(term, exp.EQ):
        values = [_text(term.expression, help_text)]
    elif isinstance(term, exp.In) and term.expressions:
        values = [_text(item, help_text) for item in term.expressions]
    else:
        raise _fault(f"{column.name} is compared with texts", term, fix=help_text)
    unknown = [value for value in values if column.domain and value not in column.domain]
    if unknown:
        raise _fault(f"{column.name} never has this value", term, fix=f"public values: {', '.join(column.domain[:20])}")
    return OneOf(column.name, tuple(sorted(set(values))))


def _both(first: Filter, second: Filter, term: exp.Expression) -> Filter:
    """Both tests on one column as one test."""
    if isinstance(first, OneOf) and isinstance(second, OneOf):
        values = tuple(value for value in first.values if value in second.values)
        if values:
            return OneOf(first.column, values)
    if isinstance(first, Between) and isinstance(second, Between):
        low = max(first.bounds.lower, second.bounds.lower)
        high = min(first.bounds.upper, second.bounds.upper)
        if low <= high:
            return Between(first.column, Bounds(low, high))
    raise _fault("the tests on this column can never be true together", term, fix="drop one of them")


def _column(item: Any, standard: Standard) -> Column:
    if not isinstance(item, exp.Column) or item.args.get("table") is not None:
        raise _fault("a plain column name was expected", item, fix="write the column's name alone")
    try:
        return standard.column(_folded(item))
    except KeyError:
        known = ", ".join(column.name for column in standard.columns)
        raise _fault("the standard has no such column", item, fix=f"columns: {known}") from None


def _folded(item: exp.Expression) -> str:
    """Return a name in lower case, as SQL compares names; a look-alike in another alphabet stays what it is."""
    return item.name.lower() if item.name.isascii() else item.name


def _text(item: Any, help_text: str) -> str:
    if not isinstance(item, exp.Literal) or not item.is_string or not 0 < len(item.this) <= 200:
        raise _fault("a text in single quotes was expected", item, fix=help_text)
    return str(item.this)


def _number(item: Any, column: Column) -> Decimal:
    negative = isinstance(item, exp.Neg)
    literal = item.this if negative else item
    if not isinstance(literal, exp.Literal) or literal.is_string or len(literal.this) > 24:
        raise _fault("a number was expected", item, fix=f"compare {column.name} with a plain number")
    try:
        value = Decimal(str(literal.this)).scaleb(column.decimals)
    except ArithmeticError:
        raise _fault("a number was expected", item, fix=f"compare {column.name} with a plain number") from None
    if abs(value) > _WIDEST.upper:
        raise _fault("this number is too large", item, fix="use a smaller number")
    return -value if negative else value


def _place(item: exp.Expression) -> tuple[int, int]:
    """Line and column (from 1) where an expression begins, as far as the parser kept it."""
    found = [
        (int(node.meta["line"]), int(node.meta["col"]) - (int(node.meta["end"]) - int(node.meta["start"])))
        for node in item.walk()
        if "line" in node.meta
    ]
    return min(found, default=(0, 0))


def _fault(reason: str, item: Any, *, fix: str) -> QueryFault:
    line, column = _place(item) if isinstance(item, exp.Expression) else (0, 0)
    return QueryFault(reason, fix=fix, line=line, column=column)

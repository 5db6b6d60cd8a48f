"""Random statements of the whole language, each with the same question as plain DuckDB SQL over raw rows.

The two are written side by side from one draw, not one from the other by the code under test. Rows are clean: values within
their bounds, categories public, or NULL; what the language leaves out (rows of no group) plain SQL leaves out by a test.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from privacy.terms import Bounds, Column, Kind, Standard

LOANS = Standard(
    name="loans",
    version=1,
    title="loans for tests",
    unit="person",
    rows_per_unit=8,
    institutions_per_unit=2,
    columns=(
        Column("person", Kind.IDENTIFIER, "who"),
        Column("region", Kind.CATEGORY, "where", domain=("north", "east", "south", "o'brien", "中部")),
        Column("grade", Kind.CATEGORY, "how good", domain=("a", "b", "c")),
        Column("defaulted", Kind.CATEGORY, "whether it failed", domain=("no", "yes")),
        Column("opened", Kind.DATE, "when", bounds=Bounds(18_262, 20_088)),  # 2020-01-01 to 2024-12-31
        Column(
            "closed", Kind.DATE, "until when", bounds=Bounds(18_262, 20_453), edges=(18_262, 18_628, 18_993, 20_453)
        ),
        Column(
            "balance", Kind.MEASURE, "owed", "yuan", 2, Bounds(0, 1_000_000), edges=(0, 100_000, 500_000, 1_000_000)
        ),
        Column("income", Kind.MEASURE, "earned", "yuan", 2, Bounds(-50_000, 400_000)),
        Column("overdue", Kind.MEASURE, "months late", "months", 0, Bounds(0, 9)),
        Column("rate", Kind.MEASURE, "interest", "percent", 3, Bounds(1_000, 24_000)),
    ),
)
MEASURES = [column for column in LOANS.columns if column.kind is Kind.MEASURE]
CATEGORIES = [column for column in LOANS.columns if column.kind is Kind.CATEGORY]
DATES = [column for column in LOANS.columns if column.kind is Kind.DATE]


def rows_of(choose, count):
    """Raw rows: integer units, days and texts, some NULL."""
    rows = []
    for index in range(count):
        row = {"person": f"p{index // 3}"}
        for column in LOANS.columns[1:]:
            if choose.random() < 0.08:
                row[column.name] = None
            elif column.domain:
                row[column.name] = choose.choice(column.domain)
            else:
                low, high = column.bounds.lower, column.bounds.upper
                row[column.name] = choose.choice([low, high, choose.randint(low, high), choose.randint(low, high)])
        rows.append(row)
    return rows


def table_of(engine, rows):
    """Put raw rows into an engine, as decimals, dates and texts."""
    kinds = {
        column.name: "VARCHAR"
        if column.bounds is None
        else "DATE"
        if column.kind is Kind.DATE
        else f"DECIMAL(18, {column.decimals})"
        for column in LOANS.columns
    }
    engine.execute(f"CREATE TABLE loans ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})")
    told = []
    for column in LOANS.columns:
        if column.kind is Kind.DATE:
            told.append("DATE '1970-01-01' + ?::INTEGER")
        elif column.bounds is None:
            told.append("?")
        else:
            told.append(f"(?::DECIMAL(18, {column.decimals}) / {10**column.decimals})::DECIMAL(18, {column.decimals})")
    for start in range(0, len(rows), 100):
        chunk = rows[start : start + 100]
        values = ", ".join(f"({', '.join(told)})" for _ in chunk)
        engine.execute(
            f"INSERT INTO loans VALUES {values}", [row[column.name] for row in chunk for column in LOANS.columns]
        )


@dataclass
class Draw:
    """One statement on its way: what is chosen goes into both texts."""

    choose: random.Random
    depth: int = 0
    notes: list[str] = field(default_factory=list)

    def pick(self, *options):
        return self.choose.choice(options)

    def number(self, column):
        units = self.choose.randint(column.bounds.lower + 1, column.bounds.upper - 1)
        places = column.decimals
        text = f"{abs(units) / 10**places:.{places}f}"
        return f"-{text}" if units < 0 else text

    def day(self, column):
        day = date(1970, 1, 1) + timedelta(days=self.choose.randint(column.bounds.lower + 1, column.bounds.upper - 1))
        return self.pick(f"DATE '{day}'", f"'{day}'")

    # -- tests: the same words mean the same in both languages

    def test(self, depth=0):
        kind = self.choose.random()
        if depth < 2 and kind < 0.3:
            return self.pick(" AND ", " OR ").join(f"({self.test(depth + 1)})" for _ in range(self.pick(2, 2, 3)))
        if depth < 2 and kind < 0.4:
            return f"NOT ({self.test(depth + 1)})"
        return self.leaf()

    def leaf(self):
        column = self.choose.choice([*MEASURES, *MEASURES, *CATEGORIES, *CATEGORIES, *DATES])
        if column.domain:
            values = self.choose.sample(column.domain, self.choose.randint(1, len(column.domain) - 1))
            listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
            one = "'" + values[0].replace("'", "''") + "'"
            return self.pick(
                f"{column.name} = {one}",
                f"{column.name} <> {one}",
                f"{column.name} IN ({listed})",
                f"{column.name} NOT IN ({listed})",
                f"{one} = {column.name}",
                f"{column.name} IS NULL",
                f"{column.name} IS NOT NULL",
            )
        value = self.day(column) if column.kind is Kind.DATE else self.number(column)
        sign = self.pick("=", "<>", "<", "<=", ">", ">=")
        if self.choose.random() < 0.15:
            return f"{column.name} IS {self.pick('', 'NOT ')}NULL"
        if column.kind is Kind.DATE:
            other = self.choose.choice(DATES)
            if other is not column and self.choose.random() < 0.3:
                return self.pick(
                    f"{column.name} {sign} {other.name}",
                    f"{column.name} - {other.name} > {self.choose.randint(-500, 500)}",
                )
            return f"{column.name} {sign} {value}"
        if self.choose.random() < 0.25:
            return f"{self.term(plain=True)} {self.pick('<', '<=', '>', '>=')} {self.pick(value, self.choose.choice(MEASURES).name)}"
        if self.choose.random() < 0.3:
            low, high = sorted((self.number(column), self.number(column)), key=float)
            return f"{column.name} {self.pick('', 'NOT ')}BETWEEN {low} AND {high}"
        if self.choose.random() < 0.2:
            return f"{column.name} {self.pick('', 'NOT ')}IN ({value}, {self.number(column)})"
        return self.pick(f"{column.name} {sign} {value}", f"{value} {sign} {column.name}")

    # -- terms

    def term(self, *, plain=False, depth=0):
        kind = self.choose.random()
        column = self.choose.choice(MEASURES).name
        if depth >= 2 or kind < 0.45:
            return column
        inner = lambda: self.term(plain=plain, depth=depth + 1)  # noqa: E731
        constant = self.pick("2", "0.5", "1.25", "100", "-3", "0.01")
        if kind < 0.6:
            return f"({inner()} {self.pick('+', '-')} {self.pick(inner(), constant)})"
        if kind < 0.72:
            return f"({self.pick(inner(), constant)} * {inner()})"
        if kind < 0.78:
            return f"({inner()} / {self.pick('2', '4', '8', '10', '0.5')})"
        if kind < 0.84:
            return f"(-{inner()})"
        if plain:
            return column
        ending = self.pick("", f" ELSE {self.pick('0', inner(), constant)}")
        return f"CASE WHEN {self.test(1)} THEN {self.pick(inner(), '1', constant)}{ending} END"


@dataclass(frozen=True)
class Asked:
    """A statement of the language; the plain SQL of its groups, figures and tests."""

    sql: str
    plain: str
    names: tuple[str, ...]
    kinds: tuple[str, ...]


def label_sql(draw):
    """A dimension: how the language and how DuckDB spells its labels, and the test that a row has one of them."""
    kind = draw.choose.choice(
        ["category", "category", "bin", "customary", "year", "quarter", "month", "weekday", "trunc", "case", "unknown"]
    )
    date = draw.choose.choice(DATES).name
    if kind == "category":
        name = draw.choose.choice(CATEGORIES).name
        return name, name, f"{name} IS NOT NULL"
    if kind == "unknown":
        name = draw.choose.choice(CATEGORIES).name
        return f"COALESCE({name}, '(unknown)')", f"coalesce({name}, '(unknown)')", "TRUE"
    if kind == "bin":
        column, low, high, width = draw.pick(
            ("balance", 0, 10_000, 2_500), ("income", -500, 4_000, 500), ("overdue", 0, 9, 3), ("rate", 2, 20, 6)
        )
        band = f"least(floor(({column} - ({low})) / {width}), {(high - low) // width - 1})"
        told = f"printf('%d to %d', ({low} + {band} * {width})::BIGINT, ({low} + {band} * {width} + {width})::BIGINT)"
        return f"BIN({column}, {low}, {high}, {width})", told, f"{column} BETWEEN {low} AND {high}"
    if kind == "customary":
        told = (
            "CASE WHEN balance < 1000 THEN '0 to 1000' WHEN balance < 5000 THEN '1000 to 5000' ELSE '5000 to 10000' END"
        )
        return "BIN(balance)", told, "balance IS NOT NULL"
    if kind == "case":
        first, second = draw.test(1), draw.test(1)
        ending = draw.pick("", " ELSE 'rest'")
        case = f"CASE WHEN {first} THEN 'one' WHEN {second} THEN 'two'{ending} END"
        return case, case, f"({case}) IS NOT NULL"
    spelled = {
        "year": (f"YEAR({date})", f"printf('%04d', year({date}))"),
        "quarter": (f"QUARTER({date})", f"printf('Q%d', quarter({date}))"),
        "month": (f"MONTH({date})", f"printf('%02d', month({date}))"),
        "weekday": (draw.pick(f"ISODOW({date})", f"WEEKDAY({date})"), f"isodow({date})::VARCHAR"),
        "trunc": draw.pick(
            (f"DATE_TRUNC('year', {date})", f"printf('%04d', year({date}))"),
            (f"DATE_TRUNC('quarter', {date})", f"printf('%04d-Q%d', year({date}), quarter({date}))"),
            (f"DATE_TRUNC('month', {date})", f"strftime({date}, '%Y-%m')"),
        ),
    }[kind]
    return *spelled, f"{date} IS NOT NULL"


def figure_sql(draw):
    """A figure: how both spell it, and how it is compared. NULL of a sum over no rows is 0 in the language."""
    kind = draw.choose.choice(
        [
            "rows",
            "rows",
            "people",
            "known",
            "count",
            "sum",
            "sum",
            "avg",
            "avg",
            "var",
            "joint",
            "arithmetic",
            "indicator",
        ]
    )
    filtered = f" FILTER (WHERE {draw.test(1)})" if draw.choose.random() < 0.35 else ""
    if kind == "rows":
        return f"COUNT(*){filtered}", f"count(*){filtered}", "exact"
    if kind == "people":
        return "COUNT(DISTINCT person)", "count(DISTINCT person)", "exact"
    if kind == "known":
        name = draw.choose.choice(CATEGORIES).name
        return f"COUNT({name}){filtered}", f"count({name}){filtered}", "exact"
    if kind == "count":
        term = draw.pick(draw.term(), draw.choose.choice(DATES).name)
        return f"COUNT({term}){filtered}", f"count({term}){filtered}", "exact"
    if kind == "sum":
        term = draw.term()
        return f"SUM({term}){filtered}", f"coalesce(sum({exactly(term)}){filtered}, 0)", "close"
    if kind == "avg":
        term = draw.term()
        return f"AVG({term}){filtered}", f"avg(({exactly(term)})::DOUBLE){filtered}", "close"
    if kind == "var":
        name = draw.pick("VAR_POP", "VAR_SAMP", "VARIANCE", "STDDEV_POP", "STDDEV_SAMP", "STDDEV")
        term = draw.term(plain=True)
        return f"{name}({term}){filtered}", f"{name.lower()}(({term})::DOUBLE){filtered}", "spread"
    if kind == "joint":
        name = draw.pick("COVAR_POP", "COVAR_SAMP", "CORR")
        one, other = draw.term(plain=True, depth=1), draw.term(plain=True, depth=1)
        return (
            f"{name}({one}, {other}){filtered}",
            f"{name.lower()}(({one})::DOUBLE, ({other})::DOUBLE){filtered}",
            "spread",
        )
    if kind == "indicator":
        test = draw.test(1)
        name = draw.pick("SUM", "AVG")
        case = f"CASE WHEN {test} THEN 1 ELSE 0 END"
        return f"{name}({case})", f"coalesce({name.lower()}({case}), 0)" if name == "SUM" else f"avg({case})", "close"
    left, right = (draw.pick(("COUNT(*)", "count(*)"), ("SUM(balance)", "coalesce(sum(balance), 0)")) for _ in range(2))
    sign = draw.pick("+", "-", "*", "/")
    told = f"{left[1]}::DOUBLE {sign} nullif({right[1]}, 0)" if sign == "/" else f"{left[1]}::DOUBLE {sign} {right[1]}"
    return f"100 * ({left[0]} {sign} {right[0]})", f"100 * ({told})", "close"


def exactly(term):
    """A term in binary floats: decimals would round the products of many digits."""
    for column in MEASURES:
        term = term.replace(column.name, f"{column.name}::DOUBLE")
    return term


def statement(choose):
    """Draw one statement; most are accepted, some are refused because a test says nothing."""
    draw = Draw(choose)
    dimensions = [label_sql(draw) for _ in range(choose.choice([0, 0, 1, 1, 1, 2]))]
    dimensions = [
        (spelled, f"CASE WHEN {held} THEN {told} ELSE '(unknown)' END")
        for spelled, told, held in dict.fromkeys(dimensions)
    ]
    dimensions = list({told[0]: told for told in dimensions}.values())
    figures = [figure_sql(draw) for _ in range(choose.randint(1, 4))]
    names = [f"g{index}" for index in range(len(dimensions))] + [f"f{index}" for index in range(len(figures))]
    where = draw.test() if choose.random() < 0.6 else ""
    shown = [f"{told[0]} AS {name}" for told, name in zip([*dimensions, *figures], names, strict=True)]
    sql = f"SELECT {', '.join(shown)} FROM loans"
    sql += f" WHERE {where}" if where else ""
    plain = ", ".join(f"{told[1]} AS {name}" for told, name in zip([*dimensions, *figures], names, strict=True))
    tests = ["person IS NOT NULL", *([f"({where})"] if where else [])]
    plain = f"SELECT {plain} FROM loans WHERE {' AND '.join(tests)}"
    if dimensions:
        spelled = [told[0] for told in dimensions]
        listed = choose.choice(
            [names[: len(dimensions)], [str(place + 1) for place in range(len(dimensions))], spelled, ["ALL"]]
        )
        sql += f" GROUP BY {', '.join(listed)}"
        plain += f" GROUP BY {', '.join(str(place + 1) for place in range(len(dimensions)))}"
        if choose.random() < 0.3:
            least = choose.choice(
                ["COUNT(*) > 2", "COUNT(*) >= 3 AND SUM(balance) > 0", "NOT (COUNT(*) <= 4)", "AVG(rate) < 12"]
            )
            sql += f" HAVING {least}"
            plain += f" HAVING {least}"
    return Asked(sql, plain, tuple(names), ("label",) * len(dimensions) + tuple(told[2] for told in figures))


def people_that(choose):
    """Draw a statement that counts people under a FILTER beside other figures; the plain SQL of the filtered count alone."""
    draw = Draw(choose)
    label = label_sql(draw) if choose.random() < 0.7 else None
    test, where = draw.test(1), draw.test(1) if choose.random() < 0.4 else ""
    others = draw.pick([], ["COUNT(*) AS n"], [f"SUM(rate) FILTER (WHERE {draw.test(1)}) AS s", "AVG(balance) AS a"])
    figure = f"COUNT(DISTINCT person) FILTER (WHERE {test}) AS f0"
    sql = f"SELECT {', '.join([*([] if label is None else [f'{label[0]} AS g0']), *others, figure])} FROM loans"
    sql += f" WHERE {where}" if where else ""
    sql += f" GROUP BY {label[0]}" if label is not None else ""
    told = "" if label is None else f"CASE WHEN {label[2]} THEN {label[1]} ELSE '(unknown)' END AS g0, "
    tests = ["person IS NOT NULL", *([f"({where})"] if where else [])]
    plain = f"SELECT {told}count(DISTINCT person) FILTER (WHERE {test}) AS f0 FROM loans WHERE {' AND '.join(tests)}"
    plain += " GROUP BY 1" if label is not None else ""
    return Asked(sql, plain, ("g0", "f0") if label is not None else ("f0",), ())

"""The language against an engine that knows nothing of it; hostile statements; and refusals that show the way."""

import math
import random

import duckdb
import pytest

from exchange.analyst.noisy import Noisy
from exchange.analyst.reading import QueryFault, parse
from exchange.analyst.spelling import spell
from exchange.analyst.tables import rows
from privacy.necessity import atoms
from tests import reference
from tests.statements import LOANS, rows_of, statement, table_of

PARTIES = ("bank-a", "bank-b", "bank-c")
RHO = 20_000_000


def ask(sql, **options):
    terms = {"standard": LOANS, "purpose": "credit-risk-statistics", "parties": PARTIES, "rho": RHO} | options
    return parse(sql, **terms)


def exact_cells(plan, raw):
    """Cells without noise, by the reference's own evaluation of the plan, in the terms' units."""
    from privacy.expression import decimals
    from privacy.plan import Sum

    totals = reference.cells(plan, raw, LOANS)
    of = {column.name: column.decimals for column in LOANS.columns}
    scale = {m.key: 10 ** decimals(m.term, of) if isinstance(m, Sum) else 1 for m in plan.measures}

    def cell(key, group, slot):
        from fractions import Fraction

        return Noisy.constant(Fraction(totals[plan.place(key, group, slot)], scale[key]))

    return cell


# -- the same as plain SQL -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    raw = rows_of(random.Random(41), 240)
    with duckdb.connect() as engine:
        table_of(engine, raw)
        yield engine, raw


def same(kind, mine, plain, size):
    """Whether a figure is what the engine says, as far as its binary floats tell."""
    if mine is None or plain is None:  # one row has no spread worth a figure
        return mine is None and (plain is None or (kind == "spread" and plain == 0))
    if kind == "exact":
        return mine == plain
    return math.isclose(float(mine), float(plain), rel_tol=1e-9 if kind == "close" else 1e-6, abs_tol=1e-9 * size)


def test_a_thousand_statements_say_what_plain_sql_says(table):
    engine, raw = table
    choose = random.Random(20_261_122)
    answered, refused = 0, 0
    while answered < 1_000:
        asked = statement(choose)
        try:
            question = ask(asked.sql)
        except QueryFault:
            refused += 1
            continue
        answered += 1
        compare(asked, question, engine, raw)
        assert set(map(str, atoms(question.plan))) <= set(question.places), asked.sql
        again = ask(spell(question, LOANS))
        assert (again.plan, again.outputs) == (question.plan, question.outputs), asked.sql
    assert refused < 400


def compare(asked, question, engine, raw):
    found = {row[: len(question.groups)]: row[len(question.groups) :] for row in engine.execute(asked.plain).fetchall()}
    told = rows(question, exact_cells(question.plan, raw), min_group=0)
    assert not told.small
    assert {row.group for row in told.shown} >= set(found), asked
    kinds = asked.kinds[len(question.groups) :]
    for row in told.shown:
        got = [figure.value for figure in row.figures.values()]
        if row.group in found:
            size = max((abs(float(value)) for value in found[row.group] if value is not None), default=1)
            for kind, mine, plain in zip(kinds, got, found[row.group], strict=True):
                plain = None if plain is not None and plain != plain else plain  # an engine's NaN is no number
                assert same(kind, mine, plain, max(size, 1e6)), (asked.sql, asked.plain, row.group, mine, plain)
        else:  # no row of the group: counts and sums are 0, the rest is nothing
            assert all(not value for value in got), (asked.sql, row.group, got)

"""From joint SQL to a question, or a refusal that says where, why and what to write instead.

The text is matched against a closed grammar (``docs/sql.md``); whatever is not in it is refused with its position. Nothing of
the text travels: only the plan does.

::

    SELECT dimension | figure | table function, ...
    FROM standard
    [WHERE test]
    [GROUP BY dimension | position | alias, ... | ALL]
    [HAVING condition on figures]
    [ORDER BY column | figure | position [ASC | DESC], ...]
    [LIMIT n [OFFSET m]]
"""

from exchange.analyst.question import Output, Question
from exchange.analyst.syntax import Fault, Name, QueryFault, place
from privacy.plan import CountFilled, CountRows, CountUnits, CountValid, Measure, Plan
from privacy.terms import Standard

__all__ = ["Output", "QueryFault", "Question", "parse", "quality_plan"]


def parse(
    sql: str,
    *,
    standard: Standard,
    purpose: str,
    parties: tuple[str, ...],
    rho: int,
    shared: int | None = None,
) -> Question:
    """Turn a statement over a standard into a question to ``parties`` at ``rho`` (1e-9) each.

    ``shared`` is the number of parties that a noise shared among them must withstand; ``None`` asks for standalone noise.
    The price is split evenly over the measures.

    Raises:
        QueryFault: if the statement is not in the language.
    """
    from exchange.analyst import grammar, repair  # noqa: PLC0415  the parser takes half a second to load

    terms = grammar.Terms(purpose=purpose, parties=parties, rho=rho, shared=shared)
    try:
        found, _ = grammar.understand(sql, standard, terms)
    except repair.Refusal as refusal:
        fault = refusal.fault
        line, column = place(sql, repair.position(refusal))
        rewrite = repair.repaired(refusal, standard, lambda text: grammar.understand(text, standard, terms)[1])
        raise QueryFault(fault.reason, fix=fault.fix, line=line, column=column, rewrite=rewrite) from None
    return found


def table_of(sql: str) -> str:
    """Return the name of the table that a statement reads from: that of its standard.

    Raises:
        QueryFault: if it names none.
    """
    from exchange.analyst import sql as parser  # noqa: PLC0415  as above

    try:
        table = parser.read(sql).table
    except Fault as fault:
        line, column = place(sql, max(0, fault.at))
        raise QueryFault(fault.reason, fix=fault.fix, line=line, column=column) from None
    if not isinstance(table, Name):
        line, column = place(sql, 0 if table is None else max(0, table.at))
        fix = "write FROM and the standard's name"
        raise QueryFault("a question reads from one standard", fix=fix, line=line, column=column)
    return table.text


def quality_plan(standard: Standard, *, party: str, rho: int) -> Plan:
    """Return the plan that measures completeness, validity and uniqueness of one party's dataset, for its valuation."""
    required = [column.name for column in standard.columns if column.required]
    measures: list[Measure] = [CountRows(), CountUnits(), *map(CountFilled, required), *map(CountValid, required)]
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

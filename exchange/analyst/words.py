"""Words of other dialects, and what to write instead: refusals that teach."""

from collections.abc import Mapping

from exchange.analyst.syntax import Call, Fault, Foreign, Name, Node, Number
from exchange.analyst.writing import show

ELSEWHERE: Mapping[str, str] = {
    "MEAN": "AVG",
    "AVERAGE": "AVG",
    "VARIANCE": "VAR_SAMP",
    "VAR": "VAR_SAMP",
    "VARP": "VAR_POP",
    "STDEV": "STDDEV_SAMP",
    "STD": "STDDEV_SAMP",
    "STDEVP": "STDDEV_POP",
    "COVAR": "COVAR_SAMP",
    "COV": "COVAR_SAMP",
    "CORRELATION": "CORR",
    "PERCENTILE": "QUANTILE_CONT",
    "QUANTILE_DISC": "QUANTILE_CONT",
    "APPROX_QUANTILE": "QUANTILE_CONT",
    "TOTAL": "SUM",
    "FSUM": "SUM",
    "KAHAN_SUM": "SUM",
    "FAVG": "AVG",
    "DAYOFWEEK": "ISODOW",
    "DAY_OF_WEEK": "ISODOW",
    "WIDTH_BUCKET": "BIN",
    "BUCKET": "BIN",
    "CLAMP": "CLIP",
}
"""Functions that the language has under another name."""

_CLAUSES: Mapping[str, tuple[str, str]] = {
    "JOINS": (
        "every institution's rows are in the one table already, and rows of two tables are never matched here",
        "ask the standard's table alone",
    ),
    "WITH": ("a question is one SELECT without named parts", "write its terms where they are used"),
    "DISTINCT": ("rows are never listed, so none can be twice", "leave DISTINCT out, or COUNT(DISTINCT person)"),
    "WINDOWS": ("rows are not compared with their neighbours", "aggregate over groups"),
    "QUALIFY": ("there are no window functions to filter by", "use HAVING"),
    "SAMPLE": ("noise is what hides people, not sampling", "leave it out"),
}

_KINDS: Mapping[str, tuple[str, str]] = {
    "SUBQUERY": ("a question is one SELECT", "ask the parts one after the other"),
    "OVER": ("rows are not compared with their neighbours", "aggregate over groups"),
    "LIKE": ("texts are compared as a whole, with public values only", "use category IN ('value', ...)"),
    "CAST": ("columns have the types that the standard gives them", "leave the cast out"),
    "NULL": ("NULL is no value", "use column IS NULL, or leave ELSE out"),
    "HUGE NUMBER": ("this number is too large", "use a smaller number"),
    "BOOLEAN": ("TRUE and FALSE say nothing about a row", "compare a column"),
    "QUALIFIED NAME": ("there is one table only", "write the column's name alone"),
    "PARAMETER": ("there are no parameters", "write the value"),
    "PLACEHOLDER": ("there are no parameters", "write the value"),
    "NULLSAFEEQ": ("tests of NULL are written out", "use column IS NULL"),
    "NULLSAFENEQ": ("tests of NULL are written out", "use column IS NOT NULL"),
    "//": ("a row's value is not divided down", "multiply by a constant, or group by BIN(...)"),
    "%": ("there are no remainders", "group by BIN(...) or by a part of a date"),
}


def foreign(node: Node) -> Fault | None:
    """Return the refusal of a construct of other dialects, or ``None`` if it is one of the language."""
    match node:
        case Foreign(_, kind, parts):
            return _construct(node, kind, parts)
        case Call(_, "COALESCE" | "IFNULL" | "NVL", (Name() as column, other)):
            told = f"CASE WHEN {show(column)} IS NOT NULL THEN {show(column)} ELSE {show(other)} END"
            return Fault("COALESCE is written as CASE", node, fix="say what to take where it is NULL", instead=told)
        case Call(_, "COALESCE" | "IFNULL" | "NVL" | "NULLIF", (one, *_)):
            fix = "a sum over no rows is 0, and a division by 0 has no value"
            return Fault("this is not needed", node, fix=fix, instead=show(one))
        case Call(_, "GREATEST" | "LEAST", (Name() as column, Number() as bound)):
            return Fault(
                "GREATEST and LEAST are written as CASE, or as CLIP for both ends",
                node,
                fix="CLIP(column, lower, upper) also makes the answer more precise",
                instead=f"CASE WHEN {show(column)} {'<' if node.name == 'GREATEST' else '>'} {show(bound)} "
                f"THEN {show(bound)} ELSE {show(column)} END",
            )
        case Call(_, name, args, distinct, where) if name in ELSEWHERE:
            told = show(Call(node.at, ELSEWHERE[name], args, distinct, where))
            return Fault(f"this is called {ELSEWHERE[name]} here", node, fix=f"write {ELSEWHERE[name]}", instead=told)
        case Call(_, "MIN" | "MAX", (one,)):
            told = f"QUANTILE_CONT({show(one)}, {'0.01' if node.name == 'MIN' else '0.99'})"
            why = "an extreme is one person's value, which no noise can hide"
            return Fault(why, node, fix="ask for a quantile near the end", instead=told)
        case Call(_, "EXTRACT" | "DATE_PART", (part, column)):
            told = f"{getattr(part, 'value', 'YEAR').upper()}({show(column)})"
            return Fault(
                "parts of dates are functions here",
                node,
                fix="write YEAR(d), QUARTER(d), MONTH(d) or ISODOW(d)",
                instead=told,
            )
        case Call(
            _,
            "ABS" | "ROUND" | "FLOOR" | "CEIL" | "CEILING" | "TRUNC" | "SQRT" | "LN" | "LOG" | "EXP" | "POWER",
            (one, *_),
        ):
            return Fault(
                "only + - * and CASE are calculated in rows", node, fix="group by BIN(...) to round", instead=show(one)
            )
        case Call():
            return Fault("this function is not in the language", node, fix="docs/sql.md lists all functions")
        case _:
            return None


def clause(name: str, at: int) -> Fault:
    """Return the refusal of a clause that the language lacks."""
    why, fix = _CLAUSES.get(name, ("it changes nothing that is released", "leave it out"))
    return Fault(f"the clause {name} is not in the language: {why}", at, fix=fix)


def _construct(node: Foreign, kind: str, parts: tuple[Node, ...]) -> Fault:
    if kind == "CAST" and parts:
        return Fault(_KINDS[kind][0], node, fix=_KINDS[kind][1], instead=show(parts[0]))
    if kind == "IF" and len(parts) in (2, 3):
        rest = f" ELSE {show(parts[2])}" if len(parts) == 3 else ""
        told = f"CASE WHEN {show(parts[0])} THEN {show(parts[1])}{rest} END"
        return Fault("IF is written as CASE", node, fix="write CASE WHEN ... THEN ... END", instead=told)
    if kind == "CASE" and parts:
        return Fault("CASE compares in its WHENs", node, fix="write CASE WHEN column = value THEN ... END")
    if kind == "WITHINGROUP" and len(parts) == 2 and isinstance(parts[0], Call) and parts[0].args:
        column = next((one for one in _names(parts[1])), None)
        quantile = f"QUANTILE_CONT({show(column)}, {show(parts[0].args[0])})" if column is not None else None
        return Fault(
            "quantiles name their column first", node, fix="write QUANTILE_CONT(column, share)", instead=quantile
        )
    if kind == "//" and len(parts) == 2:
        return Fault(_KINDS[kind][0], node, fix=_KINDS[kind][1], instead=show(parts[0]))
    why, fix = _KINDS.get(kind, (f"{kind.lower()} is not in the language", "docs/sql.md lists what is"))
    return Fault(why, node, fix=fix)


def _names(node: Node) -> list[Name]:
    if isinstance(node, Name):
        return [node]
    return [name for part in getattr(node, "parts", ()) for name in _names(part)]

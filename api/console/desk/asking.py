"""A question before it is put: its statement, what each institution says to it, what it costs, how exact it would be."""

import shlex
from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any
from urllib.parse import urlencode

from api import problems
from api.console.desk.answers import file_of, told
from api.console.desk.place import DeskPlace, beside
from api.console.pages import Offer, Page, Visit
from api.console.places import DESK, Same
from api.console.wording import msg
from exchange.analyst.inquiry import Inquiry, Preview
from exchange.analyst.reading import table_of
from exchange.analyst.syntax import QueryFault
from exchange.protocol.errors import Unknown
from privacy.errors import Malformed, PrivacyError
from privacy.offences import APPROVAL
from privacy.purposes import PURPOSES
from privacy.terms import Column, Kind, Standard, rho

ASKERS = frozenset({"institution", "lender", "regulator"})
FIELDS = ("sql", "purpose", "budget", "rows", "keep_days", "shared", "fresh")
WANTED = "accuracy."
"""What the fields of wished half-widths begin with, before the column's name."""

_LOOK_SECONDS = 2
_MOMENT = 4
"""Seconds that a page waits for institutions that are silent, and for a question that is being put."""


def asked(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what was typed, as the address of a question carries it: nothing that was left empty."""
    named = [name for name in fields if name in FIELDS or name.startswith(WANTED)]
    return {name: fields[name].replace("\r\n", "\n").strip() for name in named if fields[name].strip()}


def link(path: str, fields: Mapping[str, object]) -> str:
    """Return the address of a page about a question."""
    return f"{path}?{urlencode({name: value for name, value in fields.items() if value not in (None, '')})}"


def inquiry(place: DeskPlace, fields: Mapping[str, str]) -> Inquiry:
    """Read a form into a question.

    Raises:
        QueryFault: if the statement is not in the language.
        Malformed: if a number is none.
    """
    wanted = {name.removeprefix(WANTED): _number(value) for name, value in fields.items() if name.startswith(WANTED)}
    return place.client.query(
        fields.get("sql", ""),
        purpose=fields.get("purpose", ""),
        accuracy=wanted or None,
        budget=_number(fields["budget"]) if "budget" in fields else None,
        rows=_whole(fields, "rows"),
        keep_days=_whole(fields, "keep_days"),
        shared=_whole(fields, "shared"),
        fresh="fresh" in fields,
    )


def stated(place: DeskPlace, fields: Mapping[str, str]) -> Inquiry:
    """Read a form into a question like :func:`inquiry`, where there is no place to point into the statement.

    Raises:
        Malformed: if the statement is not in the language, or a number is none.
    """
    try:
        return inquiry(place, fields)
    except QueryFault as fault:
        raise Malformed(f"line {fault.line}, column {fault.column}: {fault.reason}", fix=fault.fix) from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Malformed("a field takes a number and has something else", fix="write digits, such as 2000") from None


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise Malformed("a field takes a whole number and has something else", fix="write digits, such as 500")
    return int(text)


# -- the page ----------------------------------------------------------------------------------------------------------


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the form as it was sent, the tables that can be asked about, and the preview of a statement, if there is one."""
    place = beside(visit.place)
    fields = asked(visit.form if visit.sent else visit.query)
    purposes = [_purpose(one.purpose) for one in PURPOSES.values() if not one.roles or place.role in one.roles]
    fields.setdefault("purpose", purposes[0]["purpose"])
    tables = [_table(place.client.desk.standard(name), fields) for name in sorted(place.client.desk.standards())]
    judged = _judged(place, fields) if "sql" in fields else {}
    about = table_of(fields["sql"]) if "sql" in fields and not judged["fault"] else ""
    tables.sort(key=lambda table: table["name"] != about)
    return {
        "asked": {name: fields.get(name, "") for name in FIELDS},
        "accuracy": {name.removeprefix(WANTED): text for name, text in fields.items() if name.startswith(WANTED)},
        "purposes": purposes,
        "tables": tables,
        "columns": [],
        "fault": None,
        "refused": None,
        "preview": None,
        **judged,
        "same_as": _same(place, fields) if "sql" in fields else [],
    }


def _purpose(name: str) -> dict[str, Any]:
    template = PURPOSES[name]
    return {"purpose": name, "title": template.title, "keeps": template.keeps, "parties": template.min_parties}


def _judged(place: DeskPlace, fields: Mapping[str, str]) -> dict[str, Any]:
    typed = [name.removeprefix(WANTED) for name in fields if name.startswith(WANTED)]
    made: dict[str, Any] = {"fault": None, "refused": None, "preview": None, "columns": typed}
    try:
        question = inquiry(place, fields)
        made["columns"] = list(question.columns)
        made["preview"] = _preview(question.preview(seconds=_LOOK_SECONDS), fields)
    except QueryFault as fault:
        made["fault"] = _fault(fault, fields)
    except PrivacyError as error:
        made["refused"] = problems.document(error)
    return made


def _fault(fault: QueryFault, fields: Mapping[str, str]) -> dict[str, Any]:
    lines = fields["sql"].splitlines()
    return {
        "line": fault.line,
        "column": fault.column,
        "text": lines[fault.line - 1] if 0 < fault.line <= len(lines) else "",
        "reason": fault.reason,
        "fix": fault.fix,
        "rewrite": fault.rewrite,
        "at": link("/ask", {**fields, "sql": fault.rewrite}) if fault.rewrite else None,
    }


def _preview(found: Preview, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a preview as facts: what is spent in shares of what each institution has left for this asker."""
    for_approval = bool(found.items) and all(one.item == APPROVAL for one in found.items)
    price = rho(found.price)
    return {
        "allowed": found.allowed,
        "free": found.free,
        "price_nano_rho": found.price,
        "price": price,
        "repeats": found.repeats,
        "parties": [_party(found, party) for party in found.on_line],
        "silent": [party for party, there in found.on_line.items() if not there],
        "expected": [{"column": name, "half_width": _short(half)} for name, half in found.expected.items()],
        "items": [one.to_json() for one in found.items],
        "nearest": None if found.nearest is None else {"sql": found.nearest, "at": _offer(found, fields)},
        "access": link("/requests", {**_kept(fields), "budget": price}) if for_approval else None,
        "pilot": rho(found.pilot) if found.pilot else None,
        "seconds": found.seconds,
    }


def _party(found: Preview, party: str) -> dict[str, Any]:
    says = "silent" if not found.on_line[party] else "allowed" if found.answers.get(party) else "refused"
    left = found.left.get(party)
    return {
        "party": party,
        "says": says,
        "left_nano_rho": left,
        "share": None if not left else f"{Decimal(found.price) / left:.4f}",
        "more": None if left is None or not found.price else max(0, left - found.price) // found.price,
    }


def _short(half: float | None) -> str | None:
    """Round a half-width to three figures; nothing where it depends on what nobody told, or has no bound."""
    return None if half is None or not isfinite(half) else f"{Decimal(f'{half:.3g}'):f}"


def _offer(found: Preview, fields: Mapping[str, str]) -> str:
    """Return the address of the nearest request that passes, with the price and the days that pass where those were refused."""
    kept = _kept(fields)
    if found.offered is not None:
        kept["budget"] = rho(found.offered)
    if found.keeps is not None:
        kept["keep_days"] = str(found.keeps)
    return link("/ask", {**kept, "sql": found.nearest or ""})


def _kept(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what stays of a question whose columns may be others: all but the accuracy wished of each."""
    return {name: text for name, text in fields.items() if not name.startswith(WANTED)}


def _same(place: DeskPlace, fields: Mapping[str, str]) -> list[Mapping[str, str]]:
    options = [f"--purpose {shlex.quote(fields['purpose'])}"]
    named = {"budget": "budget", "rows": "rows", "keep_days": "keep-days", "shared": "shared"}
    options += [f"--{option} {shlex.quote(fields[name])}" for name, option in named.items() if name in fields]
    wanted = {name.removeprefix(WANTED): text for name, text in fields.items() if name.startswith(WANTED)}
    options += [f"--accuracy {shlex.quote(f'{name}={text}')}" for name, text in wanted.items()]
    options += ["--fresh"] if "fresh" in fields else []
    told_python = [f"purpose={fields['purpose']!r}"]
    told_python += [f"{name}={fields[name]}" for name in named if name in fields]
    told_python += [f"accuracy={{{', '.join(f'{name!r}: {text}' for name, text in wanted.items())}}}"] if wanted else []
    told_python += ["fresh=True"] if "fresh" in fields else []
    command = f"touchstone query HOME --exchange {place.exchange} \\\n  -e {shlex.quote(fields['sql'])} \\\n  {' '.join(options)}"
    python = f"client.query(\n    {fields['sql']!r},\n    {', '.join(told_python)},\n).preview()"
    return [
        Same(msg("Command line"), f"{command} --preview").to_json(),
        Same("Python", python).to_json(),
        Same("SQL", fields["sql"]).to_json(),
        Same("HTTP", "POST /v1/previews").to_json(),
    ]


# -- what can be asked about -------------------------------------------------------------------------------------------


def _table(standard: Standard, fields: Mapping[str, str]) -> dict[str, Any]:
    name = standard.id.rpartition("/")[0]
    return {
        "name": name,
        "standard": standard.id,
        "title": standard.title,
        "unit": standard.unit,
        "columns": [_column(column) for column in standard.columns if column.kind is not Kind.IDENTIFIER],
        "examples": [
            {"what": what, "sql": sql, "at": link("/ask", {"sql": sql, "purpose": fields["purpose"]})}
            for what, sql in _examples(standard, name)
        ],
    }


def _column(column: Column) -> dict[str, Any]:
    bounds = None
    if column.bounds is not None and column.kind is Kind.MEASURE:
        bounds = [f"{Decimal(end).scaleb(-column.decimals):f}" for end in (column.bounds.lower, column.bounds.upper)]
    return {
        "name": column.name,
        "meaning": column.meaning,
        "kind": column.kind.value,
        "unit": column.unit,
        "bounds": bounds,
        "domain": list(column.domain),
    }


def _examples(standard: Standard, table: str) -> Iterator[tuple[str, str]]:
    """Yield statements over a standard that are in the language; whether its owners open them is told by their preview."""
    group = next((one for one in standard.columns if one.kind is Kind.CATEGORY and one.domain), None)
    measure = next((one for one in standard.columns if one.kind is Kind.MEASURE and one.bounds is not None), None)
    if group is not None:
        yield msg("Rows by group"), f"SELECT {group.name}, COUNT(*) FROM {table} GROUP BY {group.name}"
    if group is not None and measure is not None:
        yield (
            msg("Average by group"),
            f"SELECT {group.name}, COUNT(*), AVG({measure.name}) FROM {table} GROUP BY {group.name}",
        )
        part = group.domain[0].replace("'", "''")
        yield msg("Part of the rows"), f"SELECT AVG({measure.name}) FROM {table} WHERE {group.name} = '{part}'"
    if measure is not None:
        yield msg("Median"), f"SELECT MEDIAN({measure.name}) FROM {table}"
        if measure.edges:
            yield (
                msg("Rows by band"),
                f"SELECT BIN({measure.name}), COUNT(*) FROM {table} GROUP BY BIN({measure.name})",
            )


# -- putting it --------------------------------------------------------------------------------------------------------


def put(visit: Visit) -> str:
    """Put the question, unless a stored answer serves it; return where its answer will be."""
    place = beside(visit.place)
    fields = asked(visit.form)
    question = stated(place, fields)
    if question.stored() is not None:
        return link("/answer", fields)
    name, errand = place.errands.start(lambda tell: question.submit(tell).id)
    return f"/jobs/{errand.outcome() if errand.is_over(within=_MOMENT) else name}"


def answer(visit: Visit) -> Mapping[str, Any]:
    """Return an answer that is read off stored ones, or that there is none any more."""
    place = beside(visit.place)
    fields = asked(visit.query)
    result = stated(place, fields).stored() if "sql" in fields else None
    return {
        "sql": fields.get("sql", ""),
        "again": link("/ask", fields),
        "anew": link("/ask", {**fields, "fresh": "yes"}),
        "files": urlencode(fields),
        "result": None if result is None else told(result, chosen=visit.query.get("column")),
        "same_as": _same(place, fields) if "sql" in fields and "purpose" in fields else [],
    }


def hand_out(visit: Visit, name: str) -> Offer:
    """Return a stored answer as a file."""
    result = stated(beside(visit.place), asked(visit.query)).stored()
    if result is None:
        raise Unknown("stored answer to this question")
    return file_of(result, name, called="answer")


PAGES = (
    Page("/ask", "ask.html", msg("Ask"), show, group=msg("Questions"), roles=ASKERS, places=frozenset({DESK}), act=put),
    Page("/answer", "answer.html", msg("Answer"), answer, roles=ASKERS, places=frozenset({DESK}), give=hand_out),
)

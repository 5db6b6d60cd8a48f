"""The workbook: every figure that a spreadsheet can compute is a formula over its reasons, so a changed input moves the value.

Texts are written as texts, whatever they begin with. Equal reports and languages give equal bytes.
"""

from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from valuation.statement.blocks import Items, Paragraph, Section, Statement, Table
from valuation.statement.cells import FIRST_ROW, Live
from valuation.statement.phrases import phrase, unit
from valuation.statement.reading import Figure, Reading
from valuation.statement.sheets import FIGURES, INPUTS, Cell, Formula, Sheet
from valuation.statement.words import Language, Text, same

TOLERANCE = "1E-9"
"""Relative difference up to which a recomputed figure counts as the report's; a spreadsheet has about 15 digits."""

_LONGEST_HEADER = 250
_LINE, _MOST_LINES = 14.5, 25
_HELD = Text("held: no spreadsheet formula gives it", "保留原值：电子表格公式不能给出")
_STALE = Text(
    "No longer the report: what is held (draws, break-even) is of the old inputs; appraise anew for range and limit.",
    "已与报告不同：保留的数字（抽样、盈亏平衡）仍为原输入的结果；区间和限额须重新估值。",
)
_KEPT = Text("held", "保留")
_GIVEN, _FORMULA = Text("given", "给定"), Text("formula", "公式")


def workbook(statement: Statement, reading: Reading, language: Language) -> bytes:
    """Write the workbook: summary, figures, schedules, further inputs, and the statement's sections as text."""
    live = Live(reading)
    sheets = [
        _summary(statement, reading, live),
        _figures(statement, live),
        live.schedules.sheet,
        _inputs(statement, live),
        _text(statement),
    ]
    return _write([sheet for sheet in sheets if sheet.rows], statement, language)


def _head(sheet: Sheet, statement: Statement) -> None:
    sheet.add(statement.notice)
    sheet.add(statement.title, None, statement.subject)
    sheet.add(same(f"SHA-256 {statement.digest}"))
    sheet.add(statement.check)


def _summary(statement: Statement, reading: Reading, live: Live) -> Sheet:
    sheet = Sheet("Summary", (44, 24, 24, 14))
    _head(sheet, statement)
    sheet.add(
        Text("conclusion", "结论"),
        Text("live value", "实时计算值"),
        Text("in the report", "报告数值"),
        Text("unit", "单位"),
    )
    names = ("low", "central", "high", "recognised", "limit")
    for figure in (one for name in names if (one := reading.concluded(name)) is not None):
        sheet.add(figure.label, Formula(live.cells[figure.key], figure.amount), figure.amount, unit(figure.unit))
    sheet.add()
    last = FIRST_ROW + len(reading.figures) - 1
    changed = f'COUNTIF({FIGURES}!$H${FIRST_ROW}:$H${last},"changed")'
    sheet.add(
        Text("figures that differ from the report", "与报告不同的数字个数"),
        Formula(changed),
    )
    sheet.add(
        Text(
            "Change a given value on the sheets Figures or Inputs: formulas follow; figures that are held do not.",
            "修改 Figures 或 Inputs 表中的给定值，公式随之变动；保留原值的数字不变。",
        )
    )
    sheet.add(None, Formula(f'IF({changed}>0,"{_STALE.zh} {_STALE.en}","")', ""))
    for block in statement.summary.blocks:
        for row in _rows(block):
            sheet.add(*row)
    return sheet


def _figures(statement: Statement, live: Live) -> Sheet:
    sheet = Sheet(FIGURES, (6, 30, 44, 24, 10, 40, 24, 10, 22, 60, 20, 50, 68))
    _head(sheet, statement)
    sheet.add(
        Text("no.", "序号"), Text("key", "键"), Text("figure", "数字"), Text("live value", "实时计算值"), Text("unit", "单位"),
        Text("all digits, in the report", "报告数值（全部数字）"), Text("as a number", "报告数值"), Text("check", "核对"),
        Text("how", "方式"), Text("formula of the report", "报告公式"), Text("from figures", "所依据的数字"),
        Text("source", "来源"), Text("evidence, SHA-256", "证据 SHA-256"),
    )  # fmt: skip
    for figure in live.reading.figures.values():
        row = len(sheet.rows) + 1
        formula = live.formulas.get(figure.key)
        check = f'IF(ABS(D{row}-G{row})<={TOLERANCE}*MAX(ABS(G{row}),1E-9),"same","changed")'
        sheet.add(
            same(figure.number),
            same(figure.key),
            figure.label,
            figure.amount if formula is None else formula,
            unit(figure.unit),
            same(figure.value),
            figure.amount,
            _KEPT if formula is None and not figure.is_given else Formula(check, "same"),
            _how(figure, formula),
            phrase(figure.formula),
            same(", ".join(str(live.reading.figures[key].number) for key in figure.because)),
            phrase(figure.source),
            same(figure.evidence),
        )
    return sheet


def _how(figure: Figure, formula: Formula | None) -> Text:
    if formula is not None:
        return _FORMULA
    return _GIVEN if figure.is_given else _HELD


def _inputs(statement: Statement, live: Live) -> Sheet:
    sheet = Sheet(INPUTS, (6, 44, 10, 24))
    _head(sheet, statement)
    sheet.add(Text("no.", "序号"), Text("path in the report", "报告中的路径"), None, Text("value", "取值"))
    for place, one in enumerate(live.further, 1):
        sheet.add(same(place), same(one.path), None, one.value)
    return sheet


def _text(statement: Statement) -> Sheet:
    """Sections and annexes but the figures, which have a sheet of their own: assumptions, necessity, documents."""
    sheet = Sheet("Statement", (60, 60, 70, 16, 16))
    _head(sheet, statement)
    for section in statement.sections:
        if section.name != "figures":
            sheet.add()
            sheet.add(section.title)
            for row in _section(section):
                sheet.add(*row)
    return sheet


def _section(section: Section) -> list[tuple[Cell, ...]]:
    return [row for block in section.blocks for row in _rows(block)]


def _rows(block: Any) -> list[tuple[Cell, ...]]:
    match block:
        case Paragraph(text):
            return [(text,)]
        case Items(items):
            return [(item,) for item in items]
        case Table(head, rows):
            return [head, *rows]
        case _:
            return []  # pictures are drawn on the page and in the PDF; their figures are cells here


def _write(sheets: list[Sheet], statement: Statement, language: Language) -> bytes:
    import xlsxwriter  # noqa: PLC0415

    made = BytesIO()
    book = xlsxwriter.Workbook(made, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    day = datetime.fromisoformat(statement.on).replace(tzinfo=UTC)
    book.set_properties({"title": statement.title.en, "comments": statement.notice.en, "created": day})
    formats = {
        "notice": book.add_format({"bold": True, "font_color": "#b4542a"}),
        "text": book.add_format({"text_wrap": True, "valign": "top"}),
        "number": book.add_format({"num_format": "#,##0.00########", "valign": "top"}),
        "formula": book.add_format({"num_format": "#,##0.00########", "valign": "top", "bg_color": "#e9f3f4"}),
    }
    notice = "  ".join(statement.notice.told(language)).replace("&", "&&")
    for sheet in sheets:
        page = book.add_worksheet(sheet.name)
        page.set_header(f"&C{notice}"[:_LONGEST_HEADER])
        page.set_footer(f"&C{notice}\n&P / &N"[:_LONGEST_HEADER])
        page.set_landscape()
        page.set_paper(9)
        page.fit_to_pages(1, 0)
        page.repeat_rows(0, 0)
        page.freeze_panes(FIRST_ROW - 1, 0)
        for column, width in enumerate(sheet.widths):
            page.set_column(column, column, width)
        for number, row in enumerate(sheet.rows):
            page.set_row(number, _LINE * _lines(row, sheet.widths, language, told=number >= FIRST_ROW - 2))
            for column, cell in enumerate(row):
                match cell:
                    case Formula(expression, value):
                        shown = float(value) if isinstance(value, Decimal) else 0 if value is None else value
                        page.write_formula(number, column, f"={expression}", formats["formula"], shown)
                    case None:
                        pass
                    case (_, _):
                        wraps = number >= FIRST_ROW - 2
                        told = ("\n" if wraps else "  ").join(cell.told(language))
                        page.write_string(number, column, told, formats["text"] if wraps else formats["notice"])
                    case _:
                        page.write_number(number, column, float(cell), formats["number"])
    book.close()
    return made.getvalue()


def _lines(row: tuple[Cell, ...], widths: tuple[int, ...], language: Language, *, told: bool) -> int:
    """How many lines the tallest cell of a row needs; a Chinese character is as wide as two others."""
    if not told:
        return 1
    tall = [1]
    for cell, width in zip(row, widths, strict=False):
        if isinstance(cell, Text):
            wide = [sum(1 if one.isascii() else 2 for one in line) for line in cell.told(language)]
            tall.append(sum(max(1, -(-each // width)) for each in wide))
    return min(max(tall), _MOST_LINES)

"""The annexes: every figure in full, every parameter, every document and release by its hash, and how to verify it all."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from valuation.statement.blocks import Paragraph, Section, Table, pairs
from valuation.statement.phrases import phrase, unit
from valuation.statement.reading import Figure, Reading
from valuation.statement.words import Text, same


def annexes(reading: Reading) -> tuple[Section, ...]:
    """Annexes A to D."""
    return (_figures(reading), _parameters(reading), _documents(reading), _verification(reading))


def _figures(reading: Reading) -> Section:
    cited = {digest: f"D{place}" for place, (digest, _) in enumerate(reading.documents(), 1)}
    cited |= {digest: f"R{place}" for place, digest in enumerate(reading.document["releases"], 1)}
    head = (
        Text("no.", "序号"),
        Text("figure and key", "数字及其键"),
        Text("value and unit", "数值及单位"),
        Text("formula, from figures; source", "公式、所依据的数字；来源"),
    )
    rows = tuple(_row(figure, reading, cited) for figure in reading.figures.values())
    intro = Text(
        "Every figure with all its digits. D and R number the documents and releases of annex C.",
        "全部数字，不作舍入。D、R 为附件三中文件和发布的编号。",
    )
    return Section(
        "figures",
        Text("Annex A: All figures", "附件一：全部数字"),
        (Paragraph(intro), Table(head, rows, "rlll", (2, 11, 12, 15), fine=True)),
    )


def _row(figure: Figure, reading: Reading, cited: Mapping[str, str]) -> tuple[Text, ...]:
    measured = unit(figure.unit)
    formula, source = phrase(figure.formula), phrase(figure.source)
    reasons = numbers([reading.figures[key].number for key in figure.because])
    proof = cited.get(figure.evidence, figure.evidence)
    tail = f" [{proof}]" if proof else ""
    return (
        same(figure.number),
        Text(f"{figure.label.en} ({figure.key})", f"{figure.label.zh} ({figure.key})"),
        Text(f"{figure.value} {measured.en}", f"{figure.value} {measured.zh}"),
        Text(
            f"{formula.en}{f' ({reasons})' if reasons else ''}; {source.en}{tail}",
            f"{formula.zh}{f'（{reasons}）' if reasons else ''}；{source.zh}{tail}",
        ),
    )


def numbers(places: Sequence[int]) -> str:
    """Numbers of figures in one line, neighbours as a range: ``3, 7–9``."""
    told = []
    for _, run in groupby(enumerate(sorted(set(places))), key=lambda pair: pair[1] - pair[0]):
        group = [place for _, place in run]
        told.append(str(group[0]) if len(group) == 1 else f"{group[0]}–{group[-1]}")
    return ", ".join(told)


def _parameters(reading: Reading) -> Section:
    rows = [(same(name), same(value)) for name, value in _leaves(reading.document["parameters"], "")]
    judgement = reading.inputs["method"].get("judgement")
    if judgement is not None:
        rows += [(same(f"judgement.{name}"), same(value)) for name, value in _leaves(judgement, "")]
    terms = reading.inputs["terms"]
    if terms is not None:
        rows += [(same(f"terms.{name}"), same(value)) for name, value in _leaves(terms, "")]
    head = (Text("parameter", "参数"), Text("value", "取值"))
    return Section(
        "parameters",
        Text("Annex B: Parameters, judgement and terms", "附件二：参数、判断与条款"),
        (Table(head, tuple(rows), "ll", (4, 7), fine=True),),
    )


def _leaves(part: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every value under a part of the report, by its path."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(part, list | tuple):
        for place, value in enumerate(part):
            yield from _leaves(value, f"{path}[{place}]")
    else:
        yield path, "–" if part is None else str(part)


def _documents(reading: Reading) -> Section:
    rows = [
        (same(f"D{place}"), same(source), same(digest)) for place, (digest, source) in enumerate(reading.documents(), 1)
    ]
    for place, digest in enumerate(reading.document["releases"], 1):
        rows.append((same(f"R{place}"), Text("differentially private release", "差分隐私发布"), same(digest)))
    head = (Text("no.", "编号"), Text("document", "文件"), Text("SHA-256", "SHA-256"))
    return Section(
        "documents",
        Text("Annex C: Documents and releases", "附件三：文件与发布"),
        (Table(head, tuple(rows), "lll", (2, 7, 13), fine=True),),
    )


def _verification(reading: Reading) -> Section:
    document = reading.document
    how = Text(
        "Keep the report's JSON file beside this page. `touchstone value verify report.json` computes every figure anew from "
        "the inputs in it, offline, and names the first that differs; the digest it prints must be the one below.",
        "请将报告的 JSON 文件与本文一并保存。`touchstone value verify report.json` 由其中的输入离线重算每一数字，"
        "并指出第一处不符；其显示的摘要须与下列一致。",
    )
    rows = (
        (Text("Digest of the report", "报告摘要"), same(document["digest"])),
        (Text("Digest of inputs and parameters", "输入与参数的摘要"), same(document["basis"])),
        (Text("Code", "代码版本"), same(document["code"])),
        (Text("Format", "格式"), same(document["format"])),
        (Text("Figures", "数字个数"), same(len(reading.figures))),
    )
    head = (Text("item", "项目"), Text("content", "内容"))
    return Section(
        "verification", Text("Annex D: How to verify", "附件四：如何核验"), (Paragraph(how), pairs(rows, head=head))
    )

"""The five pictures of a statement, each only where the report has what it shows; no number in them is new.

Heights between two figures (what one haircut takes) are drawn and not printed.
"""

from collections.abc import Sequence
from decimal import Decimal

from valuation.statement.amounts import DOWN, money, number, share
from valuation.statement.blocks import Picture
from valuation.statement.drawing import ACCENT, INK, PALE, RULE, SOFT, WARN, Bar, Drawing, Line, Mark, Word
from valuation.statement.labels import TERMS
from valuation.statement.reading import Figure, Reading
from valuation.statement.words import Text, same

_WIDTH, _NAMES, _RIGHT, _ROW = 520.0, 150.0, 90.0, 34.0
_PLOT = _WIDTH - _NAMES - _RIGHT

_APPROACH = {
    "cost": Text("by cost", "成本法"),
    "income": Text("by income", "收益法"),
    "market": Text("by market", "市场法"),
}


def pictures(reading: Reading) -> dict[str, Picture]:
    """The pictures that the report supports, by name."""
    made = {
        "intervals": _intervals(reading),
        "waterfall": _waterfall(reading),
        "tornado": _tornado(reading),
        "decay": _decay(reading),
        "distribution": _distribution(reading),
    }
    return {name: picture for name, picture in made.items() if picture is not None}


def _scale(values: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """Ends of an axis that holds 0 and every value."""
    low, high = min(*values, Decimal(0)), max(*values, Decimal(0))
    return low, high if high > low else low + 1


def _at(value: Decimal, ends: tuple[Decimal, Decimal]) -> float:
    return _NAMES + _PLOT * float((value - ends[0]) / (ends[1] - ends[0]))


def _intervals(reading: Reading) -> Picture | None:
    rows = [
        (_APPROACH[name], [reading.figures[f"{start}.{end}"] for end in ("low", "central", "high")])
        for name, start in reading.approaches
    ]
    rows = [(Text("by cost", "成本法"), rows[0][1])] if len(rows) == 1 else rows
    if "approaches" in reading.conclusion:
        rows.append((Text("value, reconciled", "估值结论"), [reading.low, reading.central, reading.high]))
    ends = _scale([figure.amount for _, three in rows for figure in three])
    marks: list[Mark] = [Line(_NAMES, 8, _NAMES, 16 + _ROW * len(rows))]
    for place, (name, (low, central, high)) in enumerate(rows):
        y = 26 + _ROW * place
        colour = WARN if central is reading.central else ACCENT
        left, right = _at(low.amount, ends), _at(high.amount, ends)
        marks += [
            Word(_NAMES - 8, y + 4, name, "end"),
            Bar(left, y - 5, max(right - left, 2), 10, PALE),
            Bar(_at(central.amount, ends) - 2, y - 9, 4, 18, colour),
            Word(max(right, _at(central.amount, ends)) + 6, y + 4, money(central.amount, reading.currency)),
        ]
    return Picture(
        Text("Value by approach, with its interval", "各方法估值及区间"),
        Text(
            "A bar from the low to the high value of each approach, a mark at the central one; the annex has the figures.",
            "每种方法一条横条，自下限至上限，标记为中值；数值见附件。",
        ),
        Drawing(_WIDTH, 24 + _ROW * len(rows), marks),
    )


def _waterfall(reading: Reading) -> Picture | None:
    recognised, limit = reading.concluded("recognised"), reading.concluded("limit")
    if recognised is None or limit is None or reading.central.amount <= 0:
        return None
    steps: list[tuple[Text, Decimal, Decimal, Text]] = []
    total = reading.figures.get("cost.total")
    start = reading.central.amount
    if total is not None and "approaches" not in reading.conclusion:
        steps.append((total.label, Decimal(0), total.amount, money(total.amount, reading.currency)))
        delta = next((one for key in reading.central.because if (one := reading.get(key)) and "delta" in key), None)
        told = same("" if delta is None else f"× {number(delta.amount)}")
        steps.append((Text("value adjustment", "价值调整"), start, total.amount, told))
    steps.append((reading.central.label, Decimal(0), start, money(start, reading.currency)))
    left = min(reading.low.amount, start)
    steps.append((Text("to the low end", "降至下限"), left, start, Text("", "")))
    for key in recognised.because:
        haircut = reading.get(key)
        if haircut is not None and key.startswith("haircut."):
            after = left * (1 - haircut.amount)
            steps.append((haircut.label, after, left, same(f"− {share(haircut.amount)}")))
            left = after
    if recognised.amount < left and (prior := reading.get("liens.prior")) is not None and prior.amount > 0:
        steps.append((prior.label, recognised.amount, left, Text("", "")))
    steps.append((recognised.label, Decimal(0), recognised.amount, money(recognised.amount, reading.currency, DOWN)))
    steps.append((limit.label, Decimal(0), limit.amount, money(limit.amount, reading.currency, DOWN)))
    ends = _scale([high for _, _, high, _ in steps])
    marks: list[Mark] = [Line(_NAMES, 8, _NAMES, 16 + 26 * len(steps))]
    for place, (name, low, high, told) in enumerate(steps):
        y = 22 + 26 * place
        whole = low == 0
        left_x, right_x = _at(low, ends), _at(high, ends)
        marks += [
            Word(_NAMES - 8, y + 4, name, "end", size=10),
            Bar(left_x, y - 8, max(right_x - left_x, 1), 16, ACCENT if whole else PALE),
            Word(right_x + 6, y + 4, told, size=10),
        ]
    return Picture(
        Text("From value to loan limit", "从估值到贷款限额"),
        Text(
            "Dark bars are amounts; pale bars are what each step takes off, down to the recognised value and the limit.",
            "深色为金额，浅色为逐步扣减的部分，直至认定价值和贷款限额。",
        ),
        Drawing(_WIDTH, 24 + 26 * len(steps), marks),
    )


def _tornado(reading: Reading) -> Picture | None:
    drivers = list(dict.fromkeys(one.key.split(".")[1] for one in reading.like("tornado.")))
    rows = [
        (driver, low, high)
        for driver in drivers
        if (low := reading.get(f"tornado.{driver}.low")) and (high := reading.get(f"tornado.{driver}.high"))
    ]
    if not rows:
        return None
    centre = reading.central.amount
    values = [figure.amount for _, low, high in rows for figure in (low, high)] + [centre]
    margin = (max(values) - min(values)) / 10 or Decimal(1)
    ends = (min(values) - margin, max(values) + margin)
    middle = _at(centre, ends)
    marks: list[Mark] = []
    for place, (driver, low, high) in enumerate(rows):
        y = 30 + _ROW * place
        marks.append(Word(58, y + 4, Text(driver.replace("_", " "), TERMS.get(driver, driver)), "end"))
        for figure, colour in ((low, PALE), (high, ACCENT)):
            x = _at(figure.amount, ends)
            marks.append(Bar(min(x, middle), y - 8, max(abs(x - middle), 1), 16, colour))
        first, last = sorted((low, high), key=lambda figure: figure.amount)
        marks += [
            Word(min(_at(first.amount, ends), middle) - 5, y + 4, money(first.amount, reading.currency), "end", size=9),
            Word(max(_at(last.amount, ends), middle) + 5, y + 4, money(last.amount, reading.currency), size=9),
        ]
    marks += [
        Line(middle, 16, middle, 22 + _ROW * len(rows), INK),
        Word(middle, 10, money(centre, reading.currency), "middle", SOFT, 10),
    ]
    return Picture(
        Text("What moves the value: each driver at both ends of its spread", "敏感性：各驱动因素取分布两端时的价值"),
        Text(
            "Pale: driver at its low end; dark: at its high end; widest effect first. The line is the value.",
            "浅色：驱动因素取下限；深色：取上限；影响大者在前。竖线为估值结论。",
        ),
        Drawing(_WIDTH, 26 + _ROW * len(rows), marks),
    )


def _decay(reading: Reading) -> Picture | None:
    flows = reading.like("income.central.flow.")
    if not flows:
        return None
    values = [figure.amount for figure in flows]
    low, high = _scale(values)
    height, base = 130.0, 30.0
    step = (_WIDTH - 40) / len(flows)
    zero = base + height * float(high / (high - low))
    marks: list[Mark] = [Line(20, zero, _WIDTH - 20, zero, RULE)]
    for place, figure in enumerate(flows):
        tall = height * float(abs(figure.amount) / (high - low))
        x = 20 + step * place
        top = zero - tall if figure.amount >= 0 else zero
        marks.append(Bar(x + step * 0.2, top, step * 0.6, max(tall, 1), ACCENT if figure.amount >= 0 else WARN))
        marks.append(Word(x + step / 2, base + height + 34, _year(figure), "middle", SOFT, 9))
        if len(flows) <= 8:
            marks.append(Word(x + step / 2, top - 7, money(figure.amount, reading.currency), "middle", INK, 9))
    return Picture(
        Text("How the income fades: income of each year after upkeep", "收益衰减：各年扣除维护成本后的收益"),
        Text(
            "One bar for each year after the valuation date; there is no terminal value.",
            "评估基准日后每年一根柱；不计永续价值。",
        ),
        Drawing(_WIDTH, base + height + 44, marks),
    )


def _year(figure: Figure) -> Text:
    year = figure.key.rsplit(".", 1)[1]
    return Text(f"year {year}", f"第{year}年")


def _distribution(reading: Reading) -> Picture | None:
    names = {
        "p5": Text("5 %", "5%"),
        "p50": Text("median", "中位数"),
        "p95": Text("95 %", "95%"),
    }
    figures = {name: reading.get(f"draws.{name}") for name in (*names, "mean")}
    found = {name: figure for name, figure in figures.items() if figure is not None}
    if len(found) < len(figures):
        return None
    values = [figure.amount for figure in found.values()] + [reading.central.amount]
    margin = (max(values) - min(values)) / 8 or Decimal(1)
    ends = (min(values) - margin, max(values) + margin)

    def across(value: Decimal) -> float:
        return 40 + (_WIDTH - 80) * float((value - ends[0]) / (ends[1] - ends[0]))

    left, right = across(found["p5"].amount), across(found["p95"].amount)
    marks: list[Mark] = [
        Line(40, 60, _WIDTH - 40, 60, RULE),
        Bar(left, 48, max(right - left, 2), 24, PALE),
    ]
    for name, title in names.items():
        x = across(found[name].amount)
        marks += [
            Bar(x - 1.5, 44, 3, 32, ACCENT),
            Word(x, 34, title, "middle", SOFT, 10),
            Word(x, 94, money(found[name].amount, reading.currency), "middle", INK, 10),
        ]
    x = across(reading.central.amount)
    marks += [Line(x, 52, x, 112, WARN, 1.5), Word(x, 124, Text("value", "估值结论"), "middle", WARN, 10)]
    return Picture(
        Text("Distribution of the draws", "抽样值的分布"),
        Text(
            "The band holds the middle 90 % of the draws, with marks at 5 %, the median and 95 %; the line is the value.",
            "色带涵盖中间 90% 的抽样值，标记为 5% 分位、中位数、95% 分位；竖线为估值结论。",
        ),
        Drawing(_WIDTH, 134, marks),
    )

"""Blocks of cells that stand behind single figures: income by year, a regression.

Income follows the same steps as :func:`valuation.income.worth`. Each block has its own factors on the drivers; with all of
them 1 it is the schedule behind the income approach itself.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from valuation.statement.reading import Reading
from valuation.statement.sheets import SCHEDULES, Formula, Sheet, total
from valuation.statement.words import Text

_MID_YEAR = frozenset({"excess", "royalty"})
_HEAD = (
    Text("year", "年序"),
    Text("income before tax", "税前收益"),
    Text("before upkeep", "扣除维护成本前"),
    Text("upkeep after tax", "税后维护成本"),
    Text("income after upkeep", "扣除维护成本后"),
    Text("discount factor", "折现系数"),
    Text("PV before upkeep", "维护成本前现值"),
    Text("PV of upkeep", "维护成本现值"),
    Text("cumulated PV", "累计现值"),
)


class Block(NamedTuple):
    """Where the results of one schedule stand; ``flows`` by year from 1."""

    flows: tuple[str, ...]
    life: str
    gross: str
    upkeep: str
    value: str


class Schedules:
    """The sheet of schedules of one report; ``cells`` maps each figure's key to its cell."""

    def __init__(self, reading: Reading, cells: Mapping[str, str]) -> None:
        self.sheet = Sheet(SCHEDULES, (10, *[22] * (len(_HEAD) - 1)))
        self._cells = cells
        self._facts: Mapping[str, Any] = reading.inputs["facts"].get("income", {})
        self._years = len(reading.like("income.central.flow."))
        self._charges = total(
            [
                f"{cell}*{cells[key.removesuffix('value') + 'rate']}"
                for key, cell in cells.items()
                if key.startswith("income.charge.") and key.endswith(".value")
            ]
        )

    def block(self, title: Text, end: str, factors: Mapping[str, str]) -> Block:
        """Write the schedule at one end of the evidence; ``factors`` are cells by driver, 1 where a driver has none."""
        cells, sheet = self._cells, self.sheet
        sheet.add(title)

        def put(name: Text, expression: str) -> str:
            return f"{SCHEDULES}!$B${sheet.add(name, Formula(expression))}"

        level = "*".join(
            [cells[f"income.{end}.quality"], *(factors[one] for one in ("quality", "level") if one in factors)]
        )
        quality = put(Text("quality and level", "质量与收益水平"), level)
        rate = put(Text("discount rate", "折现率"), "*".join([cells["income.rate"], *_given(factors, "rate")]))
        half_life = "*".join([cells["income.half_life"], *_given(factors, "half_life")])
        lost = put(Text("lost each year", "年衰减率"), f"1-2^(-1/({half_life}))")
        keep = put(Text("kept after tax", "税后比例"), f"1-{cells['income.tax']}")
        years = cells.get("income.claim.tab_years", "0")
        annuity = f"(1-(1+{rate})^(-{years}))/{rate}*(1+{rate})^0.5"
        benefit = put(
            Text("tax amortisation benefit", "税收摊销收益系数"),
            f"IF({years}>0,{years}/({years}-{cells['income.tax']}*{annuity}),1)",
        )
        upkeep = put(
            Text("upkeep after tax", "税后维护成本"),
            "*".join([cells["income.upkeep"], keep, *_given(factors, "upkeep")]),
        )
        sheet.add(*_HEAD)
        first = sheet.add(*[Decimal(0)] * len(_HEAD))
        early = "0.5" if self._facts["method"] in _MID_YEAR else "0"
        for year in range(1, self._years + 1):
            row = first + year
            kept = f"(1-{lost})^($A{row}-1)*(1-{lost}/2)"
            growth = f"(1+{cells['income.growth']})^($A{row}-1)"
            sheet.add(
                Decimal(year),
                Formula(self._income(year, quality)),
                Formula(f"{kept}*($B{row}*{keep}*{growth}-({self._charges}))"),
                Formula(upkeep),
                Formula(f"$C{row}-$D{row}"),
                Formula(f"(1+{rate})^(-($A{row}-{early}))"),
                Formula(f"$C{row}*$F{row}"),
                Formula(f"$D{row}*$F{row}"),
                Formula(f"$I{row - 1}+$E{row}*$F{row}"),
            )
        last = first + self._years
        ends = f"$I${first}:$I${last}"
        life = put(Text("economic life", "经济寿命"), f"MATCH(MAX({ends}),{ends},0)-1")
        counted = f"$A${first}:$A${last}"
        gross, spent = (
            put(name, f'SUMIF({counted},"<="&{life},${column}${first}:${column}${last})*{benefit}')
            for name, column in (
                (Text("value before upkeep", "维护成本前价值"), "G"),
                (Text("value of the upkeep", "维护成本价值"), "H"),
            )
        )
        value = put(Text("value", "价值"), f"MAX({ends})*{benefit}")
        sheet.add()
        flows = tuple(f"{SCHEDULES}!$E${first + year}" for year in range(1, self._years + 1))
        return Block(flows, life, gross, spent, value)

    def regression(self, title: Text, deals: list[tuple[str, str]], subject: str) -> str:
        """The price of ``subject`` rows on the line through the logarithms of rows and prices of the deals."""
        sheet = self.sheet
        sheet.add(title)
        sheet.add(Text("ln rows", "ln 行数"), Text("ln price", "ln 价格"))
        numbers = [sheet.add(Formula(f"LN({rows})"), Formula(f"LN({price}*{rows})")) for price, rows in deals]
        known = [f"${column}${numbers[0]}:${column}${numbers[-1]}" for column in "BA"]
        row = sheet.add(Text("price", "价格"), Formula(f"EXP(FORECAST(LN({subject}),{known[0]},{known[1]}))"))
        sheet.add()
        return f"{SCHEDULES}!$B${row}"

    def _income(self, year: int, quality: str) -> str:
        """Income of one year before tax, as the method of the facts has it."""
        sums = {kind: self._sum(year, kind) for kind in ("revenue", "cost", "with", "without")}
        sales, claim = f"({sums['revenue']})*{quality}", "income.claim"
        match self._facts["method"]:
            case "share":
                low, high, score = (self._cells[f"{claim}.{name}"] for name in ("low", "high", "score"))
                return f"{sales}*({low}+({high}-{low})*{score})"
            case "royalty":
                return f"{sales}*{self._cells[f'{claim}.royalty']}"
            case "with_without":
                uplift = f"(({sums['with']})-({sums['without']}))"
                return f"IF({uplift}>0,{uplift}*{quality},{uplift})"
            case _:
                return f"{sales}-({sums['cost']})"

    def _sum(self, year: int, kind: str) -> str:
        return total(
            [
                self._cells[f"income.line.{number}"]
                for number, line in enumerate(self._facts["lines"])
                if (line["year"], line["kind"]) == (year, kind)
            ]
        )


def _given(factors: Mapping[str, str], driver: str) -> list[str]:
    return [factors[driver]] if driver in factors else []

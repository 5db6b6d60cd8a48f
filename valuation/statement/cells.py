"""The formula of each figure over the cells of its reasons: a second computation of the report, by a spreadsheet.

A figure that no formula of a spreadsheet gives (what was drawn, bisected or comes from elsewhere) has none here; its cell
then holds the report's value and says so.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from valuation.statement.reading import Figure, Reading
from valuation.statement.schedules import Block, Schedules
from valuation.statement.sheets import FIGURES, INPUTS, VALUE, Formula, product, total
from valuation.statement.words import Text

FIRST_ROW = 6
"""Row of the first figure on the sheet of figures; notice, digest and head stand above."""


class Further(NamedTuple):
    """An input that formulas need and that is no figure of the report: its path and its value."""

    path: str
    value: Decimal


class Live:
    """Formulas by the key of the figure, the inputs they need besides, and the schedules behind the income approach."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.cells = {key: f"{FIGURES}!${VALUE}${FIRST_ROW + place}" for place, key in enumerate(reading.figures)}
        self.further = tuple(_further(reading))
        self.inputs = {one.path: f"{INPUTS}!${VALUE}${FIRST_ROW + place}" for place, one in enumerate(self.further)}
        self.schedules = Schedules(reading, self.cells)
        self._blocks: dict[str, Block] = {}
        self.formulas = {
            key: Formula(expression, figure.amount)
            for key, figure in reading.figures.items()
            if not figure.is_given and (expression := self._formula(figure))
        }

    def computes(self, key: str) -> bool:
        """Whether a formula is known for the figure of that key."""
        return bool(self._formula(self.reading.figures[key]))

    def reasons(self, figure: Figure) -> list[str]:
        """Cells of the figures that this one follows from."""
        return [self.cells[key] for key in figure.because]

    def block(self, end: str) -> Block:
        """The schedule behind the income approach at one end of the evidence."""
        return self._scheduled(f"income.{end}", Text(f"Income approach, {end}", f"收益法，{end}"), end, {})

    def shifted(self, figure: Figure, factors: Mapping[str, str]) -> str:
        """The conclusion with cells as factors on its drivers."""
        told = []
        for approach, start in self.reading.approaches:
            central = self.cells[f"{start}.central"]
            if approach == "income":
                value = self._scheduled(figure.key, figure.label, "central", factors).value
            else:
                by_quality = approach == "market" or self.reading.inputs["method"]["mode"] != "life"
                drivers = (approach, *(("quality",) if by_quality else ()))
                value = product([central, *(factors[one] for one in drivers if one in factors)])
            told.append(f"{self.cells[f'weight.{approach}']}*{value}")
        return total(told)

    def _scheduled(self, name: str, title: Text, end: str, factors: Mapping[str, str]) -> Block:
        if name not in self._blocks:
            self._blocks[name] = self.schedules.block(title, end, factors)
        return self._blocks[name]

    def _formula(self, figure: Figure) -> str:
        for keys, named, make in _RULES:
            found = keys.fullmatch(figure.key)
            if found is not None and named.fullmatch(figure.formula):
                return make(self, figure, found)
        return ""


def _further(reading: Reading) -> Iterator[Further]:
    parameters, method = reading.document["parameters"], reading.inputs["method"]
    yield Further("parameters.z95", Decimal(parameters["z95"]))
    yield Further("parameters.days_a_year", Decimal(parameters["days_a_year"]))
    for metric, weight in method["weights"].items():
        yield Further(f"method.weights.{metric}", Decimal(weight))
    income = reading.inputs["facts"].get("income")
    for place, asset in enumerate(income["rate"]["other_assets"] if income else ()):
        yield Further(f"facts.income.rate.other_assets[{place}].rate", Decimal(asset["rate"]))


# -- one function for each kind of figure ------------------------------------------------------------------------------


def _of(live: Live, figure: Figure, start: str) -> list[str]:
    """Cells of the reasons whose keys begin so."""
    return [live.cells[key] for key in figure.because if key.startswith(start)]


def _noises(live: Live, figure: Figure, start: str) -> str:
    """Sum of the variances of the counts that begin so."""
    counts = [live.reading.figures[key] for key in figure.because if key.startswith(start)]
    return total([live.cells[count.because[0]] for count in counts])


def _sum(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return total(live.reasons(figure))


def _product(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return product(live.reasons(figure))


def _least(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"MIN({','.join(live.reasons(figure))})"


def _largest(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"MAX({','.join(live.reasons(figure))})"


def _by_value(live: Live, figure: Figure, _: re.Match[str]) -> str:
    cap, most, recognised = live.reasons(figure)
    return f"MIN({cap},{most})*{recognised}"


def _ratio(live: Live, figure: Figure, _: re.Match[str]) -> str:
    over, under = live.reasons(figure)
    return f"{over}/{under}"


def _capped_ratio(live: Live, figure: Figure, _: re.Match[str]) -> str:
    over, under = live.reasons(figure)
    return f"MIN({over}/{under},1)"


def _capped(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"MIN({live.reasons(figure)[0]},1)"


def _less_ratio(live: Live, figure: Figure, _: re.Match[str]) -> str:
    over, under = live.reasons(figure)
    return f"1-{over}/{under}"


def _difference(live: Live, figure: Figure, _: re.Match[str]) -> str:
    first, second = live.reasons(figure)
    return f"{first}-{second}"


def _years(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"{live.reasons(figure)[0]}/{live.inputs['parameters.days_a_year']}"


def _completeness(live: Live, figure: Figure, _: re.Match[str]) -> str:
    filled = _of(live, figure, "cell.filled(")
    return f"({total(filled)})/({len(filled)}*{live.cells['cell.count(*)']})"


def _validity(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"({total(_of(live, figure, 'cell.valid('))})/({total(_of(live, figure, 'cell.filled('))})"


def _metric_error(live: Live, figure: Figure, _: re.Match[str]) -> str:
    metric = live.reading.figures[figure.because[0]]
    if not live.computes(metric.key):
        return ""  # its error follows from the formula that it has, not from the one known here
    terms = [
        f"({_noises(live, metric, start)})/({total(cells)})^2"
        for start in ("cell.valid(", "cell.filled(", "cell.count(")
        if (cells := _of(live, metric, start))
    ]
    return f"{live.cells[metric.key]}*SQRT({total(terms)})"


def _weight(live: Live, _: Figure, found: re.Match[str]) -> str:
    weights = [cell for path, cell in live.inputs.items() if path.startswith("method.weights.")]
    return f"{live.inputs[f'method.weights.{found[1]}']}/({total(weights)})"


def _alpha(live: Live, figure: Figure, _: re.Match[str]) -> str:
    metrics = [key.removeprefix("quality.") for key in figure.because if key.startswith("quality.")]
    return product([f"{live.cells[f'quality.{name}']}^{live.cells[f'weight.{name}']}" for name in metrics])


def _alpha_error(live: Live, figure: Figure, _: re.Match[str]) -> str:
    if not (live.computes("quality.completeness") and live.computes("quality.validity")):
        return ""
    complete, valid = live.cells["weight.completeness"], live.cells["weight.validity"]
    filled, passed = (total(_of(live, figure, start)) for start in ("cell.filled(", "cell.valid("))
    squares = (
        f"({_noises(live, figure, 'cell.count(')})*({complete}/{live.cells['cell.count(*)']})^2",
        f"({_noises(live, figure, 'cell.filled(')})*(({complete}-{valid})/({filled}))^2",
        f"({_noises(live, figure, 'cell.valid(')})*({valid}/({passed}))^2",
    )
    return f"{live.cells['quality.alpha']}*SQRT({total(list(squares))})"


def _alpha_end(live: Live, figure: Figure, found: re.Match[str]) -> str:
    alpha, error = live.reasons(figure)
    return f"{alpha}{'-' if found[1] == 'low' else '+'}{live.inputs['parameters.z95']}*{error}"


def _indexed(live: Live, figure: Figure, _: re.Match[str]) -> str:
    *spent, base, level = live.reasons(figure)
    return f"({total(spent)})*{base}/{level}"


def _share_left(live: Live, figure: Figure, _: re.Match[str]) -> str:
    remaining, age = live.reasons(figure)
    return f"{remaining}/({remaining}+{age})"


def _attrition(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"1-2^(-1/{live.reasons(figure)[0]})"


def _flow(live: Live, _: Figure, found: re.Match[str]) -> str:
    return live.block(found[1]).flows[int(found[2]) - 1]


def _life(live: Live, _: Figure, found: re.Match[str]) -> str:
    return live.block(found[1]).life


def _gross(live: Live, _: Figure, found: re.Match[str]) -> str:
    return live.block(found[1]).gross


def _upkeep(live: Live, _: Figure, found: re.Match[str]) -> str:
    return live.block(found[1]).upkeep


def _wara(live: Live, figure: Figure, _: re.Match[str]) -> str:
    known = [key for key in figure.because if re.fullmatch(r"income\.wara\.\d+", key)]
    rates = [live.inputs[f"facts.income.rate.other_assets[{key.rpartition('.')[2]}].rate"] for key in known]
    values, data = [live.cells[key] for key in known], live.cells["income.central"]
    earned = total([f"{value}*{rate}" for value, rate in zip(values, rates, strict=True)])
    return f"({live.cells['income.wacc']}*({total([*values, data])})-({earned}))/{data}"


def _option(live: Live, _: Figure, __: re.Match[str]) -> str:
    names = ("worth", "strike", "half_life", "risk_free", "volatility", "years")
    worth, strike, half_life, rate, sigma, years = (live.cells[f"option.{name}"] for name in names)
    drift = f"{rate}-LN(2)/{half_life}"
    first = f"(LN({worth}/{strike})+({drift}+{sigma}^2/2)*{years})/({sigma}*SQRT({years}))"
    second = f"({first}-{sigma}*SQRT({years}))"
    now, later = f"{worth}*EXP(-LN(2)/{half_life}*{years})", f"{strike}*EXP(-{rate}*{years})"
    if live.reading.inputs["facts"]["option"]["right"] == "deploy":
        return f"MAX({now}*NORMSDIST({first})-{later}*NORMSDIST({second}),0)"
    return f"MAX({later}*NORMSDIST(-{second})-{now}*NORMSDIST(-({first})),0)"


def _rows(live: Live, figure: Figure, found: re.Match[str]) -> str:
    counts = [live.cells[key] for key in figure.because if key != "market.rows.error"]
    mean = f"({total(counts)})/{len(counts)}"
    if found[1] == "central":
        return f"MAX({mean},0)"
    step = f"{live.inputs['parameters.z95']}*{live.cells['market.rows.error']}"
    return f"MAX({mean}{'-' if found[1] == 'low' else '+'}{step},0)"


def _deal(live: Live, figure: Figure, _: re.Match[str]) -> str:
    price, rows, *factors, base, then = live.reasons(figure)
    return f"{product([price, *factors])}*{base}/{then}/{rows}"


def _market(live: Live, figure: Figure, _: re.Match[str]) -> str:
    rows = live.reasons(figure)[-1]
    count = (len(figure.because) - 1) // 2
    prices, distances = live.reasons(figure)[:count], live.reasons(figure)[count:-1]
    weighted = total([f"{price}/(1+{distance})" for price, distance in zip(prices, distances, strict=True)])
    return f"{rows}*({weighted})/({total([f'1/(1+{distance})' for distance in distances])})"


def _hedonic(live: Live, figure: Figure, _: re.Match[str]) -> str:
    *prices, subject = figure.because
    deals = [(live.cells[key], live.cells[f"{key}.rows"]) for key in prices]
    return live.schedules.regression(figure.label, deals, live.cells[subject])


def _weighted(live: Live, figure: Figure, _: re.Match[str]) -> str:
    cells = live.reasons(figure)
    half = len(cells) // 2
    return total([f"{share}*{value}" for value, share in zip(cells[:half], cells[half:], strict=True)])


def _consistency(live: Live, figure: Figure, found: re.Match[str]) -> str:
    values = [live.cells[key] for key in figure.because if not key.startswith("spread.")]
    errors = _of(live, figure, "spread.")
    if found[1] == "spread":
        listed = ",".join(values)
        return f"(MAX({listed})-MIN({listed}))/AVERAGE({listed})"
    both = list(zip(values, errors, strict=True))
    over, under = total([f"{value}/{error}^2" for value, error in both]), total([f"1/{error}^2" for error in errors])
    mean = f"({over})/({under})"
    if found[1] == "inverse_variance":
        return mean
    return total([f"(({value}-{mean})/{error})^2" for value, error in both])


def _tornado(live: Live, figure: Figure, found: re.Match[str]) -> str:
    return live.shifted(figure, {found[1]: live.cells[figure.because[0]]})


def _scenario(live: Live, figure: Figure, _: re.Match[str]) -> str:
    start = f"{figure.key}."
    return live.shifted(
        figure, {key.removeprefix(start): live.cells[key] for key in figure.because if key.startswith(start)}
    )


def _concentration(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"MAX({live.reasons(figure)[0]}-0.3,0)/0.7*0.2"


def _recognised(live: Live, figure: Figure, _: re.Match[str]) -> str:
    low, prior = live.reasons(figure)[0], live.reasons(figure)[-1]
    haircuts = [f"(1-{cell})" for cell in _of(live, figure, "haircut.")]
    return f"MAX({product([low, *haircuts])}-{prior},0)"


def _limit(live: Live, figure: Figure, _: re.Match[str]) -> str:
    return f"ROUNDDOWN(MIN({','.join(live.reasons(figure))}),0)"


_END = "(low|central|high)"
_SUM = r"\(?{0}\([^()]+\)(?: \+ {0}\([^()]+\))*\)?"
_RULES: tuple[tuple[re.Pattern[str], re.Pattern[str], Callable[[Live, Figure, re.Match[str]], str]], ...] = tuple(
    (re.compile(key), re.compile(formula), make)
    for key, formula, make in (
        (
            r"quality\.(?:.+\.)?completeness",
            rf"{_SUM.format('filled')} / (?:\d+ \* )?count\(\*\), not clipped",
            _completeness,
        ),
        (
            r"quality\.(?:.+\.)?validity",
            rf"{_SUM.format('valid')} / {_SUM.format('filled')}, not clipped",
            _validity,
        ),
        (r"quality\.error", r"alpha \* root\(sum over counts of .+", _alpha_error),
        (
            r"quality\.(?:.+\.)?(?:completeness|validity)\.error",
            r"metric \* root\(sum over counts of .+",
            _metric_error,
        ),
        (r"weight\.(completeness|validity)", r"agreed, divided by the sum of weights", _weight),
        (r"quality\.alpha", r"exp\(sum of weight \* ln\(metric\)\)", _alpha),
        (r"quality\.(low|high)", r"alpha [+-] [\d.]+ \* standard error of alpha, not clipped", _alpha_end),
        (r"quality\.(?:alpha|low|high)\.used", r"min\(as measured, 1\)", _capped),
        (r"cost\.\d{4}", r"sum of costs of \d+ \* price index \d+ / price index \d+", _indexed),
        (r"cost\.total", r"sum of the years' costs at prices of the valuation year", _sum),
        (r"(?:title|tenor)\.years", r"days / \d+", _years),
        (rf"life\.{_END}", r"as stated|min\(as stated, years until the first title document expires\)", _least),
        (rf"life\.{_END}\.share", r"remaining life / \(remaining life \+ age\)", _share_left),
        (rf"delta\.{_END}", r"alpha as used|share of life left|alpha as used \* share of life left", _product),
        (rf"value\.{_END}", r"C \* delta", _product),
        (rf"income\.{_END}\.quality", r"min\(alpha as used / quality that the income counts on, 1\)", _capped_ratio),
        (r"income\.attrition", r"1 - 2\^\(-1 / half-life\)", _attrition),
        (r"income\.rate", r"discount_rate, buildup: .+", _sum),
        (rf"income\.{_END}\.flow\.(\d+)", r"\(1-a\)\^\(year-1\) \* .+", _flow),
        (rf"income\.{_END}\.life", r"the earliest year at whose end stopping is worth most; .+", _life),
        (rf"income\.{_END}\.gross", r"\w+ over the economic life", _gross),
        (rf"income\.{_END}\.upkeep", r"present value of the upkeep over the economic life, .+", _upkeep),
        (rf"income\.{_END}", r"value before upkeep - value of the upkeep", _difference),
        (r"income\.wara", r"wara_implied_rate", _wara),
        (r"option", r"real_option_bsm, (?:deploy|sell), with the yield ln 2 / half-life", _option),
        (rf"market\.rows\.{_END}", r"mean of the valid cells over the columns(?: [+-] z95 \* standard error)?", _rows),
        (r"market\.deal\.\d+", r"market_cas9: price \* adjustments \* .+", _deal),
        (rf"market\.{_END}", r"market_cas9: effective rows \* mean of the adjusted prices .+", _market),
        (r"market\.hedonic", r"market_hedonic_loglog over the adjusted prices of the deals", _hedonic),
        (r"conclusion\.central", r"sum of weight \* value over the approaches", _weighted),
        (rf"conclusion\.evidence\.{_END}", r"sum of weight \* value over the approaches", _weighted),
        (r"conclusion\.low", r"smallest of: .+", _least),
        (r"conclusion\.high", r"largest of: .+", _largest),
        (r"consistency\.(spread|chi2|inverse_variance)", r"reconciliation, \w+", _consistency),
        (rf"tornado\.(\w+)\.{_END}", r"conclusion at these factors on its drivers, all else as stated", _tornado),
        (r"scenario\.\d+", r"conclusion at these factors on its drivers, all else as stated", _scenario),
        (r"haircut\.decay_to_maturity", r"years to maturity / remaining life, low", _ratio),
        (
            r"haircut\.concentration",
            r"max\(share of the largest licensee - 30 %, 0\) / 70 % \* 20 %",
            _concentration,
        ),
        (r"pledge\.recognised", r"max\(lower value \* product of \(1 - haircut\) - prior claims, 0\)", _recognised),
        (r"limit\.ltv", r"min\(LTV cap, highest LTV cap that the proof bears\) \* recognised value", _by_value),
        (r"pledge\.limit", r"smallest of [\w, ]+ \(\w+ binds\), rounded down to the yuan", _limit),
        (r"pledge\.total_haircut", r"1 - recognised value / value", _less_ratio),
        (r"pledge\.(?:ltv|value_to_book)", r"loan limit / value|value / carrying amount", _ratio),
    )
)
"""Keys, the formula that the report must name for the rule to hold, and the rule; another formula is another computation."""

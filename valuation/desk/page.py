"""``docs/formulas.md``, printed from the contracts."""

from collections.abc import Iterator

from valuation.desk import METHODS
from valuation.desk.contract import rows
from valuation.desk.method import Method

_HEAD = """# Formulas

The formula desk answers `(method, inputs)` with outputs. This page is printed from the contracts in `valuation/desk` by
`python -m valuation.desk`; a test keeps it current. The same desk at the command line: `touchstone value formula --list`,
`touchstone value formula NAME` for a contract, `touchstone value formula NAME --inputs FILE` for figures; over HTTP:
`GET /v1/formulas/NAME` and `POST /v1/formulas/NAME`, signed as every request.

- Money is CNY, nominal, unrounded; rates, shares and haircuts are decimals (8 % is 0.08), per year unless the key says
  otherwise; times are years unless the key says months or days. Income lists run from the first future year on. No method adds
  a terminal value, draws random numbers or rounds inside.
- A JSON number means the exact decimal it spells; `1`, `1.0` and `1e0` are one input. Comparisons, floors and tests for zero are
  decided on exact values. Figures are written with up to 34 significant digits.
- All keys are required unless marked optional. An unknown or missing key, a wrong type (a boolean is no number), a number that is
  not finite, has more than 100 digits or lies outside its range is refused by the name of the key. Lists have 1 to 1,000 elements
  unless said otherwise. Outside the *usual* range a request is only warned about.
- v = (1+i)^(−1); A(n,i) = Σ_{t=1..n} v^t; Φ is the standard normal distribution function, Φ₂ the bivariate one; ln is natural; x⁺ = max(x,0).
"""


def page() -> str:
    """The whole page as Markdown."""
    lines = [_HEAD, "| # | method | for |", "|---|---|---|"]
    for number, method in enumerate(METHODS, 1):
        lines.append(f"| {number} | [`{method.name}`](#{number}-{method.name}) | {_cell(method.purpose)} |")
    for number, method in enumerate(METHODS, 1):
        lines.extend(_section(number, method))
    return "\n".join(lines) + "\n"


def _section(number: int, method: Method) -> Iterator[str]:
    yield from ("", f"## {number}. {method.name}", "", f"**{method.title}.** {method.purpose}", "")
    yield from ("```text", *method.formula.split(";  "), "```", "", "$$", method.latex, "$$", "")
    yield from ("| input | type | unit | range | usual | meaning |", "|---|---|---|---|---|---|")
    for row in rows(method.inputs):
        beside = ", optional" if row.optional else ""
        usual = f"`{row.usual}`" if row.usual else ""
        yield f"| `{row.key}` | {row.type}{beside} | {row.unit} | `{row.range}` | {usual} | {_cell(row.meaning)} |"
    yield from ("", "| output | type | unit | meaning |", "|---|---|---|---|")
    for output in method.outputs:
        yield f"| `{output.key}` | {output.type} | {output.unit} | {_cell(output.meaning)} |"
    if method.conditions:
        yield from ("", "Refused unless: " + "; ".join(_cell(condition) for condition in method.conditions) + ".")
    tolerance = "1e-6 (quadrature or linear programme)" if method.numeric else "1e-9"
    yield from ("", f"Source: {method.source}. Relative agreement: {tolerance}.")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

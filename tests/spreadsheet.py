"""A small reader of workbooks and an evaluator of their formulas, by the rules of spreadsheets; it knows nothing of valuation."""

import re
import xml.etree.ElementTree as ET
import zipfile
from io import BytesIO
from math import erf, exp, log, sqrt, trunc

_SPACE = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*")|(?P<place>(?:[A-Za-z]+!)?\$?[A-Z]{1,2}\$?[0-9]+(?::\$?[A-Z]{1,2}\$?[0-9]+)?)(?![A-Za-z(])
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:E[-+]?[0-9]+)?)|(?P<name>[A-Z]+)|(?P<sign><=|>=|<>|[-+*/^(),<>=&]))""",
    re.VERBOSE,
)


def _slope(ys, xs):
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
    return slope, y - slope * x


def _flat(values):
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def _met(value, condition):
    sign, bound = re.fullmatch(r"(<=|>=|<|>)(.+)", condition).groups()
    return {
        "<=": value <= float(bound),
        ">=": value >= float(bound),
        "<": value < float(bound),
        ">": value > float(bound),
    }[sign]


FUNCTIONS = {
    "SUM": lambda *a: sum(_flat(a)),
    "MIN": lambda *a: min(_flat(a)),
    "MAX": lambda *a: max(_flat(a)),
    "AVERAGE": lambda *a: sum(_flat(a)) / len(_flat(a)),
    "SQRT": sqrt,
    "EXP": exp,
    "LN": log,
    "ABS": abs,
    "NORMSDIST": lambda x: (1 + erf(x / sqrt(2))) / 2,
    "ROUNDDOWN": lambda x, places: trunc(x * 10**places) / 10**places,
    "MATCH": lambda wanted, values, _: values.index(wanted) + 1,
    "SUMIF": lambda keys, condition, values: sum(
        value for key, value in zip(keys, values, strict=True) if _met(key, condition)
    ),
    "FORECAST": lambda x, ys, xs: _slope(ys, xs)[0] * x + _slope(ys, xs)[1],
    "COUNTIF": lambda values, wanted: float(sum(value == wanted for value in values)),
}


class Workbook:
    """Sheets of a workbook by name; ``value`` computes a cell from the formulas, never from what is stored beside them."""

    def __init__(self, data: bytes) -> None:
        self.texts, self.formulas, self.numbers, self.headers, self.stored = {}, {}, {}, {}, {}
        with zipfile.ZipFile(BytesIO(data)) as packed:
            self.names = packed.namelist()
            strings = self._strings(packed)
            book = ET.fromstring(packed.read("xl/workbook.xml"))  # noqa: S314  written by ourselves
            for place, sheet in enumerate(book.iterfind(".//m:sheet", _SPACE), 1):
                root = ET.fromstring(packed.read(f"xl/worksheets/sheet{place}.xml"))  # noqa: S314
                name = sheet.get("name")
                self.headers[name] = root.findtext(".//m:oddHeader", "", _SPACE)
                for cell in root.iterfind(".//m:c", _SPACE):
                    self._keep((name, cell.get("r")), cell, strings)
        self._known = {}

    @staticmethod
    def _strings(packed):
        root = ET.fromstring(packed.read("xl/sharedStrings.xml"))  # noqa: S314
        return [
            "".join(part.text or "" for part in one.iterfind(".//m:t", _SPACE)) for one in root.iterfind("m:si", _SPACE)
        ]

    def _keep(self, place, cell, strings):
        formula, value = cell.find("m:f", _SPACE), cell.findtext("m:v", None, _SPACE)
        if formula is not None:
            self.formulas[place] = formula.text
            self.stored[place] = value
        elif cell.get("t") == "s":
            self.texts[place] = strings[int(value)]
        elif value is not None:
            self.numbers[place] = float(value)

    def column(self, sheet, letter):
        """Row and place of every cell of a column that holds anything."""
        found = [place for kept in (self.texts, self.formulas, self.numbers) for place in kept if place[0] == sheet]
        rows = {int(re.sub(r"\D", "", place[1])) for place in found if re.sub(r"\d", "", place[1]) == letter}
        return {row: (sheet, f"{letter}{row}") for row in sorted(rows)}

    def set(self, place, number):
        """Type a number over a cell, as its user would."""
        self.numbers[place] = float(number)
        self.formulas.pop(place, None)
        self._known.clear()

    def value(self, place):
        """What the cell shows."""
        if place in self.formulas:
            if place not in self._known:
                self._known[place] = _Parser(self, place[0], self.formulas[place]).whole()
            return self._known[place]
        return self.texts[place] if place in self.texts else self.numbers.get(place, 0.0)

    def range(self, sheet, text):
        """The values of ``A1`` or ``A1:A9``, with or without dollars."""
        first, _, last = text.replace("$", "").partition(":")
        if not last:
            return self.value((sheet, first))
        letter = re.sub(r"\d", "", first)
        rows = range(int(re.sub(r"\D", "", first)), int(re.sub(r"\D", "", last)) + 1)
        return [self.value((sheet, f"{letter}{row}")) for row in rows]


class _Parser:
    """Recursive descent; a sign before a number binds tighter than a power, as in every spreadsheet."""

    def __init__(self, book, sheet, text):
        self.book, self.sheet, self.tokens, at = book, sheet, [], 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            assert found, f"no formula of a spreadsheet: {text[at : at + 30]}"
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self.tokens.append(("end", ""))

    def whole(self):
        value = self.comparison()
        assert self.tokens[0][0] == "end", self.tokens[:3]
        return value

    def next(self):
        return self.tokens.pop(0)

    def sign(self, *signs):
        return self.tokens[0][0] == "sign" and self.tokens[0][1] in signs and self.next()[1]

    def comparison(self):
        left = self.concatenation()
        while sign := self.sign("<=", ">=", "<>", "<", ">", "="):
            right = self.concatenation()
            left = {"<=": left <= right, ">=": left >= right, "<>": left != right, "<": left < right, ">": left > right,
                    "=": left == right}[sign]  # fmt: skip
        return left

    def concatenation(self):
        left = self.terms()
        while self.sign("&"):
            left = f"{left}{self.terms()}"
        return left

    def terms(self):
        left = self.factors()
        while sign := self.sign("+", "-"):
            left = left + self.factors() if sign == "+" else left - self.factors()
        return left

    def factors(self):
        left = self.powers()
        while sign := self.sign("*", "/"):
            left = left * self.powers() if sign == "*" else left / self.powers()
        return left

    def powers(self):
        left = self.atom()
        while self.sign("^"):
            left = left ** self.atom()
        return left

    def atom(self):
        if self.sign("-"):
            return -self.atom()
        kind, text = self.next()
        match kind:
            case "number":
                return float(text)
            case "text":
                return text[1:-1]
            case "place":
                sheet, _, cell = text.rpartition("!")
                return self.book.range(sheet or self.sheet, cell)
            case "name":
                return self.call(text)
            case _:
                assert text == "(", (kind, text)
                value = self.comparison()
                assert self.sign(")"), self.tokens[:3]
                return value

    def call(self, name):
        assert self.sign("("), name
        if name == "IF":  # only the branch that is taken is computed
            condition, *branches = self.arguments_unread()
            taken = branches[0] if _Parser._of(self, condition).whole() else branches[1]
            return _Parser._of(self, taken).whole()
        arguments = [self.comparison()]
        while self.sign(","):
            arguments.append(self.comparison())
        assert self.sign(")"), self.tokens[:3]
        return FUNCTIONS[name](*arguments)

    def arguments_unread(self):
        parts, depth = [[]], 1
        while True:
            token = self.next()
            depth += {("sign", "("): 1, ("sign", ")"): -1}.get(token, 0)
            if depth == 0:
                return parts
            if token == ("sign", ",") and depth == 1:
                parts.append([])
            else:
                parts[-1].append(token)

    @staticmethod
    def _of(parent, tokens):
        inner = object.__new__(_Parser)
        inner.book, inner.sheet, inner.tokens = parent.book, parent.sheet, [*tokens, ("end", "")]
        return inner

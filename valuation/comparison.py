"""Why a value changed: two reports of one asset, and what each cause contributed, in money that adds up to the difference.

The inputs fall into groups, one for each cause. Between the reports every hybrid is valued in which some groups are those of
the first report and the rest those of the second, and a cause's part is what its group changes, averaged over all orders in
which the groups could have changed (Shapley value of the game over the groups). So no order is favoured, the parts add up
exactly, and a group that moves nothing gets nothing.

Time comes first: documents of a later date cannot stand in an earlier valuation, so all hybrids are of the later date, with
its price index and its title. What that alone changes, the first cause, is measured on the earlier report's other inputs.
Groups that cannot change without each other (an approach and its weight, a cap and the contracts under it) are one cause.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import factorial, floor
from typing import Any, NamedTuple

from privacy import canonical
from privacy.errors import Mismatch, PrivacyError
from valuation import report
from valuation.errors import CurrencyMismatch
from valuation.money import Money

FORMAT = "touchstone-comparison/1"

TIME = "date, prices and title"

JUDGEMENT, INCOME, MARKET, TERMS = "judgement", "income", "market", "terms"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "costs": ("facts.costs", "facts.book_value"),
    INCOME: (
        "facts.income.method",
        "facts.income.lines",
        "facts.income.claim",
        "facts.income.tax",
        "facts.income.quality_assumed",
    ),
    "rates": ("facts.income.rate",),
    "life": ("facts.life", "facts.income.fade"),
    MARKET: ("facts.market",),
    "quality": ("asset", "evidence", "facts.grain", "method.weights"),
    JUDGEMENT: ("method.judgement", "method.mode", "method.name"),
    TERMS: ("terms", "facts.usage"),
}
"""Causes, and the inputs that belong to each."""

_TIMED = ("facts.on", "facts.horizon", "facts.legal", "facts.price_index", "method.on")
_WHOLE_INCOME = "facts.income"
_ABSENT = object()


class Cause(NamedTuple):
    """Groups that changed together, by name, and what they contributed to the cent."""

    groups: tuple[str, ...]
    part: Money


@dataclass(frozen=True, slots=True)
class Change:
    """A figure in both reports, rounded to the cent, and its causes, the largest first; they add up to the difference.

    What changed and moved nothing, to the cent, is no cause.
    """

    before: Money
    after: Money
    causes: tuple[Cause, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object; amounts in the comparison's currency."""
        return {
            "from": str(self.before.amount),
            "to": str(self.after.amount),
            "change": str((self.after - self.before).amount),
            "causes": [{"groups": list(cause.groups), "part": str(cause.part.amount)} for cause in self.causes],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from the report of digest ``first`` to that of ``second``; ``limit`` if both hold a quote."""

    first: str
    second: str
    currency: str
    value: Change
    limit: Change | None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "format": FORMAT,
            "first": self.first,
            "second": self.second,
            "currency": self.currency,
            "value": self.value.to_json(),
            "limit": None if self.limit is None else self.limit.to_json(),
        }


class _Pair(NamedTuple):
    value: Fraction
    limit: Fraction | None


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Explain the change from one report to another by cause; both are verified before.

    Raises:
        Malformed, Differs: if one is no report, or does not follow from its inputs.
        Mismatch: if they are of two assets or currencies, or the earlier inputs cannot be valued on the later date.
    """
    told = [report.verify(one) for one in (first, second)]
    a, b = first["inputs"], second["inputs"]
    if any(a["asset"][key] != b["asset"][key] for key in ("owner", "dataset")):
        raise Mismatch("the reports are of two different assets", fix="compare reports of one owner's dataset")
    currencies = [one["facts"]["currency"] for one in (a, b)]
    if currencies[0] != currencies[1]:
        raise CurrencyMismatch(*currencies)
    quoted = a["terms"] is not None and b["terms"] is not None
    ends = [_valued(one, quoted=quoted) for one in (a, b)]
    forward = a["facts"]["on"] <= b["facts"]["on"]
    timed = [_at(one, b if forward else a) for one in (a, b)]
    worth = _Hybrids(*timed, quoted=quoted)
    try:
        shifted = worth(frozenset() if forward else frozenset(worth.changed))
    except PrivacyError as error:
        raise Mismatch(
            f"the earlier inputs cannot be valued on the later date ({error.reason})",
            fix="compare with a report of the same date and price index",
        ) from error
    players = _separable(worth)

    def change(of: Callable[[_Pair], Fraction]) -> Change:
        parts = _shapley(players, lambda groups: of(worth(groups)))
        time = of(shifted) - of(ends[0]) if forward else of(ends[1]) - of(shifted)
        return _told(of(ends[0]), of(ends[1]), [((TIME,), time), *parts], currencies[0])

    return Comparison(
        first=told[0].digest,
        second=told[1].digest,
        currency=currencies[0],
        value=change(lambda pair: pair.value),
        limit=change(_limit) if quoted else None,
    )


def _limit(pair: _Pair) -> Fraction:
    return Fraction(0) if pair.limit is None else pair.limit


class _Hybrids:
    """The value and limit of every hybrid of two inputs of one date; each computed once."""

    def __init__(self, a: Mapping[str, Any], b: Mapping[str, Any], *, quoted: bool) -> None:
        self._a, self._b, self._quoted = a, b, quoted
        self._known: dict[frozenset[str], _Pair | PrivacyError] = {}
        there = ["income" in one["facts"] for one in (a, b)], ["market" in one["facts"] for one in (a, b)]
        # an approach that only one report has comes and goes with its weight
        self.coupled = {name for name, both in zip((INCOME, MARKET), there, strict=True) if both[0] != both[1]}
        self.paths = {name: list(paths) for name, paths in GROUPS.items() if quoted or name != TERMS}
        if INCOME in self.coupled:
            self.paths[INCOME], self.paths["rates"] = [_WHOLE_INCOME], []
            self.paths["life"].remove("facts.income.fade")
        self.changed = [
            name for name, paths in self.paths.items() if any(_look(a, path) != _look(b, path) for path in paths)
        ]

    def __call__(self, groups: frozenset[str]) -> _Pair:
        """Value the hybrid whose ``groups`` are those of the second report.

        Raises:
            PrivacyError: if there is no such valuation.
        """
        if groups not in self._known:
            self._known[groups] = self._work_out(groups)
        found = self._known[groups]
        if isinstance(found, PrivacyError):
            raise found
        return found

    def _work_out(self, groups: frozenset[str]) -> "_Pair | PrivacyError":
        hybrid = copy.deepcopy(dict(self._a))
        for name in groups:
            for path in self.paths[name]:
                _put(hybrid, path, _look(self._b, path))
        try:
            return _valued(hybrid, quoted=self._quoted)
        except PrivacyError as error:
            return error


def _separable(worth: _Hybrids) -> list[frozenset[str]]:
    """The changed groups as players; those whose hybrids nobody could value are joined to one until all can be."""
    players = [frozenset({name}) for name in worth.changed]
    if worth.coupled and JUDGEMENT in worth.changed:
        players = _joined(players, frozenset(worth.coupled | {JUDGEMENT}))
    while True:
        stuck = next((chosen for chosen in _coalitions(players) if not _stands(worth, chosen)), None)
        if stuck is None:
            return players
        rest = [one for one in players if not one <= stuck]
        partner = next((one for one in rest if _stands(worth, stuck | one)), frozenset().union(*rest))
        players = _joined(players, stuck | partner)


def _joined(players: Iterable[frozenset[str]], groups: frozenset[str]) -> list[frozenset[str]]:
    apart = [one for one in players if not one & groups]
    return [*apart, frozenset().union(*(one for one in players if one & groups))]


def _coalitions(players: list[frozenset[str]]) -> Iterable[frozenset[str]]:
    """The groups of every set of players, the smallest first."""
    for size in range(len(players) + 1):
        for chosen in combinations(players, size):
            yield frozenset().union(*chosen)


def _stands(worth: _Hybrids, groups: frozenset[str]) -> bool:
    try:
        worth(groups)
    except PrivacyError:
        return False
    return True


def _shapley(
    players: list[frozenset[str]], worth: Callable[[frozenset[str]], Fraction]
) -> list[tuple[tuple[str, ...], Fraction]]:
    """Each player's part: what it changes, averaged over all orders."""
    parts = []
    for player in players:
        others = [one for one in players if one != player]
        part = Fraction(0)
        for size in range(len(others) + 1):
            weight = Fraction(factorial(size) * factorial(len(others) - size), factorial(len(players)))
            for chosen in combinations(others, size):
                before = frozenset().union(*chosen)
                part += weight * (worth(before | player) - worth(before))
        parts.append((tuple(name for name in GROUPS if name in player), part))
    return parts


def _told(before: Fraction, after: Fraction, parts: list[tuple[tuple[str, ...], Fraction]], currency: str) -> Change:
    """Round to the cent so that the parts still add up: what flooring leaves goes where most was cut off."""
    ends = [Money.of(value, currency).rounded(2) for value in (before, after)]
    cents = [floor(part * 100) for _, part in parts]
    missing = int((ends[1] - ends[0]).fraction * 100) - sum(cents)
    by_cut = sorted(range(len(parts)), key=lambda place: cents[place] - parts[place][1] * 100)
    for step in range(abs(missing)):
        place = by_cut[step % len(parts)] if missing > 0 else by_cut[-1 - step % len(parts)]
        cents[place] += 1 if missing > 0 else -1
    causes = [
        Cause(names, Money.of(Fraction(cent, 100), currency))
        for (names, _), cent in zip(parts, cents, strict=True)
        if cent != 0
    ]
    causes.sort(key=lambda cause: (-abs(cause.part.fraction), cause.groups))
    return Change(ends[0], ends[1], tuple(causes))


def _valued(inputs: Mapping[str, Any], *, quoted: bool) -> _Pair:
    appraisal, quote, _ = report.read({**inputs, "terms": inputs["terms"] if quoted else None})
    return _Pair(appraisal.central.fraction, None if quote is None else quote.limit.fraction)


def _at(inputs: Mapping[str, Any], timed: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs on the date of ``timed``, measured on that date: how old a measurement is changes gates, never a value."""
    moved = canonical.decode(canonical.encode(inputs))
    for path in _TIMED:
        _put(moved, path, _look(timed, path))
    for item in moved["evidence"]["measured"]:
        item["on"] = timed["facts"]["on"]
    return dict(moved)


def _look(inputs: Mapping[str, Any], path: str) -> Any:
    value: Any = inputs
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return _ABSENT
        value = value[key]
    return value


def _put(inputs: dict[str, Any], path: str, value: Any) -> None:
    *walk, last = path.split(".")
    inner = inputs
    for key in walk:
        if not isinstance(inner.get(key), dict):
            return
        inner = inner[key]
    if value is _ABSENT:
        inner.pop(last, None)
    else:
        inner[last] = copy.deepcopy(value)

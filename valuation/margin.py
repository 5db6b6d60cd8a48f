"""How a pledge loan stands as values move: normal, warning, margin call, liquidation; what cures it, and by when.

One pure step: a standing and a reading of a day give the next standing and the notices that are due. A monitor keeps the
standing between readings; nothing here remembers or reads a clock.

LTV is the balance over the recognised value. A state is entered only where LTV exceeds its threshold by more than the
noise of the value can explain, ``threshold * (1 + k * error)``; in between, a notice asks for another measurement. It is
left for normal only below ``release``, and only with every covenant kept, so that no value moves a loan to and fro; while
a grave covenant is broken it is not left at all. A partial cure is taken and does not end a call.

Source: collateral practice of banks; dead band as in the desk's ``dp_false_margin_call``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Any

from privacy.errors import Mismatch
from valuation import exact
from valuation.covenant import RULES
from valuation.days import Calendar
from valuation.desk.pledge import state_of
from valuation.errors import OutOfRange
from valuation.intake import Record, within
from valuation.money import Money


class State(StrEnum):
    """How a loan stands, from the best to the worst; the desk's names."""

    NORMAL = "normal"
    WARNING = "warning"
    CALL = "margin_call"
    LIQUIDATION = "liquidation"

    @property
    def rank(self) -> int:
        """0 for normal to 3 for liquidation."""
        return list(State).index(self)


@dataclass(frozen=True, slots=True)
class Bands:
    """Thresholds of LTV, inclusive upward: 0 < initial <= release < warning < call < liquidation <= 1.

    ``initial`` is what a cure restores. ``sigmas`` >= 0 standard errors of the value make the dead band; ``cure_days``
    business days are left to answer a margin call.
    """

    initial: Decimal = Decimal("0.50")
    release: Decimal = Decimal("0.57")
    warning: Decimal = Decimal("0.60")
    call: Decimal = Decimal("0.65")
    liquidation: Decimal = Decimal("0.75")
    sigmas: Decimal = Decimal(2)
    cure_days: int = 10

    def state(self, ltv: Fraction) -> State:
        """The state that ``ltv`` alone would put a loan in."""
        thresholds = {"warning": self.warning, "call": self.call, "liquidation": self.liquidation}
        return State(state_of(ltv, **{name: Fraction(value) for name, value in thresholds.items()}))

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        thresholds = ("initial", "release", "warning", "call", "liquidation", "sigmas")
        return {name: exact.spell(getattr(self, name)) for name in thresholds} | {"cure_days": self.cure_days}

    @classmethod
    def from_json(cls, document: Any, path: str = "bands") -> "Bands":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "initial release warning call liquidation sigmas cure_days")
        initial = within(record.decimal("initial"), record.path("initial"), above=0, below=1)
        release = within(record.decimal("release"), record.path("release"), low=initial, below=1)
        warning = within(record.decimal("warning"), record.path("warning"), above=release, below=1)
        call = within(record.decimal("call"), record.path("call"), above=warning, below=1)
        liquidation = within(record.decimal("liquidation"), record.path("liquidation"), above=call, high=1)
        sigmas = within(record.decimal("sigmas"), record.path("sigmas"), low=0, high=6)
        days = record.integer("cure_days", low=1, high=250)
        return cls(initial, release, warning, call, liquidation, sigmas, days)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a loan stands since the day ``since``; in a margin call, ``due`` is the last day to cure."""

    state: State
    since: date
    due: date | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known on the day ``on``: balance owed, recognised value, its relative standard error, covenants not kept."""

    on: date
    balance: Money
    value: Money
    error: Decimal = Decimal(0)
    breached: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # two currencies in one ratio are refused here, before any state is derived from them
        _ = self.balance + self.value
        within(self.balance.amount, "reading.balance", low=0)
        within(self.value.amount, "reading.value", low=0)
        within(self.error, "reading.error", low=0, below=1)
        if not set(self.breached) <= set(RULES):
            raise OutOfRange("reading.breached", "{" + ", ".join(RULES) + "}")

    @property
    def ltv(self) -> Fraction | None:
        """Balance over value; ``None`` where something is owed on nothing."""
        if self.value.amount.is_zero():
            return Fraction(0) if self.balance.amount.is_zero() else None
        return self.balance / self.value


@dataclass(frozen=True, slots=True)
class Cure:
    """What restores the initial LTV: a repayment, or further recognised value; both rounded up to the cent."""

    cash: Money
    collateral: Money


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told to both parties and to every registered holder on the day ``on``.

    ``kind``: the state that was entered, ``cured``, ``unclear`` (measure again) or ``overdue``.
    """

    kind: str
    on: date
    text: str
    cure: Cure | None = None
    due: date | None = None


def opened(on: date) -> Standing:
    """The standing of a loan on the day of its drawdown."""
    return Standing(State.NORMAL, on)


def cure(reading: Reading, bands: Bands) -> Cure:
    """What would bring the loan back to its initial LTV; 0 where it is there."""
    owed, value, initial = reading.balance.fraction, reading.value.fraction, Fraction(bands.initial)
    currency = reading.balance.currency
    return Cure(_upward(owed - initial * value, currency), _upward(owed / initial - value, currency))


def step(standing: Standing, reading: Reading, bands: Bands, calendar: Calendar) -> tuple[Standing, tuple[Notice, ...]]:
    """Take a reading: the next standing, and the notices that fall due on its day; the same reading again gives none.

    Raises:
        Mismatch: if the reading is older than the standing.
    """
    if reading.on < standing.since:
        raise Mismatch("the reading is older than the standing", fix="take readings in the order of their days")
    ltv = reading.ltv
    demanded = _demanded(reading.breached)
    shown, certain = State.LIQUIDATION, State.LIQUIDATION
    if ltv is not None:
        shown = bands.state(ltv)
        certain = bands.state(ltv / (1 + Fraction(bands.sigmas) * Fraction(reading.error)))
    wanted = max(certain, demanded, key=lambda state: state.rank)
    # a grave breach heals by being mended alone: a call that it keeps open must not restart its own deadline
    healed = ltv is not None and ltv < Fraction(bands.release) and demanded is not State.CALL
    state = demanded if healed else max(standing.state, wanted, key=lambda each: each.rank)
    overdue = state is State.CALL and standing.due is not None and reading.on > standing.due
    if overdue:
        state = State.LIQUIDATION
    notices = []
    if state is not standing.state:
        standing, notice = _moved(standing, state, reading, bands, calendar, overdue=overdue)
        notices.append(notice)
    elif shown.rank > state.rank:
        text = f"LTV is at the threshold of {shown.value}, within the noise of the value: measure again"
        notices.append(Notice("unclear", reading.on, text))
    return standing, tuple(notices)


def _moved(
    standing: Standing, state: State, reading: Reading, bands: Bands, calendar: Calendar, *, overdue: bool
) -> tuple[Standing, Notice]:
    due = calendar.after(reading.on, bands.cure_days) if state is State.CALL else None
    moved = Standing(state, reading.on, due)
    if state.rank < standing.state.rank:
        text = f"from {standing.state.value} to {state.value}: LTV is below {exact.percent(bands.release)}"
        return moved, Notice("cured" if state is State.NORMAL else state.value, reading.on, text, None, due)
    reasons = [f"covenants not kept: {', '.join(reading.breached)}"] if reading.breached else []
    if overdue:
        reasons = ["the margin call was not cured in time", *reasons]
    ltv = reading.ltv
    told = "nothing secures the balance" if ltv is None else f"LTV is {exact.percent(ltv)}"
    text = f"from {standing.state.value} to {state.value}: {'; '.join([told, *reasons])}"
    return moved, Notice("overdue" if overdue else state.value, reading.on, text, cure(reading, bands), due)


def _demanded(breached: Iterable[str]) -> State:
    """The least state that covenants which are not kept put a loan in."""
    states = (State.CALL if RULES[name].grave else State.WARNING for name in breached)
    return max(states, key=lambda state: state.rank, default=State.NORMAL)


def _upward(value: Fraction, currency: str) -> Money:
    # what must be paid is rounded up: a cure rounded down would leave the LTV above its target
    cents = max(ceil(value * 100), 0)
    return Money(Decimal(cents).scaleb(-2), currency)

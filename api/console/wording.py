"""What the console says, in English and Chinese: messages by gettext catalogs, numbers and dates as each language writes them.

The English text of a message is its key. Catalogs (``locales/zh/*.po``) lie side by side, one for each group of pages, and a
test finds every message that no catalog translates.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
"""What the console speaks, each named in itself."""

_LOCALES = {"en": "en_GB", "zh": "zh_Hans_CN"}
TAGS: Mapping[str, str] = {"en": "en", "zh": "zh-CN"}
"""By language, the tag of HTML and HTTP (RFC 5646)."""


def msg(text: str) -> str:
    """Mark a text as a message to be translated where it is shown."""
    return text


@cache
def catalog(language: str) -> Mapping[str, str]:
    """Return every message of a language by its English text; empty for English itself."""
    from babel.messages.pofile import read_po  # noqa: PLC0415  only who opens the console needs it

    found: dict[str, str] = {}
    room = files("api.console") / "locales" / language
    if room.is_dir():
        for file in sorted(room.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".po"):
                with file.open("rb") as lines:
                    found |= {str(one.id): str(one.string) for one in read_po(lines) if one.id and one.string}
    return found


@dataclass(frozen=True, slots=True)
class Words:
    """One language: ``en`` or ``zh``."""

    language: str

    @property
    def tag(self) -> str:
        """The tag of the language in HTML and HTTP."""
        return TAGS[self.language]

    def say(self, text: str, **values: object) -> str:
        """Return a message in this language with ``{named}`` values filled in; one without a translation stays English."""
        told = catalog(self.language).get(text, text)
        return told.format(**values) if values else told

    @property
    def comma(self) -> str:
        """What stands between the parts of a list."""
        return "、" if self.language == "zh" else ", "

    def listed(self, told: Iterable[object]) -> str:
        """Write a list in a line."""
        return self.comma.join(map(str, told))

    def number(self, value: Any, places: int | None = None) -> str:
        """Write a number with separators, with ``places`` decimals, or with those that it has (six at most)."""
        from babel.numbers import format_decimal  # noqa: PLC0415

        pattern = "#,##0.######" if places is None else f"#,##0.{'0' * places}" if places else "#,##0"
        return format_decimal(_exact(value), format=pattern, locale=_LOCALES[self.language])

    def share(self, value: Any, places: int = 1) -> str:
        """Write a share of 1 in per cent."""
        from babel.numbers import format_percent  # noqa: PLC0415

        pattern = f"#,##0.{'0' * places}%" if places else "#,##0%"
        return format_percent(_exact(value), format=pattern, locale=_LOCALES[self.language])

    def money(self, value: Any, currency: str = "CNY", places: int = 2) -> str:
        """Write an amount whole, with its currency's sign."""
        amount = _exact(value)
        return f"{'-' if amount < 0 else ''}{_sign(currency)}{self.number(abs(amount), places)}"

    def brief(self, value: Any, currency: str = "CNY") -> str:
        """Write an amount in millions or in 万 and 亿, to three significant digits: for headings, never for a contract."""
        amount = _exact(value)
        scales = (
            [(Decimal(10) ** 8, "亿"), (Decimal(10) ** 4, "万")]
            if self.language == "zh"
            else [(Decimal(10) ** 9, " bn"), (Decimal(10) ** 6, " m"), (Decimal(10) ** 3, " k")]
        )
        for scale, unit in scales:
            if abs(amount) >= scale:
                short = self.number(abs(Decimal(f"{amount / scale:.3g}")))
                return f"{'-' if amount < 0 else ''}{_sign(currency)}{short}{unit}"
        return self.money(amount, currency)

    def day(self, value: str | date) -> str:
        """Write a day (``2026-12-31`` or a date) as the language does."""
        from babel.dates import format_date  # noqa: PLC0415

        told = date.fromisoformat(value) if isinstance(value, str) else value
        return format_date(told, format="long", locale=_LOCALES[self.language])

    def cents(self, value: int, currency: str = "CNY") -> str:
        """Write an amount that is kept in hundredths."""
        return self.money(Decimal(value).scaleb(-2), currency)

    def instant(self, value: str) -> str:
        """Write a moment as records carry it (ISO 8601, UTC), to the minute."""
        at = datetime.fromisoformat(value)
        return f"{self.day(at.date())} {at:%H:%M}\N{NO-BREAK SPACE}UTC"

    def moment(self, value: float) -> str:
        """Write a moment (seconds since 1970, or microseconds, as journals keep them) in UTC, to the second."""
        at = datetime.fromtimestamp(value / 1_000_000 if value > 10**12 else value, tz=UTC)
        return f"{self.day(at.date())} {at:%H:%M:%S}\N{NO-BREAK SPACE}UTC"


def preferred(asked: str | None, remembered: str | None, accepted: str) -> str:
    """Choose a language: asked for in the address, else remembered, else the first known one that the browser accepts."""
    for wished in (asked, remembered):
        if wished is not None and wished in LANGUAGES:
            return wished
    for part in accepted.split(","):
        tag = part.partition(";")[0].strip().partition("-")[0].lower()
        if tag in LANGUAGES:
            return tag
    return "en"


def _sign(currency: str) -> str:
    return {"CNY": "¥"}.get(currency, f"{currency} ")


def _exact(value: Any) -> Decimal:
    if isinstance(value, Fraction):
        return Decimal(value.numerator) / Decimal(value.denominator)
    return value if isinstance(value, Decimal) else Decimal(str(value))

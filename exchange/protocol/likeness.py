"""How alike two sets of rows are, told from the sketches of both alone.

A sketch holds the smallest keyed hashes of a set, so all its hashes up to its last one. Up to the smaller last one of two
sketches, both sets are known in full: what they share there is a fair sample of what they share (bottom-k sketches, Cohen
and Kaplan 2007; Broder 1997). A sketch that is not full holds its whole set.

What a likeness means for a lien is decided here as well, so that the exchange and whoever audits its log decide alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

from exchange.protocol.collateral import SKETCH

BLOCK = Fraction(8, 10)
"""From this share on, rows are those of the other asset: no lien beside a live one."""

REVIEW = Fraction(3, 10)
"""From this share on, as high as it may be within its error, a reviewer rules."""

Z = 2
"""Standard errors on each side of an estimate."""

_SCALE = 10**6


@dataclass(frozen=True, slots=True)
class Share:
    """``matched`` of ``seen`` sampled rows; ``whole`` says that the sample is all there is."""

    matched: int
    seen: int
    whole: bool = False

    @property
    def value(self) -> Fraction:
        """The estimate; of nothing seen, nothing."""
        return Fraction(self.matched, self.seen) if self.seen else Fraction(0)

    @property
    def low(self) -> Fraction:
        """The lower end of the interval, rounded down to a millionth."""
        return self.value if self.whole else self._end(-1)

    @property
    def high(self) -> Fraction:
        """The upper end of the interval, rounded up to a millionth; 1 where nothing was seen."""
        return self.value if self.whole else self._end(1)

    def _end(self, side: int) -> Fraction:
        """Wilson's score interval: it stays within 0 and 1, and is no point where nothing or all of a sample matched."""
        square, total = Z * Z, self.seen
        if total == 0:
            return Fraction(side > 0)
        # z sqrt(p(1-p)/n + z^2/4n^2), with p = m/n, over the common denominator 2n
        inner = 4 * square * self.matched * (total - self.matched) * _SCALE**2 // total + square * square * _SCALE**2
        root = Fraction(isqrt(inner) + 1, _SCALE)  # too wide by a millionth rather than too narrow
        end = (2 * self.matched + square + side * root) / (2 * (total + square))
        scaled = end * _SCALE
        rounded = scaled.__floor__() if side < 0 else scaled.__ceil__()
        return min(Fraction(1), max(Fraction(0), Fraction(rounded, _SCALE)))

    def to_json(self) -> dict[str, str | int]:
        """Return estimate and interval with four digits, the interval rounded outwards."""
        return {
            "share": _digits(round(self.value * 10_000)),
            "low": _digits((self.low * 10_000).__floor__()),
            "high": _digits((self.high * 10_000).__ceil__()),
            "of": self.seen,
        }


@dataclass(frozen=True, slots=True)
class Likeness:
    """The rows that two sets share: of all rows of both (Jaccard), of the first one's, of the second one's."""

    jaccard: Share
    of_first: Share
    of_second: Share

    @property
    def shares(self) -> tuple[Share, Share, Share]:
        """All three: a part of a set is like the whole by its own share only."""
        return self.jaccard, self.of_first, self.of_second

    def to_json(self) -> dict[str, dict[str, str | int]]:
        """Return the shares as a JSON object."""
        return {
            "jaccard": self.jaccard.to_json(),
            "of_this": self.of_first.to_json(),
            "of_other": self.of_second.to_json(),
        }


def compare(first: Sequence[str], second: Sequence[str]) -> Likeness:
    """Compare two sketches: rising hashes in hexadecimal digits, all of one length."""
    ends = [sketch[-1] for sketch in (first, second) if len(sketch) == SKETCH]
    whole = not ends
    ours, theirs = ({value for value in sketch if whole or value <= min(ends)} for sketch in (first, second))
    common = len(ours & theirs)
    return Likeness(
        jaccard=Share(common, len(ours | theirs), whole),
        of_first=Share(common, len(ours), whole),
        of_second=Share(common, len(theirs), whole),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """An asset's rows as a fingerprint on record shows them; ``pledged`` says that a lien on the asset is live."""

    asset: str
    fingerprint: str
    sketch: Sequence[str]
    seq: int
    pledged: bool


def search(
    own: Shown, others: Iterable[Shown], *, first: int | None, rulings: Mapping[str, str]
) -> tuple[str, list[dict[str, Any]]]:
    """Return the outcome of comparing an asset's rows with others (``clear``, ``review`` or ``blocked``), and each finding.

    ``first`` is the entry of the fingerprint under which the asset itself is pledged; ``rulings`` are reviewers' last ones
    (``clear`` or ``same``), by the other fingerprint.
    """
    found = []
    for other in others:
        if not other.pledged and _owner(other.asset) == _owner(own.asset):
            continue  # what an owner holds twice is pledged once all the same
        if not other.pledged and first is not None and first < other.seq:
            continue  # who shows the rows after they were pledged does not hinder a second rank
        likeness = compare(own.sketch, other.sketch)
        outcome = _outcome(likeness, pledged=other.pledged)
        if outcome == "review":  # no ruling lifts a block
            outcome = rulings.get(other.fingerprint, outcome)
        if outcome != "clear":
            finding = {
                "asset": other.asset,
                "fingerprint": other.fingerprint,
                "outcome": outcome,
                "pledged": other.pledged,
            }
            found.append(finding | {"likeness": likeness.to_json()})
    outcomes = {finding["outcome"] for finding in found}
    return "blocked" if outcomes & {"blocked", "same"} else "review" if outcomes else "clear", found


def _outcome(likeness: Likeness, *, pledged: bool) -> str:
    """What a likeness means: rows that nobody has pledged are a question of title, which a reviewer answers."""
    if pledged and any(share.seen and share.value >= BLOCK for share in likeness.shares):
        return "blocked"
    return "review" if any(share.high >= REVIEW for share in likeness.shares) else "clear"


def _owner(asset: str) -> str:
    return asset.partition("/")[0]


def _digits(scaled: int) -> str:
    return f"{scaled // 10_000}.{scaled % 10_000:04d}"

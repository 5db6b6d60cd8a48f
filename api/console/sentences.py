"""Sentences that records carry in English, told in the reader's language where they are made like one of those known here.

The rooms that make them know of no language. A sentence that is made otherwise stays as it came, so nothing is lost.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

from api.console.wording import Words, msg

CUSTODY = (
    msg("the dataset was withdrawn"),
    msg("the node could not read the rows on {day}"),
    msg("on {day} the node found other rows than it had declared"),
    msg("the version of {day} keeps fewer of the pledged rows than nine in ten"),
    msg("the node has said nothing since {moment}"),
    msg("the version of {day} has no fingerprint yet"),
    msg("the rows should have been loaded anew by {day}"),
    msg("the rows of {day} are there, by the node's word of {moment}"),
)
"""Why pledged rows are held to be there, late or gone."""

CHANGES = (
    msg("access at all: {atoms}"),
    msg("{n} rho for everybody together instead of {old_n}"),
    msg("{n} rho for each asker instead of {old_n}"),
    msg("a pledge to other lenders, of a larger loan or for longer"),
    msg("to {names} after a step-in, whatever is granted for it, from up to {n} rho kept back"),
    msg("after a step-in: {sentence}"),
    msg("answers joined by {n} institution instead of {old_n}"),
    msg("answers joined by {n} institutions instead of {old_n}"),
    msg("groups from {n} rows on instead of {old_n}"),
    msg("{n} rho a question instead of {old_n}"),
    msg("{n} rho for the purpose instead of {old_n}"),
    msg("shared noise that withstands {n}"),
    msg("{n} cells an answer instead of {old_n}"),
    msg("any number of cells an answer instead of {old_n}"),
    msg("kept for {n} days instead of {old_n}"),
    msg("days beyond {day} to {last_day}"),
    msg("without, or with a weaker, approval of the owner's officers"),
    msg("{column} by {word} instead of {old_word}"),
    msg("counts told to ± {n} instead of ± {old_n}"),
    msg("sums of {column} told to ± {n} instead of ± {old_n}"),
    msg("{column} named as {names}"),
    msg("sums of {column} within wider bounds"),
    msg("rows beyond those that were open"),
)
"""What a change of a policy opens or closes."""

FIGURES = (
    msg("rows as count"),
    msg("{column} as {use}"),
    msg("{amount} ({low_amount} to {high_amount})"),
    msg("fewer than {n}"),
    msg("{n} group without figures: {sentence}"),
    msg("{n} groups without figures: {sentence}"),
    msg("{n} group of rows without a label: {sentence}"),
    msg("{n} groups of rows without a label: {sentence}"),
    msg("little spread beside the noise: the error is larger than shown"),
    msg("few rows beside the noise: the error is larger than shown"),
    msg("the noise is larger than the spread: shown as 0"),
    msg("noise carried it beyond its limit: shown there"),
    msg("each party alone"),
    msg("all parties together, withstanding {n}"),
)
"""What a question uses, and what is said of the figures of its answer."""

_SHAPES: Mapping[str, str] = {
    "day": r"\d{4}-\d\d-\d\d",
    "moment": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    "n": r"[\d.]+(?:e[+-]?\d+)?",
    "amount": r"-?[\d,.]+",
    "use": r"[a-z]+",
    "column": r"\w+",
    "word": r"\w+",
}
"""What stands for a value, by the last word of its name; whatever it may be where it is not listed."""


_USES: Mapping[str, str] = {"product": msg("multiplied")}
"""Uses that pages call by another word."""


@cache
def _known() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((text, re.compile(_shape(text))) for text in (*CUSTODY, *CHANGES, *FIGURES))


def _shape(text: str) -> str:
    parts = re.split(r"\{(\w+)\}", text)
    return "".join(
        f"(?P<{part}>{_SHAPES.get(_kind(part), '.+')})" if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    )


def _kind(name: str) -> str:
    return name.rpartition("_")[2]


def retold(words: Words, text: str) -> str:
    """Return a sentence of a record in this language, with its days and moments as the language writes them."""
    for sentence, pattern in _known():
        if found := pattern.fullmatch(text):
            return words.say(sentence, **{name: _value(words, name, told) for name, told in found.groupdict().items()})
    return text


def _value(words: Words, name: str, told: str) -> str:
    ways: Mapping[str, Callable[[str], str]] = {
        "day": words.day,
        "moment": words.instant,
        "word": words.say,
        "use": lambda use: words.say(_USES.get(use, use)),
        "atoms": lambda listed: words.listed(retold(words, one) for one in listed.split(", ")),
        "names": lambda listed: words.listed(listed.split(", ")),
        "sentence": lambda inner: retold(words, inner),
    }
    return ways.get(_kind(name), str)(told)

"""Re-performance of a document by somebody else, offline: parsed, computed anew from its own inputs, compared part by part.

Every kind of document (an appraisal's report, a split of a pool, an arrangement) is verified here, so that they are held to
the same rule and name what differs in the same words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from privacy import canonical
from privacy.errors import Malformed, Mismatch, Refused
from valuation.errors import Differs, OutOfRange
from valuation.intake import Record

CODE = "touchstone-data 0.1.0"
"""Name and version of the code whose figures a document holds; another version may compute other figures."""

NOTICE: Mapping[str, str] = {
    "en": "Valuation calculation, not an appraisal report signed by a licensed firm",
    "zh": "估值计算，不是由持牌机构签署的资产评估报告",
}
"""Stands on every page made of a document."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A document that follows from its inputs: its digest, the hash of what it rests on, the number of figures."""

    digest: str
    basis: str
    figures: int


def reperform(
    document: bytes | Mapping[str, Any],
    *,
    what: str,
    form: str,
    parts: str,
    perform: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    listed: tuple[str, ...] = ("figures",),
) -> Verified:
    """Verify a document of the format ``form`` that has exactly ``parts`` (names with spaces between); ``perform`` makes it anew.

    ``listed`` are parts whose entries have keys. They are compared first, reasons before conclusions, so that the first
    figure that was changed is the one named; ``what`` is the document's name in errors.

    Raises:
        Malformed: if it is not a canonical document of this kind, or an input is not what its contract demands.
        Differs: naming the first figure or part that does not follow.
    """
    told = canonical.decode(document if isinstance(document, bytes) else canonical.encode(document))
    record = Record(told, what, parts)
    if told["format"] != form:
        raise OutOfRange(f"{what}.format", "{" + form + "}")
    if told["code"] != CODE:
        raise Malformed(
            f"the {what} was made by another version of the code", fix="verify it with the version it names"
        )
    try:
        expected = perform(told)
    except (Mismatch, Refused) as error:
        # inputs from which no such document could have been made: somebody changed them afterwards
        raise Differs(f"inputs ({error.reason})") from error
    for part in listed:
        shown = [item for _, item in record.items(part)]
        for one, derived in zip(shown, expected[part], strict=False):
            if one != derived:
                raise Differs(str(derived["key"]))
        if len(shown) != len(expected[part]):
            raise Differs(f"the number of {part}")
    for part in parts.split():
        if told[part] != expected[part]:
            raise Differs(part)
    return Verified(digest=told["digest"], basis=told["basis"], figures=len(told["figures"]))

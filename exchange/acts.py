"""What the owner of a home does there by a command: each act is a value, so that a process that runs can be told of it."""

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from exchange.protocol.errors import Unknown
from privacy.errors import Malformed

DOOR = "operator.sock"
"""The socket in a home by which the process that runs there hears its owner."""


class Act(BaseModel, ABC):
    """One thing to do; its fields are exact."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    kind: ClassVar[str]


A = TypeVar("A", bound=Act)


def read(acts: Mapping[str, type[A]], kind: Any, told: Any) -> A:
    """Read an act from plain values.

    Raises:
        Unknown: if there is no such act. Malformed: if its fields are others.
    """
    found = acts.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise Unknown("act")
    try:
        return found.model_validate(told)
    except ValidationError:
        raise Malformed(
            f"what is told for {kind} is not what it takes", fix="use the release that runs there"
        ) from None

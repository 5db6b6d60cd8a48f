"""The standards that ship with this release, one JSON file each; an exchange publishes them when it is made."""

import json
from importlib.resources import files

from exchange.protocol.errors import Unknown
from privacy.terms import Standard


def shipped(name: str) -> Standard:
    """Return a standard by ``name/version``.

    Raises:
        Unknown: if this release ships none of that name.
    """
    for standard in every():
        if standard.id == name:
            return standard
    raise Unknown("standard in this release")


def every() -> list[Standard]:
    """Return all shipped standards."""
    found = sorted(entry.name for entry in files(__name__).iterdir() if entry.name.endswith(".json"))
    return [Standard.from_json(json.loads((files(__name__) / name).read_text("utf-8"))) for name in found]

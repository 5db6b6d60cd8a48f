"""Work that is not yet in force, on the node's own disk: drafts of datasets and policies, each a file that only the node's user reads."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exchange import identity
from exchange.protocol.errors import Unknown
from privacy.errors import Malformed

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
KINDS = ("dataset", "policy")


class Drafts:
    """The drafts under one directory; nothing reads them but the pages that they were made on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self, kind: str) -> list[str]:
        """Return the drafts of a kind, by name."""
        found = (path.stem for path in sorted((self._directory / kind).glob("*.json")))
        return [name for name in found if _NAME.fullmatch(name)]

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a draft, if there is one that can be read."""
        if not _NAME.fullmatch(name):
            return None
        try:
            document = json.loads(self._path(kind, name).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return a draft.

        Raises:
            Unknown: if there is none of that name.
        """
        found = self.find(kind, name)
        if found is None:
            raise Unknown("draft")
        return found

    def keep(self, kind: str, name: str, document: Mapping[str, Any]) -> None:
        """Keep a draft in place of the one before."""
        path = self._path(kind, name)
        for directory in (self._directory, path.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
        identity.write_secret(path, json.dumps(document, ensure_ascii=False))

    def drop(self, kind: str, name: str) -> None:
        """Throw a draft away."""
        self._path(kind, name).unlink(missing_ok=True)

    def _path(self, kind: str, name: str) -> Path:
        if kind not in KINDS or not _NAME.fullmatch(name):
            raise Malformed("the draft has no valid name", fix="use a-z, 0-9 and _, starting with a letter, 63 at most")
        return self._directory / kind / f"{name}.json"

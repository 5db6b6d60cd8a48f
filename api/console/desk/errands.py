"""What is done in the background, so that no page waits for it longer than a moment.

An errand lives in this process alone. What it does is on record elsewhere: a question is found again among the desk's jobs, an
officer's ruling in the record of its request.
"""

import secrets
import threading
from collections.abc import Callable

from exchange.analyst.desk import Progress
from privacy.errors import PrivacyError

_MOST = 200
"""Errands remembered; the oldest are forgotten first."""


class Errand:
    """One piece of work in a thread of its own: ``stage`` and ``waiting`` are what it told last."""

    def __init__(self, work: Callable[[Progress], str]) -> None:
        self.stage = ""
        self.waiting: tuple[str, ...] = ()
        self._made: str | None = None
        self._error: PrivacyError | None = None
        self._over = threading.Event()
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def is_over(self, *, within: float = 0) -> bool:
        """Tell whether it is over, or comes to its end in so many seconds."""
        return self._over.wait(within)

    def outcome(self) -> str:
        """Return what the work came to.

        Raises:
            PrivacyError: what it failed with.
        """
        if self._error is not None:
            raise self._error
        if self._made is None:
            raise PrivacyError(
                "an unexpected failure", fix="look at the lists of questions and requests, then try again"
            )
        return self._made

    def _run(self, work: Callable[[Progress], str]) -> None:
        try:
            self._made = work(self._tell)
        except PrivacyError as error:
            self._error = error
        finally:
            self._over.set()

    def _tell(self, stage: str, waiting: tuple[str, ...]) -> None:
        self.stage, self.waiting = stage, waiting


class Errands:
    """The errands of one console by name; no name is that of a session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Errand] = {}

    def start(self, work: Callable[[Progress], str]) -> tuple[str, Errand]:
        """Start a piece of work; return its name and itself."""
        name, errand = f"new-{secrets.token_hex(8)}", Errand(work)
        with self._lock:
            self._held[name] = errand
            for old in list(self._held)[:-_MOST]:
                del self._held[old]
        return name, errand

    def find(self, name: str) -> Errand | None:
        """Return an errand by its name, if it is remembered."""
        with self._lock:
            return self._held.get(name)

"""What the demonstration says while it runs, what of it held, and the wish of somebody that it end."""

import signal
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from rich.console import Console


class Ending:
    """Whether somebody wants the story to end. An engine that is at work may swallow what the handler raises: so it is kept."""

    def __init__(self) -> None:
        self.code = 0
        """The exit code that the signal asks for; 0 while none has come."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    def check(self) -> None:
        """Go on, unless a signal has come."""
        if self.code:
            raise KeyboardInterrupt

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self.code = 128 + number
        raise KeyboardInterrupt


@dataclass
class Telling:
    """What was told so far: for the terminal, for the page, and, when checking, what held and what did not."""

    console: Console
    check: bool
    ending: Ending = field(default_factory=Ending)
    started: float = field(default_factory=time.monotonic)
    failures: list[str] = field(default_factory=list)
    checked: int = 0
    page: dict[str, Any] = field(default_factory=dict)

    def step(self, title: str) -> None:
        """Begin a step."""
        self.ending.check()
        self.console.print(f"\n[bold]{title}[/bold]  [dim]{time.monotonic() - self.started:.1f} s[/dim]")

    def say(self, text: str) -> None:
        """Tell one line."""
        self.ending.check()
        self.console.print(f"  {text}", highlight=False)

    def expect(self, claim: str, *, holds: bool) -> None:
        """Verify one claim when checking; a claim that does not hold is told and counted."""
        if not self.check:
            return
        self.checked += 1
        if not holds:
            self.failures.append(claim)
        self.console.print(f"  {'[green]ok[/green]' if holds else '[red]FAILED[/red]'}  {claim}", highlight=False)

"""A real browser over real consoles: Debian's Chromium through Playwright, and every page that a visitor can reach.

``python -m tests.browsing FOLDER`` writes a picture of every page, in both languages, into a folder.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.consoles import running, told_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ADDRESS = re.compile(r'href="(/[^"#]*)"')
LEFT_OUT = re.compile(r"^/(enter|leave|static|v1|docs|openapi\.json)|\.json(\?|$)|/as/|[?&](lang|cursor)=")
"""What is no page, or the same page once more."""

VISITORS = ("lender-x", "x-credit")


def chromium() -> str | None:
    """Return the browser of this machine, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def browser() -> Iterator["Browser"]:
    """Give a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        made = engine.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        try:
            yield made
        finally:
            made.close()


def pattern(address: str) -> str:
    """Return what kind of page an address leads to: names and ids in it stand for any."""
    path = address.partition("?")[0]
    return re.sub(r"/(bank|lender|[xy])-[\w-]+/\w+|/[0-9a-f]{16,}|/TS-[\w-]+|/\d+(?=/|$)", "/*", path)


def reachable(read: Callable[[str], str], *, each: int = 1) -> list[str]:
    """Return the addresses of pages that follow from the first one by links; ``each`` of every kind at most.

    ``read`` returns the HTML of an address.
    """
    reached: list[str] = []
    waiting: list[str] = ["/"]
    kinds: dict[str, set[str]] = {}
    while waiting:
        address = waiting.pop(0)
        reached.append(address)
        for link in (found.replace("&amp;", "&") for found in ADDRESS.findall(read(address))):
            kind = pattern(link)
            if not LEFT_OUT.search(link) and link not in kinds.get(kind, set()) and len(kinds.get(kind, ())) < each:
                kinds.setdefault(kind, set()).add(link)
                if link != "/":
                    waiting.append(link)
    return reached


def main(folder: Path) -> None:
    """Write a picture of every page of every console into a folder, in both languages."""
    with tempfile.TemporaryDirectory() as directory, browser() as made:
        home = Path(directory) / "town"
        told_in(home)
        with running(home) as street:
            links = {party: street.console(party) for party in VISITORS}
            links |= {"exchange": street.at_exchange("lender-x")}
            for who, link in links.items():
                with made.new_context(viewport={"width": 1280, "height": 900}) as context:
                    page = context.new_page()
                    page.goto(link)
                    base = link.partition("/enter/")[0]

                    def read(address: str, page=page, base=base) -> str:
                        return page.goto(base + address).text()

                    for address in reachable(read):
                        for language in ("en", "zh"):
                            page.goto(f"{base}{address}{'&' if '?' in address else '?'}lang={language}")
                            name = re.sub(r"[^\w.-]+", "-", address).strip("-")[:80] or "home"
                            (folder / who).mkdir(parents=True, exist_ok=True)
                            path = folder / who / f"{name}.{language}.png"
                            page.screenshot(path=path, full_page=True)
                            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

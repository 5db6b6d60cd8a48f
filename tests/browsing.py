"""A real browser over real consoles: Debian's Chromium through Playwright, and every page that a visitor can reach.

``python -m tests.browsing FOLDER`` writes a picture of every page, in both languages and colour schemes, into a folder.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.consoles import BANKS, Street, running, told_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ADDRESS = re.compile(r'href="(/[^"#]*)"')
LEFT_OUT = re.compile(r"^/(enter|leave|static|v1|docs|openapi\.json)|\.json(\?|$)|/as/|[?&](lang|cursor)=")
"""What is no page, or the same page once more."""

NODE, *OTHER_NODES = BANKS
"""The bank whose data office is visited at its node; that node runs with its console, so nothing else may have started it."""
SHARED = re.compile(r"^/(help|problems)/")
"""What says the same to everybody: the first visitor reads it for all."""

VISITORS = ("lender-x", "x-credit", "authority", NODE)
"""Who comes: a lender, its credit officer and the supervisor, each at a desk; the bank at its node."""

ASKED = {
    "sql": "SELECT region, AVG(balance), COUNT(*) FROM consumer_credit WHERE product = 'card' GROUP BY region",
    "purpose": "credit-risk-statistics",
}
EXAMPLES = (
    ("/value", "air-quality"),
    ("/quote", "pledge-loan"),
    ("/contribution", "split"),
    ("/structures", "abs"),
    ("/structures", "trust"),
    ("/structures", "guarantee"),
)
"""Worked examples by the page that offers them."""


def links(street: Street) -> dict[str, str]:
    """Start the console of every visitor and return the link that opens each, by name; "exchange" is its own console."""
    made = {who: street.node(who) if who == NODE else street.console(who) for who in VISITORS}
    return made | {"exchange": street.at_exchange("lender-x")}


def opened(who: str, page: "Page", base: str, home: Path) -> list[str]:
    """Bring into being, through the forms of a visitor's pages, what no link leads to yet; return the addresses that follow."""
    match who:
        case "lender-x":
            return [_example(page, base, address, name) for address, name in EXAMPLES] + [f"/ask?{urlencode(ASKED)}"]
        case "authority":
            page.goto(f"{base}/log/verify")
            page.fill("input[name=path]", str(home / "log.bundle"))
            page.click("main form button")
            return [_at(page, base), f"/supervision?{urlencode({'reports': str(home)})}"]
        case "bank-a":
            tried = f"/policies/accounts?{urlencode(ASKED | {'who': 'lender-x:lender'})}"
            return [*_registering(page, base, home / "bank-b" / "source" / "accounts.csv"), tried, _changed(page, base)]
        case _:
            return []


def _at(page: "Page", base: str) -> str:
    return page.url.removeprefix(base)


def _example(page: "Page", base: str, address: str, name: str) -> str:
    page.goto(base + address)
    page.click(f"button[name=example][value={name}]")
    return _at(page, base)


def _registering(page: "Page", base: str, source: Path) -> list[str]:
    """Draft a dataset up to the step that would publish it; return the steps' addresses."""
    page.goto(f"{base}/register")
    page.fill("input[name=path]", str(source))
    page.click("button[value=locate]")
    draft = _at(page, base)
    for name, told in (
        ("title", "Accounts of the old bank"),
        ("population", "bank-a/old"),
        ("refreshed", "2026-11-15"),
    ):
        page.fill(f"input[name={name}]", told)
    for box in page.locator("input[name^=sure_]").all():
        box.check()
    page.click("text=Keep and go on")
    page.check("input[name=bound_balance]")
    page.check("input[name=open_credit-risk-statistics]")
    page.fill("input[name=to_credit-risk-statistics]", "lender-x")
    for column in ("balance", "region"):
        page.check(f"input[name=use_credit-risk-statistics_{column}]")
    page.check("input[name=domain_region]")
    page.click("text=Keep and go on")
    return [f"{draft}?step={step}" for step in ("columns", "purposes", "publish")]


def _changed(page: "Page", base: str) -> str:
    """Draft another version of the policy, with larger groups, and return the page that shows what it would change."""
    page.goto(f"{base}/policies/accounts")
    text = page.input_value("textarea[name=text]")
    page.fill("textarea[name=text]", re.sub(r'("min_group": ?)\d+', r"\g<1>800", text))
    page.click("button[value=draft]")
    return _at(page, base).partition("#")[0]


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


def reachable(
    read: Callable[[str], str], *, each: int = 1, known: Sequence[str] = (), without: re.Pattern[str] | None = None
) -> list[str]:
    """Return the addresses of pages that follow from the first one and from those ``known`` by links; ``each`` of every kind at most.

    ``read`` returns the HTML of an address. No link that ``without`` finds is followed.
    """
    reached: list[str] = []
    waiting: list[str] = ["/", *known]
    kinds: dict[str, set[str]] = {}
    for address in known:
        kinds.setdefault(pattern(address), set()).add(address)
    while waiting:
        address = waiting.pop(0)
        reached.append(address)
        for link in (found.replace("&amp;", "&") for found in ADDRESS.findall(read(address))):
            kind = pattern(link)
            if LEFT_OUT.search(link) or (without is not None and without.search(link)):
                continue
            if link not in kinds.get(kind, set()) and len(kinds.get(kind, ())) < each:
                kinds.setdefault(kind, set()).add(link)
                if link != "/":
                    waiting.append(link)
    return reached


def pages(who: str, page: "Page", base: str, home: Path) -> list[str]:
    """Return the addresses of every kind of page that a visitor, whose session is open, can see."""
    known = opened(who, page, base, home)
    without = None if who == VISITORS[0] else SHARED
    return reachable(lambda address: page.goto(base + address).text(), known=known, without=without)


def main(folder: Path) -> None:
    """Write a picture of every page of every console into a folder, in both languages and colour schemes."""
    with tempfile.TemporaryDirectory() as directory, browser() as made:
        home = Path(directory) / "town"
        told_in(home)
        with running(home, nodes=tuple(OTHER_NODES)) as street:
            for who, link in links(street).items():
                with made.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB") as context:
                    page = context.new_page()
                    page.goto(link)
                    base = link.partition("/enter/")[0]
                    for address in pages(who, page, base, home):
                        name = re.sub(r"[^\w.-]+", "-", address).strip("-")[:80] or "home"
                        _draw(page, base + address, folder / who / name)


def _draw(page: "Page", address: str, path: Path) -> None:
    for language in ("en", "zh"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto(f"{address}{'&' if '?' in address else '?'}lang={language}")
            file = path.with_name(f"{path.name}.{language}.{scheme}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=file, full_page=True)
            sys.stdout.write(f"{file}\n")
    page.emulate_media(color_scheme="light")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The first ten minutes in a browser: who opens which console, what they click there, and what they must then see.

``python -m tests.story FOLDER`` tells it over the demonstration at its usual size and writes the pictures of README's tour.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browsing import browser
from tests.consoles import BANKS, Street, running, told_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZE = {"width": 1100, "height": 860}
PATIENCE = 120_000
"""Milliseconds for what several processes do together; a page that comes at once takes some tens."""

SUPERVISED = "SELECT region, COUNT(*), AVG(months_overdue) FROM consumer_credit WHERE product = 'car' GROUP BY region"


@dataclass
class Stage:
    """A town with a browser before it: each party has a console and a browser's memory of its own.

    ``heard`` is what went wrong on any page: requests to other hosts, words on the browser's console.
    """

    street: Street
    chrome: "Browser"
    folder: Path | None = None
    language: str = "en"
    heard: list[str] = field(default_factory=list)
    _pages: dict[str, "Page"] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def at(self, party: str) -> "Page":
        """Return the page of a party's console, which opens on its link at the first time."""
        if party not in self._pages:
            link = self.street.node(party) if party in BANKS else self.street.console(party)
            context = self._stack.enter_context(self.chrome.new_context(viewport=SIZE, locale=self.language))
            context.set_default_timeout(PATIENCE)
            page = self._pages[party] = context.new_page()
            base = link.partition("/enter/")[0]
            page.on("console", lambda told: self._hear(told.text) if told.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: self.heard.append(str(error)))
            page.on("request", lambda sent: None if sent.url.startswith(base) else self.heard.append(sent.url))
            page.goto(link)
        return self._pages[party]

    def _hear(self, text: str) -> None:
        # a browser calls it an error when a page is a refusal: those of the story are meant
        if "status of 409 (Conflict)" not in text:
            self.heard.append(text)

    def go(self, party: str, name: str) -> "Page":
        """Follow an entry of a console's menu."""
        page = self.at(party)
        page.locator("nav.menu").get_by_role("link", name=name, exact=True).click()
        return page

    def picture(self, name: str, page: "Page") -> None:
        """Write what the page shows from its top, if pictures are wanted."""
        if self.folder is not None:
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=self.folder / f"{name}.png")

    def run(self, *arguments: str) -> str:
        """Run a command as the page or the guide writes it, and return what it printed."""
        command = [sys.executable, "-P", "-m", "api.cli", *arguments]
        done = subprocess.run(command, cwd=self.street.home, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        """Close every page."""
        self._stack.close()


def tell(stage: Stage) -> None:
    """Tell the whole story, in the order of the tour."""
    ask_all_institutions(stage)
    ask_for_too_much(stage)
    ask_what_a_person_must_see(stage)
    see_what_is_left(stage)
    value_an_asset(stage)
    pledge_it_once(stage)
    check_from_outside(stage)
    assert stage.heard == []


def ask_all_institutions(stage: Stage) -> None:
    """The tour fills the question in; a look costs nothing; the answer comes with its errors and its price."""
    page = stage.go("lender-x", "Tour")
    page.locator("li", has_text="Ask all institutions one question").get_by_role("link", name="Ask").click()
    page.get_by_text("Every institution would answer.").wait_for()
    stage.picture("ask", page)
    answered(page)
    assert page.locator(".lanes tbody tr").count() == len(BANKS)
    assert page.get_by_role("region", name="The answer").locator("tbody tr").count() == 5
    stage.picture("answer", page)


def answered(page: "Page") -> None:
    """Put the question that is on the page, and stay until its answer is there."""
    page.get_by_role("button", name=re.compile(r"^(Ask|Read the stored answer)$")).click()
    page.get_by_role("heading", name="Receipt", exact=True).wait_for()


def ask_for_too_much(stage: Stage) -> None:
    """A column that the purpose does not need is named; the nearest question that passes is a click away."""
    page = stage.go("lender-x", "Tour")
    page.locator("li", has_text="Ask for too much").get_by_role("link", name="Ask").click()
    page.get_by_text("This would be refused; nothing is spent.").wait_for()
    assert "income" in page.locator("#preview table").first.inner_text()
    stage.picture("refused", page)
    page.get_by_role("link", name="Take this question").click()
    assert "income" not in page.locator("textarea[name=sql]").input_value()
    answered(page)


def ask_what_a_person_must_see(stage: Stage) -> None:
    """The supervisor's question waits in each bank's inbox; officers read one sentence and approve; then it is answered."""
    page = stage.go("authority", "Ask")
    page.fill("textarea[name=sql]", SUPERVISED)
    page.select_option("select[name=purpose]", "supervision-statistics")
    page.get_by_role("link", name="Ask the owners for access").click()
    page.fill("input[name=why]", "car loans after the subsidy ended")
    page.get_by_role("button", name="Send the request").click()
    page.get_by_text("Officers rule on it.").wait_for()
    for officer in ("a-data", "b-data", "c-data"):
        inbox = stage.at(officer)
        inbox.get_by_role("link", name="A request for access waits for officers").click()
        assert "authority learns" in inbox.locator(".consequence").inner_text()
        stage.picture("approve", inbox)
        inbox.get_by_role("button", name="Approve", exact=True).click()
        inbox.get_by_text("counted by the node").wait_for()
    page.get_by_role("link", name="Put the question now").click()
    answered(page)


def see_what_is_left(stage: Stage) -> None:
    """Beside its node a bank reads what each answer took, and how many like it are left."""
    page = stage.go("bank-a", "Budget")
    row = page.locator("tr", has_text="supervision statistics").or_(
        page.locator("tr", has_text="supervision-statistics")
    )
    assert row.count()
    stage.picture("budget", page)


def value_an_asset(stage: Stage) -> None:
    """Three approaches and their reasons; another assumption moves the value at once; the report goes to paper."""
    page = stage.go("lender-x", "Valuation")
    page.locator('button[value="air-quality"]').click()
    page.get_by_role("heading", name="Three approaches").wait_for()
    stage.picture("value", page)
    with page.expect_download() as fetched:
        page.get_by_role("link", name="PDF", exact=True).click()
    assert Path(fetched.value.path()).read_bytes().startswith(b"%PDF-")
    page.get_by_role("link", name="Try other assumptions").click()
    page.locator('input[name="facts.income.fade.half_life_years"]').fill("8")
    page.locator("#outcome", has_text="One assumption changed.").wait_for()
    page.locator("#causes h3").wait_for()


def pledge_it_once(stage: Stage) -> None:
    """A second lender is refused with holder and time, and takes the second rank: two officers, both sides, and the first's leave."""
    page = stage.go("lender-y", "Valuation")
    page.set_input_files("input[name=file]", stage.street.home / "valuation-report.json")
    page.get_by_role("button", name="Verify and open").click()
    page.get_by_role("heading", name="From value to limit").wait_for()
    page = stage.go("lender-y", "Pledges")
    page.fill("input[name=officers]", "y-credit y-risk")
    page.get_by_role("button", name="Name them").click()
    page.get_by_role("link", name="Offer a loan").click()
    page.get_by_role("button", name="Quote it").click()
    page.get_by_text(re.compile("bank-a/accounts is pledged to lender-x at rank 1 since")).first.wait_for()
    stage.picture("second-pledge", page)
    page.get_by_role("link", name="Take rank 2").click()
    page.get_by_role("button", name="Quote it").click()
    page.get_by_role("heading", name="What you may do now").wait_for()
    for officer in ("y-credit", "y-risk"):
        theirs = stage.go(officer, "Pledges")
        theirs.locator("main").get_by_role("link", name="bank-a/accounts").first.click()
        act(theirs, "approve")
    page.reload()
    act(page, "sign")
    page.locator('input[name="act"][value="register"]').wait_for(state="attached")  # once the owner's node has signed
    act(page, "register")
    page.get_by_text("cannot be pledged at a later rank without its leave").wait_for()
    first = stage.go("lender-x", "Pledges")
    first.locator("main").get_by_role("link", name="bank-a/accounts").first.click()
    act(first, "let", other=page.url.partition("/pledges/")[2].partition("?")[0])
    act(page, "register")
    page.get_by_text(re.compile("Live lien since")).wait_for()


def act(page: "Page", step: str, **fields: str) -> None:
    """Take a step of a pledge: open it, fill in what it asks, confirm what it does, press the button."""
    form = page.locator(f'details.act:has(input[name="act"][value="{step}"])')
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    for name, text in fields.items():
        form.locator(f'input[name="{name}"]').fill(text)
    form.locator('input[name="confirmed"]').check()
    form.get_by_role("button").click()
    page.wait_for_load_state()


def check_from_outside(stage: Stage) -> None:
    """The supervisor takes the log away and checks it; a changed byte is found and its entry named; the exchange saw nothing."""
    stage.run("audit", "export", stage.street.url, "-o", "log.bundle", "--as", "authority")
    page = stage.go("authority", "Check a bundle")
    page.set_input_files("input[name=bundle]", stage.street.home / "log.bundle")
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("heading", name="All entries are sound").wait_for()
    page.set_input_files("input[name=bundle]", stage.street.home / "log.bundle")
    page.get_by_label("Change one byte of a copy first").check()
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_text("first entry that is wrong").wait_for()
    stage.picture("changed-byte", page)
    assert "0 figures of a single institution in clear" in stage.run("exchange", "blind-check", "exchange")


@contextmanager
def staged(home: Path, *, folder: Path | None = None) -> Iterator[Stage]:
    """Run a kept town, its first bank with a console, and give a stage before it."""
    with running(home, nodes=BANKS[1:]) as street, browser() as chrome:
        stage = Stage(street, chrome, folder)
        stage.at(BANKS[0])
        try:
            yield stage
        finally:
            stage.close()


def main(folder: Path) -> None:
    """Tell the story at its usual size and write its pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "town"
        told_in(home, rows=None)
        with staged(home, folder=folder) as stage:
            tell(stage)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The console in a real browser: nothing from another host, nothing on the browser's console, nothing that axe finds.

Left out where there is no Chromium. Every page that a visitor reaches by links is opened.
"""

import pytest

from tests.browsing import OTHER_NODES, VISITORS, browser, chromium, links, pages, pattern
from tests.consoles import kept_town, running

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with running(kept_town(tmp_path_factory), nodes=tuple(OTHER_NODES)) as made:
        yield made


@pytest.fixture(scope="module")
def chrome():
    with browser() as made:
        yield made


class Visit:
    """A browser at a console; ``heard`` is what went wrong: requests to others, words on its console, failed answers."""

    def __init__(self, context, link: str) -> None:
        self.base = link.partition("/enter/")[0]
        self.heard: list[str] = []
        self.page = context.new_page()
        self.page.on(
            "console", lambda told: self.heard.append(told.text) if told.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.heard.append(str(error)))
        self.page.on("request", self._watch)
        self.page.goto(link)

    def _watch(self, request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.heard.append(f"another host: {request.url}")


@pytest.fixture(scope="module")
def visits(chrome, street):
    """One visit for each console and the addresses that can be reached in it, with those that its forms make."""
    made = {}
    contexts = []
    for who, link in links(street).items():
        contexts.append(chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB"))
        visit = Visit(contexts[-1], link)
        made[who] = (visit, pages(who, visit.page, visit.base, street.home))
    yield made
    for context in contexts:
        context.close()


WHO = (*VISITORS, "exchange")


@pytest.mark.parametrize("who", WHO)
def test_every_page_keeps_to_its_host_and_says_nothing_is_wrong(visits, who):
    visit, addresses = visits[who]
    assert len(addresses) >= 4
    assert visit.heard == []


@pytest.mark.parametrize("who", WHO)
def test_axe_finds_nothing(visits, who):
    from axe_playwright_python.sync_playwright import Axe

    visit, addresses = visits[who]
    axe = Axe()
    for number, address in enumerate(addresses):
        # every page in both languages and both colour schemes: two of the four each time, turn by turn
        for language, scheme in (("en", "light"), ("zh", "dark")) if number % 2 else (("en", "dark"), ("zh", "light")):
            visit.page.emulate_media(color_scheme=scheme)
            visit.page.goto(f"{visit.base}{address}{'&' if '?' in address else '?'}lang={language}")
            found = axe.run(visit.page).response["violations"]
            assert not found, (address, language, scheme, [(one["id"], one["nodes"][0]["html"]) for one in found])


@pytest.mark.parametrize("who", WHO)
def test_pages_do_not_run_over_a_small_screen(visits, who):
    # 320 CSS pixels are 1280 at 400 % (WCAG 2.2, 1.4.10)
    visit, addresses = visits[who]
    try:
        for address in addresses:
            visit.page.goto(visit.base + address)
            for width in (375, 320):
                visit.page.set_viewport_size({"width": width, "height": 800})
                over = visit.page.evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                )
                assert over <= 0, (pattern(address), width, over)
    finally:
        visit.page.set_viewport_size({"width": 1280, "height": 900})


def test_the_menu_is_walked_by_keyboard_alone(visits):
    visit, _ = visits["lender-x"]
    page = visit.page
    page.goto(f"{visit.base}/?lang=en")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Catalog":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/assets")
    assert page.locator("h1").inner_text() == "Catalog"
    assert page.evaluate("getComputedStyle(document.querySelector('a:focus-visible') ?? document.body).outlineStyle")


def test_a_preview_comes_by_itself_and_a_browser_sends_our_own_forms(visits):
    visit, _ = visits["lender-x"]
    page, before = visit.page, len(visit.heard)
    page.goto(f"{visit.base}/ask?lang=en")
    page.fill("textarea", "SELECT region, AVG(income) FROM consumer_credit GROUP BY region")
    page.keyboard.press("Tab")
    page.wait_for_selector("#preview >> text=The nearest question that passes")
    assert "sql=SELECT+region" in page.url, "what is previewed is an address"
    page.goto(f"{visit.base}/jobs?lang=en")
    page.locator("table a").first.click()
    page.click("text=Fetch and check the proof")
    page.wait_for_selector("text=are proved to be entries")
    assert visit.heard[before:] == []


def tab_to(page, words: str) -> None:
    """Press Tab until what has the focus says these words."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == words:
            return
    raise AssertionError(f"no Tab leads to {words!r}")


def test_a_question_is_previewed_and_answered_without_a_pointer(visits):
    visit, _ = visits["lender-x"]
    page, before = visit.page, len(visit.heard)
    page.goto(f"{visit.base}/?lang=en")
    tab_to(page, "Ask")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ask")
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "sql":
            break
    page.keyboard.type("SELECT product, COUNT(*) FROM consumer_credit GROUP BY product")
    page.keyboard.press("Tab")
    page.wait_for_selector("#preview >> text=Every institution would answer")
    tab_to(page, "Ask")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    answer = page.locator("[aria-label='The answer'] tbody tr")
    answer.first.wait_for(timeout=120_000)
    assert {"card", "mortgage", "car", "cash"} <= set(answer.locator("td:first-child").all_inner_texts())
    assert visit.heard[before:] == []

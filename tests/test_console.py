"""The console's doors, its pages' common rules and its words; what single pages show is tested beside them."""

import ast
import re
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import httpx2
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from api import problems
from api.console import wording
from api.console.desk.app import PAGES as AT_DESK
from api.console.doors import IDLE_SECONDS, LINK_SECONDS, LONGEST_SECONDS, Doors, check_origin
from api.console.exchange import PAGES as AT_EXCHANGE
from api.console.pages import Page
from api.console.places import Place
from api.console.wording import Words
from exchange.protocol.errors import Denied, Forbidden, Throttled
from tests.consoles import Seen, kept_town, running, visitor

ROOM = Path(str(files("api.console")))
EN, ZH = Words("en"), Words("zh")
HELD = {"owner": "bank-a", "dataset": "accounts", "name": "guide-lender", "code": "TS-POL-001"}


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with running(kept_town(tmp_path_factory), nodes=()) as made:
        yield made


@pytest.fixture(scope="module")
def visitors(street):
    """The same lender beside its keys and at the exchange."""
    with visitor(street.console("lender-x")) as desk, visitor(street.at_exchange("lender-x")) as exchange:
        yield {"desk": desk, "exchange": exchange}


def addresses(pages: tuple[Page, ...], kind: str, role: str) -> list[str]:
    """Return the pages that stand without a value in their address, and those of the town's one asset."""
    made = []
    for page in pages:
        if role in page.roles and kind in page.places:
            address = re.sub(r"\{(\w+)\}", lambda found: HELD.get(found.group(1), "?"), page.path)
            made += [address] if "?" not in address else []
    return made


def crawl(pages, kind, role, visit):
    for address in addresses(pages, kind, role):
        for language in wording.LANGUAGES:
            yield address, language, visit.get(address, params={"lang": language})


@pytest.mark.parametrize(("kind", "pages"), [("desk", AT_DESK), ("exchange", AT_EXCHANGE)])
def test_every_page_is_whole_without_a_script_and_loads_nothing_from_elsewhere(visitors, kind, pages):
    seen = 0
    for address, language, answer in crawl(pages, kind, "lender", visitors[kind]):
        assert answer.status_code == 200, (address, answer.text[:500])
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        page = Seen(answer.text)
        assert page.all("html") == [{"lang": wording.TAGS[language]}]
        assert len(page.all("h1")) == 1, address
        for tag, attrs in page.tags:
            for name in ("src", "href", "action"):
                assert not re.match(r"(https?:)?//", attrs.get(name) or ""), (address, tag, attrs)
            assert "style" not in attrs
            assert not [name for name in attrs if name.startswith("on")]
        assert not page.all("style")
        assert all(script.get("src", "").startswith("/static/") for script in page.all("script"))
        named = {attrs.get("for") for attrs in page.all("label")}
        inside = re.sub(r"<label.*?</label>", "", answer.text, flags=re.DOTALL)
        for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", inside):
            assert 'type="hidden"' in field or re.search(r'id="([^"]+)"', field).group(1) in named, (address, field)
        assert len(answer.content) < 400_000
        seen += 1
    assert seen >= 8


@pytest.mark.parametrize(("kind", "pages"), [("desk", AT_DESK), ("exchange", AT_EXCHANGE)])
def test_every_page_has_a_twin_of_its_facts(visitors, kind, pages):
    for address in addresses(pages, kind, "lender"):
        answer = visitors[kind].get(f"{'/home' if address == '/' else address}.json")
        assert answer.headers["content-type"] == "application/json"
        assert isinstance(answer.json(), dict)


def test_a_link_opens_once_and_nobody_comes_in_without_one(street):
    link = street.at_exchange("lender-y")
    with visitor(link) as guest:
        assert "lender-y" in guest.get("/").text
        with httpx2.Client(base_url=street.url) as stranger:
            again = stranger.get(f"/enter/{link.rpartition('/')[2]}")
            assert again.status_code == 401
            assert "set-cookie" not in again.headers
            refused = stranger.get("/assets")
            assert refused.status_code == 401
            assert "bank-a" not in refused.text
            assert stranger.get("/assets.json").json()["status"] == 401
        assert guest.post("/leave").status_code == 401
        assert guest.get("/assets").status_code == 401


def test_a_party_ends_all_its_sessions_from_one_of_them(street):
    with (
        visitor(street.at_exchange("lender-y")) as here,
        visitor(street.at_exchange("lender-y")) as there,
        visitor(street.at_exchange("lender-x")) as other,
    ):
        unused = street.at_exchange("lender-y")
        page = here.get("/?lang=en").text
        assert re.search(r'name="everywhere" value="yes">Sign out everywhere \(\d+ more\)', page)
        assert here.post("/leave", data={"everywhere": "yes"}).status_code == 401
        for guest in (here, there):
            assert guest.get("/assets").status_code == 401
        assert httpx2.get(unused).status_code == 401
        assert other.get("/assets").status_code == 200
    with visitor(street.at_exchange("lender-y")) as alone:
        assert 'name="everywhere"' not in alone.get("/").text


def test_a_form_of_another_page_is_not_taken(visitors):
    for kind in ("desk", "exchange"):
        answer = visitors[kind].post("/leave", headers={"origin": "https://elsewhere.example"})
        assert answer.status_code == 403
        assert visitors[kind].get("/").status_code == 200


def test_a_console_on_loopback_answers_to_its_own_name_only(visitors):
    answer = visitors["desk"].get("/", headers={"host": "rebound.example"})
    assert answer.status_code == 401
    assert "bank-a" not in answer.text


def test_what_is_not_there_is_a_page_that_says_what_to_do(visitors):
    for kind in ("desk", "exchange"):
        answer = visitors[kind].get("/assets/bank-a/nothing?lang=en")
        assert answer.status_code == 404
        assert "TS-REQ-004" in answer.text
        assert "What to do:" in answer.text
        twin = visitors[kind].get("/assets/bank-a/nothing.json")
        assert twin.headers["content-type"] == "application/problem+json"


def test_a_search_is_an_address(visitors):
    found = Seen(visitors["exchange"].get("/assets", params={"q": "consumer", "owner": "bank-b"}).text)
    assert "Consumer credit accounts of Bank B" in found.text
    assert "Consumer credit accounts of Bank A" not in found.text
    assert "No dataset fits" in visitors["exchange"].get("/assets", params={"q": "windmills", "lang": "en"}).text


def test_the_console_at_the_exchange_reads_what_its_party_may_and_no_more(visitors, street):
    with visitor(street.at_exchange("lender-y")) as other:
        mine = visitors["exchange"].get("/assets/bank-a/accounts.json").json()
        others = other.get("/assets/bank-a/accounts.json").json()
    assert mine["watched"]["state"] == "confirmed"
    assert others["watched"] is None
    assert mine["liens"] == others["liens"]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def place(party: str = "bank-a") -> Place:
    return Place(party=party, role="institution", read=lambda _: {})


def test_links_and_sessions_end_by_themselves():
    clock = Clock()
    doors = Doors(clock)
    late = doors.link(place())
    clock.now += LINK_SECONDS
    with pytest.raises(Denied):
        doors.enter(late)
    cookie = doors.enter(doors.link(place()))
    began = clock.now
    while clock.now - began < LONGEST_SECONDS - IDLE_SECONDS:
        clock.now += IDLE_SECONDS - 1
        assert doors.place(cookie).party == "bank-a"
    clock.now = began + LONGEST_SECONDS
    with pytest.raises(Denied):
        doors.place(cookie)
    idle = doors.enter(doors.link(place()))
    clock.now += IDLE_SECONDS
    with pytest.raises(Denied):
        doors.place(idle)


def test_a_party_takes_no_room_of_others():
    clock = Clock()
    doors = Doors(clock)
    others = [doors.link(place(f"party-{number}")) for number in range(5)]
    mine = [doors.link(place()) for _ in range(1_500)]
    with pytest.raises(Denied):  # the oldest of the same party went first
        doors.enter(mine[-21])
    assert all(doors.place(doors.enter(secret)).party.startswith("party-") for secret in others)
    assert doors.place(doors.enter(mine[-20])).party == "bank-a"

    theirs = doors.enter(doors.link(place("lender-x")))
    kept, left = doors.enter(mine[-2]), doors.enter(mine[-1])
    for _ in range(1_500):
        clock.now += 1
        assert doors.place(kept).party == "bank-a"  # what is in use stays
        doors.enter(doors.link(place()))
    with pytest.raises(Denied):
        doors.place(left)
    assert doors.place(theirs).party == "lender-x"


def test_fewer_than_a_party_may_have_stay_open_all_together():
    doors = Doors(Clock())
    secrets = [doors.link(place()) for _ in range(20)]
    cookies = [doors.enter(secret) for secret in secrets]
    assert [doors.place(cookie).party for cookie in cookies] == ["bank-a"] * 20


def test_all_parties_together_have_so_many_links_and_no_more():
    doors = Doors(Clock())
    for number in range(1_000):
        doors.link(place(f"party-{number}"))
    with pytest.raises(Throttled):
        doors.link(place("one-more"))


@given(st.text(max_size=60))
def test_no_guess_opens_a_door(guess):
    doors = Doors(Clock())
    doors.link(place())
    for attempt in (doors.enter, doors.place):
        with pytest.raises(Denied):
            attempt(guess)


@pytest.mark.parametrize(
    ("origin", "site", "taken"),
    [
        ("http://127.0.0.1:8400", None, True),
        (None, "same-origin", True),
        ("http://127.0.0.1:8401", "same-origin", False),
        ("https://127.0.0.1:8400", None, False),
        ("null", "same-origin", False),
        (None, "cross-site", False),
        (None, "none", False),
        (None, None, False),
    ],
)
def test_a_form_comes_from_our_own_page_or_is_refused(origin, site, taken):
    def check() -> None:
        check_origin(host="127.0.0.1:8400", scheme="http", origin=origin, site=site)

    if taken:
        check()
    else:
        with pytest.raises(Forbidden):
            check()


def messages() -> set[str]:
    """Return every message of the console: what templates and rooms translate, and what tables mark."""
    keywords = {"_": None, "msg": None, "say": None}
    methods = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
    found = extract_from_dir(str(ROOM), methods, {}, keywords)
    told = {text if isinstance(text, str) else text[0] for _, _, text, _, _ in found}
    return told | {text for problem in problems.known() for text in (problem.title, problem.help)}


def test_every_message_is_translated_and_none_twice():
    found: dict[str, str] = {}
    for file in sorted((ROOM / "locales" / "zh").glob("*.po")):
        with file.open("rb") as lines:
            for one in read_po(lines):
                if one.id:
                    assert one.id not in found or found[one.id] == one.string, f"{file.name}: {one.id} differs"
                    found[str(one.id)] = str(one.string)
    missing = sorted(messages() - found.keys())
    assert not missing, missing
    assert not [text for text, told in found.items() if not told]


def test_a_translation_names_the_same_values():
    for text, told in wording.catalog("zh").items():
        names = set(re.findall(r"\{(\w+)\}", text))
        assert names == set(re.findall(r"\{(\w+)\}", told)), text


def test_templates_hold_no_text_of_their_own():
    for file in sorted((ROOM / "templates").glob("*.html")):
        text = re.sub(
            r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<(pre|code)\b.*?</\1>|<[^>]*>",
            " ",
            file.read_text("utf-8"),
            flags=re.DOTALL,
        )
        left = [
            word
            for word in re.findall(r"[A-Za-z\u4e00-\u9fff]{2,}", text)
            if word not in {"Touchstone", "JSON", "json"}
        ]
        assert not left, (file.name, left)


def test_titles_and_groups_are_marked_as_messages():
    for file in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Page":
                assert isinstance(node.args[2], ast.Call), (file.name, node.lineno)


@pytest.mark.parametrize(
    ("amount", "english", "chinese"),
    [
        (Decimal(51000000), "¥51 m", "¥5,100万"),
        (Decimal("123456789.01"), "¥123 m", "¥1.23亿"),
        (Decimal(-2500), "-¥2.5 k", "-¥2,500.00"),
        (Decimal("12.3"), "¥12.30", "¥12.30"),
    ],
)
def test_amounts_are_written_as_each_language_does(amount, english, chinese):
    assert EN.brief(amount) == english
    assert ZH.brief(amount) == chinese


def test_days_and_numbers_are_written_as_each_language_does():
    assert (EN.day("2026-11-22"), ZH.day("2026-11-22")) == ("22 November 2026", "2026年11月22日")
    assert EN.number(1234567.25) == ZH.number(Decimal("1234567.25")) == "1,234,567.25"
    assert EN.money(Decimal("-0.5")) == "-¥0.50"
    assert (
        EN.moment(1_795_000_000) == EN.moment(1_795_000_000_000_000) == "18 November 2026 11:06:40\N{NO-BREAK SPACE}UTC"
    )


@given(st.lists(st.sampled_from(["zh-CN", "en-GB;q=0.8", "fr", "*", "", "x" * 50]), max_size=5))
def test_a_language_is_always_found(accepted):
    chosen = wording.preferred(None, None, ",".join(accepted))
    known = [part[:2] for part in accepted if part[:2] in ("zh", "en")]
    assert chosen == (known[0] if known else "en")
    assert wording.preferred("zh", "en", "en") == "zh"
    assert wording.preferred("xx", "zh", "en") == "zh"

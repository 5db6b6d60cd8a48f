"""The help: the documents inside the application, found, searched and set as HTML, also from an installed wheel."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import problems
from api.console import handbook
from api.console.wording import LANGUAGES, catalog
from tests.consoles import Seen, kept_town, running

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Somebody at an exchange's address without a key and without a link."""
    with running(kept_town(tmp_path_factory), nodes=()) as street, httpx2.Client(base_url=street.url) as client:
        yield client


def test_the_help_is_every_page_of_the_documents(stranger):
    names = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    stems = {str(name).split(".", maxsplit=1)[0].replace("/", "-") for name in names}
    for language in LANGUAGES:
        assert set(handbook.chapters(language)) == stems
        index = Seen(stranger.get("/help", params={"lang": language}).text)
        linked = {attrs.get("href", "").removeprefix("/help/") for attrs in index.all("a")}
        assert stems <= linked


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_sound_and_every_link_leads_somewhere(stranger, language):
    pages = {}
    for name in handbook.chapters(language):
        answer = stranger.get(f"/help/{name}", params={"lang": language})
        assert answer.status_code == 200, name
        pages[name] = Seen(answer.text)
    anchors = {name: {attrs["id"] for _, attrs in page.tags if attrs.get("id")} for name, page in pages.items()}
    for name, page in pages.items():
        assert len(page.all("h1")) == 1, name
        assert not [attrs for _, attrs in page.tags if "style" in attrs], name
        for link in (attrs.get("href") or "" for attrs in page.all("a")):
            assert not re.match(r"(https?:)?//", link), (name, link)
            target, _, anchor = link.partition("#")
            if link.startswith("/help/"):
                other = target.removeprefix("/help/").partition("?")[0].removesuffix(".json")
                assert other in pages, (name, link)
                assert not anchor or anchor in anchors[other], (name, link)
            elif link.startswith("#"):
                assert link[1:] in anchors[name], (name, link)
        for picture in page.all("img"):
            assert stranger.get(picture["src"]).headers["content-type"] == "image/svg+xml"


def test_a_guide_is_in_the_readers_language_and_another_page_says_that_it_is_not(stranger):
    assert "贷款人指南" in stranger.get("/help/guide-lender", params={"lang": "zh"}).text
    assert "Guide for lenders" in stranger.get("/help/guide-lender", params={"lang": "en"}).text
    other = stranger.get("/help/privacy", params={"lang": "zh"}).text
    assert "本页仅有英文" in other
    assert '<article lang="en">' in other


def test_every_title_is_told_in_both_languages():
    words = catalog("zh")
    missing = [one.title for one in handbook.chapters("zh").values() if one.language == "en" and one.title not in words]
    assert not missing, "translate these titles in locales/zh/oversight.po"


def test_a_search_finds_the_part_of_a_page(stranger):
    told = stranger.get("/help.json", params={"q": "reset-witness overrides", "lang": "en"}).json()
    assert ("audit", "Take it away and check it") in {(one["name"], one["part"]) for one in told["found"]}
    chinese = stranger.get("/help.json", params={"q": "追加 隐私预算", "lang": "zh"}).json()["found"]
    assert all(one["name"] in handbook.chapters("zh") for one in chinese)
    words = stranger.get("/help.json", params={"q": "防火墙清单", "lang": "zh"}).json()["found"]
    assert {"guide-operator", "guide-data-office"} <= {one["name"] for one in words}
    assert "No page holds all of these words" in stranger.get("/help", params={"q": "zzzz", "lang": "en"}).text
    shown = stranger.get("/help", params={"q": "<script>alert(1)</script>", "lang": "en"}).text
    assert "<script>alert" not in shown


def test_what_is_not_there_has_a_page_that_says_so(stranger):
    for address in ("/help/nothing", "/help/..%2Fpyproject", "/help/as/console.css"):
        assert stranger.get(address).status_code == 404
    assert stranger.get("/help/nothing.json").headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_is_explained_to_anybody(stranger, language):
    words = catalog(language)
    for problem in problems.every():
        shown = Seen(stranger.get(f"/problems/{problem.code}", params={"lang": language}).text).text
        assert problem.code in shown
        for text in (problem.title, problem.help):
            assert " ".join(words.get(text, text).split()) in shown


def test_an_open_page_opens_no_other(stranger):
    assert stranger.get("/assets").status_code == 401
    assert "Sign out" not in stranger.get("/help", params={"lang": "en"}).text
    assert stranger.post("/help").status_code == 405


@given(st.text(max_size=80))
def test_no_words_break_the_search(asked):
    for hit in handbook.search(asked, "en"):
        assert hit.name in handbook.chapters("en")


@given(st.text(max_size=200))
def test_no_text_becomes_a_tag_of_its_own(text):
    drawn = Seen(str(handbook.prose(text, "faq")))
    allowed = {
        "p", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br", "a", "img", "div", "table", "thead",
        "tbody", "tr", "th", "td", *(f"h{level}" for level in range(1, 7)),
    }  # fmt: skip
    assert {tag for tag, _ in drawn.tags} <= allowed


def test_an_installed_wheel_has_the_help(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    program = (
        "from api.console import handbook\n"
        "print(handbook.room().name, len(handbook.chapters('zh')), handbook.chapters('zh')['guide-lender'].title)\n"
    )
    told = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "installed"), "PYTHONUTF8": "1"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert told.stdout.split() == ["handbook", str(len(handbook.chapters("zh"))), "贷款人指南"]

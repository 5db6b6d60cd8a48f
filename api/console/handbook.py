"""The project's own pages, as they lie under ``docs/`` or in an installed package: found, searched, set as HTML on the server.

A page in two languages is two files, ``name.en.md`` and ``name.zh.md``; one without a language is English and shown in both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from markupsafe import Markup

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SIGNS = re.compile(r"^```\w*$|[`*|#>]|\]\([^)]*\)|\[|^\s*:?-{3,}:?", re.MULTILINE)
_FORMULA = re.compile(r"^\$\$\n?(.*?)\n?\$\$$", re.MULTILINE | re.DOTALL)
"""A formula as code forges draw it; here it is shown as it is written."""

_AROUND = 90
"""Characters that are told on either side of what was found."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One page: its name in addresses, its language, its title and its text in Markdown."""

    name: str
    language: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A part of a page in which all words that were asked for stand."""

    name: str
    title: str
    part: str
    anchor: str
    excerpt: str


def room() -> Path:
    """Return the directory of the pages: inside an installed package, else beside the packages of a checkout."""
    packages = Path(str(files("api")))
    packaged = packages / "handbook"
    return packaged if packaged.is_dir() else packages.parent / "docs"


@cache
def chapters(language: str) -> Mapping[str, Chapter]:
    """Return every page by name, in this language where it is written in it, else in English."""
    found: dict[str, Chapter] = {}
    for file in sorted(room().rglob("*.md")):
        name, tongue = _named(file.relative_to(room()).as_posix())
        if tongue in (None, language) or (tongue == "en" and name not in found):
            text = _COMMENT.sub("", file.read_text("utf-8"))
            found[name] = Chapter(name, tongue or "en", _title(text) or name, text)
    return found


@cache
def pictures() -> Mapping[str, bytes]:
    """Return the pictures of the pages by name."""
    return {file.name: file.read_bytes() for file in room().glob("*.svg")}


def contents(text: str) -> list[dict[str, str]]:
    """Return the second headings of a page with their anchors."""
    return [
        {"title": _plain(one), "anchor": slug(one)}
        for one in re.findall(r"^## (.+)$", _FENCE.sub("", text), re.MULTILINE)
    ]


def search(asked: str, language: str, *, most: int = 20) -> list[Hit]:
    """Return the parts of pages that hold every word asked for, best first: in a title, then in a heading, then often."""
    words = asked.casefold().split()
    if not words:
        return []
    found: list[tuple[int, Hit]] = []
    for chapter in chapters(language).values():
        for heading, text in _parts(chapter):
            plain = _plain(text)
            head, body = f"{chapter.title} {heading}".casefold(), plain.casefold()
            if all(word in head or word in body for word in words):
                worth = sum(
                    100 * (word in chapter.title.casefold())
                    + 30 * (word in heading.casefold())
                    + min(body.count(word), 20)
                    for word in words
                )
                at = min((place for word in words if (place := body.find(word)) >= 0), default=0)
                hit = Hit(chapter.name, chapter.title, heading, slug(heading) if heading else "", _excerpt(plain, at))
                found.append((worth, hit))
    return [hit for _, hit in sorted(found, key=lambda pair: -pair[0])[:most]]


def slug(heading: str) -> str:
    """Return the anchor of a heading, as code forges make it."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", _plain(heading).strip().lower()))


@cache
def prose(text: str, name: str) -> Markup:
    """Set a page's Markdown as HTML; links to other pages lead into the help, others are shown as words."""
    from markdown_it import MarkdownIt  # noqa: PLC0415  only who reads the help needs it

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    known = set(chapters("en"))
    tokens = parser.parse(_FORMULA.sub(r"```\n\1\n```", text))
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(tokens[at + 1].content))
        elif token.type == "inline":
            token.children = _led(token.children or [], name, known)
    drawn = parser.renderer.render(tokens, parser.options, {})
    for plain, reachable in _REACHABLE:
        drawn = drawn.replace(plain, reachable)
    numbers = count(1)
    drawn = re.sub("<table>", lambda _: _TABLE.format(next(numbers)), drawn)
    return Markup(drawn)  # noqa: S704  drawn by the parser, which escapes all text and takes no HTML


_REACHABLE = (
    ("<pre>", '<pre tabindex="0">'),
    ("</table>", "</table></div>"),
    ("<th", '<th scope="col"'),
    ('<th scope="col"ead', "<thead"),
    ('<th scope="col"></th>', "<td></td>"),
    (' style="text-align:left"', ""),
    (' style="text-align:right"', ' class="n"'),
    (' style="text-align:center"', ""),
)
"""What the keyboard, a narrow screen and a page without styles of its own ask for."""

_TABLE = '<div class="wide" tabindex="0" role="region" aria-label="№ {}"><table>'
"""A table that is wider than the screen is moved by itself; each is a landmark of its own."""


def _led(children: Sequence[Any], name: str, known: set[str]) -> list[Any]:
    kept: list[Any] = []
    dropped: list[bool] = []
    for child in children:
        if child.type == "link_open":
            led = _address(str(child.attrGet("href") or ""), name, known)
            dropped.append(led is None)
            if led is not None:
                child.attrSet("href", led)
                kept.append(child)
        elif child.type == "link_close":
            if not dropped.pop():
                kept.append(child)
        elif child.type != "image":
            kept.append(child)
        elif (picture := str(child.attrGet("src"))) in pictures():
            child.attrSet("src", f"/help/as/{picture}")
            kept.append(child)
    return kept


def _address(link: str, name: str, known: set[str]) -> str | None:
    """Where a link of a page leads in the help; ``None`` where it leads out of it."""
    if link.startswith("#"):
        return link
    path, _, anchor = link.partition("#")
    if ":" in path or not path.endswith(".md"):
        return None
    folder = PurePosixPath("guide") if name.startswith("guide-") else PurePosixPath()
    parts: list[str] = []
    for part in (folder / path).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    target, _ = _named("/".join(parts))
    return f"/help/{target}{'#' + anchor if anchor else ''}" if target in known else None


def _named(path: str) -> tuple[str, str | None]:
    stem = path.removesuffix(".md")
    stem, dot, tongue = stem.partition(".")
    return stem.replace("/", "-"), tongue if dot else None


def _title(text: str) -> str:
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return _plain(found[1]) if found else ""


def _parts(chapter: Chapter) -> list[tuple[str, str]]:
    pieces = re.split(r"^## (.+)$", chapter.text, flags=re.MULTILINE)
    first = re.sub(r"^# .+$", "", pieces[0], count=1, flags=re.MULTILINE)
    return [("", first), *((_plain(pieces[at]), pieces[at + 1]) for at in range(1, len(pieces) - 1, 2))]


def _plain(text: str) -> str:
    return " ".join(_SIGNS.sub(" ", text).split())


def _excerpt(text: str, at: int) -> str:
    start, end = max(0, at - _AROUND), at + _AROUND
    return f"{'… ' if start else ''}{text[start:end].strip()}{' …' if end < len(text) else ''}"

"""Texts in two languages, and the one or two of them that a reader asked for."""

from enum import StrEnum
from typing import NamedTuple
from unicodedata import category


class Language(StrEnum):
    """What a statement is written in; ``both`` sets Chinese first and English beside or below it."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"


class Text(NamedTuple):
    """One text in English and in Chinese."""

    en: str
    zh: str

    def told(self, language: Language) -> list[str]:
        """The text in each language asked for, once where both are equal."""
        match language:
            case Language.EN:
                return [plain(self.en)]
            case Language.ZH:
                return [plain(self.zh)]
            case _:
                return list(dict.fromkeys((plain(self.zh), plain(self.en))))


def same(text: object) -> Text:
    """What stands in both languages as it is: names, dates, digests, whatever somebody stated."""
    return Text(str(text), str(text))


def joined(texts: list[Text], *, en: str = ", ", zh: str = "、") -> Text:
    """Several texts as one list in a line."""
    return Text(en.join(text.en for text in texts), zh.join(text.zh for text in texts))


def plain(text: str) -> str:
    """``text`` without characters that show nothing or turn the reading direction: each is spelled by its code point."""
    return "".join(one if one == " " or category(one)[0] != "C" else f"[U+{ord(one):04X}]" for one in text)

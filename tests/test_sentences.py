"""Sentences of records, told in the reader's language: none that the rooms make stays English on a Chinese page."""

import json
import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.console.everywhere import opening
from api.console.sentences import retold
from api.console.wording import Words
from exchange.hub import marks, watch
from privacy.atoms import USES, Atom
from privacy.openings import opened
from tests.strategies import STANDARD, rich_policies
from valuation.finance import document, page

ENGLISH, CHINESE = Words("en"), Words("zh")


@settings(max_examples=5, deadline=None)
@given(before=rich_policies(), after=rich_policies())
def test_what_a_change_of_policy_opens_is_told_in_chinese(before, after):
    for one in opened(before, after, STANDARD, on=date(2026, 11, 22)):
        assert re.search(r"[\u4e00-\u9fff]", retold(CHINESE, one.what)), one.what


@given(column=st.sampled_from(STANDARD.columns), use=st.sampled_from(sorted(USES)))
def test_what_a_question_uses_is_told_in_chinese(column, use):
    told = retold(CHINESE, str(Atom(column.name, use)))
    assert column.name in told
    assert not re.search(rf"\b(as|{use})\b", told.replace(column.name, "")), told


@pytest.mark.parametrize("late", [False, True])
def test_why_rows_are_held_to_be_there_is_told_with_its_days(late):
    mark = marks.Mark(
        id="f", asset="bank-a/loans", standard="credit/1", version="2026-09-20", key="k", root="r", columns="c",
        least=1, below=2, sketch=(), at=1_790_000_000_000_000, seq=1,
    )  # fmt: skip
    record = {"state": "active", "refreshed": "2026-09-21" if late else "2026-09-20"} | {"declared": {}}
    _, why = watch._state(record, mark, [], kept=None, now=1_790_000_000)
    assert retold(ENGLISH, why) != why, "days are written as the language writes them"
    assert re.search(r"2026年9月2\d日", retold(CHINESE, why))


@pytest.mark.parametrize("kind", ["guarantee", "trust", "abs"])
def test_no_page_of_a_structure_is_left_in_english(kind):
    laid = page.page(document.perform(kind, json.loads(opening._example(kind))))
    own = {"fee", "bank", "company", "authority"}
    told = [label for label, _ in laid.concluded] + [text for text, _ in laid.remarks] + list(laid.assumptions)
    told += [text for one in laid.tables for text in (one.title, *one.head) if not own & set(text.split())]
    assert len(told) > 15
    for text in told:
        assert re.search(r"[\u4e00-\u9fff]", retold(CHINESE, text)), text


@given(text=st.text())
def test_somebody_elses_words_stay_as_they_are(text):
    told = retold(CHINESE, f"«{text}»")
    assert told == f"«{text}»"
    assert retold(ENGLISH, f"«{text}»") == told


def test_an_interval_and_a_list_are_written_as_the_language_writes_them():
    assert retold(CHINESE, "16,419 (-9,907 to 22,539)") == "16,419（-9,907 至 22,539）"
    assert retold(ENGLISH, "16,419 (-9,907 to 22,539)") == "16,419 (-9,907 to 22,539)"
    assert (
        retold(CHINESE, "access at all: balance as sum, rows as count") == "开始可以访问：balance（求和）、行数（计数）"
    )

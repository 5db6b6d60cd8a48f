"""The catalog: what is on record of datasets, how they end, and that a search finds exactly what it says."""

import json
import random
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.hub import catalog, liens, search
from exchange.hub.search import COUNTED, Question
from exchange.hub.store import Store
from exchange.protocol.declaration import (
    UNDECLARED,
    Coverage,
    Declaration,
    Lineage,
    Wording,
    read_declaration,
)
from exchange.protocol.envelope import sign
from exchange.protocol.errors import Encumbered, Forbidden, PeerFault, Unknown
from exchange.protocol.messages import Consent, Deprecation, Registration, Withdrawal
from exchange.standards import shipped
from privacy.errors import Malformed, Refused
from privacy.terms import Standard
from tests import pledging
from tests.marked import mark

CREDIT = shipped("consumer_credit/1")
OTHER = Standard.from_json(CREDIT.to_json() | {"name": "card_accounts"})
COLUMNS = ("balance", "person", "region")


def key_of(party):
    return Ed25519PrivateKey.from_private_bytes(sha256(party.encode()).digest())


def opened(home):
    ticks = count(1_700_000_000_000_000, 1_000_000)
    return Store.open(home, clock=lambda: next(ticks))


def enrol(store, party, role="institution"):
    key = key_of(party).public_key().public_bytes_raw()
    catalog.enrol(store, party=party, name=party.upper(), role=role, key=key)


@pytest.fixture
def store(tmp_path):
    made = opened(tmp_path / "exchange")
    for party in ("bank-a", "bank-b"):
        enrol(made, party)
    enrol(made, "lender-x", "lender")
    for standard in (CREDIT, OTHER):
        catalog.publish_standard(made, standard)
    yield made
    made.close()


def registration(dataset="accounts", *, standard=CREDIT, title="Accounts", declared=UNDECLARED, **other):
    told = {"population": "people", "refreshed": "2026-10-31", "columns": COLUMNS} | other
    return Registration(
        dataset=dataset,
        title=title,
        standard=standard.id,
        standard_digest=standard.digest,
        declared=declared,
        **told,
    )


def register(store, party="bank-a", dataset="accounts", **told):
    return catalog.register(store, registration(dataset, **told).sealed_by(party, key_of(party)))


def withdraw(store, dataset="accounts", party="bank-a", because="the source ends"):
    return catalog.withdraw(store, Withdrawal(dataset=dataset, because=because).sealed_by(party, key_of(party)))


def deprecate(store, dataset="accounts", party="bank-a", because="stale", successor=None):
    told = Deprecation(dataset=dataset, because=because, successor=successor)
    return catalog.deprecate(store, told.sealed_by(party, key_of(party)))


LENDERS_OFFICERS = {officer: key_of(officer) for officer in ("ann", "ben")}


def pledge(store, asset="bank-a/accounts", *, consent=True, file=True, nonce="0" * 64):
    lender, owner = key_of("lender-x"), asset.partition("/")[0]
    offer = pledging.quote(store, "lender-x", key=lender, asset=asset, nonce=nonce)
    pledging.name_officers(store, "lender-x", key=lender, officers=LENDERS_OFFICERS)
    pledging.offered(store, offer, "lender-x", key=lender, officers=LENDERS_OFFICERS)
    if not store.view().rows("SELECT 1 FROM fingerprint WHERE asset = ?", [asset]):
        mark(store, asset, key_of(owner))
    if consent:
        liens.answer(store, offer, Consent(offer=offer).sealed_by(owner, key_of(owner)))
    if consent and file:
        pledging.file(store, offer, "lender-x", key=lender)
    return offer


def found(store, words="", **asked):
    limit, facets, cursor = asked.pop("limit", 50), asked.pop("facets", False), asked.pop("cursor", None)
    question = Question(words=words, **asked)
    return store.search.find(question, hidden=(), limit=limit, facets=facets, cursor=cursor)


def assets(page):
    return [row["asset"] for row in page.datasets]


# -- what is on record -------------------------------------------------------------------------------------------------


def test_every_version_of_a_record_stays_readable_with_its_entry_and_time(store):
    for day in ("2026-10-31", "2026-11-30", "2026-12-31"):
        register(store, refreshed=day)
    told = catalog.describe(store.view(), "bank-a/accounts", reader="bank-b")
    days = [json.loads(one["registration"]["body"])["refreshed"] for one in told["versions"]]
    assert days == ["2026-10-31", "2026-11-30", "2026-12-31"]
    assert [one["seq"] for one in told["versions"]] == sorted({one["seq"] for one in told["versions"]})
    assert (told["refreshed"], told["unit"], told["state"]) == ("2026-12-31", "person", "active")
    before = store.book.head
    register(store, refreshed="2026-12-31")
    assert store.book.head == before, "saying the same again changes nothing"


def test_what_is_declared_comes_back_as_it_was(store):
    document = {
        "title": {"zh": "消费信贷账户", "en": "Consumer credit"},
        "description": {"zh": "按月更新。"},
        "steward": "数据管理部",
        "licence": "no resale",
        "level": 3,
        "rights": [
            {"right": "holding", "source": "collected", "evidence": "1" * 64, "valid_until": None},
            {"right": "operating", "source": "authorised", "evidence": "2" * 64, "valid_until": "2029-12-31"},
        ],
        "titles": [
            {"event": "initial", "document": "3" * 64, "on": "2025-01-31"},
            {"event": "renewal", "document": "4" * 64, "on": "2026-01-31"},
        ],
        "refresh": "P1M",
        "coverage": {"regions": ["北京"], "first": "2020-01-01", "last": "2026-10-31"},
        "lineage": {"earlier": None, "parents": ["bank-b/loans"]},
        "rows": {"least": 1_000_000, "below": 10_000_000},
    }
    register(store, declared=read_declaration(document))
    told = catalog.describe(store.view(), "bank-a/accounts", reader="bank-b")
    assert told["declared"] == document | {"description": {"zh": "按月更新。", "en": None}}
    assert told["level"] == 3


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("level",), 6, "level"),
        (("level",), True, "level"),
        (("refresh",), "monthly", "refresh"),
        (("rights",), [{"right": "holding", "source": "collected", "evidence": "x"}], "rights"),
        (("rights",), [{"right": "lending", "source": "collected", "evidence": "1" * 64}], "rights"),
        (("rights",), 2 * [{"right": "holding", "source": "collected", "evidence": "1" * 64}], "contradict"),
        (("titles",), [{"event": "transfer", "document": "1" * 64, "on": "2026-01-31"}], "contradict"),
        (("coverage",), {"first": "2026-01-02", "last": "2026-01-01"}, "coverage"),
        (("coverage",), {"first": "2026-02-30"}, "coverage"),
        (("lineage",), {"parents": ["Bank A"]}, "lineage"),
        (("rows",), {"least": 10, "below": 10}, "rows"),
        (("rows",), {"release": "1" * 64, "least": 5}, "rows"),
        (("steward",), "", "steward"),
        (("secret",), 1, "whole"),
    ],
)
def test_a_declaration_that_is_not_valid_is_refused_by_name_and_without_echo(path, value, named):
    with pytest.raises(Malformed, match=named) as refused:
        read_declaration({path[0]: value})
    assert "Bank A" not in str(refused.value)


def test_the_level_never_falls_below_what_the_rows_were_made_from(store):
    register(store, "bank-b", "loans", declared=Declaration(level=4))
    child = Lineage(parents=("bank-b/loans",))
    for level in (None, 1, 3):
        with pytest.raises(Refused, match="level"):
            register(store, declared=Declaration(level=level, lineage=child))
    register(store, declared=Declaration(level=4, lineage=child))
    with pytest.raises(Malformed):
        register(store, declared=Declaration(level=5, lineage=Lineage(parents=("bank-a/accounts",))))


def test_a_dataset_keeps_its_people_and_an_owner_one_dataset_under_a_standard(store):
    register(store)
    with pytest.raises(PeerFault, match="people"):
        register(store, population="others")
    with pytest.raises(PeerFault, match="another dataset"):
        register(store, dataset="more")
    assert register(store, dataset="more", standard=OTHER) == "bank-a/more"


def test_registrations_of_releases_before_the_declaration_are_read_as_undeclared(store):
    body = registration().model_dump(mode="json")
    del body["declared"]
    catalog.register(store, sign("registration", body, signer="bank-a", key=key_of("bank-a")))
    told = catalog.describe(store.view(), "bank-a/accounts", reader="bank-b")
    assert (told["level"], read_declaration(told["declared"])) == (None, UNDECLARED)
    assert assets(found(store, level="undeclared")) == ["bank-a/accounts"]


# -- how datasets end --------------------------------------------------------------------------------------------------


def test_a_deprecated_dataset_is_listed_with_reason_and_successor_and_stays_so_when_refreshed(store):
    register(store)
    deprecate(store, successor="bank-a/better")
    register(store, refreshed="2026-12-31")
    (row,) = found(store).datasets
    assert (row["state"], row["because"], row["successor"]) == ("deprecated", "stale", "bank-a/better")
    assert row["refreshed"] == "2026-12-31"
    before = store.book.head
    deprecate(store, successor="bank-a/better")
    assert store.book.head == before
    with pytest.raises(PeerFault):
        deprecate(store, because="otherwise")


def test_a_withdrawn_dataset_is_asked_pledged_and_registered_no_more_but_stays_on_record(store):
    register(store)
    offer = pledge(store, consent=False)
    withdraw(store)
    view = store.view()
    assert (view.dataset("bank-a/accounts"), view.policies_for(CREDIT.id, "bank-a")) == (None, [])
    assert assets(found(store)) == []
    assert assets(found(store, state="withdrawn")) == ["bank-a/accounts"]
    told = catalog.describe(view, "bank-a/accounts", reader="bank-b")
    assert (told["state"], told["because"], len(told["versions"])) == ("withdrawn", "the source ends", 1)
    with pytest.raises(PeerFault, match="withdrawn"):
        register(store)
    with pytest.raises(PeerFault, match="withdrawn"):
        liens.answer(store, offer, Consent(offer=offer).sealed_by("bank-a", key_of("bank-a")))
    with pytest.raises(Unknown):
        pledge(store)
    with pytest.raises(PeerFault):
        withdraw(store, because="otherwise")
    assert register(store, dataset="next") == "bank-a/next", "the standard is free again"


@pytest.mark.parametrize(("ends", "stands"), [("2027-12-30", False), ("2027-12-31", True), (None, True)])
def test_no_pledge_outlives_a_right_in_its_asset(store, ends, stands):
    lasting = {"right": "holding", "source": "collected", "evidence": "0" * 64}
    ending = {"right": "operating", "source": "authorised", "evidence": "1" * 64, "valid_until": ends}
    register(store, declared=read_declaration({"rights": [lasting, ending]}))
    if stands:
        pledge(store)
        assert store.view().lien("bank-a/accounts", 1) is not None
        return
    with pytest.raises(PeerFault, match="ends on 2027-12-30, before the loan"):
        pledge(store)


def test_a_live_lien_forbids_the_end_and_names_its_holder(store):
    register(store)
    pledge(store)
    met = catalog.consequences(store.view(), "bank-a/accounts", caller="bank-a")
    assert [(lien["rank"], lien["holder"]) for lien in met["liens"]] == [(1, "lender-x")]
    with pytest.raises(Encumbered, match="lender-x") as refused:
        withdraw(store)
    assert (refused.value.rank, refused.value.fix) == (1, "have the holder release its lien first")
    with pytest.raises(Encumbered, match="another standard"):
        register(store, standard=OTHER)
    assert store.view().state("bank-a/accounts") == "active"


def test_a_pledge_and_a_withdrawal_at_once_never_both_succeed(store):
    """The single writer decides: whichever comes second is refused."""
    register(store)
    offers = [pledge(store, file=False, nonce=f"{number:064x}") for number in range(8)]
    key = key_of("lender-x")
    acts = [lambda offer=offer: pledging.file(store, offer, "lender-x", key=key) for offer in offers]
    acts.insert(4, lambda: withdraw(store))

    def attempt(act):
        try:
            act()
        except Refused:
            return "refused"
        except PeerFault:
            return "refused"
        return "done"

    with ThreadPoolExecutor(len(acts)) as pool:
        assert [*pool.map(attempt, acts)].count("done") == 1
    view = store.view()
    assert bool(view.liens("bank-a/accounts")) != (view.state("bank-a/accounts") == "withdrawn")


def test_only_the_owner_ends_a_dataset_or_sees_what_that_meets(store):
    register(store)
    for act in (withdraw, deprecate):
        with pytest.raises(Unknown):
            act(store, party="bank-b")
    for caller, asset in (("bank-b", "bank-a/accounts"), ("bank-a", "bank-a/none")):
        with pytest.raises(Unknown):
            catalog.consequences(store.view(), asset, caller=caller)
    with pytest.raises(Forbidden):
        catalog.register(store, registration("loan").sealed_by("lender-x", key_of("lender-x")))


# -- searching ---------------------------------------------------------------------------------------------------------

HAN = "信贷账户数据税务"
WORDS = ("leasing", "tax", "invoice", "mortgage", "4711")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """An exchange with 120 datasets of random titles, some deprecated, some withdrawn; and what a plain reader sees."""
    draw = random.Random(7)
    made = opened(tmp_path_factory.mktemp("crowd") / "exchange")
    catalog.publish_standard(made, CREDIT)
    catalog.publish_standard(made, OTHER)
    told = []
    for number in range(120):
        party = f"bank-{number}"
        enrol(made, party)
        zh = "".join(draw.choices(HAN, k=draw.randint(1, 6)))
        more = "".join(draw.choices(HAN, k=draw.randint(0, 4)))
        en = " ".join(draw.sample(WORDS, draw.randint(0, 3)))
        level = draw.choice([None, 1, 3, 5])
        standard = draw.choice([CREDIT, OTHER])
        declared = Declaration(
            title=Wording(zh=zh),
            description=Wording(zh=more or None, en=" ".join(draw.sample(WORDS, draw.randint(0, 2))) or None),
            level=level,
            coverage=Coverage(regions=(f"r{number % 3}",)),
        )
        register(made, party, "set", standard=standard, title=en or "untitled", declared=declared)
        told.append({"asset": f"{party}/set", "titles": [zh, *en.split()], "owner": party, "standard": standard.id,
                     "all": [zh, more, *en.split(), *(declared.description.en or "").split(), f"r{number % 3}"],
                     "level": str(level or "undeclared"), "state": "active", "changed": number})  # fmt: skip
    for place, number in enumerate(draw.sample(range(120), 30)):
        end = deprecate if place % 2 else withdraw
        end(made, "set", f"bank-{number}")
        told[number] |= {"state": "deprecated" if place % 2 else "withdrawn", "changed": 120 + place}
    yield made, told
    made.close()


def holds(texts, word):
    return any(word in text for text in texts) if word[0] in HAN else word in texts


def expected(told, words, filters):
    rows = [row for row in told if all(row[facet] == value for facet, value in filters.items())]
    rows = [row for row in rows if "state" in filters or row["state"] != "withdrawn"]
    rows = [row for row in rows if all(holds(row["all"], word) for word in words)]
    titled = {row["asset"] for row in rows if all(holds(row["titles"], word) for word in words)}
    return sorted(rows, key=lambda row: (row["asset"] not in titled, -row["changed"]))


words_asked = st.lists(st.text(HAN, min_size=1, max_size=4) | st.sampled_from(WORDS), max_size=3)
filters_asked = st.fixed_dictionaries(
    {},
    optional={
        "standard": st.sampled_from([CREDIT.id, OTHER.id, "none/1"]),
        "level": st.sampled_from(["1", "3", "undeclared"]),
        "state": st.sampled_from(["active", "deprecated", "withdrawn"]),
    },
)


@settings(max_examples=300, deadline=None)
@given(words=words_asked, filters=filters_asked, size=st.integers(1, 40))
def test_a_search_finds_what_a_plain_reader_finds_page_by_page_and_counts_it(crowd, words, filters, size):
    store, told = crowd
    rows = expected(told, words, filters)
    pages, cursor = [], None
    while True:
        page = found(store, " ".join(words), **filters, limit=size, cursor=cursor, facets=cursor is None)
        pages += assets(page)
        if cursor is None:
            for facet in ("standard", "level", "state"):
                counted = {value: sum(row[facet] == value for row in rows) for value in {row[facet] for row in rows}}
                assert page.facets[facet] == counted
            assert page.exact
        cursor = page.following
        if cursor is None:
            break
        assert len(page.datasets) == size
    assert pages == [row["asset"] for row in rows]


def test_words_are_stemmed_folded_and_of_full_width_alike(store):
    register(store, title="Overdue payments of SMEs", declared=Declaration(title=Wording(zh="ＡＢＣ小微企业")))
    for words in ("payment", "OVERDUE", "abc", "小微 payment", "企业", "微企", "credit_consumer consumer_credit"[16:]):
        assert assets(found(store, words)) == ["bank-a/accounts"], words
    for words in ("业企", "小企", "overdrawn"):
        assert assets(found(store, words)) == []


@pytest.mark.parametrize(
    "words",
    ['"', "title:x", "a OR b", "NEAR(a b)", "x*", "(", "a) OR (b", "'; DROP TABLE words; --", "\x00zz", "信贷*"],
)
def test_the_index_reads_no_syntax_into_what_is_searched(store, words):
    register(store, title="plain")
    if any(character.isalnum() for character in words):
        assert assets(found(store, words)) == []
    else:
        with pytest.raises(Malformed, match="no word"):
            found(store, words)
    assert assets(found(store, "plain")) == ["bank-a/accounts"]


def test_a_question_beyond_its_limits_is_refused(store):
    for asked in ({"words": "x" * 201}, {"words": "—"}, {"state": "lost"}, {"level": "6"}):
        with pytest.raises(Malformed):
            Question(**asked)
    for limit in (0, 501):
        with pytest.raises(Malformed):
            found(store, limit=limit)


def test_a_cursor_serves_its_own_question_only(crowd):
    store, _ = crowd
    cursor = found(store, limit=1).following
    assert assets(found(store, limit=1, cursor=cursor)) != assets(found(store, limit=1))
    for forged in ("", "x", cursor[:-2], "e30", "WzAsMSwieCJd"):
        with pytest.raises(Malformed):
            found(store, limit=1, cursor=forged)
    with pytest.raises(Malformed):
        found(store, "信", limit=1, cursor=cursor)


def test_pages_neither_shift_nor_repeat_while_others_register(store):
    for number in range(30):
        enrol(store, f"inst-{number}")
        register(store, f"inst-{number}", "set")
    seen, cursor = [], None
    for turn in count():
        page = found(store, limit=7, cursor=cursor)
        seen += assets(page)
        cursor = page.following
        if cursor is None:
            break
        enrol(store, f"late-{turn}")
        register(store, f"late-{turn}", "set")
    assert sorted(seen) == sorted(f"inst-{number}/set" for number in range(30))


def test_a_new_dataset_is_found_at_once_and_under_its_new_words_only(store):
    register(store, title="before")
    assert assets(found(store, "before")) == ["bank-a/accounts"]
    register(store, title="after", refreshed="2026-12-31")
    assert (assets(found(store, "before")), assets(found(store, "after"))) == ([], ["bank-a/accounts"])


def test_hidden_owners_are_neither_listed_nor_counted(crowd):
    store, told = crowd
    hidden = {"bank-3", "bank-4", "bank-5"}
    page = store.search.find(Question(), hidden=hidden, limit=500, facets=True)
    shown = [row for row in expected(told, [], {}) if row["owner"] not in hidden]
    assert assets(page) == [row["asset"] for row in shown]
    assert sum(page.facets["state"].values()) == len(shown)
    assert not hidden & set(page.facets["owner"])


def test_of_very_many_only_the_newest_are_counted_and_that_is_said(crowd, monkeypatch):
    store, _ = crowd
    assert COUNTED == 5_000
    monkeypatch.setattr(search, "COUNTED", 10)
    page = found(store, "r1", facets=True)
    assert (sum(page.facets["state"].values()), page.exact) == (10, False)


@pytest.mark.parametrize("harm", ["missing", "garbage", "truncated", "form", "history", "behind"])
def test_the_search_file_is_made_again_from_the_catalogue(tmp_path, harm):
    home = tmp_path / "exchange"
    with_books = opened(home)
    enrol(with_books, "bank-a")
    catalog.publish_standard(with_books, CREDIT)
    register(with_books, title="first")
    assert assets(found(with_books, "first")) == ["bank-a/accounts"]
    with_books.close()
    path = home / "search.sqlite"
    match harm:
        case "missing":
            path.unlink()
        case "garbage":
            path.write_bytes(b"not a database" * 1000)
        case "truncated":
            path.write_bytes(path.read_bytes()[:6000])
        case "form" | "history":
            with sqlite3.connect(path) as raw:
                raw.execute("UPDATE meta SET form = '0'" if harm == "form" else "UPDATE meta SET hash = '0'")
            raw.close()
        case "behind":
            shutil.copy(path, tmp_path / "old")
            again = opened(home)
            register(again, title="second", refreshed="2026-12-31")
            again.close()
            shutil.copy(tmp_path / "old", path)
    again = opened(home)
    try:
        word = "second" if harm == "behind" else "first"
        assert assets(found(again, word)) == ["bank-a/accounts"]
    finally:
        again.close()


def test_a_search_file_that_breaks_in_use_is_made_again(store):
    register(store, title="first")
    assert assets(found(store, "first")) == ["bank-a/accounts"]
    for connection in store.search._idle:
        connection.execute("DROP TABLE words")
        connection.commit()
    register(store, title="second", refreshed="2026-12-31")
    assert assets(found(store, "second")) == ["bank-a/accounts"]


def test_many_threads_search_while_others_register(store):
    for number in range(20):
        enrol(store, f"inst-{number}")

    def work(number):
        if number % 2:
            return register(store, f"inst-{number}", "set", title="common")
        return len(found(store, "common", facets=True).datasets)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(20)))
    assert len(found(store, "common").datasets) == 10

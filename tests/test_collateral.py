"""The same rows are pledged once, whatever they are called and whoever holds them; and silence about them is seen."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exchange.audit.record import Record
from exchange.audit.rules import RULES
from exchange.hub import access, catalog, collateral, liens, marks
from exchange.hub.store import Store
from exchange.hub.watch import LATE_AFTER, watch
from exchange.protocol.agreement import Release
from exchange.protocol.collateral import Clearance, Confirmation
from exchange.protocol.declaration import Declaration
from exchange.protocol.errors import PeerFault, Taken, Unknown
from exchange.protocol.messages import Consent, Officers
from privacy.errors import Malformed, Mismatch, Refused
from tests import pledging
from tests import second_verifier as second
from tests.marked import fingerprint, mark
from tests.test_catalog import CREDIT, OTHER, enrol, key_of, opened, register, withdraw

A, B = "bank-a/accounts", "bank-b/accounts"
START = 1_700_000_000
"""The second at which the stores' clocks start; they tick once for each entry."""


LENDERS = ("lender-x", "lender-y")
PEOPLE = {officer: key_of(officer) for officer in ("ann", "ben")}


def offer(store, asset, *, lender="lender-x", rank=1, nonce="0"):
    return pledging.quote(store, lender, key=key_of(lender), asset=asset, rank=rank, nonce=nonce * 64)


def signed(store, asset, *, lender="lender-x", **told):
    """A pledge that both parties have signed, to be filed next."""
    made, owner = offer(store, asset, lender=lender, **told), asset.partition("/")[0]
    owned = {"owner": owner, "owner_key": key_of(owner)}
    pledging.agree(store, made, lender, key=key_of(lender), officers=PEOPLE, **owned)
    return made


def filed(store, name, lender="lender-x"):
    """File a pledge, and return where it stands, whether the search let it pass or not; the journal must stand before an auditor."""
    with suppress(Refused):
        pledging.file(store, name, lender, key=key_of(lender))
    audited(store.book.journal.entries())
    return liens.describe(store.view(), name, caller=lender)


def pledge(store, asset, *, lender="lender-x", **told):
    return filed(store, signed(store, asset, lender=lender, **told), lender)


def audited(entries):
    """Read a journal as an auditor does, by rules and by a verifier that shares no code."""
    record, books = Record(), second.Books()
    for entry in entries:
        RULES[entry.kind](record, entry)
        books.take({"kind": entry.kind, "body": entry.body, "seq": entry.seq})
    assert books.liens == record.claims


@pytest.fixture
def store(tmp_path):
    """An exchange with two banks and two lenders, and two standards."""
    made = opened(tmp_path / "exchange")
    for party in ("bank-a", "bank-b"):
        enrol(made, party)
    for lender in LENDERS:
        enrol(made, lender, "lender")
    pledging.name_officers(made, LENDERS[0], key=key_of(LENDERS[0]), officers=PEOPLE)
    access.announce(made, Officers(officers=tuple(PEOPLE)).sealed_by(LENDERS[1], key_of(LENDERS[1])))
    for standard in (CREDIT, OTHER):
        catalog.publish_standard(made, standard)
    yield made
    made.close()


@pytest.fixture
def two(store):
    """Two banks that hold a dataset each; bank-a's is pledged, with rows 0 to 9,999."""
    for party in ("bank-a", "bank-b"):
        register(store, party)
    mark(store, A, key_of("bank-a"), range(10_000))
    assert pledge(store, A)["state"] == "registered"
    return store


def live(store, asset):
    return [lien.holder for lien in store.view().liens(asset)]


# -- the search --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        (range(10_000), "blocked"),  # the same
        (range(2_000), "blocked"),  # a part of it
        (range(60_000), "blocked"),  # it, and more
        (range(4_000, 14_000), "review"),  # 60 percent of either: 43 percent of both
        (range(8_500, 18_500), "clear"),
        (range(10_000, 90_000), "clear"),
    ],
    ids=["same", "part", "more", "60%", "15%", "others"],
)
def test_rows_under_another_owner_are_found(two, rows, state):
    mark(two, B, key_of("bank-b"), rows)
    name = signed(two, B)
    if state == "clear":
        told = pledging.file(two, name, "lender-x", key=key_of("lender-x"))
        assert (told["state"], told["search"]["state"], told["search"]["found"]) == ("registered", "clear", [])
        assert live(two, B) == ["lender-x"]
        return
    reason = {"blocked": "those of bank-a/accounts, which is pledged", "review": "may be those of another"}[state]
    with pytest.raises(Refused, match=reason):
        pledging.file(two, name, "lender-x", key=key_of("lender-x"))
    head = two.book.head
    told = filed(two, name)
    assert two.book.head == head, "the same refusal again is not written again"
    assert (told["state"], told["search"]["state"], live(two, B)) == ("signed", state, [])
    (found,) = told["search"]["found"]
    assert (found["asset"], found["outcome"]) == (A, state)
    true = len(set(range(10_000)) & set(rows)) / len(set(range(10_000)) | set(rows))
    assert float(found["likeness"]["jaccard"]["low"]) <= true <= float(found["likeness"]["jaccard"]["high"])


def test_a_copy_that_is_shown_later_does_not_hinder_a_second_rank(two):
    mark(two, B, key_of("bank-b"), range(10_000))
    assert pledge(two, B)["search"]["state"] == "blocked"
    assert pledge(two, A, rank=2)["state"] == "registered"


def test_the_copy_is_free_once_the_first_lien_is_released(two):
    mark(two, B, key_of("bank-b"), range(10_000))
    name = signed(two, B)
    assert filed(two, name)["search"]["state"] == "blocked"
    (lien,) = two.view().liens(A)
    done = Release(offer=lien.offer, title=pledging.title_of(two, A)).sealed_by("lender-x", key_of("lender-x"))
    liens.step(two, lien.offer, done, now=pledging.NOW)
    assert filed(two, name)["search"]["state"] == "review", "whose rows they are is still a question of title"


def test_a_new_name_or_version_of_one_owner_hides_nothing(two):
    register(two, dataset="copies", standard=OTHER)
    mark(two, "bank-a/copies", key_of("bank-a"), range(10_000))
    assert pledge(two, "bank-a/copies")["state"] == "registered", (
        "another standard's rows are not comparable: see docs/collateral.md"
    )
    register(two, refreshed="2026-11-30")
    mark(two, A, key_of("bank-a"), range(50_000, 60_000))
    mark(two, B, key_of("bank-b"), range(10_000))
    assert pledge(two, B)["search"]["state"] == "blocked", "what was pledged counts, whatever the asset holds now"
    with pytest.raises(Taken):
        pledge(two, A, lender="lender-x", nonce="1")


def test_no_fingerprint_no_lien(two):
    name, head = signed(two, B), two.book.head
    with pytest.raises(Refused, match="no fingerprint"):
        pledging.file(two, name, "lender-x", key=key_of("lender-x"))
    assert two.book.head == head
    mark(two, B, key_of("bank-b"), range(20_000, 30_000))
    register(two, "bank-b", refreshed="2026-11-30")
    with pytest.raises(Refused, match="no fingerprint"):
        pledging.file(two, name, "lender-x", key=key_of("lender-x"))
    mark(two, B, key_of("bank-b"), range(20_000, 31_000))
    assert filed(two, name)["state"] == "registered"
    head = two.book.head
    assert filed(two, name)["state"] == "registered"
    assert two.book.head == head, "said again, it changes nothing"
    with pytest.raises(Unknown):
        collateral.check_unique(two.view(), "bank-b/ghost")


def test_rows_that_two_owners_show_and_nobody_pledged_are_a_question_of_title(store):
    for party in ("bank-a", "bank-b"):
        register(store, party)
        mark(store, f"{party}/accounts", key_of(party))
    name = signed(store, B)
    told = filed(store, name)
    assert told["search"]["state"] == "review"
    assert [set(found) for found in told["search"]["found"]] == [{"outcome", "likeness"}], (
        "unpledged assets are not named"
    )
    withdraw(store)
    assert filed(store, name)["search"]["state"] == "review", "what was shown stays shown"


# -- reviewers ---------------------------------------------------------------------------------------------------------


def clearance(store, act="clear", signer="officer-o", asset=B, other=A, **changes):
    view = store.view()
    told = {
        "asset": asset,
        "fingerprint": marks.current(view, asset).id,
        "other": other,
        "other_fingerprint": marks.current(view, other).id,
        "act": act,
        "because": "two banks of one group report the same syndicated loans",
        "nonce": "0" * 64,
    }
    return Clearance(**told | changes).sealed_by(signer, key_of(signer))


@pytest.fixture
def waiting(two):
    """A pledge of bank-b's asset that waits for a reviewer; officer-o is appointed."""
    for party in ("officer-o", "officer-p", "officer-b"):
        enrol(two, party, "officer")
    collateral.appoint(two, "officer-o")
    collateral.appoint(two, "officer-b")
    mark(two, B, key_of("bank-b"), range(4_000, 14_000))
    return two, pledge(two, B)["id"]


def test_a_reviewer_clears_and_the_pledge_is_filed_again(waiting):
    held, name = waiting
    (review,) = collateral.reviews(held.view(), caller="officer-o")
    assert (review["asset"], review["offer"], review["found"][0]["asset"]) == (B, name, A)
    ruling = clearance(held)
    assert collateral.rule(held, ruling) == collateral.rule(held, ruling) == ruling.id
    assert live(held, B) == [], "a ruling alone makes no lien: the lender files again"
    assert collateral.reviews(held.view(), caller="officer-o") == []
    told = filed(held, name)
    assert (told["state"], told["search"]["state"], live(held, B)) == ("registered", "clear", ["lender-x"])
    with pytest.raises(Unknown):
        collateral.rule(held, clearance(held, "same"))


def test_a_reviewer_finds_the_same_and_no_lien_is_registered(waiting):
    held, name = waiting
    collateral.rule(held, clearance(held, "same"))
    with pytest.raises(Refused, match="a reviewer found"):
        pledging.file(held, name, "lender-x", key=key_of("lender-x"))
    assert filed(held, name)["search"]["state"] == "blocked"
    assert live(held, B) == []
    assert pledge(held, B, nonce="1")["search"]["state"] == "blocked"


def test_of_two_that_waited_for_one_ruling_who_files_first_has_the_rank(waiting):
    held, name = waiting
    rival = pledge(held, B, lender="lender-y")
    assert rival["search"]["state"] == "review"
    collateral.rule(held, clearance(held))
    assert filed(held, rival["id"], "lender-y")["state"] == "registered"
    with pytest.raises(Taken):
        pledging.file(held, name, "lender-x", key=key_of("lender-x"))


def test_a_ruling_is_on_two_versions_and_not_on_the_next_one(waiting):
    held, name = waiting
    collateral.rule(held, clearance(held))
    register(held, "bank-b", refreshed="2026-11-30")
    mark(held, B, key_of("bank-b"), range(4_000, 14_001))
    assert filed(held, name)["search"]["state"] == "review"


def test_who_may_not_rule(waiting):
    held, name = waiting
    access.announce(held, Officers(officers=("officer-b",)).sealed_by("bank-b", key_of("bank-b")))
    for signer in ("officer-p", "officer-b", "bank-a", "lender-x"):
        with pytest.raises(Refused, match="only reviewers"):
            collateral.rule(held, clearance(held, signer=signer))
        with pytest.raises(Refused, match="only reviewers"):
            collateral.reviews(held.view(), caller=signer)
    with pytest.raises(Unknown):
        collateral.rule(held, clearance(held, other_fingerprint="0" * 64))
    with pytest.raises(Unknown):
        collateral.appoint(held, "bank-a")
    with pytest.raises(Refused, match="as its own"):
        collateral.appoint(held, "ann")
    with pytest.raises(Malformed):
        collateral.rule(held, Consent(offer=name).sealed_by("officer-o", key_of("officer-o")))
    assert live(held, B) == []


def test_a_ruling_never_lifts_a_block(store):
    """Two hold the same rows unpledged, a reviewer calls them different, then one is pledged."""
    for party in ("bank-a", "bank-b"):
        register(store, party)
        mark(store, f"{party}/accounts", key_of(party))
    enrol(store, "officer-o", "officer")
    collateral.appoint(store, "officer-o")
    name = pledge(store, B)["id"]
    collateral.rule(store, clearance(store))
    assert filed(store, name)["state"] == "registered"
    assert pledge(store, A)["search"]["state"] == "blocked"


# -- what an auditor finds ---------------------------------------------------------------------------------------------


def lied(body):
    """What a search would say that had seen nothing."""
    return body | {"state": "clear", "found": []}


def test_an_exchange_that_lets_a_copy_pass_is_found_by_its_own_log(two):
    """The exchange calls a copy clear: the lien is live, and both verifiers name the search."""
    mark(two, B, key_of("bank-b"), range(10_000))
    name = signed(two, B)
    with pytest.raises(Refused):
        pledging.file(two, name, "lender-x", key=key_of("lender-x"))
    entries = list(two.book.journal.entries())
    false = entries[-1]
    assert (false.kind, false.body["state"]) == ("searched", "blocked")
    with pytest.raises(Mismatch, match="say something else"):
        audited([*entries[:-1], replace(false, body=lied(false.body))])
    books = second.Books()
    for entry in entries[:-1]:
        books.take({"kind": entry.kind, "body": entry.body, "seq": entry.seq})
    with pytest.raises(second.Refuted, match="a copy was cleared"):
        books.take({"kind": "searched", "body": lied(false.body), "seq": false.seq})


BENT = [
    ("appointed", lambda body: {"party": "bank-a"}, "no officer of this name"),
    ("appointed", lambda body: {"party": "officer-o"}, "appointed twice"),
    ("searched", lambda body: body | {"fingerprint": "0" * 64}, "another fingerprint"),
    ("searched", lambda body: body | {"offer": "0" * 64}, "no such offer"),
    ("searched", lambda body: body | {"found": []}, "say something else"),
    ("clearance", lambda body: body | {"signer": "officer-p"}, "signature"),
    ("fingerprint", lambda body: body | {"signer": "bank-a"}, "signature"),
]


def test_an_entry_about_identity_that_was_bent_is_refused(waiting):
    held, name = waiting
    collateral.rule(held, clearance(held))
    filed(held, name)
    entries = list(held.book.journal.entries())
    for kind, bend, reason in BENT:
        last = [entry for entry in entries if entry.kind == kind and entry.body.get("found", True)][-1]
        bent = replace(last, body=bend(last.body))
        with pytest.raises(Mismatch, match=reason):
            audited(entry if entry != last else bent for entry in entries)


# -- hostile fingerprints ----------------------------------------------------------------------------------------------


def test_a_fingerprint_is_its_owners_and_of_the_version_in_force(two):
    told = fingerprint(two, B, range(5))
    key = key_of("bank-b")
    with pytest.raises(Mismatch):
        collateral.record_fingerprint(two, told.sealed_by("bank-b", key_of("bank-a")))
    with pytest.raises(Unknown):  # bank-a signs for a dataset of bank-b's name that it does not hold
        collateral.record_fingerprint(
            two, told.model_copy(update={"dataset": "others"}).sealed_by("bank-a", key_of("bank-a"))
        )
    for changes, error in (
        ({"version": "2026-10-30"}, Mismatch),
        ({"standard": OTHER.id}, Mismatch),
        ({"columns_digest": "0" * 64}, Mismatch),
        ({"key": "cd" * 32}, Refused),
        ({"earlier": "0" * 64}, PeerFault),
    ):
        with pytest.raises(error):
            collateral.record_fingerprint(two, fingerprint(two, B, range(5), **changes).sealed_by("bank-b", key))
    with pytest.raises(Malformed):
        collateral.record_fingerprint(two, Consent(offer="0" * 64).sealed_by("bank-b", key))


def test_an_old_fingerprint_cannot_be_put_back(two):
    key = key_of("bank-b")
    first = fingerprint(two, B, range(20_000, 30_000)).sealed_by("bank-b", key)
    assert collateral.record_fingerprint(two, first) == collateral.record_fingerprint(two, first)
    with pytest.raises(PeerFault, match="never change"):
        mark(two, B, key, range(20_000, 20_100))
    register(two, "bank-b", refreshed="2026-11-30")
    mark(two, B, key, range(20_000, 31_000))
    with pytest.raises(Mismatch):
        collateral.record_fingerprint(two, first)
    assert marks.current(two.view(), B).version == "2026-11-30"


# -- the watch ---------------------------------------------------------------------------------------------------------


def seen(store, asset=A, *, caller="lender-x", after=0):
    """The watch, so many seconds after the last entry of the journal."""
    return watch(store.view(), asset, caller=caller, now=int(store.book.journal.moment // 1_000_000 + after))


def word(store, found, *, days=0, asset=A, **changes):
    day = datetime.fromtimestamp(START, tz=UTC).date() + timedelta(days=days)
    owner, _, name = asset.partition("/")
    told = {
        "dataset": name,
        "fingerprint": marks.current(store.view(), asset).id,
        "day": day.isoformat(),
        "found": found,
    }
    signed = Confirmation(**told | changes).sealed_by(owner, key_of(owner))
    return collateral.record_confirmation(store, signed, now=START + days * 86_400)


def test_each_state_has_its_cause_and_silence_is_late(two):
    assert seen(two)["state"] == "confirmed"
    assert seen(two, after=LATE_AFTER + 60)["state"] == "late"
    word(two, "confirmed")
    assert seen(two, after=LATE_AFTER - 60)["state"] == "confirmed"
    assert seen(two, after=LATE_AFTER + 60)["state"] == "late"
    word(two, "changed", days=1)
    assert seen(two)["state"] == "changed"
    word(two, "gone", days=2)
    assert seen(two)["state"] == "gone"
    word(two, "confirmed", days=3)
    told = seen(two)
    assert (told["state"], [one["found"] for one in told["words"]]) == (
        "confirmed",
        ["confirmed", "gone", "changed", "confirmed"],
    )
    assert told["rows"] == {"least": 9_728, "below": 10_240}
    assert told["liens"][0]["holder"] == "lender-x"


@pytest.mark.parametrize(("rows", "state"), [(range(11_000), "confirmed"), (range(3_000, 13_000), "changed")])
def test_a_declared_refresh_is_taken_if_it_keeps_the_pledged_rows(two, rows, state):
    pledged = marks.current(two.view(), A)
    register(two, refreshed="2026-11-30")
    assert (seen(two)["state"], "no fingerprint" in seen(two)["because"]) == ("late", True)
    mark(two, A, key_of("bank-a"), rows)
    told = seen(two)
    assert (told["state"], told["version"]) == (state, "2026-11-30")
    assert told["pledged"] == {"fingerprint": pledged.id, "version": "2026-10-31", "root": pledged.root}
    true = len(set(rows) & set(range(10_000))) / 10_000
    assert float(told["kept"]["low"]) <= true <= float(told["kept"]["high"])


@pytest.mark.parametrize(("refreshed", "state"), [("2023-10-08", "confirmed"), ("2023-10-06", "late")])
def test_rows_that_should_have_been_loaded_anew_are_late(store, refreshed, state):
    """The clock shows 2023-11-14; a month, and a week of grace."""
    register(store, declared=Declaration(refresh="P1M"), refreshed=refreshed)
    mark(store, A, key_of("bank-a"))
    assert seen(store, caller="bank-a")["state"] == state


def test_words_that_are_not_taken(two):
    known = word(two, "confirmed", days=1)
    assert word(two, "confirmed", days=1) == known
    for error, told in (
        (PeerFault, {"days": 0}),
        (PeerFault, {"days": 1, "fingerprint": "0" * 64}),
        (PeerFault, {"days": 5, "day": "2026-12-24"}),
    ):
        with pytest.raises(error):
            word(two, "confirmed", **told)
    unknown = Confirmation(dataset="accounts", fingerprint="0" * 64, day="2023-11-14", found="confirmed")
    unknown = Confirmation(dataset="accounts", fingerprint="0" * 64, day="2023-11-14", found="confirmed")
    with pytest.raises(Unknown):
        collateral.record_confirmation(two, unknown.sealed_by("bank-b", key_of("bank-b")), now=START)
    # a word that is on record cannot be said again to hide a later one of the same day
    word(two, "changed", days=1)
    word(two, "confirmed", days=1)
    assert seen(two)["state"] == "changed"


def test_only_those_concerned_see_it(two):
    enrol(two, "supervisor", "regulator")
    mark(two, B, key_of("bank-b"), range(20_000, 30_000))
    for caller in ("bank-a", "lender-x", "supervisor"):
        told = seen(two, caller=caller)
        assert "sketch" not in str(told)
    for caller in ("bank-b", "lender-y", "nobody"):
        with pytest.raises(Unknown):
            seen(two, caller=caller)
    offer(two, B, lender="lender-y")
    assert seen(two, B, caller="lender-y")["pledged"] is None
    with pytest.raises(Unknown):
        seen(two, B, caller="lender-x")


def test_the_projection_is_rebuilt_from_the_journal(waiting):
    held, name = waiting
    word(held, "changed", days=1)
    collateral.rule(held, clearance(held))
    filed(held, name)
    tables = ("fingerprint", "confirmation", "reviewer", "clearance", "search", "lien", "offer")
    before = {table: sorted(held.view().rows(f"SELECT * FROM {table}", [])) for table in tables}
    home = held.home
    held.close()
    for path in home.glob("*.duckdb*"):
        path.unlink()
    again: Store = opened(home)
    try:
        assert {table: sorted(again.view().rows(f"SELECT * FROM {table}", [])) for table in tables} == before
    finally:
        again.close()

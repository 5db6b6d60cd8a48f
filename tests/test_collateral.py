"""The same rows are pledged once, whatever they are called and whoever holds them; and silence about them is seen."""

from datetime import UTC, datetime, timedelta

import pytest

from exchange.hub import access, catalog, collateral, liens, marks
from exchange.hub.store import Store
from exchange.hub.watch import LATE_AFTER, watch
from exchange.protocol.collateral import Clearance, Confirmation
from exchange.protocol.declaration import Declaration
from exchange.protocol.errors import PeerFault, Taken, Unknown
from exchange.protocol.messages import Appraisal, Consent, Objection, Offer, Officers
from privacy.errors import Malformed, Mismatch, Refused
from tests.marked import fingerprint, mark
from tests.test_catalog import CREDIT, OTHER, enrol, key_of, opened, register, withdraw

A, B = "bank-a/accounts", "bank-b/accounts"
START = 1_700_000_000
"""The second at which the stores' clocks start; they tick once for each entry."""


def offer(store, asset, *, lender="lender-x", rank=1, nonce="0"):
    appraisal = Appraisal(asset=asset, report="0" * 64, releases=()).sealed_by(lender, key_of(lender))
    liens.record_appraisal(store, appraisal)
    told = Offer(asset=asset, rank=rank, amount=10, matures="2027-12-31", appraisal=appraisal.id, nonce=nonce * 64)
    return liens.offer(store, told.sealed_by(lender, key_of(lender)))


def consent(store, name, owner):
    return liens.answer(store, name, Consent(offer=name).sealed_by(owner, key_of(owner)))


def pledge(store, asset, **told):
    return consent(store, offer(store, asset, **told), asset.partition("/")[0])


@pytest.fixture
def store(tmp_path):
    """An exchange with two banks and a lender, and two standards."""
    made = opened(tmp_path / "exchange")
    for party in ("bank-a", "bank-b"):
        enrol(made, party)
    enrol(made, "lender-x", "lender")
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
    assert pledge(store, A)["state"] == "live"
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
        (range(8_500, 18_500), "live"),
        (range(10_000, 90_000), "live"),
    ],
    ids=["same", "part", "more", "60%", "15%", "others"],
)
def test_rows_under_another_owner_are_found(two, rows, state):
    mark(two, B, key_of("bank-b"), rows)
    told = pledge(two, B)
    assert (told["state"], told["search"]["state"]) == (state, "clear" if state == "live" else state)
    assert live(two, B) == (["lender-x"] if state == "live" else [])
    if state != "live":
        (found,) = told["search"]["found"]
        assert (found["asset"], found["outcome"]) == (A, state)
        true = len(set(range(10_000)) & set(rows)) / len(set(range(10_000)) | set(rows))
        assert float(found["likeness"]["jaccard"]["low"]) <= true <= float(found["likeness"]["jaccard"]["high"])
        too_late = Objection(offer=told["id"], reason="too late").sealed_by("bank-b", key_of("bank-b"))
        too_late = Objection(offer=told["id"], reason="too late").sealed_by("bank-b", key_of("bank-b"))
        with pytest.raises(PeerFault, match="answered"):
            liens.answer(two, told["id"], too_late)


def test_a_copy_that_is_shown_later_does_not_hinder_a_second_rank(two):
    mark(two, B, key_of("bank-b"), range(10_000))
    assert pledge(two, B)["state"] == "blocked"
    assert pledge(two, A, rank=2)["state"] == "live"


def test_a_new_name_or_version_of_one_owner_hides_nothing(two):
    register(two, dataset="copies", standard=OTHER)
    mark(two, "bank-a/copies", key_of("bank-a"), range(10_000))
    assert pledge(two, "bank-a/copies")["state"] == "live", (
        "another standard's rows are not comparable: see docs/collateral.md"
    )
    register(two, refreshed="2026-11-30")
    mark(two, A, key_of("bank-a"), range(50_000, 60_000))
    mark(two, B, key_of("bank-b"), range(10_000))
    assert pledge(two, B)["state"] == "blocked", "what was pledged counts, whatever the asset holds now"
    with pytest.raises(Taken):
        pledge(two, A, lender="lender-x", nonce="1")


def test_no_fingerprint_no_lien(two):
    name = offer(two, B)
    with pytest.raises(Refused, match="no fingerprint"):
        consent(two, name, "bank-b")
    mark(two, B, key_of("bank-b"), range(20_000, 30_000))
    register(two, "bank-b", refreshed="2026-11-30")
    with pytest.raises(Refused, match="no fingerprint"):
        consent(two, name, "bank-b")
    mark(two, B, key_of("bank-b"), range(20_000, 31_000))
    assert consent(two, name, "bank-b")["state"] == "live"
    assert consent(two, name, "bank-b")["state"] == "live", "said again, it changes nothing"
    with pytest.raises(Unknown):
        collateral.check_unique(two.view(), "bank-b/ghost")


def test_rows_that_two_owners_show_and_nobody_pledged_are_a_question_of_title(store):
    for party in ("bank-a", "bank-b"):
        register(store, party)
        mark(store, f"{party}/accounts", key_of(party))
    told = pledge(store, B)
    assert told["state"] == "review"
    assert [set(found) for found in told["search"]["found"]] == [{"outcome", "likeness"}], (
        "unpledged assets are not named"
    )
    withdraw(store)
    again = pledge(store, B, nonce="1")
    assert again["state"] == "review", "what was shown stays shown"


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
    """An offer on bank-b's asset that waits for a reviewer; officer-o is appointed."""
    for party in ("officer-o", "officer-p", "officer-b"):
        enrol(two, party, "officer")
    collateral.appoint(two, "officer-o")
    collateral.appoint(two, "officer-b")
    mark(two, B, key_of("bank-b"), range(4_000, 14_000))
    return two, pledge(two, B)["id"]


def test_a_reviewer_clears_and_the_lien_is_registered_in_the_same_step(waiting):
    held, name = waiting
    (review,) = collateral.reviews(held.view(), caller="officer-o")
    assert (review["asset"], review["offer"], review["found"][0]["asset"]) == (B, name, A)
    ruling = clearance(held)
    assert collateral.rule(held, ruling) == collateral.rule(held, ruling) == ruling.id
    assert liens.describe(held.view(), name, caller="bank-b")["state"] == "live"
    assert live(held, B) == ["lender-x"]
    assert collateral.reviews(held.view(), caller="officer-o") == []
    assert marks.search(held.view(), name).state == "clear"


def test_a_reviewer_finds_the_same_and_the_pledge_is_refused(waiting):
    held, name = waiting
    collateral.rule(held, clearance(held, "same"))
    assert liens.describe(held.view(), name, caller="lender-x")["state"] == "blocked"
    assert live(held, B) == []
    assert pledge(held, B, nonce="1")["state"] == "blocked"


def test_a_rank_that_was_taken_meanwhile_stays_with_its_holder(waiting):
    held, name = waiting
    enrol(held, "lender-y", "lender")
    second = pledge(held, B, lender="lender-y")["id"]
    collateral.rule(held, clearance(held))
    states = [liens.describe(held.view(), one, caller="bank-b")["state"] for one in (name, second)]
    assert states[0] == "live"
    assert len(live(held, B)) == 1
    collateral.rule(held, clearance(held, nonce="1" * 64))
    states = [liens.describe(held.view(), one, caller="bank-b")["state"] for one in (name, second)]
    assert states == ["live", "taken"]


def test_who_may_not_rule(waiting):
    held, name = waiting
    told = Officers(officers=("officer-b",)).sealed_by("bank-b", key_of("bank-b"))
    access.announce(held, told)
    for signer in ("officer-p", "officer-b", "bank-a", "lender-x"):
        with pytest.raises(Unknown):
            collateral.rule(held, clearance(held, signer=signer))
        assert collateral.reviews(held.view(), caller=signer) == []
    with pytest.raises(Unknown):
        collateral.rule(held, clearance(held, other_fingerprint="0" * 64))
    with pytest.raises(Unknown):
        collateral.appoint(held, "bank-a")
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
    pledge(store, B)
    collateral.rule(store, clearance(store))
    assert live(store, B) == ["lender-x"]
    assert pledge(store, A)["state"] == "blocked"


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
    enrol(two, "lender-y", "lender")
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
    held, _ = waiting
    word(held, "changed", days=1)
    collateral.rule(held, clearance(held))
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

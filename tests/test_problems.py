"""Problem documents: every error has a row, travels there and back, and hostile documents give a plain error."""

import asyncio
import importlib
import pkgutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import STANDARD, generous, mutations, plans, put, wild

import api
import exchange
import privacy
import valuation
from api.problems import _Stopping
from exchange.protocol import problems
from exchange.protocol.errors import (
    Denied,
    Encumbered,
    Forbidden,
    Overreach,
    PeerFault,
    Revoked,
    Slow,
    Stale,
    Taken,
    Throttled,
    TooNew,
    TooOld,
    Uninvited,
    Unknown,
)
from privacy import canonical
from privacy.errors import Exhausted, Malformed, Mismatch, Overflow, PrivacyError, Refused
from privacy.necessity import decide
from privacy.offences import Violation

VIOLATION = Violation("age as sum", "policy", "bank-a.accounts@1", "not granted", "drop it")
ERRORS = [
    PrivacyError("odd", fix="report it"),
    Malformed("bad", fix="mend it"),
    Mismatch("differs", fix="again"),
    Overflow("too large", fix="narrow it"),
    Refused("no", fix="ask"),
    PeerFault("now?", fix="wait"),
    Denied("who?", fix="sign"),
    Revoked(),
    Uninvited("used", fix="ask for another"),
    Forbidden("not you", fix="ask somebody else"),
    Throttled(3),
    Slow("late", fix="again"),
    Stale("changed", fix="look again"),
    TooOld(oldest=2, newest=3),
    TooNew(oldest=2, newest=3),
    Unknown("session"),
    Exhausted(asked=5, left=3, cap="partner"),
    Taken(asset="bank-a/accounts", rank=1, holder="lender", since="2026-01-01T00:00:00Z"),
    Overreach((VIOLATION,), None),
    Encumbered(asset="bank-a/accounts", rank=1, holder="lender", since="2026-01-01T00:00:00Z", doing="withdrawn"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_travel_there_and_back(error):
    told = canonical.decode(canonical.encode(problems.document(error)))
    back = problems.error(told)
    assert type(back) is type(error)
    assert (back.reason, back.fix) == (error.reason, error.fix)
    assert vars(back) == vars(error)
    assert problems.document(back) == told
    assert (told["code"], told["status"]) == (problems.TABLE[type(error)].code, problems.TABLE[type(error)].status)


def test_every_row_has_an_example_above():
    assert {type(error) for error in ERRORS} == set(problems.TABLE)


@given(plans(purposes=["credit-risk-statistics"]))
def test_refusals_travel_with_every_item_and_the_nearest_plan(plan):
    policies = [generous("credit-risk-statistics")]
    decision = decide(put(plan), standard=STANDARD, policies=policies)
    if decision.allowed:
        return
    error = Overreach.of(decision)
    back = problems.error(canonical.decode(canonical.encode(problems.document(error))))
    assert isinstance(back, Overreach)
    assert (back.violations, back.nearest) == (decision.violations, decision.nearest)


def _subclasses(cls):
    for inner in cls.__subclasses__():
        yield inner
        yield from _subclasses(inner)


def _every_error():
    for package in (privacy, exchange, valuation, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return {
        cls
        for cls in _subclasses(PrivacyError)
        if cls.__module__.partition(".")[0] in {"privacy", "exchange", "valuation", "api"}
    }


def test_every_error_of_the_house_has_the_row_of_its_nearest_ancestor():
    found = _every_error()
    assert set(problems.TABLE) - {PrivacyError} <= found
    for cls in found:
        rows = [ancestor for ancestor in cls.__mro__ if ancestor in problems.TABLE]
        assert problems.of(cls.__new__(cls)) == problems.TABLE[rows[0]]
        assert all(issubclass(rows[0], other) for other in rows)


def test_codes_and_statuses_are_distinct_and_sensible():
    codes = [problem.code for problem in problems.TABLE.values()]
    assert len(set(codes)) == len(codes)
    assert {problem.status for problem in problems.TABLE.values()} <= {400, 401, 403, 404, 408, 409, 412, 422, 429, 500}


def test_a_subclass_travels_as_its_row():
    class Narrower(Malformed):
        pass

    back = problems.error(problems.document(Narrower("bad", fix="mend it")))
    assert type(back) is Malformed
    assert (back.reason, back.fix) == ("bad", "mend it")


def test_what_is_unknown_and_what_is_not_yours_read_the_same():
    assert problems.document(Unknown("dataset")) == problems.document(Unknown("dataset"))
    assert problems.document(Unknown("dataset"))["detail"] == "no such dataset"


@settings(max_examples=300)
@given(st.sampled_from(ERRORS), st.data())
def test_changed_documents_give_an_error_of_ours(error, data):
    told = data.draw(mutations(problems.document(error)))
    assert isinstance(problems.error(told), PrivacyError)


@given(wild)
def test_anything_else_gives_a_plain_error(told):
    assert type(problems.error(told)) is PrivacyError


def document_of(kind):
    return problems.document(next(error for error in ERRORS if type(error) is kind))


@pytest.mark.parametrize(
    "told",
    [
        {**document_of(Exhausted), "left": 10**400},
        {**document_of(Exhausted), "asked": "many"},
        {**document_of(Overreach), "violations": [{}]},
        {**document_of(Overreach), "violations": 5},
        {**document_of(Overreach), "nearest": {"rho": 1}},
        {**document_of(Throttled), "seconds": "soon"},
        {"code": "TS-REQ-001"},
        {"code": ["TS-REQ-001"]},
        {"code": "TS-NEW-001", "detail": "x", "fix": "y"},
    ],
    ids=range(9),
)
def test_unreadable_documents_give_a_plain_error(told):
    assert type(problems.error(told)) is PrivacyError


@pytest.mark.parametrize(
    ("kind", "said", "statuses"), [("http", [], [503]), ("http", ["http.response.start"], []), ("lifespan", [], [])]
)
def test_what_is_cut_short_is_answered_if_it_was_not_answered_yet(kind, said, statuses):
    sent = []

    async def cut_short(scope, receive, send):
        for name in said:
            await send({"type": name, "status": 200})
        raise asyncio.CancelledError

    async def send(message):
        sent.append(message)

    serving = _Stopping(cut_short)({"type": kind, "state": {"request_id": "0" * 16}}, None, send)
    if statuses:
        asyncio.run(serving)
    else:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(serving)
    assert [message["status"] for message in sent if "status" in message] == [200] * len(said) + statuses

"""Hypothesis generators shared by the tests: standards, plans, policies, messages, and hostile changes to documents."""

import copy
from datetime import date

from hypothesis import strategies as st

from exchange.protocol import messages
from privacy.necessity import ANYBODY, PURPOSES, ROWS, USES, Grant, Pledging, Policy
from privacy.plan import Between, CountPresent, CountRows, CountValid, GroupBy, OneOf, Plan, Sum
from privacy.terms import Bounds, Column, Kind, Standard

PARTIES = ("bank-a", "bank-b", "insurer-c", "telecom-d")
DOMAINS = {"region": ("north", "east", "south"), "product": ("card", "car"), "grade": ("a", "b", "c", "d")}
MEASURES = {"balance": Bounds(-500, 10_000), "age": Bounds(0, 120), "income": Bounds(0, 5_000)}

texts = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | texts
keys = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=6)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
"""Values that have a canonical form."""

wild = st.recursive(
    scalars
    | st.floats()
    | st.integers(2**63, 2**70)
    | st.sampled_from(["", "*", "\ud800", "a" * 500, -1, 0, True, 10**400, 1.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
"""Whatever a JSON parser could hand over, and some that it could not."""


def small_bounds(limit=1 << 20):
    return st.tuples(st.integers(-limit, limit), st.integers(-limit, limit)).map(lambda ends: Bounds(*sorted(ends)))


@st.composite
def standards(draw):
    categories = draw(st.lists(st.sampled_from(sorted(DOMAINS)), unique=True, min_size=1))
    measures = draw(st.lists(st.sampled_from(sorted(MEASURES)), unique=True, min_size=1))
    columns = [Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person")]
    columns += [
        Column(name=name, kind=Kind.CATEGORY, meaning=name, domain=DOMAINS[name], required=draw(st.booleans()))
        for name in categories
    ]
    columns += [
        Column(name=name, kind=Kind.MEASURE, meaning=name, bounds=MEASURES[name], decimals=draw(st.integers(0, 9)))
        for name in measures
    ]
    return Standard(
        name="credit",
        version=draw(st.integers(0, 9)),
        title=draw(texts),
        unit="person",
        rows_per_unit=draw(st.integers(1, 12)),
        institutions_per_unit=draw(st.integers(1, 3)),
        columns=tuple(draw(st.permutations(columns))),
    )


STANDARD = Standard(
    name="credit",
    version=1,
    title="accounts",
    unit="person",
    rows_per_unit=3,
    institutions_per_unit=2,
    columns=(
        Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person"),
        *(Column(name=name, kind=Kind.CATEGORY, meaning=name, domain=domain) for name, domain in DOMAINS.items()),
        *(Column(name=name, kind=Kind.MEASURE, meaning=name, bounds=bounds) for name, bounds in MEASURES.items()),
    ),
)
"""One standard that has every column of this file."""


def measures():
    """Every measure over the columns of :data:`STANDARD`, sensible or not, and over columns that it does not have."""
    columns = st.sampled_from([*DOMAINS, *MEASURES, "person", "ghost"])
    return (
        st.just(CountRows())
        | columns.map(CountPresent)
        | columns.map(CountValid)
        | st.builds(Sum, columns, st.sampled_from([*MEASURES.values(), Bounds(-3, 3)]) | small_bounds())
    )


def groups():
    subset = st.sampled_from(sorted(DOMAINS)).flatmap(
        lambda name: st.builds(
            GroupBy, st.just(name), st.lists(st.sampled_from(DOMAINS[name]), unique=True, min_size=1).map(tuple)
        )
    )
    foreign = st.builds(GroupBy, st.sampled_from(["region", "person", "ghost", "age"]), st.just(("elsewhere", "north")))
    return st.one_of(subset, subset, subset, foreign)


def filters():
    fitting = st.sampled_from(sorted(DOMAINS)).flatmap(
        lambda name: st.builds(
            OneOf, st.just(name), st.lists(st.sampled_from(DOMAINS[name]), unique=True, min_size=1).map(tuple)
        )
    ) | st.builds(Between, st.sampled_from(sorted(MEASURES)), small_bounds(100))
    odd = st.builds(OneOf, st.sampled_from(["age", "person", "ghost"]), st.just(("x",))) | st.builds(
        Between, st.sampled_from(["region", "person", "ghost"]), small_bounds(100)
    )
    return st.one_of(fitting, fitting, odd)


@st.composite
def plans(draw, *, standard=STANDARD, purposes=(*PURPOSES, "marketing")):
    """A plan over :data:`STANDARD` (pinned honestly), by any purpose; many exceed what anybody would grant."""
    return Plan(
        standard=standard.id,
        standard_digest=standard.digest,
        purpose=draw(st.sampled_from(purposes)),
        parties=tuple(draw(st.lists(st.sampled_from(PARTIES), unique=True, min_size=1))),
        rows_per_unit=standard.rows_per_unit,
        institutions_per_unit=standard.institutions_per_unit,
        groups=tuple(draw(st.lists(groups(), unique_by=lambda group: group.column, max_size=2))),
        where=tuple(draw(st.lists(filters(), unique_by=lambda test: test.column, max_size=2))),
        measures=tuple(draw(st.lists(measures(), unique_by=lambda measure: measure.key, min_size=1, max_size=4))),
        rho=draw(st.integers(1, 200_000_000)),
    )


@st.composite
def grants(draw, purpose):
    columns = draw(
        st.dictionaries(
            st.sampled_from([ROWS, *DOMAINS, *MEASURES, "person"]),
            st.lists(st.sampled_from(USES), unique=True).map(tuple),
        )
    )
    return Grant(
        purpose=purpose,
        recipients=tuple(draw(st.lists(st.sampled_from([ANYBODY, "lender", "other"]), unique=True, min_size=1))),
        columns=columns,
        min_parties=draw(st.integers(0, 4)),
        min_group=draw(st.integers(0, 50)),
        rho_per_query=draw(st.integers(1, 200_000_000)),
        budget=draw(st.integers(0, 10**12)),
    )


def generous(purpose, owner="bank-a"):
    """A policy that grants everything the floor and the purpose could allow."""
    everything = Grant(
        purpose=purpose,
        recipients=(ANYBODY,),
        columns=dict.fromkeys((ROWS, "person", "ghost", *DOMAINS, *MEASURES), USES),
        min_parties=0,
        min_group=0,
        rho_per_query=200_000_000,
        budget=10**12,
    )
    return Policy(owner, "accounts", STANDARD.id, 1, 10**12, 10**12, (everything,), dict(MEASURES), dict(DOMAINS))


@st.composite
def policies(draw):
    """A policy with any selection of grants; half of the time one of them is generous, so that something is allowed."""
    held = [draw(grants(purpose)) for purpose in draw(st.lists(st.sampled_from(list(PURPOSES)), unique=True))]
    if draw(st.booleans()):
        purpose = draw(st.sampled_from(list(PURPOSES)))
        held = [grant for grant in held if grant.purpose != purpose] + list(generous(purpose).grants)
    return Policy(
        owner=draw(st.sampled_from(PARTIES)),
        dataset="accounts",
        standard=STANDARD.id,
        version=draw(st.integers(0, 5)),
        everyone=draw(st.integers(0, 10**12)),
        partner=draw(st.integers(0, 10**12)),
        grants=tuple(held),
        bounds={
            name: draw(st.just(bounds) | small_bounds()) for name, bounds in MEASURES.items() if draw(st.booleans())
        },
        domains={name: domain[: draw(st.integers(1, 4))] for name, domain in DOMAINS.items()},
        pledging=draw(
            st.none()
            | st.builds(
                Pledging,
                lenders=st.lists(st.sampled_from(["lender", "other"]), unique=True).map(tuple),
                limit=st.integers(0, 10**9),
                until=st.dates(date(2020, 1, 1), date(2099, 12, 31)).map(date.isoformat),
            )
        ),
    )


def _places(document, path=()):
    yield path
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inner:
        yield from _places(value, (*path, key))


@st.composite
def mutations(draw, document):
    """A copy of a JSON document with one change: a place replaced, dropped, doubled, reversed or given a stranger."""
    mutant = copy.deepcopy(document)
    path = draw(st.sampled_from(list(_places(document))))
    if not path:
        return draw(wild)
    parent = mutant
    for key in path[:-1]:
        parent = parent[key]
    last = path[-1]
    match draw(st.sampled_from(["replace", "drop", "double", "reverse", "stranger"])):
        case "replace":
            parent[last] = draw(wild)
        case "drop":
            del parent[last]
        case "double" if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
        case "reverse" if isinstance(parent[last], list):
            parent[last].reverse()
        case _ if isinstance(parent[last], dict):
            parent[last][draw(st.text(max_size=4))] = draw(wild)
        case _:
            parent[last] = draw(wild)
    return mutant


hex32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_amount = st.integers(0, 2**62 - 1)
_dates = st.dates().map(date.isoformat)
_columns = st.lists(st.sampled_from([*DOMAINS, *MEASURES]), unique=True).map(tuple)
_objects = st.dictionaries(keys, json_values, max_size=3)
_offences = st.builds(messages.Offence, item=_text, layer=_text, rule=_text, why=_text, fix=_text)

any_message = st.one_of(
    st.builds(
        messages.Registration,
        dataset=st.just("accounts"),
        title=_text,
        standard=_text,
        standard_digest=hex32,
        population=_text,
        columns=_columns,
        refreshed=_dates,
    ),
    st.builds(messages.Publication, policy=_objects),
    st.builds(messages.Key, key=_objects, proof=_objects),
    st.builds(messages.Ask, plan=_objects, key=hex32, nonce=hex32, expires=st.integers(0, 2**40 - 1)),
    st.builds(
        messages.Accept,
        session=hex32,
        plan_hash=hex32,
        policy_digest=hex32,
        version=st.just("2026-06-30"),
        nonce=hex32,
        share=hex32,
        price=_amount,
        left=_amount,
        min_group=_amount,
    ),
    st.builds(
        messages.Decline, session=hex32, reason=_text, fix=_text, offences=st.lists(_offences, max_size=2).map(tuple)
    ),
    st.builds(messages.Commit, session=hex32, roster_hash=hex32),
    st.builds(
        messages.Share,
        session=hex32,
        roster_hash=hex32,
        ciphertexts=st.lists(_text, max_size=3).map(tuple),
        charged=_amount,
        left=_amount,
    ),
    st.builds(messages.Abort, session=hex32, reason=_text),
    st.builds(messages.Appraisal, asset=_text, report=hex32, releases=st.lists(hex32, max_size=3).map(tuple)),
    st.builds(
        messages.Offer,
        asset=_text,
        rank=st.integers(1, 9),
        amount=_amount,
        matures=_dates,
        appraisal=hex32,
        nonce=hex32,
    ),
    st.builds(messages.Consent, offer=hex32),
    st.builds(messages.Objection, offer=hex32, reason=_text),
)
"""One valid message of any kind."""

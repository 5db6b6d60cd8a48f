"""Hypothesis generators shared by the tests: standards, plans, policies, messages, and hostile changes to documents."""

import copy
from dataclasses import replace
from datetime import date
from functools import cache
from itertools import pairwise

from hypothesis import strategies as st

from exchange.protocol import declaration, messages
from privacy.approval import Consent, Manner
from privacy.atoms import ROWS, USES
from privacy.expression import (
    PARTS,
    Added,
    AllOf,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Choice,
    Constant,
    Missing,
    Not,
    OneOf,
    Times,
    Value,
    date_label,
    tested,
    values,
)
from privacy.grain import PERIODS
from privacy.offences import Request
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Plan,
    Sum,
    term_of,
)
from privacy.pledging import Pledging, SteppingIn
from privacy.policy import Grant, Policy, Prohibition
from privacy.purposes import PURPOSES
from privacy.recipients import ANYBODY
from privacy.terms import UNKNOWN, Bounds, Column, Kind, Standard

PARTIES = ("bank-a", "bank-b", "insurer-c", "telecom-d")
DOMAINS = {"region": ("north", "east", "south"), "product": ("card", "car"), "grade": ("a", "b", "c", "d")}
MEASURES = {"balance": Bounds(-500, 10_000), "age": Bounds(0, 120), "income": Bounds(0, 5_000)}
DATES = {"opened": Bounds(18_000, 20_000)}
NUMBERS = MEASURES | DATES
COLUMNS = (*DOMAINS, *NUMBERS)

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
    dates = draw(st.lists(st.sampled_from(sorted(DATES)), unique=True))
    columns = [Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person")]
    columns += [
        Column(name=name, kind=Kind.CATEGORY, meaning=name, domain=DOMAINS[name], required=draw(st.booleans()))
        for name in categories
    ]
    columns += [
        Column(
            name=name,
            kind=Kind.MEASURE,
            meaning=name,
            bounds=MEASURES[name],
            decimals=draw(st.integers(0, 9)),
            edges=draw(st.just(()) | st.just((0, 10, 100))),
        )
        for name in measures
    ]
    columns += [Column(name=name, kind=Kind.DATE, meaning=name, bounds=DATES[name]) for name in dates]
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
        *(Column(name=name, kind=Kind.DATE, meaning=name, bounds=bounds) for name, bounds in DATES.items()),
    ),
)
"""One standard that has every column of this file."""


# -- what rows say -----------------------------------------------------------------------------------------------------
#
# Each generator makes what fits the standard's kinds of columns; with ``odd``, now and then also what does not: categories
# in arithmetic, identifiers, columns that no standard has.


@cache
def _columns(fitting, *, odd):
    strangers = st.sampled_from([*COLUMNS, "person", "ghost"])
    return st.one_of(*[st.sampled_from(sorted(fitting))] * 5, strangers) if odd else st.sampled_from(sorted(fitting))


@cache
def terms(depth=1, *, odd=False):
    """Every kind of term, at most ``depth`` levels over a column or a constant."""
    leaf = _columns(tuple(NUMBERS), odd=odd).map(Value)
    leaf = leaf | leaf | st.integers(-9, 9).map(Constant)
    if depth == 0:
        return leaf
    inner = terms(depth - 1, odd=odd)
    cases = st.lists(st.tuples(conditions(depth - 1, odd=odd), inner), min_size=1, max_size=2).map(tuple)
    return (
        leaf
        | st.lists(inner, min_size=2, max_size=3).map(tuple).map(Added)
        | st.builds(Times, inner, inner)
        | st.builds(Choice, cases, st.none() | inner)
    )


@cache
def one_ofs(*, odd=False):
    """A category compared with some of its values, and with one that it does not have."""
    fitting = st.sampled_from(sorted(DOMAINS)).flatmap(
        lambda name: st.builds(
            OneOf,
            st.just(name),
            st.lists(st.sampled_from([*DOMAINS[name], "elsewhere"]), unique=True, min_size=1).map(tuple),
        )
    )
    strange = st.builds(OneOf, st.sampled_from(["age", "opened", "person", "ghost"]), st.just(("x",)))
    return st.one_of(fitting, fitting, fitting, strange) if odd else fitting


@cache
@st.composite
def betweens(draw, inner):
    """A term within an interval that may be open at one end, or empty."""
    near = st.integers(-20, 130) | st.integers(-600, 20_100)
    lower, upper = draw(st.none() | near), draw(st.none() | near)
    return Between(draw(inner), *((lower, upper) if (lower, upper) != (None, None) else (0, None)))


@cache
def conditions(depth=1, *, odd=False):
    """Every kind of test, at most ``depth`` levels over a comparison."""
    leaf = (
        one_ofs(odd=odd)
        | betweens(_columns(tuple(NUMBERS), odd=odd).map(Value))
        | _columns(COLUMNS, odd=odd).map(Missing)
    )  # fmt: skip
    if depth == 0:
        return leaf
    inner = conditions(depth - 1, odd=odd)
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return leaf | several.map(AllOf) | several.map(AnyOf) | inner.map(Not) | betweens(terms(depth - 1, odd=odd))


@cache
@st.composite
def bands(draw, *, odd=False):
    """Bands of a measure or date, inside and beyond its bounds; some with a label for all other rows."""
    column = draw(_columns(tuple(NUMBERS), odd=odd))
    around = NUMBERS.get(column, Bounds(0, 100))
    edge = st.integers(around.lower - 3, around.upper + 3)
    edges = sorted(draw(st.lists(edge, unique=True, min_size=2, max_size=5)))
    labels = [f"{low} to {high}" for low, high in pairwise(edges)]
    return ByBand(column, tuple(edges), (*labels, *draw(st.sampled_from([(), (UNKNOWN,)]))))


@cache
def dimensions(*, odd=False):
    """Every kind of dimension; labels in any order, some with one for all other rows."""

    def labels(all_of_them, most):
        some = st.lists(st.sampled_from(all_of_them), unique=True, min_size=1, max_size=most)
        return st.builds(lambda listed, last: (*listed, *last), some, st.sampled_from([(), (UNKNOWN,)]))

    categories = st.sampled_from(sorted(DOMAINS)).flatmap(
        lambda name: st.builds(ByCategory, st.just(name), labels(DOMAINS[name], 4))
    )
    codes = {"quarter": range(1, 5), "month": range(1, 13), "weekday": range(1, 8), "year": range(2018, 2026)}
    codes |= {"year-quarter": range(4 * 2019, 4 * 2025), "year-month": range(12 * 2019, 12 * 2025)}
    dates = st.sampled_from(PARTS).flatmap(
        lambda part: st.builds(
            ByDate,
            _columns(tuple(DATES), odd=odd),
            st.just(part),
            labels([date_label(part, code) for code in codes[part]], 5),
        )
    )
    told = st.sampled_from(["low", "high", "other"])
    cases = st.builds(
        ByCase,
        st.lists(st.tuples(conditions(odd=odd), told), min_size=1, max_size=3).map(tuple),
        st.none() | told | st.just(UNKNOWN),
    )
    strange = st.builds(
        ByCategory, st.sampled_from(["region", "person", "ghost", "age"]), st.just(("elsewhere", "north"))
    )
    fitting = st.one_of(categories, categories, bands(odd=odd), dates, cases)
    return st.one_of(fitting, fitting, fitting, strange) if odd else fitting


@cache
def measures(*, odd=False, depth=1):
    """Every measure."""
    return st.one_of(
        st.just(CountRows()),
        st.just(CountUnits()),
        terms(depth, odd=odd).map(CountPresent),
        _columns(tuple(DOMAINS), odd=odd).map(CountKnown),
        _columns(COLUMNS, odd=odd).map(CountFilled),
        _columns(COLUMNS, odd=odd).map(CountValid),
        _columns(tuple(MEASURES), odd=odd).map(Value).map(Sum),
        terms(depth, odd=odd).map(Sum),
        bands(odd=odd).map(Histogram),
    )


@st.composite
def plans(draw, *, standard=STANDARD, purposes=(*PURPOSES, "marketing"), parties=PARTIES, odd=True, depth=1):
    """A plan over :data:`STANDARD` (pinned honestly), by any purpose; with ``odd``, many exceed what anybody would grant."""
    where = tuple(draw(st.lists(conditions(depth, odd=odd), max_size=2)))
    groups = tuple(draw(st.lists(dimensions(odd=odd), unique=True, max_size=2)))
    held = tuple(
        draw(st.lists(measures(odd=odd, depth=depth), unique_by=lambda measure: measure.key, min_size=1, max_size=4))
    )
    roster = draw(st.lists(st.sampled_from(parties), unique=True, min_size=1))
    bounds = {}
    for column in sorted(computed_by(where, groups, held)):
        declared = NUMBERS.get(column, Bounds(0, 100))
        narrower = st.tuples(*[st.integers(declared.lower, declared.upper)] * 2).map(lambda e: Bounds(*sorted(e)))
        wild_ones = small_bounds(1 << 12) if odd else narrower
        bounds[column] = draw(st.one_of(st.just(declared), st.just(declared), narrower, wild_ones))
    shared = draw(st.none() | st.integers(0, len(roster) - 2)) if len(roster) > 1 else None
    weights = draw(st.lists(st.integers(2, 50_000_000), min_size=len(held), max_size=len(held)))
    evenly = draw(st.booleans())
    return Plan(
        standard=standard.id,
        standard_digest=standard.digest,
        purpose=draw(st.sampled_from(purposes)),
        parties=tuple(roster),
        rows_per_unit=standard.rows_per_unit,
        institutions_per_unit=standard.institutions_per_unit,
        groups=groups,
        where=where,
        measures=held,
        rho=sum(weights),
        bounds=tuple(bounds.items()),
        prices=() if evenly else tuple(weights),
        shared=shared,
    )


def computed_by(where, groups, held):
    """The columns that a plan of these items must bound."""
    inner = [found for found in map(term_of, held) if found is not None]
    return frozenset().union(*map(values, (*where, *groups, *inner)))


@st.composite
def tables(draw, *, standard=STANDARD, most=12, people=4):
    """Raw rows as ``tests.reference`` takes them: missing, unreadable, out of bounds, outside the domain, near bounds."""
    cells = {"person": st.none() | st.integers(1, people).map(lambda number: f"person {number}")}
    for column in standard.columns:
        if column.kind is Kind.CATEGORY:
            cells[column.name] = st.none() | st.sampled_from([*column.domain, *column.domain, "elsewhere"])
        elif column.bounds is not None:
            low, high = column.bounds.lower, column.bounds.upper
            near = st.sampled_from([low, high, low - 1, high + 1, low - 400, high + 400, 0])
            cells[column.name] = st.none() | st.integers(low, high) | near | st.just("unreadable")
    return draw(st.lists(st.fixed_dictionaries(cells), max_size=most))


def put(plan, *, asker="lender", role="lender", keeps=30, on=date(2026, 11, 22)):
    """A plan as a request of this asker."""
    return Request(plan, asker, role, keeps, on)


@st.composite
def grants(draw, purpose):
    columns = draw(
        st.dictionaries(
            st.sampled_from([ROWS, *COLUMNS, "person"]),
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
        columns=dict.fromkeys((ROWS, "person", "ghost", *COLUMNS), USES),
        min_parties=0,
        min_group=0,
        rho_per_query=200_000_000,
        budget=10**12,
    )
    return Policy(owner, "accounts", STANDARD.id, 1, 10**12, 10**12, (everything,), dict(MEASURES), dict(DOMAINS))


SCOPES = (OneOf("product", ("card",)), Between(Value("age"), 18, 80), Not(Missing("grade")))
"""Tests that a grant may open rows by."""


@st.composite
def narrowed(draw, grant):
    """The same grant, narrower in any of the ways that it may be."""
    scopes = [test for test in SCOPES if all("filter" in grant.columns.get(name, ()) for name in tested(test))]
    some = draw(st.sets(st.sampled_from(["grain", "domains", "rows", "finest", "cells", "keeps", "valid", "consent"])))
    width = st.sampled_from([1, 5, 10, 100, 1000])
    change = {
        "grain": {"grain": {"opened": draw(st.sampled_from(PERIODS))} | draw(st.dictionaries(st.sampled_from(sorted(MEASURES)), width))},
        "domains": {
            "domains": {name: labels[: draw(st.integers(0, 3))] for name, labels in DOMAINS.items() if draw(st.booleans())}
        },
        "rows": {"rows": tuple(draw(st.lists(st.sampled_from(scopes), unique=True)) if scopes else ())},
        "finest": {"finest": draw(st.dictionaries(st.sampled_from([ROWS, *MEASURES]), st.integers(1, 100_000)))},
        "cells": {"max_cells": draw(st.integers(1, 40))},
        "keeps": {"keeps": draw(st.integers(0, 60))},
        "valid": {"valid": draw(st.sampled_from([("2026-01-01", "2027-01-01"), ("2027-01-01", "2028-01-01")]))},
        "consent": {"consent": draw(st.sampled_from([Consent(), Consent(Manner.ONCE, 2, 30), Consent(Manner.STANDING, 1, 90)]))},
    }  # fmt: skip
    for name in sorted(some):
        grant = replace(grant, **change[name])
    return grant


prohibitions = st.builds(
    Prohibition,
    purpose=st.sampled_from(["*", *PURPOSES]),
    column=st.sampled_from(["*", *COLUMNS]),
    use=st.sampled_from(["*", *USES]),
    recipient=st.sampled_from(["*", "lender", "other", "role:lender", "role:regulator"]),
)


@st.composite
def rich_policies(draw, purpose="credit-risk-statistics"):
    """A policy with one to three grants of a purpose, at least one of them wide but for what narrows it, and prohibitions."""
    wide = generous(purpose).grants[0]
    held = [draw(narrowed(wide)), *(draw(narrowed(draw(grants(purpose)))) for _ in range(draw(st.integers(0, 2))))]
    held = [replace(grant, budget=10**12) for grant in held]
    held = [grant for place, grant in enumerate(held) if grant not in held[:place]]
    return replace(
        generous(purpose),
        owner=draw(st.sampled_from(PARTIES)),
        grants=tuple(draw(st.permutations(held))),
        prohibitions=tuple(draw(st.lists(prohibitions, max_size=1))) if draw(st.booleans()) else (),
        bounds={name: draw(st.just(bounds) | small_bounds()) for name, bounds in MEASURES.items()},
    )


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
                step_in=st.none()
                | st.builds(
                    SteppingIn,
                    purpose=st.sampled_from(list(PURPOSES)),
                    recipients=st.lists(st.sampled_from(["buyer", "role:lender"]), unique=True).map(tuple),
                    reserve=st.integers(1, 10**9),
                    exclusive=st.booleans(),
                ),
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
_mapped = st.lists(st.sampled_from(COLUMNS), unique=True).map(tuple)
_objects = st.dictionaries(keys, json_values, max_size=3)
_offences = st.builds(messages.Offence, item=_text, layer=_text, rule=_text, why=_text, fix=_text)
_assets = st.from_regex(r"[a-z][a-z0-9-]{0,9}/[a-z][a-z0-9_]{0,9}", fullmatch=True)
_wordings = st.builds(declaration.Wording, zh=st.none() | _text, en=st.none() | _text)
_rights = st.lists(st.sampled_from(["holding", "processing", "operating"]), unique=True).flatmap(
    lambda kinds: st.tuples(
        *(
            st.builds(
                declaration.Right,
                right=st.just(kind),
                source=st.sampled_from(["collected", "authorised", "purchased", "public"]),
                evidence=hex32,
                valid_until=st.none() | _dates,
            )
            for kind in kinds
        )
    )
)


def _chain(told):
    days = sorted(day for day, _ in told)
    events = ["initial", "transfer", "change", "renewal", "cancellation", "transfer", "transfer"]
    return tuple(
        declaration.Title(event=event, document=document, on=day)
        for event, day, (_, document) in zip(events, days, told, strict=False)
    )


def _ordered(pair):
    return dict(zip(("first", "last"), sorted(pair), strict=True))


declarations = st.builds(
    declaration.Declaration,
    title=_wordings,
    description=_wordings,
    steward=st.none() | _text,
    licence=st.none() | _text,
    level=st.none() | st.integers(1, 5),
    rights=_rights,
    titles=st.lists(st.tuples(_dates, hex32), max_size=5, unique_by=lambda pair: pair[1]).map(_chain),
    refresh=st.none() | st.sampled_from(["P1D", "P2W", "P12M", "P1Y"]),
    coverage=st.builds(declaration.Coverage)
    | st.tuples(_dates, _dates).map(lambda pair: declaration.Coverage(regions=("北京",), **_ordered(pair))),
    lineage=st.builds(
        declaration.Lineage, earlier=st.none() | _assets, parents=st.lists(_assets, max_size=3).map(tuple)
    ),
    rows=st.none()
    | st.builds(declaration.Band, least=st.integers(0, 10**6), below=st.none() | st.integers(10**6 + 1, 10**9))
    | st.builds(declaration.Profile, release=hex32),
)
"""Anything that an owner may declare."""

any_message = st.one_of(
    st.builds(
        messages.Registration,
        dataset=st.just("accounts"),
        title=_text,
        standard=_text,
        standard_digest=hex32,
        population=_text,
        columns=_mapped,
        refreshed=_dates,
    )
    | st.builds(
        messages.Registration,
        dataset=st.just("accounts"),
        title=_text,
        standard=_text,
        standard_digest=hex32,
        population=_text,
        columns=_mapped,
        refreshed=_dates,
        declared=declarations,
    ),
    st.builds(messages.Deprecation, dataset=st.just("accounts"), because=_text, successor=st.none() | _assets),
    st.builds(messages.Withdrawal, dataset=st.just("accounts"), because=_text),
    st.builds(messages.Publication, policy=_objects),
    st.builds(messages.Key, key=_objects, proof=_objects),
    st.builds(
        messages.Ask,
        plan=_objects,
        keeps=st.integers(0, 36_600),
        key=hex32,
        nonce=hex32,
        expires=st.integers(0, 2**40 - 1),
    ),
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
        seq=_amount,
        head=hex32,
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

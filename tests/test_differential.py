"""With the noise taken away, a joint answer is what plain Python says over all rows laid together.

The noise-free path exists here and nowhere else: cells are called noised without noise. The truth does not come from the
code under test: institutions store rows of known meaning in their own formats, types, names and spellings, and
``tests/reference.py`` evaluates plans of the whole language over the meanings, without an engine.
"""

import random
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, Phase, given, reject, settings

from privacy.errors import Refused
from privacy.expression import ByCategory, OneOf, Value
from privacy.masks import Context, Peer, mask
from privacy.noise import Noised
from privacy.packing import layout_of, pack, unpack
from privacy.plan import CountRows, CountUnits, Plan, Sum
from privacy.seal import Sealed, fold, seal
from privacy.unseal import SecretKey
from tests import reference, sources
from tests.sources import InPlace, clip, prepared
from tests.strategies import PARTIES, STANDARD, plans

KEY = bytes(range(32))
TRIO = PARTIES[:3]


@dataclass(frozen=True, repr=False)
class Town:
    """Datasets where they lie, their prepared tables, and by party the rows that count, as they are meant."""

    datasets: dict
    tables: dict
    rows: dict

    def cells(self, party, plan, *, ready=True):
        """One party's cells, from its prepared table or from the rows where they lie."""
        tables = self.tables[party] if ready else InPlace()
        return clip(plan, self.datasets[party], sampling_key=KEY, ready=tables).totals


def people_and_rows(choose, *, people, kinds):
    """Rows of people who are customers of one or several institutions, many with more rows than may count."""

    def cell(column):
        roll = choose.random()
        if column.domain:
            return None if roll < 0.05 else "elsewhere" if roll < 0.1 else choose.choice(column.domain)
        if roll < 0.06:
            return None
        if roll < 0.1 and column.name in kinds:
            return "unreadable"
        low, high = column.bounds.lower, column.bounds.upper
        if roll < 0.2:
            return choose.choice([low, high, low - 1, high + 1, low - 400, high + 400])
        return choose.randint(low, high) if choose.random() < 0.5 else choose.randint(low, low + (high - low) // 20)

    for _ in range(people):
        name = choose.choice(
            ["张三", "007", "7", " 7", "o'brien", 'say "x"', "Ω", "a,b", "ﬁ", "P1", "p1", "\t", "-- x"]
        )
        person = choose.choice([f"{name}{choose.randint(0, 9)}", f"person {choose.randint(1, 2 * people)}"])
        for _ in range(choose.randint(1, 5)):
            row = {"person": person} | {column.name: cell(column) for column in STANDARD.columns[1:]}
            yield row
            if choose.random() < 0.05:
                yield dict(row)
    yield {"person": None} | {column.name: cell(column) for column in STANDARD.columns[1:]}


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    choose = random.Random(20_261_122)
    datasets, tables, rows = {}, {}, {}
    for party, kind in zip(PARTIES, ("parquet", "csv", "duckdb", "parquet"), strict=True):
        home = tmp_path_factory.mktemp(party)
        told = list(people_and_rows(choose, people=40, kinds=choose.sample(["balance", "age", "income", "opened"], 2)))
        constant = ("grade", "b") if kind == "csv" else None
        if constant is not None:
            told = [{**row, "grade": "b"} for row in told]
        datasets[party] = sources.lay(home, told, STANDARD, choose, kind=kind, constant=constant)
        tables[party] = prepared(home / "prepared", sampling_key=KEY)
        tables[party].make(datasets[party])
        rows[party] = sources.counting(told, STANDARD, key=KEY)
        assert len(rows[party]) < len(told) - 20  # the bound on rows binds
    yield Town(datasets, tables, rows)
    for held in tables.values():
        held.close()


def expected(town, plan):
    """What the plan says of all parties' rows together; people are counted at each institution by itself."""
    parts = [reference.cells(plan, town.rows[party], STANDARD) for party in plan.parties]
    together = reference.cells(plan, [row for party in plan.parties for row in town.rows[party]], STANDARD)
    summed = tuple(map(sum, zip(*parts, strict=True)))
    for (measure, _, _), joint, total in zip(plan.cells(), together, summed, strict=True):
        assert joint == total or (isinstance(measure, CountUnits) and joint <= total)
    return summed


def test_a_thousand_plans_of_the_whole_language_say_what_plain_python_says(town):
    seen = {"plans": set(), "cells": 0, "filled": 0}

    @settings(
        max_examples=1_000,
        phases=[Phase.generate],
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(plan=plans(odd=False, depth=2))
    def check(plan):
        parts = [town.cells(party, plan) for party in plan.parties]
        assert tuple(map(sum, zip(*parts, strict=True))) == expected(town, plan)
        assert Plan.from_json(plan.to_json()) == plan
        seen["plans"].add(plan.hash)
        seen["cells"] += plan.cells_count
        seen["filled"] += sum(any(cells) for cells in zip(*parts, strict=True))

    check()
    # the comparison is about something: almost all plans differ, and many cells are not empty
    assert len(seen["plans"]) > 900
    assert seen["filled"] > 0.3 * seen["cells"]


@settings(max_examples=40)
@given(plan=plans(odd=False, depth=3))
def test_the_rows_where_they_lie_say_the_same(town, plan):
    parts = [town.cells(party, plan, ready=False) for party in plan.parties]
    assert tuple(map(sum, zip(*parts, strict=True))) == expected(town, plan)


# -- through the sealed path -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def key():
    return SecretKey.generate(3072)


def sealed_sum(plan, parts, key):
    """Pack, mask, seal, fold, open and unpack cells to which no noise was added."""
    layout = layout_of(plan, modulus_bits=key.public.bits)
    secrets = {party: X25519PrivateKey.generate() for party in parts}
    peers = {
        party: Peer(secret.public_key().public_bytes_raw(), party.encode().ljust(32, b"\0"))
        for party, secret in secrets.items()
    }
    context = Context("0" * 64, plan.hash, "1" * 64, key.public.fingerprint)
    shares = []
    for party, totals in parts.items():
        masked = mask(
            pack(Noised(plan.hash, totals), layout),
            me=party,
            secret=secrets[party],
            nonce=peers[party].nonce,
            peers={name: peer for name, peer in peers.items() if name != party},
            context=context,
            modulus=key.public.n,
        )
        wire = seal(masked, key.public).to_wire()
        shares.append(Sealed.from_wire(wire, key.public))
    alone = key.open(shares[0])
    packed = pack(Noised(plan.hash, next(iter(parts.values()))), layout).plaintexts
    assert all(one != other for one, other in zip(alone, packed, strict=True))  # one part alone opens to its mask
    return unpack(key.open(fold(shares)), layout)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans(odd=False, depth=1))
def test_the_sealed_sum_is_the_plain_sum(town, key, plan):
    """The same through packing, masks, encryption under a real key, folding and opening."""
    joint = replace(plan, parties=TRIO, shared=None)
    try:
        layout_of(joint, modulus_bits=key.public.bits)
    except Refused:  # a sum that can only be 0 has no noise to hide it
        reject()
    parts = {party: town.cells(party, joint) for party in TRIO}
    assert sealed_sum(joint, parts, key) == expected(town, joint)


# -- where the bound on rows binds -------------------------------------------------------------------------------------


def test_where_the_bound_binds_the_rows_that_count_are_one_choice_for_all_plans(tmp_path):
    """Twelve rows a person, three of them counted: all plans see the same three, whoever else is in the table."""
    choose = random.Random(3)
    regions = STANDARD.column("region").domain

    def table(name, persons):
        rows = [
            {
                "person": f"p{index}",
                "region": regions[(index + row) % 3],
                "product": "card" if index else "car",
                "grade": None,
                "balance": 1 << row,
                "age": row,
                "income": None,
                "opened": None,
            }
            for index in persons
            for row in range(12)
        ]
        choose.shuffle(rows)
        return sources.lay(tmp_path / name, rows, STANDARD, choose)

    def bits(dataset, *where, key=KEY, also=(), groups=()):
        measure = Sum(Value("balance"))
        plan = Plan(
            standard=STANDARD.id,
            standard_digest=STANDARD.digest,
            purpose="credit-risk-statistics",
            parties=("bank-a",),
            rows_per_unit=STANDARD.rows_per_unit,
            institutions_per_unit=2,
            groups=tuple(groups),
            where=(OneOf("product", ("car",)), *where),
            measures=(measure, *also),
            rho=1_000_000,
            bounds=(("balance", STANDARD.column("balance").bounds),),
        )
        totals = clip(plan, dataset, sampling_key=key).totals
        start = plan.place(measure.key, tuple(by.labels[0] for by in groups))
        return totals[start : start + plan.groups_count]

    [mine] = bits(table("crowd", range(30)))
    crowd = table("crowd", range(30))
    assert mine.bit_count() == STANDARD.rows_per_unit
    assert bits(table("alone", range(1))) == (mine,)
    assert bits(crowd) == (mine,)
    assert bits(crowd, key=bytes(32)) != (mine,)
    assert bits(crowd, also=(CountRows(), CountUnits())) == (mine,)
    assert sum(bits(crowd, groups=[ByCategory("region", regions)])) == mine
    assert sum(bits(crowd, OneOf("region", (region,)))[0] for region in regions) == mine

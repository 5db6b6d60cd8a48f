"""The written arguments stand on both legs: what cites them and what they name exist, and their figures are recomputed."""

import ast
import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.expression import ByCategory, Value
from privacy.ledger import coalitions
from privacy.masks import Masked
from privacy.noise import Noised
from privacy.packing import layout_of, pack
from privacy.plan import CountRows, Plan, Sum
from privacy.seal import seal
from privacy.sensitivity import LEAST_SIGMA, NOISE_SIGMAS, calibrate, exposure
from privacy.terms import NANO, Bounds
from privacy.unseal import SecretKey

ROOT = Path(__file__).parents[1]
PROOFS = (ROOT / "privacy" / "PROOFS.md").read_text("utf-8")
PRIVACY = (ROOT / "docs" / "privacy.md").read_text("utf-8")
PACKAGES = ("privacy", "exchange", "valuation", "api")


# -- what is named exists ----------------------------------------------------------------------------------------------


def items(text: str) -> dict[str, str]:
    """Number and text of every argument."""
    parts = re.split(r"^### (\d+\.\d+) ", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def cited(text: str) -> set[str]:
    """Numbers in every ``PROOFS 1.2``, ``PROOFS 1.2, 3.4`` and ``PROOFS 1.2 and 3.4``."""
    found = re.findall(r"PROOFS (\d+\.\d+(?:(?:,| and|, and) \d+\.\d+)*)", text)
    return {number for numbers in found for number in re.findall(r"\d+\.\d+", numbers)}


def named(text: str) -> set[tuple[str, str]]:
    return set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text))


def citations() -> dict[str, set[str]]:
    rooms = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): cited(path.read_text("utf-8")) for path in rooms}


def test_arguments_are_numbered_without_gaps():
    numbers = [tuple(map(int, number.split("."))) for number in items(PROOFS)]
    chapters = [int(number) for number in re.findall(r"^## (\d+)\. ", PROOFS, re.MULTILINE)]
    assert chapters == list(range(1, len(chapters) + 1))
    for chapter in chapters:
        inside = [section for head, section in numbers if head == chapter]
        assert inside == list(range(1, len(inside) + 1)), f"chapter {chapter}"


def test_every_argument_is_cited_by_code_and_every_citation_leads_to_one():
    by_room = citations()
    everywhere = set().union(*by_room.values())
    dangling = {room: numbers - items(PROOFS).keys() for room, numbers in by_room.items()}
    assert not {room: numbers for room, numbers in dangling.items() if numbers}
    assert items(PROOFS).keys() == everywhere, f"cite {sorted(items(PROOFS).keys() - everywhere)} where it is relied on"


def test_every_argument_names_the_tests_that_would_fail():
    silent = [number for number, text in items(PROOFS).items() if not named(text)]
    assert not silent


def test_every_statement_about_privacy_names_its_test():
    proved = PRIVACY.split("## What is proved")[1].split("\n## ")[0]
    rows = [row for row in proved.splitlines() if row.startswith("| ")][1:]
    assert len(rows) >= 10
    assert not [row for row in rows if not named(row)]
    assert not [row for row in rows if not cited(row)]
    assert cited(PRIVACY) <= items(PROOFS).keys()


@pytest.mark.parametrize("page", ["privacy/PROOFS.md", "docs/privacy.md"])
def test_every_named_test_exists(page):
    found = named((ROOT / page).read_text("utf-8"))
    assert len(found) >= 20
    held: dict[str, set[str]] = {}
    for file, test in sorted(found):
        if file not in held:
            tree = ast.parse((ROOT / file).read_text("utf-8"))
            held[file] = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in held[file], f"{page} names {file}::{test}"
    mentioned = set(re.findall(r"\btests/[\w/]+\.py::\w+", (ROOT / page).read_text("utf-8")))
    assert {f"{file}::{test}" for file, test in found} == mentioned, "write names of tests in backquotes"


def test_the_checks_of_this_file_see_what_they_are_there_for():
    assert items("### 1.1 A\ntext\n### 1.2 B\nmore") == {"1.1": "A\ntext\n", "1.2": "B\nmore"}
    assert cited("Source: PROOFS 1.2. See PROOFS 3.4 and 5.6, and PROOFS 7.8, 9.1.") == {
        "1.2",
        "3.4",
        "5.6",
        "7.8",
        "9.1",
    }
    assert named("`tests/test_x.py::test_y`, tests/test_x.py::test_z") == {("tests/test_x.py", "test_y")}


# -- figures of the arguments --------------------------------------------------------------------------------------------


def plan_of(parties=("a", "b", "c"), *, rho=NANO // 10, shared=None, institutions=2, groups=(), **changes):
    plan = Plan(
        standard="credit/1",
        standard_digest="a" * 64,
        purpose="credit-risk-statistics",
        parties=parties,
        rows_per_unit=3,
        institutions_per_unit=institutions,
        groups=groups,
        where=(),
        measures=(CountRows(), Sum(Value("balance"))),
        bounds=(("balance", Bounds(-20, 1000)),),
        rho=rho,
        shared=shared,
    )
    return replace(plan, **changes)


def test_worked_figures():
    """PROOFS 2.3: the clamp after noise; 2.5: the tau terms."""
    tail = math.log2(2 * math.exp(-(NOISE_SIGMAS**2) / 2))
    assert tail < -140
    assert tail + math.log2(10_000) < -126
    assert tail + math.log2(10_000 * 1_000) < -116
    assert 10 * 8 * math.exp(-9 * math.pi**2) == pytest.approx(2.2e-37, rel=0.05)
    assert 10 * (10**6 - 1) * math.exp(-9 * math.pi**2) < 2.8e-32


def tau(parties: int, sigma: float) -> float:
    return 10 * sum(math.exp(-2 * math.pi**2 * sigma**2 * i / (i + 1)) for i in range(1, parties))


@pytest.mark.parametrize("parties", [2, 3, 9, 100, 5_000])
def test_the_tau_term_is_smaller_than_what_is_set_aside(parties):
    """PROOFS 2.5: over M measures of d cells, sum (a + tau sqrt d)^2 / 2 exceeds sum a^2 / 2 by less than one unit."""
    assert tau(parties, LEAST_SIGMA) <= 10 * (parties - 1) * math.exp(-9 * math.pi**2) * (1 + 1e-12)
    for measures, cells in ((1, 10_000), (100, 100), (10_000, 1)):
        distance = math.sqrt(2 * 100 / measures)
        term = tau(parties, LEAST_SIGMA) * math.sqrt(cells)
        assert measures * (distance * term + term * term / 2) < 1e-27 < 1 / NANO


def gaussian(sigma: float) -> list[float]:
    span = math.ceil(40 * sigma)
    weights = [math.exp(-(x * x) / (2 * sigma * sigma)) for x in range(-span, span + 1)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def added(left: list[float], right: list[float]) -> list[float]:
    result = [0.0] * (len(left) + len(right) - 1)
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            result[i + j] += one * other
    return result


@pytest.mark.parametrize("shift", [1, 4, 9])
def test_the_sum_of_three_shares_costs_what_theorem_1_says(shift):
    """PROOFS 2.5, computed from the law itself: Renyi divergence of the shifted sum at several orders."""
    law = gaussian(LEAST_SIGMA)
    law = added(added(law, law), law)
    cost = shift * shift / (2 * 3 * LEAST_SIGMA**2)
    for order in (1.5, 2.0, 4.0, 8.0):
        pairs = zip(law[shift:], law[:-shift], strict=True)
        seen = ((math.log(p), math.log(q)) for p, q in pairs if p > 1e-250 and q > 1e-250)
        moment = math.fsum(math.exp(order * p + (1 - order) * q) for p, q in seen)
        assert math.log(moment) / (order - 1) == pytest.approx(order * cost, rel=1e-6)


@given(st.integers(2, 8), st.integers(2, 12))
def test_parts_drawn_at_different_times_are_not_covered_by_shared_noise(honest, versions):
    """PROOFS 2.5, condition (b): why the parts of shared noise must be drawn together.

    One party draws ``versions`` times, the others once; the asker sees the sums. In units of one share's variance the sums'
    covariance is I + (m - 1) J. A person of that party who moves one cell up and down in turn costs m times the charges.
    """
    covariance = [
        [Fraction(honest if row == column else honest - 1) for column in range(versions)] for row in range(versions)
    ]
    moved = [Fraction((-1) ** version) for version in range(versions)]
    solved = solve(covariance, moved)
    loss = sum(one * other for one, other in zip(moved, solved, strict=True)) / 2
    charged = Fraction(versions, 2 * honest)
    if versions % 2 == 0:
        assert loss == honest * charged
    assert loss > charged
    alone = Fraction(versions, 2)
    assert loss <= alone, "the noise of the one party's own parts is what is left: standalone noise pays for it"


def solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Gauss and Jordan in fractions."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for pivot in range(size):
        rows[pivot] = [value / rows[pivot][pivot] for value in rows[pivot]]
        for other in range(size):
            if other != pivot:
                factor = rows[other][pivot]
                rows[other] = [value - factor * known for value, known in zip(rows[other], rows[pivot], strict=True)]
    return [row[-1] for row in rows]


def loss(plan: Plan, *, institutions: int, facing: int) -> Fraction:
    """What a plan costs a person at so many of the honest parties, against the noise of ``facing`` honest ones."""
    weights = {"count(*)": 1, "sum(balance)": 1000}
    cost = Fraction(0)
    for scale in calibrate(plan):
        moved = plan.rows_per_unit * institutions * weights[scale.measure.key]
        cost += Fraction(moved * moved) / (2 * facing * scale.sigma * scale.sigma)
    return cost


def worst(plan: Plan, *, institutions: int) -> Fraction:
    """The cost to a person at so many of a plan's parties, whichever parties the price promises to hold against collude."""
    counts = range(plan.counted, len(plan.parties) + 1)
    return max(loss(plan, institutions=min(institutions, honest), facing=honest) for honest in counts)


@given(st.integers(1, 9), st.integers(1, 12), st.data())
def test_a_price_covers_every_honest_set(parties, institutions, data):
    """PROOFS 2.4 and 2.5: whoever is honest, and even if each part of standalone noise is seen by itself."""
    shared = data.draw(st.sampled_from([None, *range(parties - 1)]))
    plan = plan_of(tuple(f"p{index}" for index in range(parties)), shared=shared, institutions=institutions)
    assert worst(plan, institutions=institutions) <= Fraction(plan.rho, NANO)
    if shared is None:
        apart = min(institutions, parties) * loss(plan, institutions=1, facing=1)
        assert worst(plan, institutions=institutions) <= apart <= Fraction(plan.rho, NANO)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(4, NANO), st.data())
def test_a_person_at_more_institutions_than_declared_costs_the_square(declared, actual, rho, data):
    """PROOFS 1.4: the square at most, with shared noise; with standalone noise in proportion."""
    shared = data.draw(st.none() | st.integers(0, 7))
    plan = plan_of(tuple("abcdefghi"), institutions=declared, rho=rho, shared=shared)
    ratio = Fraction(actual, declared)
    most = max(ratio, Fraction(1)) ** (1 if shared is None else 2)
    assert worst(plan, institutions=actual) <= most * Fraction(rho, NANO)
    if shared is None:
        assert actual * loss(plan, institutions=1, facing=1) <= ratio * Fraction(rho, NANO)


def test_the_square_is_reached_by_shared_noise_alone():
    plans = {shared: plan_of(tuple("abcdefghi"), institutions=2, shared=shared) for shared in (None, 1)}
    costs = {shared: worst(plan, institutions=4) * NANO / plan.rho for shared, plan in plans.items()}
    assert costs[None] == pytest.approx(2, rel=0.01)
    assert costs[1] == pytest.approx(4, rel=0.01)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sets(st.sampled_from("abcdef"), min_size=1), st.integers(4, NANO)), max_size=6),
    st.sets(st.sampled_from("abcdef"), min_size=1),
    st.data(),
)
def test_a_person_at_k_institutions_loses_no_more_than_the_largest_charge(declared, asked, homes, data):
    """PROOFS 3.4, against the sums (standalone and shared, whoever is honest) and against every standalone part apart."""
    homes = set(sorted(homes)[:declared])
    sums = parts = Fraction(0)
    charged = dict.fromkeys("abcdef", 0)
    for roster, rho in asked:
        shared = data.draw(st.sampled_from([None, *range(len(roster) - 1)]))
        plan = plan_of(tuple(sorted(roster)), rho=rho, shared=shared, institutions=declared)
        for party in roster:
            charged[party] += rho
        met = len(homes & roster)
        sums += worst(plan, institutions=met)
        if shared is None:
            parts += met * loss(plan, institutions=1, facing=1)
    largest = Fraction(max(charged[party] for party in homes), NANO)
    assert sums <= Fraction(sum(charged[party] for party in homes), NANO * declared) <= largest
    assert parts <= largest


def test_institutions_that_answer_alone_cost_a_person_one_cap_together():
    """PROOFS 3.4: why a roster smaller than k is priced as one of k. Each of three answers alone, at its whole cap."""
    alone = [plan_of((party,), rho=NANO, institutions=3) for party in "abc"]
    together = sum(loss(plan, institutions=1, facing=1) for plan in alone)
    assert Fraction(99, 100) < together <= 1
    assert [exposure(plan) for plan in alone] == [3, 3, 3]


@given(st.integers(2, 9), st.integers(1, 4), st.data())
def test_an_asker_on_the_roster_reads_the_row_below(parties, institutions, data):
    """PROOFS 2.6: who takes its own part away faces one party less; with standalone noise never more than the price."""
    shared = data.draw(st.sampled_from([None, *range(parties - 1)]))
    plan = plan_of(tuple(f"p{index}" for index in range(parties)), shared=shared, institutions=institutions)
    told = dict(coalitions(plan))
    own = told[f"analyst, exchange and 1 of {parties} parties"]
    assert own == dict(coalitions(plan, asker="p0"))["analyst"]
    if shared is None:
        assert own <= plan.rho
    if shared == 0 and institutions < parties:
        assert own > plan.rho, "shared noise against nobody does not withstand an asker who is one of the parties"


def test_the_size_of_an_answer_depends_on_the_plan_alone():
    """PROOFS 9.2: as many ciphertexts as the layout says, each of one length, whatever the cells hold."""
    key = SecretKey.generate().public
    plan = plan_of(("a",), groups=(ByCategory("region", tuple(f"r{index}" for index in range(60))),))
    layout = layout_of(plan, modulus_bits=key.bits)
    most = (1 << layout.magnitude) - 1
    for value in (-most, 0, most):
        packed = pack(Noised(plan.hash, (value,) * plan.cells_count), layout)
        wire = seal(Masked(packed.plaintexts, key.n), key).to_wire()
        assert [len(text) for text in wire] == [1024] * layout.plaintexts

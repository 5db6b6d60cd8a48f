"""An auditor who sees samples alone: how much privacy each mechanism and each released answer loses, at least.

For two neighbouring tables the auditor collects answers to both, puts the likelihood ratio of the claimed noise against a
few thresholds fixed beforehand, and bounds both error rates from above by Clopper and Pearson at 99.9 % confidence for all
together. Errors ``a`` and ``b`` rule out every mu of Gaussian differential privacy below ``z(1 - a) - z(b)`` (Dong, Roth and
Su 2022, Definition 2.6; Nasr et al. 2023, section 4), and mu gives epsilon at any delta (their Corollary 2.13). So the bound
is nothing that the code says about itself. It must not pass the claim, and it must come within a tenth of it: an auditor who
finds less would find nothing. Mechanisms that break the claim on purpose must be reported by the same auditor.

Chance: a sound mechanism passes the claim in one audit in a thousand at most, and misses the tenth as rarely. An audit that
fails is taken anew, three times at most: a test fails by chance with probability 1e-9 for each of some 30 audits. What is
broken on purpose must be reported at the first audit; the margins leave that to chance with probability below 1e-9.
"""

import csv
from dataclasses import dataclass, replace
from fractions import Fraction
from math import exp, sqrt

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from scipy import stats

from exchange.node.engine import Location
from exchange.node.source import Dataset, Field
from privacy import noise, seal, sensitivity
from privacy.expression import ByBand, ByCategory, Times, Value
from privacy.ledger import Receipt, coalitions, epsilon
from privacy.masks import Context, Peer, mask
from privacy.noise import add_noise
from privacy.packing import layout_of, pack, unpack
from privacy.plan import CountPresent, CountRows, CountUnits, CountValid, Histogram, Plan, Sum, width
from privacy.sensitivity import Clipped, calibrate
from privacy.terms import DELTA, NANO, Bounds, Column, Kind, Standard
from privacy.unseal import SecretKey
from tests.sources import clip

GROUPS = tuple(f"v{index}" for index in range(1000))
"""Each group is one trial: its cell is moved by one person of its own."""

PARTIES = ("bank-a", "bank-b", "insurer-c")
DOUBT = 0.001
TRIES = 3
BOUNDS = Bounds(-500, 10_000)
BALANCE = Value("balance")
BANDS = Histogram(ByBand("balance", (-500, 0, 9_999, 10_000), ("owed", "held", "full")))
MEASURES = (CountRows(), CountValid("balance"), Sum(BALANCE), Sum(Times(BALANCE, BALANCE)), BANDS)
WEIGHTS = {"sum(balance)": 10_000, "sum(balance * balance)": 10_000**2}
"""The most that one row can add, worked out by hand; 1 for counts."""

HONEST_SHARE = 0.9


@pytest.fixture(autouse=True)
def fresh_scales():
    """Scales are remembered by plan: what one test breaks must not reach another."""
    calibrate.cache_clear()
    yield
    calibrate.cache_clear()


# -- the auditor -------------------------------------------------------------------------------------------------------


def epsilon_of(mu, delta=DELTA):
    """The epsilon at which Gaussian differential privacy at ``mu`` has this delta: by bisection of the closed form."""
    if mu <= 0:
        return 0.0

    def loss(candidate):
        below, above = -candidate / mu + mu / 2, -candidate / mu - mu / 2
        return stats.norm.cdf(below) - exp(candidate + stats.norm.logcdf(above))

    low, high = 0.0, mu * mu / 2 + 10 * mu
    if loss(low) <= delta:
        return 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle) > delta else (low, middle)
    return high


def least_mu(without, with_person, *, mu):
    """The mu that the samples prove at 99.9 % confidence; both hold the log-likelihood ratio over ``mu``: N(0, 1), N(mu, 1)."""
    thresholds = (mu / 2, mu / 4, 3 * mu / 4)
    doubt = DOUBT / (2 * len(thresholds))
    found = 0.0
    for threshold in thresholds:
        alarms, misses = np.sum(without > threshold), np.sum(with_person <= threshold)
        false_alarm = stats.beta.ppf(1 - doubt, alarms + 1, without.size - alarms) if alarms < without.size else 1.0
        missed = stats.beta.ppf(1 - doubt, misses + 1, with_person.size - misses) if misses < with_person.size else 1.0
        found = max(found, stats.norm.isf(false_alarm) - stats.norm.ppf(missed))
    return found


@dataclass(frozen=True)
class Finding:
    """What an audit proved beside what is claimed: epsilon at delta 1e-6; ``printed`` is what a receipt would say."""

    claim: float
    printed: float
    bound: float

    @property
    def ratio(self):
        return self.bound / self.claim

    @property
    def broken(self):
        return self.bound > self.claim or self.bound > self.printed


def audit(without, with_person, *, shifts, variances, rho):
    """Audit samples of shape (measures, trials): ``shifts`` is how far a person moves each measure, ``rho`` (1e-9) the claim."""
    weights = np.array([shift / variance for shift, variance in zip(shifts, variances, strict=True)])
    mu = sqrt(sum(shift * shift / variance for shift, variance in zip(shifts, variances, strict=True)))
    ratios = [(weights @ samples) / mu for samples in (without, with_person)]
    found = least_mu(*ratios, mu=mu)
    return Finding(epsilon_of(sqrt(2 * float(rho) / NANO)), epsilon(-(-rho // 1), DELTA), epsilon_of(found))


def test_the_auditor_turns_mu_into_epsilon_as_published():
    # Dong, Roth and Su 2022, Corollary 2.13, by numeric integration of max(0, q - e^epsilon p) for p = N(0, 1), q = N(mu, 1)
    grid = np.linspace(-12, 14, 400_001)
    for mu in (0.3, 1.0, 2.0):
        for delta in (1e-3, 1e-6):
            told = epsilon_of(mu, delta)
            surplus = np.maximum(0, stats.norm.pdf(grid, mu) - exp(told) * stats.norm.pdf(grid))
            assert np.sum(surplus) * (grid[1] - grid[0]) == pytest.approx(delta, rel=1e-3)
    assert epsilon_of(0) == 0
    assert epsilon_of(1e-9) == 0


def test_the_auditor_proves_nothing_from_nothing():
    generator = np.random.default_rng(3)
    same = generator.normal(0, 1, 20_000), generator.normal(0, 1, 20_000)
    assert least_mu(*same, mu=1.0) == 0
    few = np.zeros(5), np.full(5, 9.0)
    assert least_mu(*few, mu=9.0) < 2
    assert least_mu(np.full(9, 5.0), np.zeros(9), mu=1.0) == 0


# -- mechanisms --------------------------------------------------------------------------------------------------------


def plan_of(*measures, rho=8 * NANO, rows=5, institutions=2, shared=None, standard=None, bounds=BOUNDS):
    computed = any("balance" in measure.key and not isinstance(measure, CountValid) for measure in measures)
    return Plan(
        standard="credit/1" if standard is None else standard.id,
        standard_digest="0" * 64 if standard is None else standard.digest,
        purpose="credit-risk-statistics",
        parties=PARTIES,
        rows_per_unit=rows,
        institutions_per_unit=institutions,
        groups=(ByCategory("region", GROUPS),),
        where=(),
        measures=measures,
        rho=rho,
        bounds=(("balance", bounds),) if computed else (),
        shared=shared,
    )


def by_measure(plan, cells):
    """Cells of shape (..., cells) cut by measure; of each histogram the band that holds the worst rows, the last."""
    start = 0
    for measure in plan.measures:
        end = start + plan.groups_count * width(measure)
        yield cells[..., start + width(measure) - 1 : end : width(measure)]
        start = end


def answers(plan, totals, *, rounds):
    """One party's noised cells over ``rounds`` charges, in integer units: an array of (measures, rounds * groups)."""
    receipt = Receipt(plan.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0)
    clipped = Clipped(plan.hash, tuple(totals))
    drawn = np.array([add_noise(clipped, plan, receipt).values for _ in range(rounds)], dtype=float)
    grains = [scale.grain for scale in calibrate(plan)]
    return np.array([part.ravel() * grain for part, grain in zip(by_measure(plan, drawn), grains, strict=True)])


def reach_of(plan, measure):
    """What one person can do to a measure's cells at one party, by definition: all rows in one cell, each at the worst."""
    return plan.rows_per_unit * WEIGHTS.get(measure.key, 1)


def exposed(plan, honest):
    """A person's rows at as many of the honest parties as may be, against the noise of them all: in parts of the price."""
    counted = 1 if plan.shared is None else len(plan.parties) - plan.shared
    most = plan.institutions_per_unit
    return Fraction(min(most, honest) ** 2 * max(most, counted), honest * most**2)


def claimed_variance(plan, price, reach):
    """The variance of one party's noise that the price promises: written from the formula of rho."""
    return reach**2 / float(2 * Fraction(price, NANO) * exposed(plan, 1))


def audited(without, with_person, plan, *, honest):
    """One finding per measure, and one for all together: against ``honest`` parties' noise, a person at all it may be at."""
    at = min(plan.institutions_per_unit, honest)
    shifts = [at * reach_of(plan, measure) for measure in plan.measures]
    variances = [
        honest * claimed_variance(plan, price, reach_of(plan, measure))
        for measure, price in zip(plan.measures, plan.prices, strict=True)
    ]
    findings = {
        measure.key: audit(
            without[[index]], with_person[[index]], shifts=[shifts[index]], variances=[variances[index]],
            rho=plan.prices[index] * exposed(plan, honest),
        )
        for index, measure in enumerate(plan.measures)
    }  # fmt: skip
    together = audit(without, with_person, shifts=shifts, variances=variances, rho=plan.rho * exposed(plan, honest))
    return findings | {"all": together}


def mechanism(plan, *, rounds, honest=None):
    """Audit the noise of so many honest parties, around zero and around one person at the reach of every measure.

    By default as many as the price can just hold against.
    """
    counted = 1 if plan.shared is None else len(plan.parties) - plan.shared
    honest = max(counted, plan.institutions_per_unit) if honest is None else honest
    still = [0] * plan.cells_count
    moved = [
        reach_of(plan, measure) if slot == width(measure) - 1 else 0 for measure, _, slot in plan.cells()
    ]  # fmt: skip
    at = min(plan.institutions_per_unit, honest)
    first, second = (
        sum(answers(plan, part, rounds=rounds) for part in (*[totals] * at, *[still] * (honest - at)))
        for totals in (still, moved)
    )
    return audited(first, second, plan, honest=honest)


def report(findings):
    return {
        name: (round(f.claim, 3), round(float(f.bound), 3), round(float(f.ratio), 3)) for name, f in findings.items()
    }


def sound(take, *, tight=("all",)):
    """Take an audit, three times at most, until it finds nothing broken and the claims in ``tight`` nearly reached."""
    for _ in range(TRIES):
        findings = take()
        if not any(finding.broken for finding in findings.values()) and all(
            findings[name].ratio >= HONEST_SHARE for name in tight
        ):
            return
    pytest.fail(f"epsilon at {DELTA}, by measure (claim, bound, ratio): {report(findings)}")


KINDS = [(None, 2), (1, 1), (0, 2)]
NAMES = ["standalone, people at two", "shared with 1", "shared with 0, people at two"]


@pytest.mark.parametrize(("shared", "institutions"), KINDS, ids=NAMES)
def test_each_mechanism_loses_what_is_claimed_and_no_more(shared, institutions):
    plan = plan_of(*MEASURES, shared=shared, institutions=institutions, rows=20, rho=10 * NANO)
    names = ("all", *(measure.key for measure in MEASURES))
    sound(lambda: mechanism(plan, rounds=16), tight=names)


def test_each_measure_loses_its_own_price():
    plan = replace(plan_of(*MEASURES[:3], rows=20, rho=7 * NANO), prices=(NANO, 2 * NANO, 4 * NANO))
    claims = [finding.claim for finding in mechanism(plan, rounds=1).values()]
    assert claims == sorted(claims)
    sound(lambda: mechanism(plan, rounds=16), tight=("all", *(measure.key for measure in plan.measures)))


@pytest.mark.parametrize("honest", [1, 3])
def test_no_other_number_of_honest_parties_costs_more(honest):
    """Standalone noise, people at two of three parties: one part alone, and all three parts added up."""
    plan = plan_of(*MEASURES, rho=10 * NANO)
    assert exposed(plan, 2) == 1
    assert exposed(plan, honest) < 1
    sound(lambda: mechanism(plan, rounds=16, honest=honest))


def test_the_smallest_noise_keeps_its_claim():
    # three lattice units, the floor: the discrete law is audited where it is least like the normal one
    plan = plan_of(CountRows(), rho=NANO // 2, rows=3, institutions=1)
    assert calibrate(plan)[0].sigma == pytest.approx(3, abs=0.01)
    sound(lambda: mechanism(plan, rounds=16))


def people(plan, *, rounds):
    """Audit the count of people around one who is in as many groups as there are rows: a group of its own each."""
    rows = plan.rows_per_unit
    still, moved = ([number] * plan.cells_count for number in (0, 1))
    first, second = (
        answers(plan, side, rounds=rounds)
        .reshape(rounds, len(GROUPS) // rows, rows)
        .transpose(2, 0, 1)
        .reshape(rows, -1)
        for side in (still, moved)
    )
    variance = claimed_variance(plan, plan.rho, sqrt(rows))
    rho = plan.rho * exposed(plan, 1)
    return {"people": audit(first, second, shifts=[1] * rows, variances=[variance] * rows, rho=rho)}


def test_a_person_in_several_groups_loses_what_is_claimed_and_no_more():
    plan = plan_of(CountUnits(), rows=10, institutions=1, rho=NANO // 2)
    sound(lambda: people(plan, rounds=160), tight=("people",))


def test_sums_counted_in_grains_lose_what_is_claimed_and_no_more(monkeypatch):
    """Bounds of 53 bits: a person's move is rounded to grains, each party's by itself."""
    plan = plan_of(Sum(BALANCE), bounds=Bounds(0, (1 << 53) - 1), rho=4 * NANO)
    assert calibrate(plan)[0].grain > 1 << 20
    monkeypatch.setitem(WEIGHTS, "sum(balance)", (1 << 53) - 1)
    sound(lambda: mechanism(plan, rounds=16))


@pytest.mark.long
@pytest.mark.parametrize(("shared", "institutions"), [*KINDS, (1, 2), (0, 1), (None, 3)])
@pytest.mark.parametrize("rho", [NANO // 2, 2 * NANO, 8 * NANO])
def test_each_mechanism_at_length(shared, institutions, rho):
    plan = plan_of(*MEASURES, rho=rho, rows=20, shared=shared, institutions=institutions)
    sound(lambda: mechanism(plan, rounds=200), tight=("all", *(measure.key for measure in MEASURES)))


@pytest.mark.long
@pytest.mark.parametrize("rho", [NANO // 10, NANO // 2])
def test_people_at_length(rho):
    plan = plan_of(CountUnits(), rows=10, institutions=1, rho=rho)
    sound(lambda: people(plan, rounds=1000), tight=("people",))


# -- what is released, from rows to the answer -------------------------------------------------------------------------

STANDARD = Standard(
    name="credit",
    version=1,
    title="credit",
    unit="person",
    rows_per_unit=5,
    institutions_per_unit=2,
    columns=(
        Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person"),
        Column(name="region", kind=Kind.CATEGORY, meaning="region", domain=GROUPS),
        Column(name="balance", kind=Kind.MEASURE, meaning="balance", bounds=BOUNDS),
    ),
)
WORST = ("10000", "10000.0", "1e9", "99999999999", "10000", "10000", "10001")
"""Rows of the person in question: more than count, at the upper bound and beyond; at least five of any choice are valid."""


def table(folder, name, rows, standard):
    path = folder / f"{name}.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("person", "region", "balance"), *rows])
    mapping = {column.name: Field(source=column.name) for column in standard.columns}
    return Dataset(
        name="accounts",
        title="accounts",
        standard=standard,
        population="people",
        location=Location("csv", str(path)),
        mapping=mapping,
        refreshed="2026-01-01",
    )


def neighbours(folder, plan, *, worst=("10000",) * 7, standard=STANDARD):
    """Cells of each party without and with one more person a group, at as many institutions as a person may be at.

    Persons of different groups share no cell, so each group is its own pair of neighbouring tables. Under another
    ``standard`` rows are read by its bounds, not by those that are priced.
    """
    crowd = [
        (f"other {index} {group}", group, value) for group in GROUPS for index, value in enumerate(("70", "", "-900"))
    ]
    guests = [(f"person {group}", group, value) for group in GROUPS for value in worst]
    bounds = standard.column("balance").bounds
    reading = replace(
        plan, rows_per_unit=standard.rows_per_unit, bounds=tuple((column, bounds) for column, _ in plan.bounds)
    )
    cells = {}
    for number, party in enumerate(PARTIES):
        joined = guests if number < plan.institutions_per_unit else []
        held = (table(folder, party, crowd, standard), table(folder, f"{party} with", crowd + joined, standard))
        cells[party] = [clip(reading, dataset, sampling_key=b"k" * 32).totals for dataset in held]
    return cells


def released(plan, cells, *, rounds):
    """Noised cells by party, of the table without and with the person."""
    return [{party: answers(plan, held[side], rounds=rounds) for party, held in cells.items()} for side in (0, 1)]


def seen_by(plan, noised, *, colluding):
    """What is left for whoever knows the last ``colluding`` parties' parts: the sum of the others."""
    return [sum(side[party] for party in PARTIES[: len(PARTIES) - colluding]) for side in noised]


def test_what_is_sealed_and_opened_is_the_sum_of_the_noised_cells():
    """So that the audits below may add up noised cells instead of opening ten thousand answers."""
    plan = plan_of(*MEASURES, standard=STANDARD)
    receipt = Receipt(plan.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0)
    noised = {
        party: add_noise(Clipped(plan.hash, (number,) * plan.cells_count), plan, receipt)
        for number, party in enumerate(PARTIES)
    }
    key = SecretKey.generate(2048, minimum_bits=2048)
    layout = layout_of(plan, modulus_bits=key.public.bits)
    secrets = {party: X25519PrivateKey.generate() for party in PARTIES}
    joined = {
        party: Peer(secret.public_key().public_bytes_raw(), party.encode() * 4) for party, secret in secrets.items()
    }
    context = Context("5e" * 32, plan.hash, "40" * 32, key.public.fingerprint)
    sealed = []
    for party in PARTIES:
        peers = {other: peer for other, peer in joined.items() if other != party}
        masked = mask(
            pack(noised[party], layout),
            me=party,
            secret=secrets[party],
            nonce=joined[party].nonce,
            peers=peers,
            context=context,
            modulus=key.public.n,
        )
        sealed.append(seal.seal(masked, key.public))
    opened = unpack(key.open(seal.fold(sealed)), layout)
    assert opened == tuple(map(sum, zip(*(part.values for part in noised.values()), strict=True)))


@pytest.mark.parametrize("shared", [None, 0], ids=["standalone", "shared with 0"])
def test_the_answer_loses_what_the_receipt_says_and_no_more_to_each_who_sees_it(tmp_path, shared):
    """The person is at the first two parties; whoever works with the others takes their parts away."""
    plan = plan_of(
        CountRows(), CountValid("balance"), Sum(BALANCE), BANDS, rho=4 * NANO, standard=STANDARD, shared=shared
    )
    cells = neighbours(tmp_path, plan)
    priced = dict(coalitions(plan))
    viewers = ("analyst", "analyst, exchange and 1 of 3 parties", "analyst, exchange and 2 of 3 parties")

    def take():
        noised = released(plan, cells, rounds=14)
        found = {}
        for colluding, viewer in enumerate(viewers):
            one = audited(*seen_by(plan, noised, colluding=colluding), plan, honest=3 - colluding)
            found |= {f"{viewer}: {name}": finding for name, finding in one.items()}
            assert priced[viewer] == -(-plan.rho * exposed(plan, 3 - colluding) // 1)
        return found

    sound(take, tight=tuple(f"{viewer}: all" for viewer in viewers))


@pytest.mark.long
@pytest.mark.parametrize("shared", [None, 0, 1])
def test_the_answer_at_length(tmp_path, shared):
    plan = plan_of(*MEASURES, standard=STANDARD, shared=shared, rho=2 * NANO)
    cells = neighbours(tmp_path, plan)

    def take():
        noised = released(plan, cells, rounds=120)
        views = (audited(*seen_by(plan, noised, colluding=c), plan, honest=3 - c) for c in range(3))
        return {f"{c} colluding: {name}": f for c, view in enumerate(views) for name, f in view.items()}

    sound(take, tight=("0 colluding: all", "1 colluding: all", "2 colluding: all"))


def test_hostile_rows_move_no_cell_further_than_the_reach(tmp_path):
    plan = plan_of(*MEASURES, CountPresent(BALANCE), CountUnits(), standard=STANDARD)
    for number, worst in enumerate((WORST, ("-99999999999",) * 9, ("", "nan", "inf", "x", "-1e9", "5"), ("",) * 9)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for held in neighbours(folder, plan, worst=worst).values():
            moved = np.abs(np.array(held[1], dtype=object) - np.array(held[0], dtype=object))
            start = 0
            for measure in plan.measures:
                end = start + plan.groups_count * width(measure)
                by_group = moved[start:end].reshape(plan.groups_count, -1)
                # a person's rows in one group: their moves add up over the bands of a histogram
                most = 1 if isinstance(measure, CountUnits) else reach_of(plan, measure)
                assert max(by_group.sum(axis=1)) <= most
                start = end


# -- what is broken on purpose -----------------------------------------------------------------------------------------


def reported(take):
    """Every audit of a broken mechanism must report it: at the first try."""
    return all(any(finding.broken for finding in take().values()) for _ in range(2))


PLAN = plan_of(CountRows(), Sum(BALANCE), rho=4 * NANO)


def test_half_of_the_noise_is_reported(monkeypatch):
    honest = noise.calibrate
    monkeypatch.setattr(noise, "calibrate", lambda plan: [replace(s, sigma=s.sigma / 2) for s in honest(plan)])
    assert reported(lambda: mechanism(PLAN, rounds=4))


def test_nine_tenths_of_the_noise_are_reported(monkeypatch):
    honest = noise.calibrate
    cut = Fraction(9, 10)
    monkeypatch.setattr(
        noise,
        "calibrate",
        lambda plan: [replace(s, sigma=Fraction(int(s.sigma * cut * 1024), 1024)) for s in honest(plan)],
    )
    assert reported(lambda: mechanism(PLAN, rounds=20))


def test_a_bound_that_forgets_rows_is_reported(monkeypatch):
    honest = sensitivity.reach_squared
    monkeypatch.setattr(
        sensitivity, "reach_squared", lambda plan, measure: honest(plan, measure) // plan.rows_per_unit**2
    )
    assert reported(lambda: mechanism(PLAN, rounds=4))


def test_a_price_that_forgets_a_persons_other_institutions_is_reported(monkeypatch):
    monkeypatch.setattr(sensitivity, "exposure", lambda plan, honest=None: Fraction(1))
    assert reported(lambda: mechanism(PLAN, rounds=4))


def test_people_counted_as_if_each_were_in_one_group_are_reported(monkeypatch):
    plan = plan_of(CountUnits(), rows=5, institutions=1, rho=NANO // 8)
    monkeypatch.setattr(sensitivity, "reach_squared", lambda plan, measure: 1)
    assert reported(lambda: people(plan, rounds=40))


def test_a_product_priced_as_a_sum_is_reported(monkeypatch):
    plan = plan_of(Sum(Times(BALANCE, BALANCE)), rho=4 * NANO)
    monkeypatch.setattr(sensitivity, "weight", lambda plan, measure: BOUNDS.weight)
    assert reported(lambda: mechanism(plan, rounds=4))


def test_a_sum_that_counts_on_parties_it_has_not_is_reported(monkeypatch):
    # the noise of shared(1), made as if everybody could be counted on
    monkeypatch.setattr(Plan, "counted", property(lambda plan: 1 if plan.shared is None else len(plan.parties)))
    plan = plan_of(CountRows(), Sum(BALANCE), rho=4 * NANO, shared=1, institutions=1)
    assert reported(lambda: mechanism(plan, rounds=10))


def test_an_answer_drawn_twice_for_one_charge_is_reported():
    plan = plan_of(CountRows(), Sum(BALANCE), rho=4 * NANO, institutions=1)
    moved = [reach_of(plan, measure) for measure in plan.measures for _ in GROUPS]

    def take():
        sides = ([0] * plan.cells_count, moved)
        first, second = (sum(answers(plan, side, rounds=8) for _ in range(2)) / 2 for side in sides)
        return audited(first, second, plan, honest=1)

    assert reported(take)


def test_noise_that_repeats_is_reported(monkeypatch):
    fixed = np.random.default_rng(5).normal(0, 60_000, len(GROUPS)).round().astype(int)
    monkeypatch.setattr(
        noise, "_mechanism", lambda scale: lambda part: [v + int(f) % 3 for v, f in zip(part, fixed, strict=True)]
    )
    assert reported(lambda: mechanism(PLAN, rounds=4))


def reading_by(column=None, **change):
    columns = tuple(
        replace(held, bounds=column) if held.name == "balance" and column else held for held in STANDARD.columns
    )
    return replace(STANDARD, columns=columns, **change)


@pytest.mark.parametrize("wider", [Bounds(-500, 50_000), Bounds(-500, 30_000)], ids=["no clip", "a wider clip"])
def test_rows_that_are_not_clipped_are_reported(tmp_path, wider):
    plan = plan_of(Sum(BALANCE), standard=STANDARD, rho=4 * NANO)
    cells = neighbours(tmp_path, plan, worst=("50000",) * 7, standard=reading_by(wider))
    assert reported(lambda: audited(*seen_by(plan, released(plan, cells, rounds=4), colluding=0), plan, honest=3))


def test_rows_that_are_not_bounded_per_person_are_reported(tmp_path):
    plan = plan_of(CountRows(), Sum(BALANCE), standard=STANDARD, rho=4 * NANO)
    cells = neighbours(tmp_path, plan, worst=("10000",) * 12, standard=reading_by(rows_per_unit=12))
    assert reported(lambda: audited(*seen_by(plan, released(plan, cells, rounds=4), colluding=0), plan, honest=3))

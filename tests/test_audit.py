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

from exchange.node import source
from exchange.node.source import Dataset, Field, Location, clip
from privacy import noise, seal, sensitivity
from privacy.ledger import Receipt, coalitions, epsilon
from privacy.masks import Context, Peer, mask
from privacy.noise import add_noise
from privacy.packing import layout_of, pack, unpack
from privacy.plan import CountPresent, CountRows, CountValid, GroupBy, Plan, Sum
from privacy.sensitivity import Clipped, calibrate
from privacy.terms import DELTA, NANO, Bounds, Column, Kind, Standard
from privacy.unseal import SecretKey

GROUPS = tuple(f"v{index}" for index in range(1000))
"""Each group is one trial: its cell is moved by one person of its own."""

PARTIES = ("bank-a", "bank-b", "insurer-c")
DOUBT = 0.001
TRIES = 3
BALANCE = Bounds(-500, 10_000)
MEASURES = (CountRows(), CountPresent("balance"), CountValid("balance"), Sum("balance", BALANCE))
HONEST_SHARE = 0.9


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


def plan_of(*measures, rho=8 * NANO, rows=5, institutions=2, shared=None, standard=None):
    return Plan(
        standard="credit/1" if standard is None else standard.id,
        standard_digest="0" * 64 if standard is None else standard.digest,
        purpose="credit-risk-statistics",
        parties=PARTIES,
        rows_per_unit=rows,
        institutions_per_unit=institutions,
        groups=(GroupBy("region", GROUPS),),
        where=(),
        measures=measures,
        rho=rho,
        shared=shared,
    )


def answers(plan, totals, *, rounds):
    """One party's noised cells over ``rounds`` charges: an array of (measures, rounds * groups)."""
    receipt = Receipt(plan.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0)
    clipped = Clipped(plan.hash, tuple(totals))
    drawn = np.array([add_noise(clipped, plan, receipt).values for _ in range(rounds)], dtype=float)
    return drawn.reshape(rounds, len(plan.measures), -1).transpose(1, 0, 2).reshape(len(plan.measures), -1)


def reach_of(plan, measure):
    """What one person can do to a measure's cells, by definition: all rows at all institutions, each at the worst bound."""
    worst = max(abs(measure.bounds.lower), abs(measure.bounds.upper)) if isinstance(measure, Sum) else 1
    return plan.rows_per_unit * plan.institutions_per_unit * worst


def claimed_sigma(plan, measure, *, counted):
    """The noise that the price promises to be left when it counts on ``counted`` parties: written from the formula of rho."""
    share = Fraction(plan.rho * counted, NANO) / len(plan.measures)
    return reach_of(plan, measure) / sqrt(2 * share)


def audited(without, with_person, plan, *, honest, rows=None, factor=1):
    """One finding per measure, and one for all of them together: against ``honest`` parties' noise, a person in all of it."""
    counted = 1 if plan.shared is None else len(plan.parties) - plan.shared
    shifts = [reach_of(plan, measure) * factor for measure in plan.measures]
    variances = [honest * claimed_sigma(plan, measure, counted=counted) ** 2 for measure in plan.measures]
    rho = Fraction(plan.rho * counted, honest)
    findings = {
        measure.key: audit(
            without[[index]], with_person[[index]], shifts=[shifts[index]], variances=[variances[index]],
            rho=rho / len(plan.measures),
        )
        for index, measure in enumerate(plan.measures)
    }  # fmt: skip
    return findings | {"all": audit(without, with_person, shifts=shifts, variances=variances, rho=rho)}


def mechanism(plan, *, rounds):
    """Audit the noise that the price counts on, around zero and around one person at the reach of every measure."""
    still = [0] * plan.cells_count
    moved = [reach_of(plan, measure) for measure in plan.measures for _ in GROUPS]
    counted = 1 if plan.shared is None else len(plan.parties) - plan.shared
    first, second = (
        sum(answers(plan, part, rounds=rounds) for part in (totals, *[still] * (counted - 1)))
        for totals in (still, moved)
    )
    return audited(first, second, plan, honest=counted)


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


@pytest.mark.parametrize("shared", [None, 1], ids=["standalone", "shared with 1"])
def test_each_mechanism_loses_what_is_claimed_and_no_more(shared):
    plan = plan_of(*MEASURES, shared=shared)
    names = ("all", *(measure.key for measure in MEASURES))
    sound(lambda: mechanism(plan, rounds=16), tight=names)


def test_the_smallest_noise_keeps_its_claim():
    # three lattice units, the floor: the discrete law is audited where it is least like the normal one
    plan = plan_of(CountRows(), rho=2 * NANO, rows=3)
    assert calibrate(plan)[0].sigma == pytest.approx(3, abs=0.01)
    sound(lambda: mechanism(plan, rounds=16))


@pytest.mark.long
@pytest.mark.parametrize("shared", [None, 0, 1], ids=["standalone", "shared with 0", "shared with 1"])
@pytest.mark.parametrize("rho", [NANO // 2, 2 * NANO, 8 * NANO])
def test_each_mechanism_at_length(shared, rho):
    plan = plan_of(*MEASURES, rho=rho, shared=shared)
    sound(lambda: mechanism(plan, rounds=200), tight=("all", *(measure.key for measure in MEASURES)))


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
        Column(name="balance", kind=Kind.MEASURE, meaning="balance", bounds=BALANCE),
    ),
)
WORST = ("10000", "10000.0", "1e9", "99999999999", "10000", "10000", "10001")
"""Rows of the person in question: more than count, at the upper bound and beyond; at least five of any choice are valid."""


def table(folder, name, rows):
    path = folder / f"{name}.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("person", "region", "balance"), *rows])
    mapping = {column.name: Field(source=column.name) for column in STANDARD.columns}
    return Dataset(
        name="accounts",
        title="accounts",
        standard=STANDARD,
        population="people",
        location=Location("csv", str(path)),
        mapping=mapping,
        refreshed="2026-01-01",
    )


def neighbours(folder, plan, *, worst=("10000",) * 7):
    """Cells of each party without and with one more person a group, at as many institutions as a person may be at.

    Persons of different groups share no cell, so each group is its own pair of neighbouring tables.
    """
    crowd = [
        (f"other {index} {group}", group, value) for group in GROUPS for index, value in enumerate(("70", "", "-900"))
    ]
    guests = [(f"person {group}", group, value) for group in GROUPS for value in worst]
    cells = {}
    for number, party in enumerate(PARTIES):
        joined = guests if number < plan.institutions_per_unit else []
        held = (table(folder, party, crowd), table(folder, f"{party} with", crowd + joined))
        cells[party] = [clip(plan, dataset, sampling_key=b"k" * 32).totals for dataset in held]
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


@pytest.mark.parametrize("shared", [None, 1], ids=["standalone", "shared with 1"])
def test_the_answer_loses_what_the_receipt_says_and_no_more_to_each_who_sees_it(tmp_path, shared):
    plan = plan_of(CountRows(), CountValid("balance"), Sum("balance", BALANCE), standard=STANDARD, shared=shared)
    cells = neighbours(tmp_path, plan)
    priced = dict(coalitions(plan))

    def take():
        noised = released(plan, cells, rounds=14)
        found = {}
        for colluding, viewer in enumerate(("analyst", "analyst, exchange and 1 of 3 parties")):
            one = audited(*seen_by(plan, noised, colluding=colluding), plan, honest=3 - colluding)
            found |= {f"{viewer}: {name}": finding for name, finding in one.items()}
            counted = 1 if shared is None else 2
            assert priced[viewer] == -(-plan.rho * counted // (3 - colluding))
        # two of three parties and the exchange against the last: the person's other institution has told all it has
        last = audited(*seen_by(plan, noised, colluding=2), plan, honest=1, factor=Fraction(1, 2))
        return found | {f"the last party: {name}": finding for name, finding in last.items()}

    sound(take, tight=("analyst: all", "analyst, exchange and 1 of 3 parties: all"))


@pytest.mark.long
@pytest.mark.parametrize("shared", [None, 0, 1])
def test_the_answer_at_length(tmp_path, shared):
    plan = plan_of(*MEASURES, standard=STANDARD, shared=shared, rho=2 * NANO)
    cells = neighbours(tmp_path, plan)

    def take():
        noised = released(plan, cells, rounds=120)
        views = (audited(*seen_by(plan, noised, colluding=c), plan, honest=3 - c) for c in range(2))
        return {f"{c} colluding: {name}": f for c, view in enumerate(views) for name, f in view.items()}

    sound(take, tight=("0 colluding: all", "1 colluding: all"))


def test_hostile_rows_move_no_cell_further_than_the_reach(tmp_path):
    plan = plan_of(*MEASURES, standard=STANDARD)
    for number, worst in enumerate((WORST, ("-99999999999",) * 9, ("", "nan", "inf", "x", "-1e9", "5"), ("",) * 9)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for held in neighbours(folder, plan, worst=worst).values():
            moved = np.abs(np.array(held[1]) - np.array(held[0])).reshape(len(MEASURES), -1)
            for measure, cell in zip(plan.measures, moved, strict=True):
                assert max(cell) * plan.institutions_per_unit <= reach_of(plan, measure)


# -- what is broken on purpose -----------------------------------------------------------------------------------------


def reported(take):
    """Every audit of a broken mechanism must report it: at the first try."""
    return all(any(finding.broken for finding in take().values()) for _ in range(2))


PLAN = plan_of(CountRows(), Sum("balance", BALANCE), rho=4 * NANO)


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


@pytest.mark.parametrize("forgotten", ["rows_per_unit", "institutions_per_unit"])
def test_a_bound_that_forgets_rows_or_institutions_is_reported(monkeypatch, forgotten):
    honest = sensitivity.reach
    monkeypatch.setattr(sensitivity, "reach", lambda plan, measure: honest(plan, measure) // getattr(plan, forgotten))
    assert reported(lambda: mechanism(PLAN, rounds=4))


def test_a_sum_that_counts_on_parties_it_has_not_is_reported(monkeypatch):
    # the noise of shared(1), charged as if everybody could be counted on
    monkeypatch.setattr(Plan, "counted", property(lambda plan: 1 if plan.shared is None else len(plan.parties)))
    assert reported(lambda: mechanism(replace(PLAN, shared=1), rounds=10))


def test_an_answer_drawn_twice_for_one_charge_is_reported():
    moved = [reach_of(PLAN, measure) for measure in PLAN.measures for _ in GROUPS]

    def take():
        sides = ([0] * PLAN.cells_count, moved)
        first, second = (sum(answers(PLAN, side, rounds=8) for _ in range(2)) / 2 for side in sides)
        return audited(first, second, PLAN, honest=1)

    assert reported(take)


def test_noise_that_repeats_is_reported(monkeypatch):
    fixed = np.random.default_rng(5).normal(0, 60_000, len(GROUPS)).round().astype(int)
    monkeypatch.setattr(
        noise, "_mechanism", lambda scale: lambda part: [v + int(f) % 3 for v, f in zip(part, fixed, strict=True)]
    )
    assert reported(lambda: mechanism(PLAN, rounds=4))


CLIPPED = f'greatest(least("balance", {BALANCE.upper}), {BALANCE.lower})'


@pytest.mark.parametrize("wider", ['"balance"', CLIPPED.replace("10000", "30000")], ids=["no clip", "a wider clip"])
def test_rows_that_are_not_clipped_are_reported(tmp_path, monkeypatch, wider):
    plan = plan_of(Sum("balance", BALANCE), standard=STANDARD, rho=4 * NANO)
    honest = source._aggregate
    assert CLIPPED in honest(plan.measures[0], STANDARD, [])
    monkeypatch.setattr(source, "_aggregate", lambda *told: honest(*told).replace(CLIPPED, wider))
    cells = neighbours(tmp_path, plan, worst=("50000",) * 7)
    assert reported(lambda: audited(*seen_by(plan, released(plan, cells, rounds=4), colluding=0), plan, honest=3))


def test_rows_that_are_not_bounded_per_person_are_reported(tmp_path, monkeypatch):
    plan = plan_of(CountRows(), Sum("balance", BALANCE), standard=STANDARD, rho=4 * NANO)
    honest = source.print_sql

    def unbounded(told, dataset, *, sampling_key):
        statement, parameters = honest(told, dataset, sampling_key=sampling_key)
        bound = f'"rank of row" <= {told.rows_per_unit}'
        assert bound in statement
        return statement.replace(bound, "true"), parameters

    monkeypatch.setattr(source, "print_sql", unbounded)
    cells = neighbours(tmp_path, plan, worst=("10000",) * 12)
    assert reported(lambda: audited(*seen_by(plan, released(plan, cells, rounds=4), colluding=0), plan, honest=3))

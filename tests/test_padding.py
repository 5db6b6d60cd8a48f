"""Padding raises no value: shown on the public credit-card file, read by DuckDB and measured as a node measures it.

The table of one institution is padded in the ways that an owner could think of. What is compared is the value by cost, by
market and the recognised value of a loan, once over the plain counts, exactly, and once with a node's noise, within it.
"""

import copy
from datetime import date
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.demo import people
from exchange.analyst.reading import quality_plan
from exchange.node.engine import Location
from exchange.node.source import Dataset
from exchange.standards import shipped
from privacy.ledger import Receipt
from privacy.noise import add_noise
from privacy.release import Release
from privacy.sensitivity import calibrate
from privacy.terms import NANO
from tests.cards import CARDS, with_cards
from tests.sources import clip
from tests.test_valuation import CASE, appraise, changed, evidence
from tests.test_valuation_market import DEALS
from valuation.asset import DataAsset
from valuation.errors import GatesClosed, OutOfRange
from valuation.evidence import Evidence, Measured
from valuation.facts import Facts
from valuation.judgement import Judgement
from valuation.market import appraise_market
from valuation.pledge import quote
from valuation.reconcile import appraise as reconcile
from valuation.repeats import repeats
from valuation.terms import Terms

ON = date(2026, 6, 30)
STANDARD = shipped("consumer_credit/1")
PLAN = quality_plan(STANDARD, party="bank-a", rho=NANO // 50)
CITED = {"source": "statement of the data office", "owner": "bank-a", "on": "2026-05-31", "document": "a" * 64}
JUDGED = Judgement.from_json(
    {
        "weights": {name: {"share": "0.5", "reason": "equal"} for name in ("cost", "market")},
        "spreads": [],
        "scenarios": [],
        "seed": "padding",
        "draws": 100,
    }
)

COPIES = "SELECT * FROM accounts WHERE hash(person) % 5 = 0"
BEST = "SELECT * FROM accounts WHERE balance >= 0 AND person IN (SELECT person FROM accounts GROUP BY 1 HAVING count(*) < 6)"
SHUFFLED = """
    SELECT a.person, a.education, a.month, b.balance, b.credit_limit, c.months_overdue
    FROM (SELECT *, row_number() OVER (ORDER BY hash(person || month)) AS n FROM accounts) a
    JOIN (SELECT *, row_number() OVER (ORDER BY hash(month || person)) AS n FROM accounts) b USING (n)
    JOIN (SELECT *, row_number() OVER (ORDER BY xor(hash(person), hash(month))) AS n FROM accounts) c USING (n)
    WHERE n % 4 = 0"""
EMPTY = "SELECT person, NULL, month, NULL, NULL, NULL FROM accounts WHERE hash(month || person) % 4 = 0"
INVENTED = "SELECT 'x' || person, * EXCLUDE (person) FROM accounts WHERE hash(person) % 5 = 0"


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return people.split_cards(tmp_path_factory.mktemp("padding"), CARDS)[2]


def counted(bank, tmp_path, padding):
    """The cells of the node's quality measure over the institution's rows and the padding, in a DuckDB file of its own."""
    path = str(tmp_path / f"padded-{len(list(tmp_path.iterdir()))}.duckdb")
    with duckdb.connect(path) as engine:
        engine.execute(f"ATTACH '{bank.location.path}' AS held (READ_ONLY)")
        engine.execute("CREATE TABLE accounts AS SELECT * FROM held.accounts")
        if padding:
            engine.execute(f"INSERT INTO accounts {padding}")
    location = Location("duckdb", path, table="accounts")
    dataset = Dataset("cards_2026", "Cards", STANDARD, "people", location, bank.mapping, "2026-10-31")
    return clip(PLAN, dataset, sampling_key=bytes(32))


def released(cells, *, noisy):
    """What the node would release of the cells: with its noise, or, to see what noise hides, without."""
    scales = {scale.measure.key: scale for scale in calibrate(PLAN)}
    totals = cells.totals
    if noisy:
        receipt = Receipt(PLAN.hash, "people", "lender", PLAN.purpose, charged=PLAN.rho, left=0)
        drawn = add_noise(cells, PLAN, receipt).values
        totals = [value * scales[measure.key].grain for value, (measure, _, _) in zip(drawn, PLAN.cells(), strict=True)]
    variances = {key: (scale.sigma * scale.grain) ** 2 for key, scale in scales.items()}
    return Release(PLAN, "session", tuple(totals), variances, {})


def valued(bank, release, *, grain=True):
    """Value by cost, value by market and recognised value."""
    facts = copy.deepcopy(CASE["facts"]) | {"market": {"deals": DEALS}}
    if grain:
        rows = (Decimal(bank.rows) / bank.persons).quantize(Decimal("0.0001"), ROUND_DOWN)
        facts["grain"] = {"rows_per_person": str(rows), "cited": CITED}
    measured = Measured.of(release, dataset="cards_2026", version=1, on=date(2026, 6, 29))
    got = reconcile(
        DataAsset.from_json(CASE["asset"]), Facts.from_json(facts), Evidence((measured,)), ON, judgement=JUDGED
    )
    by = {name: one.fraction for root in got.roots for one in root.walk() for name in [one.key]}
    worth = quote(got, Terms.from_json(CASE["terms"])).recognised.fraction
    noise = 2 * (by["market.high"] - by["market.low"]) / by["market.central"] / Fraction(392, 100)
    return (by["value.central"], by["market.central"], worth), noise, {remark.code for remark in got.remarks}


@with_cards
def test_no_padding_of_real_rows_raises_a_value(bank, tmp_path):
    honest = counted(bank, tmp_path, "")
    plain, _, codes = valued(bank, released(honest, noisy=False))
    assert not codes & {"repeats", "repeats-unmeasured", "repeats-room"}
    noisy_plain, noise, _ = valued(bank, released(honest, noisy=True))
    for padding in (COPIES, BEST, SHUFFLED, EMPTY, f"{COPIES} UNION ALL {EMPTY} UNION ALL {SHUFFLED}"):
        cells = counted(bank, tmp_path, padding)
        padded, _, _ = valued(bank, released(cells, noisy=False))
        # the grain is rounded down to four places
        assert all(after <= before * (1 + Fraction(1, 10**4)) for before, after in zip(plain, padded, strict=True))
        padded, own, _ = valued(bank, released(cells, noisy=True))
        allowed = 1 + 4 * max(noise, own)
        assert allowed < Fraction("1.03")
        assert all(after <= before * allowed for before, after in zip(noisy_plain, padded, strict=True))


@with_cards
def test_copies_would_raise_a_value_if_nobody_counted_repeats(bank, tmp_path):
    """The attack is real: without a declared grain, copies of the best rows fill the room that a remark tells."""
    honest, best = (released(counted(bank, tmp_path, padding), noisy=False) for padding in ("", BEST))
    plain, _, codes = valued(bank, honest, grain=False)
    copied, _, _ = valued(bank, best, grain=False)
    assert copied[1] > plain[1]
    room = 6 * Fraction(bank.persons, bank.rows)
    assert copied[1] <= plain[1] * room
    assert ("repeats-room" in codes) == (room > Fraction(21, 20))


@with_cards
def test_invented_people_are_not_repeats(bank, tmp_path):
    """Counts cannot tell them: the page says so, and leaves them to title, registration and overlap."""
    plain, _, _ = valued(bank, released(counted(bank, tmp_path, ""), noisy=False))
    invented, _, codes = valued(bank, released(counted(bank, tmp_path, INVENTED), noisy=False))
    assert invented[1] > plain[1]
    assert "repeats" not in codes


def with_people(rows, people_, filled, valid, noise=400):
    counts = {"count(*)": (rows, noise), "count(distinct unit)": (people_, noise)}
    return evidence({**counts, "filled(balance)": (filled, noise), "valid(balance)": (valid, noise)})


MARKET = Facts.from_json(copy.deepcopy(CASE["facts"]) | {"market": {"deals": DEALS}})


@settings(max_examples=60, deadline=None)
@given(
    st.integers(5_000, 50_000), st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 20_000), st.integers(0, 3)
)
def test_copies_of_good_rows_change_nothing_to_the_last_digit(people_, empty, wrong, copies, worse):
    """A full table, five rows a person, and copies: all of the best rows, or of them and of worse ones."""
    rows = 5 * people_
    filled, valid = rows - empty, rows - empty - wrong
    before = with_people(rows, people_, filled, valid)
    bad = copies * worse // 4
    after = with_people(rows + copies, people_, filled + copies - bad // 2, valid + copies - bad)
    alone, padded = appraise(ev=before), appraise(ev=after)
    assert padded.central.fraction <= alone.central.fraction
    assert appraise_market(MARKET, after).central.fraction <= appraise_market(MARKET, before).central.fraction
    if not bad:
        assert padded.central.value == alone.central.value
        assert appraise_market(MARKET, after).central.value == appraise_market(MARKET, before).central.value
    # what the copies hide is uncertain, and the range says so
    assert padded.quality.error.fraction >= alone.quality.error.fraction


def test_a_surplus_by_a_second_computation():
    got = appraise_market(MARKET, with_people(103_000, 20_000, 99_000, 98_000))
    assert got.central.find("market.rows.central").fraction == 98_000 - 3_000
    error = got.low.find("market.rows.error").fraction
    assert abs(error**2 - (400 + 400 + 25 * 400)) < Fraction(1, 10**20)
    base = appraise(ev=with_people(103_000, 20_000, 99_000, 98_000))
    metrics = {one.label: one.fraction for one in base.quality.metrics}
    want = {"completeness": Fraction(96, 100), "validity": Fraction(95, 96)}
    assert all(abs(metrics[name] - share) < Fraction(1, 10**30) for name, share in want.items())
    assert "repeats" in {remark.code for remark in base.remarks}
    assert base.quality.metrics[0].find("repeats.surplus").fraction == 3_000


def test_without_a_count_of_people_nothing_is_priced_by_rows():
    counts = {key: pair for key, pair in CASE["counts"].items() if key != "count(distinct unit)"}
    with pytest.raises(GatesClosed) as caught:
        appraise_market(MARKET, evidence(counts))
    assert [finding.gate for finding in caught.value.findings] == ["uniqueness"]
    assert "COUNT(DISTINCT unit)" in caught.value.fix
    assert "repeats-unmeasured" in {remark.code for remark in appraise(ev=evidence(counts)).remarks}


def test_the_grain_is_at_most_what_the_release_admits():
    for rows, fits in (("1", True), ("5", True), ("5.01", False), ("0.9", False), ("NaN", False)):
        document = changed(("grain",), {"rows_per_person": rows, "cited": CITED})
        if fits:
            facts = Facts.from_json(document)
            assert Facts.from_json(facts.to_json()) == facts
            assert repeats(facts, evidence().quality).grain.fraction == int(rows)
            continue
        with pytest.raises(Exception, match=r"facts\.grain\.rows_per_person"):
            repeats(Facts.from_json(document), evidence().quality)
    late = changed(("grain",), {"rows_per_person": "2", "cited": CITED | {"on": "2026-07-01"}})
    with pytest.raises(OutOfRange, match=r"facts\.grain\.cited\.on"):
        Facts.from_json(late)


def test_room_for_copies_is_told():
    roomy = appraise(ev=with_people(100_000, 25_000, 99_000, 98_000))
    told = [remark.text for remark in roomy.remarks if remark.code == "repeats-room"]
    assert told == ["the people could fill 25.0 % more rows than there are: so many copies would not be seen"]

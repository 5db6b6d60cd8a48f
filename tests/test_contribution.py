"""Splits of a pool: properties of the values, enumeration by orders as a second computation, gates, cents, documents."""

import copy
import json
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import canonical
from privacy.errors import Malformed, Mismatch, PrivacyError
from privacy.expression import ByCategory
from privacy.plan import CountRows, CountUnits, Plan
from privacy.release import Release
from tests.test_cli import run
from tests.test_pledge import flip, leaves
from valuation.contribution import in_cents
from valuation.contributors import is_identifier
from valuation.desk.games import banzhaf_weights, beta_weights, semivalue, shapley_weights
from valuation.errors import Differs, GatesClosed, MissingKey, OutOfRange, Swamped, UnknownKey, WrongType
from valuation.split import perform, verify

CITED = {"source": "pool agreement, annex 2", "owner": "pool office", "on": "2026-06-01", "document": "5" * 64}
NAMES = ("bank-a", "bank-b", "bank-c", "insurer-d", "telecom-e", "tax-f", "bank-g", "bank-h", "bank-i", "bank-j", "bank-k",
         "bank-l")  # fmt: skip


def code(number):
    """A unified social credit code of a running number, with its check character worked out here."""
    digits = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = f"9111000010{number:07d}"
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)  # as printed in GB 32100-2015
    rest = sum(weight * digits.index(one) for weight, one in zip(weights, body, strict=True)) % 31
    return body + digits[(31 - rest) % 31]


def inputs(game, count=3):
    names = sorted(NAMES[:count])
    document = {
        "pool": {"name": "credit pool", "value": {"amount": "12000000", "currency": "CNY"}, "cited": CITED},
        "on": "2026-06-30",
        "contributors": [
            {"party": name, "identifier": code(number), "cited": CITED} for number, name in enumerate(names)
        ],
        "search": {"cited": CITED, "found": []},
        "game": game,
    }
    return json.loads(json.dumps(document))  # so that no two keys share one object


def table(worth, count=3, rule="shapley", deviation="0"):
    """A declared game: ``worth`` of a frozenset of places."""
    names = sorted(NAMES[:count])
    rows = []
    for size in range(1, count + 1):
        for members in combinations(range(count), size):
            amount = {"worth": str(worth(frozenset(members))), "deviation": deviation}
            rows.append({"members": [names[place] for place in members], **amount})
    return {"kind": "utilities", "rule": rule, "unit": "AUC", "cited": CITED, "coalitions": rows}


def sums(values, noise="laplace", variance="2"):
    names = sorted(NAMES[: len(values)])
    listed = [
        {"party": name, "sum": str(value), "variance": variance} for name, value in zip(names, values, strict=True)
    ]
    return {"kind": "sums", "noise": noise, "cited": CITED, "sums": listed}


def holders(rows, variance=4, **changes):
    """Releases of counts by number of holders; ``rows[i][m-1]`` is what institution i shares with m - 1 others."""
    names = sorted(NAMES[: len(rows)])
    listed = []
    for name, row in zip(names, rows, strict=True):
        plan = Plan(**{
            "standard": "consumer_credit/1", "standard_digest": "0" * 64, "purpose": "pool-split", "parties": (name,),
            "rows_per_unit": 1, "institutions_per_unit": len(rows), "where": (), "measures": (CountUnits(),),
            "groups": (ByCategory("holders", tuple(str(m) for m in range(1, len(rows) + 1))),), "rho": 1_000_000,
        } | changes)  # fmt: skip
        made = Release(plan, "5e" * 32, tuple(row), {measure.key: Fraction(variance) for measure in plan.measures}, {})
        listed.append({"party": name, "on": "2026-06-20", "release": json.loads(canonical.encode(made.to_json()))})
    return {"kind": "holders", "purpose": "pool-split", "counts": listed}


def read(split, prefix):
    """Figures under a prefix, by institution."""
    places = [one["party"] for one in split["inputs"]["contributors"]]
    values = {figure["key"]: Fraction(figure["value"]) for figure in split["figures"]}
    return [values[f"{prefix}.{party}"] for party in places]


def value(split, key):
    return next(Fraction(figure["value"]) for figure in split["figures"] if figure["key"] == key)


def by_orders(worth, count):
    """Shapley by its definition: what a player adds to those before it, over all orders."""
    found = [Fraction(0)] * count
    for order in permutations(range(count)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            found[player] += Fraction(worth(before | {player})) - Fraction(worth(before))
    return [one / factorial(count) for one in found]


def listed(worth, count):
    return [Fraction(worth(frozenset(p for p in range(count) if mask >> p & 1))) for mask in range(1 << count)]


worths = st.integers(2, 5).flatmap(
    lambda count: st.lists(st.integers(-50, 1000), min_size=(1 << count) - 1, max_size=(1 << count) - 1)
)


def game_of(values):
    count = (len(values) + 1).bit_length() - 1
    return count, lambda members: 0 if not members else values[sum(1 << place for place in members) - 1]


# --- the values -------------------------------------------------------------------------------------------------------


@given(worths)
def test_shapley_is_the_mean_over_all_orders_and_adds_up(values):
    count, worth = game_of(values)
    got = semivalue(listed(worth, count), shapley_weights(count))
    assert got == by_orders(worth, count)
    assert sum(got) == worth(frozenset(range(count)))


@given(worths, st.integers(0, 3), st.sampled_from([shapley_weights, banzhaf_weights, lambda n: beta_weights(n, 4, 1)]))
def test_axioms(values, player, weights):
    count, worth = game_of(values)
    player %= count
    other = (player + 1) % count
    every = weights(count)
    got = semivalue(listed(worth, count), every)
    # null: who adds nothing anywhere gets nothing
    assert semivalue(listed(lambda s: worth(s - {player}), count), every)[player] == 0
    # symmetry: two that add alike get alike
    swap = {player: other, other: player}
    alike = semivalue(listed(lambda s: worth(s) + worth(frozenset(swap.get(p, p) for p in s)), count), every)
    assert alike[player] == alike[other]
    # additivity, and monotonicity: whoever adds more everywhere gets more
    double = semivalue(listed(lambda s: worth(s) + len(s & {player}) * 7 + 3 * worth(s), count), every)
    bonus = 7 * sum(w * len(list(combinations(range(count - 1), size))) for size, w in enumerate(every))
    assert double == [4 * one + (bonus if place == player else 0) for place, one in enumerate(got)]
    assert bonus > 0


@pytest.mark.parametrize("count", [2, 3, 6])
def test_coverage_is_the_shapley_value_of_its_game(count):
    rng = np.random.default_rng(count)
    ids = [set(rng.choice(200, size=rng.integers(20, 150), replace=False).tolist()) for _ in range(count)]
    counted = Counter(identity for held in ids for identity in held)
    rows = [[sum(counted[one] == m for one in held) for m in range(1, count + 1)] for held in ids]
    split = perform(inputs(holders(rows, variance=Fraction(1, 100)), count))
    game = listed(lambda s: len(set().union(*(ids[place] for place in s))), count)
    exact = semivalue(game, shapley_weights(count))
    assert all(abs(one - other) < Fraction(1, 10**30) for one, other in zip(read(split, "phi"), exact, strict=True))
    assert abs(value(split, "phi.sum") - len(set().union(*ids))) < Fraction(1, 10**29)
    assert read(split, "exclusive") == [pytest.approx(Fraction(row[0], sum(row)), rel=1e-30) for row in rows]


@given(st.integers(1, 6), st.integers(1, 400))
def test_a_clone_takes_what_pitfall_says_and_the_gates_stop_it(others, shared):
    """An identifier that k others hold is worth 1/(k+1) to its holder, and 2/(k+2) to one that stands twice."""
    before = semivalue(listed(lambda s: shared * bool(s), others + 1), shapley_weights(others + 1))
    after = semivalue(listed(lambda s: shared * bool(s), others + 2), shapley_weights(others + 2))
    assert before[0] == Fraction(shared, others + 1)
    assert after[0] + after[1] == Fraction(2 * shared, others + 2)


def test_clones_do_not_pass_the_gates():
    honest = perform(inputs(holders([[60, 40], [10, 40]], variance=Fraction(1, 100)), 2))
    rows = [[0, 60, 40], [0, 60, 40], [10, 0, 40]]  # bank-b is bank-a again
    cloned = inputs(holders(rows, variance=Fraction(1, 100)))
    share = read(perform(cloned), "share")
    assert read(honest, "share")[0] == pytest.approx(Fraction(80, 110))
    assert share[0] + share[1] == pytest.approx(Fraction(60 + 2 * 40 // 3, 110), rel=1e-2)
    assert share[0] + share[1] > read(honest, "share")[0]
    cloned["search"]["found"] = [{"parties": ["bank-a", "bank-b"], "similarity": "0.97"}]
    with pytest.raises(GatesClosed, match=r"bank-a and bank-b are alike to 97\.0 %"):
        perform(cloned)
    cloned["search"]["found"] = []
    cloned["contributors"][1]["identifier"] = cloned["contributors"][0]["identifier"]
    with pytest.raises(GatesClosed, match="bank-b is the same legal entity as bank-a"):
        perform(cloned)


def test_the_worked_examples_of_the_literature():
    glove = perform(inputs(table(lambda s: int({2} < s and len(s) > 1))))
    assert [round(one, 10) for one in read(glove, "phi")] == [Fraction(1666666667, 10**10)] * 2 + [
        Fraction(6666666667, 10**10)
    ]
    assert value(glove, "core.least") == 0
    costs = (120, 200, 310, 550)
    airport = perform(inputs(table(lambda s: max(costs[p] for p in s), 4), 4))
    assert read(airport, "phi") == [
        pytest.approx(one) for one in (30, 30 + 80 / 3, 30 + 80 / 3 + 55, 30 + 80 / 3 + 55 + 240)
    ]
    majority = perform(inputs(table(lambda s: int(len(s) >= 2))))
    assert value(majority, "core.least") == pytest.approx(Fraction(1, 3))
    assert value(majority, "core.excess") == pytest.approx(Fraction(1, 3))
    assert "coalition-gains" in {remark["code"] for remark in majority["remarks"]}
    assert read(perform(inputs(sums(["0.42", "0.31", "0.17"], variance="0.000001"))), "money") == [
        5600000, Fraction("4133333.33"), Fraction("2266666.67"),
    ]  # fmt: skip


def test_rules_stand_beside_each_other():
    worth = lambda s: len(s) ** 2 + 3 * (0 in s)  # noqa: E731
    plain = perform(inputs(table(worth)))
    for rule in ("banzhaf", "beta_4_1", "beta_16_1"):
        chosen = perform(inputs(table(worth, rule=rule)))
        assert read(chosen, "phi") == read(plain, rule)
        assert read(chosen, "shapley") == read(plain, "phi")
        assert sum(read(chosen, "money")) == 12_000_000
        assert "rescaled" in {remark["code"] for remark in chosen["remarks"]}
    assert "rescaled" not in {remark["code"] for remark in plain["remarks"]}


# --- money ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**15), st.lists(st.integers(0, 10**6), min_size=1, max_size=64).filter(any))
def test_cents_add_up_and_follow_the_shares(cents, weights):
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    got = in_cents(Fraction(cents, 100), shares)
    assert sum(got) == cents
    assert all(abs(one - cents * share) < 1 for one, share in zip(got, shares, strict=True))
    for one, share in zip(got, shares, strict=True):
        for other, smaller in zip(got, shares, strict=True):
            assert share <= smaller or one >= other


def test_negative_contributions_are_clipped_and_published():
    split = perform(inputs(sums(["60", "50", "-10"], variance="0.25")))
    assert read(split, "share") == [pytest.approx(Fraction(6, 11)), pytest.approx(Fraction(5, 11)), 0]
    assert read(split, "unclipped") == [pytest.approx(one) for one in (7_200_000, 6_000_000, -1_200_000)]
    assert sum(read(split, "money")) == 12_000_000
    assert sum(read(split, "unclipped")) == pytest.approx(12_000_000)
    assert value(split, "money.bank-c.high") == 0
    assert "negative-contribution" in {remark["code"] for remark in split["remarks"]}
    near = perform(inputs(sums(["600", "500", "-1"], variance="1")))
    assert value(near, "money.bank-c.low") == 0 < value(near, "money.bank-c.high")


@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_intervals_cover_what_they_promise(noise):
    """Released many times, the interval of the first institution's money holds its true part as often as it says."""
    rng, truth, spread = np.random.default_rng(7), (400, 300, 200), 8.0
    scale = spread / 2**0.5
    draw = (lambda: rng.laplace(0, scale, 3)) if noise == "laplace" else (lambda: rng.normal(0, spread, 3))
    want, hits = 12_000_000 * Fraction(400, 900), 0
    for _ in range(200):
        noisy = [f"{one + off:.6f}" for one, off in zip(truth, draw(), strict=True)]
        split = perform(inputs(sums(noisy, noise, variance=str(int(spread**2)))))
        hits += value(split, "money.bank-a.low") <= want <= value(split, "money.bank-a.high")
    # 95 % of 200 is 190 +- 3.1; intervals for Laplace noise are on the safe side
    assert 180 <= hits <= 199


def test_errors_are_those_of_linear_algebra():
    """Noise on every coalition: the covariance of the contributions by matrices, the shares' by their Jacobian."""
    count, deviation = 4, 0.02
    worth = lambda s: Decimal(len(s)) * 2 + Decimal(sum(s)) / 4  # noqa: E731
    split = perform(inputs(table(worth, count, deviation=str(deviation)), count))
    columns = []
    for mask in range(1, 1 << count):
        unit = [Fraction(int(one == mask)) for one in range(1 << count)]
        columns.append([float(one) for one in semivalue(unit, shapley_weights(count))])
    matrix = np.array(columns).T
    covariance = deviation**2 * matrix @ matrix.T
    assert read(split, "phi") == [pytest.approx(one) for one in by_orders(worth, count)]
    errors = [float(value(split, f"phi.{party}.error")) for party in sorted(NAMES[:count])]
    assert errors == pytest.approx(np.sqrt(np.diag(covariance)))
    phi = np.array([float(one) for one in read(split, "phi")])
    jacobian = (np.eye(count) - np.outer(phi / phi.sum(), np.ones(count))) / phi.sum()
    want = np.sqrt(np.diag(jacobian @ covariance @ jacobian.T))
    got = [float(value(split, f"share.{party}.error")) for party in sorted(NAMES[:count])]
    assert got == pytest.approx(want)


# --- refusals ---------------------------------------------------------------------------------------------------------

GOOD = inputs(table(len))


def test_identifiers_are_checked():
    # published codes of companies
    for known in ("91110000802100433B", "914403001922038216", "HWUPKR0MPOU8FGXBT394", "784F5XWPLTWKTBV3E584"):
        assert is_identifier(known)
        assert not is_identifier(known[:-1] + ("1" if known[-1] != "1" else "2"))
    for number in range(10):
        for place in range(18):
            swapped = code(number)[:place] + ("7" if code(number)[place] != "7" else "8") + code(number)[place + 1 :]
            assert not is_identifier(swapped)
    assert not is_identifier("9" * 18)
    assert not is_identifier("")


def changed(path, new, base=GOOD):
    document = copy.deepcopy(base)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if new is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return document


@pytest.mark.parametrize(
    ("path", "new", "gates"),
    [
        (("contributors", 0, "identifier"), None, ["entity"]),
        (("contributors", 1, "cited"), None, ["entity"]),
        (("contributors", 0, "cited", "on"), "2026-07-01", ["entity"]),
        (("search",), None, ["near_duplicates"]),
        (("search", "cited", "on"), "2026-07-01", ["near_duplicates"]),
        (("search", "cited", "on"), "2025-06-01", ["near_duplicates"]),
        (("search", "found"), [{"parties": ["bank-a", "bank-c"], "similarity": "0.8"}], ["near_duplicates"]),
    ],
    ids=str,
)
def test_gates_name_the_document_that_opens_them(path, new, gates):
    with pytest.raises(GatesClosed) as caught:
        perform(changed(path, new))
    assert [finding.gate for finding in caught.value.findings] == gates
    assert all(finding.document for finding in caught.value.findings)


def test_contributions_that_are_somewhat_alike_are_remarked_on():
    split = perform(changed(("search", "found"), [{"parties": ["bank-a", "bank-c"], "similarity": "0.4"}]))
    assert [remark["code"] for remark in split["remarks"]] == ["contributions-alike"]
    assert [gate["gate"] for gate in split["gates"]] == ["entity", "near_duplicates"]


@pytest.mark.parametrize(
    ("path", "new", "error", "key"),
    [
        (("surprise",), 1, UnknownKey, "inputs.surprise"),
        (("pool", "value", "amount"), "0", OutOfRange, "inputs.pool.value.amount"),
        (("pool", "value", "amount"), "1.005", OutOfRange, "inputs.pool.value.amount"),
        (("pool", "value", "amount"), 12, WrongType, "inputs.pool.value.amount"),
        (("pool", "cited", "on"), "2026-07-01", OutOfRange, "inputs.pool.cited.on"),
        (("on",), "30 June", WrongType, "inputs.on"),
        (("contributors",), GOOD["contributors"][:1], OutOfRange, "inputs.contributors"),
        (("contributors",), GOOD["contributors"][::-1], OutOfRange, "inputs.contributors"),
        (("contributors", 1, "party"), "bank-a", OutOfRange, "inputs.contributors"),
        (("contributors", 1, "party"), "Bank B", WrongType, "inputs.contributors[1].party"),
        (("contributors", 1, "identifier"), "911100001000000011", WrongType, "inputs.contributors[1].identifier"),
        (("search", "found"), [{"parties": ["bank-a", "bank-z"], "similarity": "0"}], OutOfRange,
         "inputs.search.found[0].parties"),
        (("game", "kind"), "guess", OutOfRange, "inputs.game.kind"),
        (("game",), [], OutOfRange, "inputs.game.kind"),
        (("game", "rule"), "fair", OutOfRange, "inputs.game.rule"),
        (("game", "coalitions", 3), KeyError, MissingKey, "inputs.game.coalitions of bank-a, bank-b"),
        (("game", "coalitions", 0, "members"), ["bank-z"], OutOfRange, "inputs.game.coalitions[0].members"),
        (("game", "coalitions", 0, "members"), [["bank-a"]], OutOfRange, "inputs.game.coalitions[0].members"),
        (("game", "coalitions", 0, "members"), ["bank-b"], OutOfRange, "inputs.game.coalitions[1].members"),
        (("game", "coalitions", 3, "members"), ["bank-a", "bank-a"], OutOfRange, "inputs.game.coalitions[3].members"),
        (("game", "coalitions", 0, "deviation"), "-1", OutOfRange, "inputs.game.coalitions[0].deviation"),
        (("game", "coalitions", 0, "worth"), "NaN", WrongType, "inputs.game.coalitions[0].worth"),
        (("game", "cited", "on"), "2026-07-01", OutOfRange, "inputs.game.cited.on"),
        (("game", "coalitions", 6, "worth"), "0", OutOfRange, "inputs.game"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_named(path, new, error, key):
    with pytest.raises(error) as caught:
        perform(changed(path, new))
    assert caught.value.key == key


def test_large_games_are_refused_and_twelve_is_enumerated():
    with pytest.raises(OutOfRange, match="at most 12"):
        perform(inputs({**table(len, 3), "coalitions": []}, 12) | {"contributors": [
            {"party": f"bank-{chr(97 + number)}", "identifier": code(number), "cited": CITED} for number in range(13)
        ]})  # fmt: skip
    weights = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
    split = perform(inputs(table(lambda s: sum(weights[place] for place in s), 12), 12))
    assert read(split, "phi") == weights
    assert sum(read(split, "money")) == 12_000_000
    assert value(split, "core.least") == value(split, "core.excess") == 0
    assert len(canonical.encode(split)) < canonical.MAX_BYTES


def test_noise_that_drowns_the_contributions_is_refused():
    with pytest.raises(Swamped):
        perform(inputs(sums(["40", "30", "30"], variance="100")))
    with pytest.raises(OutOfRange):
        perform(inputs(sums(["4", "3", "3"], variance="0")))


ROWS = [[50, 30, 20], [40, 20, 20], [10, 30, 20]]


@pytest.mark.parametrize(
    ("game", "said"),
    [
        (holders(ROWS, purpose="risk"), "another purpose"),
        (holders(ROWS, measures=(CountRows(),)), "distinct people"),
        (holders([[*row, 0] for row in ROWS], groups=(ByCategory("holders", ("1", "2", "3", "4")),)), "1 to the number"),
        (holders([[50], [40], [10]], groups=()), "1 to the number"),
        (holders([[500, 300, 200], [400, 20, 200], [10, 30, 200]]), "bank-a shares more identifiers of 2 holders"),
    ],
)  # fmt: skip
def test_releases_that_do_not_fit_are_refused(game, said):
    with pytest.raises(Mismatch, match=said):
        perform(inputs(game))


def test_releases_of_other_parties_columns_and_forms_are_refused():
    game = holders(ROWS)
    game["counts"][0]["release"] = copy.deepcopy(game["counts"][1]["release"])
    with pytest.raises(Mismatch, match="this contributor alone"):
        perform(inputs(game))
    game = holders(ROWS)
    game["counts"][2] = holders(ROWS, groups=(ByCategory("owners", ("1", "2", "3")),))["counts"][2]
    with pytest.raises(Mismatch, match="different things"):
        perform(inputs(game))
    game = holders(ROWS)
    game["counts"][0]["release"]["totals"][0] = 50
    with pytest.raises(Malformed):
        perform(inputs(game))
    game["counts"].pop()
    with pytest.raises(PrivacyError):
        perform(inputs(game))
    late = holders(ROWS)
    late["counts"][1]["on"] = "2026-07-01"
    with pytest.raises(OutOfRange) as caught:
        perform(inputs(late))
    assert caught.value.key == "inputs.game.counts[1].on"


# --- documents --------------------------------------------------------------------------------------------------------

SPLITS = {
    "utilities": perform(inputs(table(lambda s: len(s) ** 2 + (0 in s), deviation="0.001"))),
    "holders": perform(inputs(holders(ROWS, variance=Fraction(1, 4)))),
    "sums": perform(inputs(sums(["60", "50", "-10"], variance="0.25"))),
}


@pytest.mark.parametrize("kind", SPLITS)
def test_a_split_verifies_and_every_figure_has_reasons(kind):
    split = SPLITS[kind]
    assert verify(canonical.encode(split)).figures == len(split["figures"])
    assert perform(json.loads(canonical.encode(split["inputs"]))) == split
    known = set()
    for one in split["figures"]:
        assert set(one["because"]) <= known
        assert one["because"] or (one["evidence"] and one["formula"] == "given")
        known.add(one["key"])
    named = {part[end] for part in split["conclusion"]["parts"] for end in ("central", "low", "high")}
    assert named <= known
    for part in split["conclusion"]["parts"]:
        low, central, high = (value(split, part[end]) for end in ("low", "central", "high"))
        assert low <= central <= high


@pytest.mark.parametrize("kind", SPLITS)
def test_a_change_anywhere_is_found(kind):
    split = SPLITS[kind]
    for index, figure in enumerate(split["figures"]):
        odd = copy.deepcopy(split)
        odd["figures"][index]["value"] = flip(figure["value"])
        with pytest.raises(Differs) as caught:
            verify(odd)
        assert caught.value.place == figure["key"]
    for path in [path for path in leaves(split) if path[0] != "figures"][::5]:
        odd = copy.deepcopy(split)
        inner = odd
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = flip(inner[path[-1]])
        with pytest.raises(PrivacyError):
            verify(odd)


def test_the_command_splits_and_verifies(tmp_path):
    facts, out = tmp_path / "facts.json", tmp_path / "split.json"
    facts.write_text(json.dumps(SPLITS["holders"]["inputs"], indent=1), "utf-8")
    told = run("value", "split", str(facts), "-o", str(out))
    assert told.returncode == 0, told.stderr
    assert out.read_bytes() == canonical.encode(SPLITS["holders"])
    assert "bank-a" in told.stdout
    checked = run("value", "verify", str(out))
    assert checked.returncode == 0, checked.stderr
    assert f"all {len(SPLITS['holders']['figures'])} figures follow" in checked.stdout
    closed = run("value", "split", "-", input=json.dumps(changed(("search",), None)))
    assert closed.returncode == 3
    assert "near-duplicate search" in closed.stderr
    assert "Traceback" not in closed.stderr

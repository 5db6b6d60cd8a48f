"""What a dataset is known by does not depend on how it is stored, changes with every row, and is a second computation's to the bit."""

import hashlib
import hmac
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.node import custody, fingerprint, vault
from exchange.node.engine import SourceFault
from exchange.node.fingerprint import key_name, read_key
from exchange.protocol.collateral import SKETCH, Fingerprint, band
from exchange.protocol.errors import PeerFault, Unknown
from privacy.errors import Malformed, PrivacyError, Refused
from privacy.terms import Kind
from tests.sources import KINDS, compute, lay
from tests.strategies import STANDARD, tables

KEY = bytes(range(32))
REQUIRED = replace(
    STANDARD,
    columns=tuple(replace(column, required=column.name in ("region", "balance")) for column in STANDARD.columns),
)


def computed(dataset, home, key=KEY):
    return compute(dataset, key=key)


def derived(use, key=KEY, standard="credit"):
    return hmac.new(key, f"touchstone collateral {use}\0{standard}".encode(), hashlib.sha256).hexdigest()


def texts(row, columns, *, flags):
    """What a row says, a second time: person first, then numbers and flags by column name, in one text that ends with a mark."""
    parts = [str(len(row["person"])), row["person"]]
    for column in sorted(columns, key=lambda column: column.name):
        told = row[column.name]
        if column.kind is Kind.IDENTIFIER:
            continue
        if column.kind is Kind.CATEGORY:
            value = str(column.domain.index(told) + 1) if told in column.domain else "-"
            valid = []
        else:
            low, high = column.bounds.lower, column.bounds.upper
            number = told if isinstance(told, int) else None
            value = "-" if number is None else str(min(max(number, low), high))
            valid = [str(number is not None and low <= number <= high).lower()]
        parts += [value, str(told is not None).lower(), *valid] if flags else [value]
    return ";".join([*parts, "."])


def second_opinion(rows, standard):
    """Root and sketch from rows as Python holds them."""
    rows = [row for row in rows if row["person"] is not None]
    hashes = sorted(
        hashlib.sha256((derived("rows") + texts(row, standard.columns, flags=True)).encode()).digest() for row in rows
    )
    level = []
    for place in range(256):
        mine = [one for one in hashes if one[0] == place]
        digest = hashlib.sha256("".join(one.hex().upper() for one in mine).encode()).digest() if mine else b""
        level.append(hashlib.sha256(b"\0" + bytes([place]) + len(mine).to_bytes(8) + digest).digest())
    while len(level) > 1:
        level = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    named = [column for column in standard.columns if column.required]
    core = {
        hashlib.sha256(
            (derived("sketch") + texts(row, named or standard.columns, flags=not named)).encode()
        ).hexdigest()
        for row in rows
    }
    return level[0].hex(), "".join(sorted(one[:16] for one in core)[:SKETCH])


@settings(max_examples=6, deadline=None)
@given(tables(), st.randoms(use_true_random=False), st.sampled_from([STANDARD, REQUIRED]))
def test_order_names_formats_and_the_dataset_s_name_do_not_matter_and_each_row_does(
    tmp_path_factory, rows, choose, standard
):
    home = tmp_path_factory.mktemp("rows")
    rows = [*rows, dict.fromkeys(rows[0] if rows else [c.name for c in standard.columns]) | {"person": "p;1"}]
    first = computed(lay(home, rows, standard, choose, name="first"), home)
    shuffled = choose.sample(rows, len(rows))
    other = replace(lay(home, shuffled, standard, choose, name="second"), name="renamed", refreshed="2027-01-31")
    assert computed(other, home) == first
    assert (first.root, first.sketch) == second_opinion(rows, standard)
    changed = [dict(row) for row in rows]
    named = choose.choice([row for row in changed if row["person"] is not None])
    what = choose.choice(["person", "twice", "gone"])
    if what == "person":
        named["person"] += "x"
    elif what == "twice":
        changed.append(named)
    else:
        changed.remove(named)
        changed.append(dict(named, person="somebody else"))
    assert computed(lay(home, changed, standard, choose, name="third"), home).root != first.root


ROWS = [
    {
        **{column.name: None for column in STANDARD.columns},
        "person": f"person {number // 2}",
        "region": STANDARD.column("region").domain[number % 2],
        "balance": number,
    }
    for number in range(1_200)
]


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_sources_give_the_same_fingerprint(tmp_path, kind):
    choose = random.Random(kind)
    told = computed(lay(tmp_path, choose.sample(ROWS, len(ROWS)), REQUIRED, choose, kind=kind), tmp_path)
    assert (told.root, told.sketch) == second_opinion(ROWS, REQUIRED)
    assert (told.rows, len(told.sketch)) == (1_200, SKETCH * 16)


def test_a_large_source_is_put_in_order_part_by_part(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "LARGE", 1_000)
    steps = []
    dataset = lay(tmp_path, ROWS, REQUIRED, random.Random(5), kind="parquet")
    told = compute(dataset, key=KEY, progress=lambda *step: steps.append(step))
    assert (told.root, told.sketch) == second_opinion(ROWS, REQUIRED)
    assert steps == [(done, 17) for done in range(1, 18)]


def test_columns_left_out_change_the_root_and_not_the_sketch(tmp_path):
    dataset = lay(tmp_path, ROWS[:50], REQUIRED, random.Random(1))
    whole = computed(dataset, tmp_path)
    fewer = replace(dataset, mapping={name: dataset.mapping[name] for name in ("person", "region", "balance")})
    assert computed(fewer, tmp_path).sketch == whole.sketch
    assert computed(fewer, tmp_path).root != whole.root
    with pytest.raises(Refused, match="balance"):
        computed(replace(dataset, mapping={name: dataset.mapping[name] for name in ("person", "region")}), tmp_path)


def test_without_the_key_or_with_another_nothing_matches(tmp_path):
    """Whoever guesses a row right still needs the key: no plain, keyless or otherwise keyed hash of it is in the sketch."""
    told = computed(lay(tmp_path, ROWS[:40], REQUIRED, random.Random(2)), tmp_path)
    named = [column for column in REQUIRED.columns if column.required]
    guesses = [texts(row, named, flags=False) for row in ROWS[:40]]
    for prefix in ("", "0" * 64, derived("rows"), derived("sketch", bytes(32)), derived("sketch", KEY, "other")):
        hashes = [hashlib.sha256((prefix + guess).encode()).hexdigest() for guess in guesses]
        assert not any(one[:16] in told.sketch or one in told.root for one in hashes)
    right = [hashlib.sha256((derived("sketch") + guess).encode()).hexdigest()[:16] for guess in guesses]
    assert all(one in told.sketch for one in right), "with the key they all would be"
    other = computed(lay(tmp_path, ROWS[:40], REQUIRED, random.Random(2)), tmp_path, key=bytes(32))
    assert (other.root, other.sketch, other.key) != (told.root, told.sketch, told.key)
    assert told.key == key_name(KEY, "credit") != key_name(KEY, "other")


def test_nothing_to_pledge_and_nothing_to_read(tmp_path):
    nobody = [dict(ROWS[0], person=None)]
    with pytest.raises(Refused, match="no row"):
        computed(lay(tmp_path, nobody, REQUIRED, random.Random(3)), tmp_path)
    gone = lay(tmp_path, ROWS[:1], REQUIRED, random.Random(3), kind="csv", name="gone")
    for path in tmp_path.glob("gone*"):
        path.unlink()
    with pytest.raises(SourceFault):
        computed(gone, tmp_path)


def test_a_message_tells_a_band_of_rows_and_no_other_shape_is_one(tmp_path):
    dataset = lay(tmp_path, ROWS[:77], REQUIRED, random.Random(4))
    message = computed(dataset, tmp_path).message(dataset, earlier=None)
    assert (message.least, message.below) == (76, 80)
    document = message.model_dump(mode="json")
    sketch = document["sketch"]
    assert Fingerprint.model_validate(document) == message
    for wrong in (
        {"sketch": ""},
        {"sketch": sketch[:-1]},
        {"sketch": sketch[16:32] + sketch[:16]},
        {"sketch": sketch[:16] * 2},
        {"sketch": sketch.upper() + "g" * 16},
        {"sketch": "".join(f"{value:016x}" for value in range(SKETCH + 1))},
        {"least": 77},
        {"least": 0, "below": 1},
        {"below": 90},
        {"rows": 77},
        {"root": "0"},
    ):
        with pytest.raises(ValueError):
            Fingerprint.model_validate(document | wrong)


@given(st.integers(1, 2**53 - 1))
def test_bands_hold_their_number_and_are_at_most_a_sixteenth_wide(rows):
    least, below = band(rows)
    assert least <= rows < below
    assert below - least == 1 or (below - least) * 16 <= least
    assert band(least) == (least, below)


def test_a_key_is_made_once_handed_over_and_never_replaced(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    with pytest.raises(Unknown):
        custody.make_key(first)
    for home, party in ((first, "bank-a"), (second, "bank-b")):
        vault.create(home, party=party)
        assert custody.held_key(home) is None
    path = custody.make_key(first)
    assert custody.make_key(first) == path
    assert path.stat().st_mode & 0o777 == 0o600
    custody.take_key(second, path)
    assert custody.held_key(second) == custody.held_key(first) == read_key(path.read_text())
    foreign = tmp_path / "foreign.key"
    foreign.write_text("ab" * 32)
    with pytest.raises(PeerFault):
        custody.take_key(second, foreign)
    for wrong in ("", "ab" * 31, "AB" * 32, "12 monkeys"):
        foreign.write_text(wrong)
        with pytest.raises(Malformed) as caught:
            custody.take_key(second, foreign)
        assert wrong not in caught.value.reason or not wrong
    with pytest.raises(PrivacyError):
        custody.take_key(second, tmp_path / "absent")

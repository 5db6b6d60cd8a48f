"""One spelling for each value: what is written is read back, every other spelling is refused without an echo."""

import hashlib
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import json_values, wild

from privacy import canonical
from privacy.errors import Malformed

SECRET = "110101199003077777"


@given(json_values)
def test_what_is_encoded_is_decoded(value):
    assert canonical.decode(canonical.encode(value)) == value


@given(json_values)
def test_types_survive_the_round_trip(value):
    def typed(item):
        if isinstance(item, dict):
            return {key: typed(inner) for key, inner in item.items()}
        return [typed(inner) for inner in item] if isinstance(item, list) else (type(item), item)

    assert typed(canonical.decode(canonical.encode(value))) == typed(value)


@given(json_values, json_values)
def test_equal_bytes_mean_equal_values(one, other):
    same = canonical.encode(one) == canonical.encode(other)
    assert same == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


@given(json_values)
def test_the_order_of_keys_does_not_matter_and_tuples_are_lists(value):
    turned = dict(reversed({"x": value, "a": 1, "m": 2}.items()))
    assert canonical.encode(turned) == canonical.encode({"a": 1, "m": 2, "x": value})
    assert canonical.encode((value, value)) == canonical.encode([value, value])


@given(wild)
def test_a_value_is_encoded_or_refused_as_malformed(value):
    try:
        data = canonical.encode(value)
    except Malformed:
        return
    assert canonical.encode(canonical.decode(data)) == data


@given(st.binary(max_size=40))
def test_foreign_bytes_are_canonical_or_malformed(data):
    try:
        value = canonical.decode(data)
    except Malformed:
        return
    assert canonical.encode(value) == data


@given(json_values, st.data())
def test_other_spellings_of_the_same_value_are_refused(value, data):
    spelled = data.draw(
        st.sampled_from(
            [
                json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")),
                json.dumps(value, ensure_ascii=False, sort_keys=True),
                json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), indent=1),
                canonical.encode(value).decode() + "\n",
                " " + canonical.encode(value).decode(),
            ]
        )
    ).encode()
    assume(spelled != canonical.encode(value))
    with pytest.raises(Malformed):
        canonical.decode(spelled)


SPELLINGS = {
    "space after the colon": b'{"a": 1}',
    "space around": b" 1",
    "newline at the end": b"1\n",
    "keys out of order": b'{"b":1,"a":2}',
    "key twice": b'{"a":1,"a":1}',
    "key twice, other value": b'{"a":2,"a":1}',
    "float": b"1.0",
    "float in disguise": b"[1e0]",
    "big float": b"1e999",
    "minus zero": b"-0",
    "leading zero": b"01",
    "plus sign": b"+1",
    "hexadecimal": b"0x1",
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "escaped letter": b'"\\u0061"',
    "escaped slash": b'"\\/"',
    "escaped tab as a number": b'"\\u0009"',
    "upper-case escape": b'"\\u001F"',
    "raw control character": b'"\x01"',
    "surrogate escape": b'"\\ud800"',
    "surrogate pair as escapes": b'"\\ud83d\\ude00"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "cut UTF-8": b'"\xe4\xb8"',
    "byte order mark": b"\xef\xbb\xbf1",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "single quotes": b"{'a':1}",
    "trailing comma": b"[1,]",
    "comment": b"1//x",
    "two documents": b"1 2",
    "nothing": b"",
    "NUL": b"\x00",
    "64 bits": b"9223372036854775808",
    "64 bits, negative": b"-9223372036854775808",
    "five thousand digits": b"9" * 5_000,
    "33 levels": b"[" * 34 + b"]" * 34,
    "100000 open brackets": b"[" * 100_000,
    "100000 levels": b"[" * 100_000 + b"]" * 100_000,
    "100000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "key beyond the BMP": '{"\U0001f600":1}'.encode(),
    "true in capitals": b"True",
}


@pytest.mark.parametrize("data", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_non_canonical_bytes_are_malformed(data):
    with pytest.raises(Malformed):
        canonical.decode(data)


def test_the_edges_of_what_is_allowed():
    edges = [2**63 - 1, 1 - 2**63, "\u007f\u2028\ud7ff\U0001f600", {"\uffff": 0, "": None}, [], {}]
    data = canonical.encode(edges)
    assert canonical.decode(data) == edges
    deepest = json.loads("[" * 33 + "]" * 33)
    assert canonical.decode(canonical.encode(deepest)) == deepest
    with pytest.raises(Malformed):
        canonical.encode([deepest])


def test_documents_have_a_greatest_length():
    longest = b'"' + b"a" * (canonical.MAX_BYTES - 2) + b'"'
    assert len(canonical.decode(longest)) == canonical.MAX_BYTES - 2
    with pytest.raises(Malformed, match="longer than"):
        canonical.decode(b'"' + b"a" * (canonical.MAX_BYTES - 1) + b'"')


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**63,
        -(2**63),
        {1: 2},
        {None: 2},
        {"\U0001f600": 1},
        {"a": {1}},
        b"a",
        "\ud800",
        {"\ud800": 1},
    ],
    ids=repr,
)
def test_values_without_a_canonical_form_are_malformed(value):
    with pytest.raises(Malformed):
        canonical.encode({"inner": [value]})


def test_a_circle_is_malformed():
    circle = []
    circle.append(circle)
    with pytest.raises(Malformed):
        canonical.encode(circle)


@pytest.mark.parametrize("frame", ['{{"{0}": 1}}', '["{0}"', '{{"a":"{0}","a":1}}', "[{0}.5]", "{0}{0}", "[NaN,{0}]"])
def test_no_refusal_repeats_its_input(frame):
    with pytest.raises(Malformed) as told:
        canonical.decode(frame.format(SECRET).encode())
    assert SECRET not in str(told.value) + told.value.fix
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_keys_sort_as_rfc_8785_demands():
    # section 3.2.3's own example, without its one key beyond the Basic Multilingual Plane
    unsorted = {"\u20ac": "Euro", "\r": "CR", "\ufb33": "Dalet", "1": "One", "\u0080": "Control", "\u00f6": "O"}
    assert list(json.loads(canonical.encode(unsorted))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\ufb33"]


def test_strings_are_written_as_rfc_8785_demands():
    # section 3.2.2.2's example string
    assert canonical.encode("\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/") == (
        b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'
    )


@given(json_values)
def test_the_digest_is_sha256_of_the_canonical_bytes(value):
    assert canonical.digest(value) == hashlib.sha256(canonical.encode(value)).hexdigest()

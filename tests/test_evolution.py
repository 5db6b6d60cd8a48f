"""What a new version of a standard may change, case by case, and that a published exchange enforces it."""

import json
from itertools import count

import pytest

from exchange.evolution import changes, check_compatible
from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.standards import shipped
from privacy.errors import Malformed, Refused
from privacy.terms import Standard

OLD = shipped("consumer_credit/1")
NEW_COLUMN = {
    "name": "channel", "kind": "category", "meaning": "how it was sold", "unit": "", "decimals": 0, "bounds": None,
    "domain": ["branch", "online"], "edges": [], "required": False,
}  # fmt: skip


def version(path=(), value=None, *, number=2, name=None):
    document = json.loads(json.dumps(OLD.to_json())) | {"version": number}
    if name:
        document["name"] = name
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    if path:
        inner[path[-1]] = value(inner[path[-1]]) if callable(value) else value
    return Standard.from_json(document)


COMPATIBLE = [
    ((), None, 0),
    (("title",), "other words", 1),
    (("columns",), lambda columns: [*columns, NEW_COLUMN], 1),
    (("columns",), lambda columns: [columns[0], NEW_COLUMN, *columns[1:]], 1),
    (("columns", 1, "domain"), lambda domain: [*domain, "islands"], 1),
    (("columns", 1, "meaning"), "where the person lives", 1),
    (("columns", 2, "required"), False, 1),
    (("rows_per_unit",), 5, 1),
    (("institutions_per_unit",), 3, 1),
]
BROKEN = [
    (("columns",), lambda columns: columns[:-1], "opened is gone"),
    (("columns",), lambda columns: [*columns, NEW_COLUMN | {"required": True}], "channel is new"),
    (("columns", 1, "domain"), lambda domain: domain[1:], "region lost or moved"),
    (("columns", 1, "domain"), lambda domain: domain[::-1], "region lost or moved"),
    (("columns", 5, "bounds"), [0, 30_000_000], "balance had bounds"),
    (("columns", 5, "decimals"), 0, "balance had decimals 2, has 0"),
    (("columns", 5, "unit"), "dollars", "balance had unit yuan"),
    (("columns", 7, "edges"), [0, 9], "months_overdue has other bands"),
    (("columns", 8, "required"), True, "income is required"),
    (("rows_per_unit",), 7, "counted at most 6 rows, counts 7"),
    (("institutions_per_unit",), 1, "was at up to 2 institutions, is at 1"),
]


@pytest.mark.parametrize(("path", "value", "differences"), COMPATIBLE)
def test_what_leaves_everything_that_rests_on_the_older_version_is_compatible(path, value, differences):
    new = version(path, value)
    found = changes(OLD, new)
    assert (len(found), all(change.compatible for change in found)) == (differences, True)
    check_compatible(OLD, new)


def test_bounds_may_become_narrower_where_no_bands_are_cut():
    document = OLD.to_json()
    document["columns"][7] |= {"edges": []}
    old = Standard.from_json(document)
    document["columns"][7] |= {"bounds": [1, 8]}
    new = Standard.from_json(document | {"version": 2})
    check_compatible(old, new)
    with pytest.raises(Refused):
        check_compatible(
            Standard.from_json(new.to_json() | {"version": 1}), Standard.from_json(old.to_json() | {"version": 2})
        )


@pytest.mark.parametrize(("path", "value", "named"), BROKEN)
def test_what_breaks_something_is_refused_by_name(path, value, named):
    new = version(path, value)
    assert any(not change.compatible for change in changes(OLD, new))
    with pytest.raises(Refused, match=named):
        check_compatible(OLD, new)


def test_every_broken_part_is_named_and_no_other():
    document = version(("columns", 5, "unit"), "dollars").to_json() | {"rows_per_unit": 7, "title": "x"}
    with pytest.raises(Refused) as refused:
        check_compatible(OLD, Standard.from_json(document))
    assert "balance" in refused.value.reason
    assert "7" in refused.value.reason
    assert "title" not in refused.value.reason


def test_only_a_later_version_of_the_same_standard_is_compared():
    for new in (version(number=1), version(name="other")):
        with pytest.raises(Malformed):
            check_compatible(OLD, new)


def test_an_exchange_publishes_no_version_that_breaks_the_one_before(tmp_path):
    ticks = count(1_700_000_000_000_000)
    store = Store.open(tmp_path, clock=lambda: next(ticks))
    try:
        catalog.publish_standard(store, OLD)
        with pytest.raises(Refused, match="rows"):
            catalog.publish_standard(store, version(("rows_per_unit",), 7))
        second = version(("title",), "other words")
        catalog.publish_standard(store, second)
        # the third is held to the second, and the first can still be fetched
        with pytest.raises(Refused):
            catalog.publish_standard(store, version(("columns",), lambda columns: columns[:-1], number=3))
        catalog.publish_standard(store, version(("columns",), lambda columns: [*columns, NEW_COLUMN], number=3))
        assert store.view().standard("consumer_credit/1") == OLD
        assert [row["id"] for row in store.view().standards()] == [f"consumer_credit/{number}" for number in (1, 2, 3)]
        catalog.publish_standard(store, version(name="something_else"))
    finally:
        store.close()

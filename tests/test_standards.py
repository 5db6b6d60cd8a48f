"""The standards that ship: sound, unchanged once published, and open to the statements that the purposes need."""

import json
from importlib.resources import files

import pytest

from exchange import standards
from exchange.protocol.errors import Unknown
from privacy import canonical
from privacy.errors import Malformed
from privacy.expression import ByBand, Times, Value
from privacy.plan import Histogram, Plan, Sum
from privacy.purposes import PURPOSES
from privacy.sensitivity import calibrate, magnitude
from privacy.terms import Kind, Standard

PUBLISHED = {"consumer_credit/1": "fb8c86b88db51980baba3093431b7075742fb979db0bda8b4fc170e84c068fb9"}
"""A published standard never changes: plans and registrations pin its digest. A change is a new version."""


def test_published_standards_are_what_they_were():
    assert {standard.id: standard.digest for standard in standards.every()} == PUBLISHED


@pytest.mark.parametrize("standard", standards.every(), ids=lambda standard: standard.id)
def test_a_shipped_standard_is_sound(standard):
    assert standards.shipped(standard.id) == standard
    assert Standard.from_json(standard.to_json()) == standard
    assert canonical.decode(canonical.encode(standard.to_json())) == standard.to_json()
    assert standard.column(standard.unit).kind is Kind.IDENTIFIER
    for column in standard.columns:
        assert column.meaning
        assert (column.bounds is not None) == (column.kind in (Kind.MEASURE, Kind.DATE))
        assert bool(column.domain) == (column.kind is Kind.CATEGORY)
        # the customary bands, if any, are bands that a plan can count by, from the first value to the last
        if column.edges:
            labels = tuple(f"band {number}" for number in range(1, len(column.edges)))
            plan = asking(standard, Histogram(ByBand(column.name, column.edges, labels)), column)
            assert plan.cells_count == len(labels)
            assert (column.edges[0], column.edges[-1]) == (column.bounds.lower, column.bounds.upper)
        # a plan carries values of 1 to 200 characters
        assert all(0 < len(value) <= 200 for value in column.domain)
    assert any(column.required for column in standard.columns)


@pytest.mark.parametrize("standard", standards.every(), ids=lambda standard: standard.id)
def test_every_measure_of_a_shipped_standard_can_be_summed(standard):
    """At the price of a careful question the cells must still fit the room that packing can prove."""
    for column in standard.columns:
        if column.bounds is not None:
            value = Value(column.name)
            for term in (value, Times(value, value)):
                plan = asking(standard, Sum(term), column)
                assert magnitude(plan) <= 61
                # rounding to grains, where sums are huge, is lost in the noise
                assert all(scale.sigma > 1000 for scale in calibrate(plan) if scale.grain > 1)


def asking(standard, measure, column):
    return Plan(
        standard=standard.id,
        standard_digest=standard.digest,
        purpose="credit-risk-statistics",
        parties=("a", "b", "c"),
        rows_per_unit=standard.rows_per_unit,
        institutions_per_unit=standard.institutions_per_unit,
        groups=(),
        where=(),
        measures=(measure,),
        bounds=((column.name, column.bounds),),
        rho=1_000_000,
    )


def test_the_files_are_named_by_what_they_hold():
    for entry in files(standards).iterdir():
        if entry.name.endswith(".json"):
            document = json.loads(entry.read_text("utf-8"))
            assert entry.name == f"{document['name']}-{document['version']}.json"


@pytest.mark.parametrize("name", ["", "consumer_credit", "consumer_credit/2", "CONSUMER_CREDIT/1", "../x/1", None, 5])
def test_what_does_not_ship_is_unknown(name):
    with pytest.raises(Unknown):
        standards.shipped(name)


CREDIT = standards.shipped("consumer_credit/1")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("unit",), "region"),
        (("unit",), "nobody"),
        (("rows_per_unit",), 0),
        (("institutions_per_unit",), 1_001),
        (("name",), "Consumer Credit"),
        (("version",), 1.0),
        (("extra",), 1),
        (("columns",), None),
        (("columns", 5, "bounds"), None),
        (("columns", 5, "bounds"), [1, 0]),
        (("columns", 5, "bounds"), [0, 1 << 53]),
        (("columns", 5, "bounds"), [0, 1.5]),
        (("columns", 5, "bounds"), [0]),
        (("columns", 5, "decimals"), 10),
        (("columns", 5, "kind"), "secret"),
        (("columns", 1, "domain"), []),
        (("columns", 1, "domain"), ["north", "north"]),
        (("columns", 1, "name"), "product"),
        (("columns", 1, "name"), "re gion"),
        (("columns", 1, "surprise"), 1),
        (("columns", 5, "edges"), [0]),
        (("columns", 5, "edges"), [0, 0]),
        (("columns", 5, "edges"), [0, 1 << 53]),
        (("columns", 5, "edges"), [0, 1.5]),
        (("columns", 1, "edges"), [0, 1]),
        (("columns", 1, "domain"), ["north", "(unknown)"]),
    ],
)
def test_an_unsound_standard_is_refused(path, value):
    document = json.loads(json.dumps(CREDIT.to_json()))
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(Malformed) as caught:
        Standard.from_json(document)
    assert caught.value.fix


def test_every_purpose_can_be_served_by_some_standard():
    kinds = {column.kind for standard in standards.every() for column in standard.columns}
    for template in PURPOSES.values():
        assert set(template.uses) <= kinds

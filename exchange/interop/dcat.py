"""The catalog as DCAT 3 in JSON-LD, and back: W3C Data Catalog Vocabulary, with Dublin Core and PROV terms.

What DCAT has no word for, a term of our own carries (``ts:``), so that what was written is read back whole; a reader that
does not know those terms still sees title, description, publisher, licence, coverage, period, lineage and state. Rows are
never distributed, so a dataset has no distribution: it is asked through the exchange.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from exchange.protocol.declaration import Declaration, read_declaration
from privacy.errors import Malformed

CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcterms": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "adms": "http://www.w3.org/ns/adms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "ts": "urn:touchstone:terms:",
}
_STATES = {"active": "Completed", "deprecated": "Deprecated", "withdrawn": "Withdrawn"}
_FREQUENCY = "http://publications.europa.eu/resource/authority/frequency/"
_PERIODS = {"P1D": "DAILY", "P1W": "WEEKLY", "P1M": "MONTHLY", "P3M": "QUARTERLY", "P1Y": "ANNUAL"}
_OWN = ("population", "standard", "refreshed", "columns", "level", "because", "registered", "since", "changed")


def export_catalog(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the catalog's JSON-LD document; ``records`` are metadata as the exchange lists them."""
    return {
        "@context": CONTEXT,
        "@id": "urn:touchstone:catalog",
        "@type": "dcat:Catalog",
        "dcterms:title": [{"@value": "Touchstone catalog", "@language": "en"}],
        "dcat:dataset": [_dataset(record) for record in records],
    }


def export_dataset(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return one dataset's JSON-LD document."""
    return {"@context": CONTEXT} | _dataset(record)


def import_catalog(document: Any) -> list[dict[str, Any]]:
    """Read back the records of a catalog's document.

    Raises:
        Malformed: if it is not a catalog as :func:`export_catalog` writes it.
    """
    match document:
        case {"@type": "dcat:Catalog", "@context": context, "dcat:dataset": list(listed)} if context == CONTEXT:
            return [_record(item) for item in listed]
    raise _foreign("catalog")


def import_dataset(document: Any) -> dict[str, Any]:
    """Read back one dataset's record.

    Raises:
        Malformed: if it is not a dataset as :func:`export_dataset` writes it.
    """
    if not isinstance(document, dict) or document.get("@context") != CONTEXT:
        raise _foreign("dataset")
    return _record(document)


def _dataset(record: Mapping[str, Any]) -> dict[str, Any]:
    declared = read_declaration(record["declared"])
    told: dict[str, Any] = {
        "@id": _urn(record["asset"]),
        "@type": "dcat:Dataset",
        "dcterms:identifier": record["asset"],
        "dcterms:publisher": {"@id": f"urn:touchstone:party:{record['owner']}", "@type": "prov:Agent"},
        "dcterms:conformsTo": {"@id": f"urn:touchstone:standard:{record['standard']}"},
        "dcterms:modified": {"@value": record["refreshed"], "@type": "xsd:date"},
        "dcterms:title": [{"@value": record["title"]}, *_languages(declared.title)],
        "dcat:keyword": list(record["columns"]),
        "adms:status": {"@id": f"adms:{_STATES[record['state']]}"},
        # what must come back as it was
        "ts:record": {f"ts:{name}": record[name] for name in _OWN},
        "ts:declared": {"@value": declared.model_dump(mode="json"), "@type": "@json"},
    }
    return (
        told
        | _known(declared)
        | ({"dcat:nextVersion": {"@id": _urn(record["successor"])}} if record["successor"] else {})
    )


def _known(declared: Declaration) -> dict[str, Any]:
    """Tell what DCAT has words for; the declaration itself stays beside it."""
    told: dict[str, Any] = {}
    if descriptions := _languages(declared.description):
        told["dcterms:description"] = descriptions
    if declared.licence is not None:
        told["dcterms:license"] = declared.licence
    if declared.steward is not None:
        told["dcat:contactPoint"] = declared.steward
    if declared.refresh is not None:
        period = _PERIODS.get(declared.refresh)
        told["dcterms:accrualPeriodicity"] = {"@id": f"{_FREQUENCY}{period}"} if period else declared.refresh
    if declared.coverage.regions:
        told["dcterms:spatial"] = list(declared.coverage.regions)
    days = {"dcat:startDate": declared.coverage.first, "dcat:endDate": declared.coverage.last}
    if span := {name: {"@value": day, "@type": "xsd:date"} for name, day in days.items() if day is not None}:
        told["dcterms:temporal"] = {"@type": "dcterms:PeriodOfTime"} | span
    if declared.lineage.earlier is not None:
        told["dcat:previousVersion"] = {"@id": _urn(declared.lineage.earlier)}
    if declared.lineage.parents:
        told["prov:wasDerivedFrom"] = [{"@id": _urn(parent)} for parent in declared.lineage.parents]
    return told


def _record(item: Any) -> dict[str, Any]:
    try:
        asset = item["dcterms:identifier"]
        own = {name: item["ts:record"][f"ts:{name}"] for name in _OWN}
        status = item["adms:status"]["@id"].removeprefix("adms:")
        record = own | {
            "asset": asset,
            "owner": asset.partition("/")[0],
            "title": item["dcterms:title"][0]["@value"],
            "state": next(state for state, word in _STATES.items() if word == status),
            "declared": item["ts:declared"]["@value"],
            "successor": item["dcat:nextVersion"]["@id"].removeprefix(_urn("")) if "dcat:nextVersion" in item else None,
        }
        again = _dataset(record)
    except (KeyError, TypeError, AttributeError, IndexError, StopIteration):
        raise _foreign("dataset") from None
    # two ways to say the same that say different things are refused
    if again != {key: value for key, value in item.items() if key != "@context"}:
        raise _foreign("dataset")
    return record


def _languages(wording: Any) -> list[dict[str, str]]:
    told = (("zh", wording.zh), ("en", wording.en))
    return [{"@value": text, "@language": language} for language, text in told if text is not None]


def _urn(asset: str) -> str:
    return f"urn:touchstone:dataset:{asset}"


def _foreign(what: str) -> Malformed:
    return Malformed(
        f"the document is not a DCAT {what} of this form", fix="export it with `touchstone catalog export`"
    )

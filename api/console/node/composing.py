"""The documents that a draft makes: a dataset with the columns that a person confirmed, a policy that grants no more than that."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from api.console.node.budget import nano
from api.console.node.place import NodePlace
from exchange.node.registration import read_dataset, read_policy
from exchange.node.source import Dataset
from exchange.standards import shipped
from privacy.atoms import ROWS, USES, Atom
from privacy.errors import Malformed
from privacy.floor import barred
from privacy.policy import Policy
from privacy.purposes import PURPOSES, Template
from privacy.terms import Column, Kind, Standard

_ADDING = {"sum", "product", "histogram"}
"""Uses of a measure that need its bounds."""


def confirmed(kept: Mapping[str, Any], standard: Standard) -> list[Column]:
    """Return the columns that a person has mapped and confirmed."""
    told = kept["columns"]
    return [one for one in standard.columns if told.get(one.name, {}).get("sure") and told[one.name]["source"]]


def needed(template: Template, column: Column) -> list[str]:
    """Return the uses of a column that a purpose can need and its level allows."""
    return [
        use
        for use in USES
        if use in template.uses.get(column.kind, ()) and barred(Atom(column.name, use), column) is None
    ]


def dataset_document(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a dataset, with the confirmed columns alone."""
    about, standard = kept["about"], shipped(kept["standard"])
    return {
        "name": about["name"],
        "title": about["title"],
        "standard": standard.id,
        "population": about["population"],
        "source": dict(kept["location"]),
        "mapping": {
            column.name: {"source": kept["columns"][column.name]["source"]} for column in confirmed(kept, standard)
        },
        "refreshed": about["refreshed"],
        "declared": {"level": int(about["level"])} if about["level"] in ("1", "2", "3", "4", "5") else {},
    }


def policy_of(place: NodePlace, kept: Mapping[str, Any]) -> Policy:
    """Return the policy that a person's choices make; what was not confirmed is not granted.

    Raises:
        Malformed: if an amount is none, or the policy does not fit the dataset.
    """
    dataset: Dataset = read_dataset(dataset_document(kept))
    said: Mapping[str, str] = kept["rules"]
    columns = confirmed(kept, dataset.standard)
    before = next((held for held in place.vault.datasets() if held.name == dataset.name), None)
    return read_policy(
        {
            "owner": place.party,
            "dataset": dataset.name,
            "standard": dataset.standard.id,
            "version": 1 if before is None else place.vault.policy(before.name).version + 1,
            "everyone": nano(said.get("everyone", "")),
            "partner": nano(said.get("partner", "")),
            "grants": [
                _grant(template, columns, said) for template in PURPOSES.values() if f"open_{template.purpose}" in said
            ],
            "bounds": {
                column.name: [_units(said.get(f"{end}_{column.name}", ""), column) for end in ("low", "high")]
                for column in columns
                if f"bound_{column.name}" in said and column.kind is Kind.MEASURE
            },
            "domains": {
                column.name: list(column.domain)
                for column in columns
                if f"domain_{column.name}" in said and column.kind is Kind.CATEGORY
            },
            "pledging": None,
        },
        dataset,
        owner=place.party,
    )


def _grant(template: Template, columns: list[Column], said: Mapping[str, str]) -> dict[str, Any]:
    purpose = template.purpose
    told = {
        column.name: uses
        for column in columns
        if f"use_{purpose}_{column.name}" in said and (uses := _bounded(needed(template, column), column, said))
    }
    group = said.get(f"group_{purpose}", "")
    if not (group.isascii() and group.isdecimal() and len(group) <= 9):
        raise Malformed("the least group is not a whole number", fix="write it as 500")
    return {
        "purpose": purpose,
        "recipients": said.get(f"to_{purpose}", "").replace(",", " ").split(),
        "columns": {ROWS: ["count"], **told},
        "min_parties": template.min_parties,
        "min_group": int(group),
        "rho_per_query": nano(said.get(f"price_{purpose}", "")),
        "budget": nano(said.get(f"budget_{purpose}", "")),
        "shared_from": None,
    }


def _bounded(uses: list[str], column: Column, said: Mapping[str, str]) -> list[str]:
    """Return the uses that what was confirmed allows: nothing is added up without bounds, or grouped by without values."""
    barred_by = {Kind.MEASURE: ("bound", _ADDING), Kind.CATEGORY: ("domain", {"group"})}
    if column.kind not in barred_by:
        return uses
    mark, closed = barred_by[column.kind]
    return uses if f"{mark}_{column.name}" in said else [use for use in uses if use not in closed]


def _units(text: str, column: Column) -> int:
    """Return an amount of a column's unit in its integer units."""
    try:
        units = Decimal(text.strip()).scaleb(column.decimals)
        whole = int(units)
    except (InvalidOperation, ValueError, OverflowError):
        raise Malformed(f"a bound of {column.name} is not a number", fix="write it as 200000 or 0.5") from None
    if whole != units:
        raise Malformed(
            f"a bound of {column.name} has more decimals than the column", fix=f"write {column.decimals} at most"
        )
    return whole

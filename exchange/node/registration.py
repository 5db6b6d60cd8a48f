"""Registering a dataset where it lies: the documents are checked against the source and the standard before anything is kept.

Registering also makes the dataset's prepared table; refreshing renews it.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from exchange.node.admission import admit
from exchange.node.engine import Location, SourceFault
from exchange.node.source import Dataset, Field, inspect, read_through
from exchange.node.vault import Vault
from exchange.protocol.declaration import read_declaration
from exchange.protocol.errors import Unknown
from exchange.standards import shipped
from privacy.errors import Malformed, Refused
from privacy.grain import fits
from privacy.misuse import misused
from privacy.policy import ANY, Grant, Policy
from privacy.terms import Column, Kind, Standard, check_name

log = logging.getLogger(__name__)


def register(vault: Vault, *, dataset: Any, policy: Any) -> Dataset:
    """Keep a dataset and its policy; both are announced when the node runs.

    The dataset document has ``name``, ``title``, ``standard`` (``name/version`` of one that
    ships, or the whole document of another), ``population`` (whose budget it
    draws on), ``source`` (``kind``, ``path``, ``table``), ``mapping`` (standard's column to ``{"source": column}`` or
    ``{"constant": text}``), ``refreshed`` (ISO date) and, if anything is declared, ``declared``.

    Raises:
        Malformed: if a document, mapped column or policy item does not fit the source and the standard.
        Refused: if the policy is another owner's.
        SourceFault: if the source, or a row of it, cannot be read.
    """
    read = read_dataset(dataset)
    engines = vault.prepared.engines
    admit(read.location, engines=engines)
    held = inspect(read.location, engines=engines)
    for column, field in read.mapping.items():
        if field.source is not None and field.source not in held:
            raise Malformed(f"the source has no column for {column}", fix=f"its columns: {', '.join(sorted(held))}")
    rules = read_policy(policy, read, owner=vault.party)
    _put(vault, read, rules)
    return read


def read_policy(document: Any, dataset: Dataset, *, owner: str) -> Policy:
    """Return the policy that a document is, if ``owner`` may put it in force over a dataset.

    Raises:
        Malformed: if it is no policy, or an item of it does not fit the dataset and its standard.
        Refused: if it is for another dataset or another owner's.
    """
    rules = Policy.from_json(document)
    if (rules.owner, rules.dataset, rules.standard) != (owner, dataset.name, dataset.standard.id):
        raise Refused("the policy is not for this dataset of this institution", fix="name owner, dataset and standard")
    _check_policy(rules, dataset)
    return rules


def amend(vault: Vault, *, name: str, policy: Any) -> Policy:
    """Put another version of a policy in force over a dataset as it stands; no row is read.

    Raises:
        Unknown: if there is no such dataset.
        Malformed: if the document is no policy, or an item of it does not fit the dataset and its standard.
        Refused: if it is for another dataset or another owner's.
        PeerFault: if this or a newer version with other content is in force.
    """
    held = next((dataset for dataset in vault.datasets() if dataset.name == name), None)
    if held is None:
        raise Unknown("dataset")
    rules = read_policy(policy, held, owner=vault.party)
    vault.keep(held, rules)
    return rules


def refresh(vault: Vault, *, name: str, refreshed: str) -> Dataset:
    """Take up what has changed in the source of a dataset since it was registered or refreshed last.

    ``refreshed`` (ISO date) is the new version, later than the one in force: the rows of one version never change, since an
    answer that was given is repeated for free. Only people whose rows changed are bounded anew.

    Raises:
        Unknown: if there is no such dataset.
        Malformed: if the date is none, or not later.
        SourceFault: if the source, or a row of it, cannot be read.
    """
    held = next((dataset for dataset in vault.datasets() if dataset.name == name), None)
    if held is None:
        raise Unknown("dataset")
    try:
        version = date.fromisoformat(refreshed).isoformat()
    except ValueError:
        version = ""
    if version <= held.refreshed:
        raise Malformed(
            "the date of the load is not later than the last", fix=f"give a date after {held.refreshed}, as 2026-12-31"
        )
    admit(held.location, engines=vault.prepared.engines)  # it may have become another file since
    read = replace(held, refreshed=version)
    _put(vault, read, vault.policy(name))
    return read


def _put(vault: Vault, dataset: Dataset, policy: Policy) -> None:
    """Read every row, keep dataset and policy, and make the prepared table, from that of the version before if there is one."""
    before = next((held for held in vault.datasets() if held.standard.id == dataset.standard.id), None)
    try:
        made = vault.prepared.make(dataset, before=before)
    except SourceFault as fault:
        made = False  # a full disk, perhaps: then rows are read where they lie, if they can be
        log.warning("no prepared table for %s: %s; %s", dataset.name, fault.reason, fault.fix)
    try:
        if not made:
            read_through(dataset, engines=vault.prepared.engines)
        vault.keep(dataset, policy)
    finally:
        vault.prepared.keep(vault.datasets())


def read_dataset(document: Any) -> Dataset:
    """Return the dataset that a document describes, whether or not its source can be read.

    Raises:
        Malformed: if it is none, or does not fit its standard.
    """
    try:
        named = document["standard"]
        standard = shipped(named) if isinstance(named, str) else Standard.from_json(named)
        source = document["source"]
        location = Location(source["kind"], _place(source["path"]), source.get("table", ""))
        mapping = {name: _field(field) for name, field in document["mapping"].items()}
        read = Dataset(
            name=check_name(document["name"], what="dataset"),
            title=_text(document["title"]),
            standard=standard,
            # a charge on a population without a name would count against no cap
            population=_text(document["population"]),
            location=location,
            mapping=mapping,
            refreshed=date.fromisoformat(document["refreshed"]).isoformat(),
            declared=read_declaration(document.get("declared", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed("the document is not a dataset", fix="compare it with docs/node.md") from None
    known = {column.name for column in standard.columns}
    if not set(mapping) <= known or standard.unit not in mapping:
        raise Malformed(
            "the mapping does not fit the standard", fix=f"map {standard.unit} and columns of {standard.id}"
        )
    return read


def _place(text: str) -> str:
    """Return where a path of the document leads: to a file of this machine, in the directory that the path names.

    Raises:
        Malformed: if it is an address, or a link that leads out of that directory.
    """
    if "://" in text or text.startswith(("//", "\\\\")):
        raise Malformed(
            "the source is an address, not a file of this machine", fix="name a file that the node can open"
        )
    path = Path(text)
    try:
        held, real = path.parent.resolve(), path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        raise Malformed("the source's path leads nowhere", fix="name the file itself") from None
    if not real.is_relative_to(held):
        raise Malformed(
            "the source is a link that leads out of its directory", fix="name the file itself, if it is meant"
        )
    return str(real)


def _field(document: Any) -> Field:
    field = Field(**document)
    _text(field.source if field.constant is None else field.constant)
    return field


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise TypeError
    return value


def _check_policy(rules: Policy, dataset: Dataset) -> None:
    """A policy may only speak of mapped columns, and only within the standard's bounds and domains."""
    if not rules.columns <= set(dataset.mapping):
        raise Malformed("the policy speaks of columns that the dataset does not map", fix="map them or drop them")
    columns = _by_name(dataset.standard)
    for name, bounds in rules.bounds.items():
        declared = columns[name].bounds
        if declared is None or not declared.covers(bounds):
            raise Malformed(f"the bounds of {name} leave the standard's", fix="declare narrower bounds")
    for name, domain in rules.domains.items():
        if columns[name].kind is not Kind.CATEGORY or not set(domain) <= set(columns[name].domain):
            raise Malformed(f"the values of {name} leave the standard's domain", fix="declare values of the standard")

    for grant in rules.grants:
        _check_grant(grant, columns)
    struck = {one.column for one in rules.prohibitions if one.column != ANY}
    if not struck <= set(columns):
        raise Malformed("the policy prohibits columns that the standard does not have", fix="check their names")


def _check_grant(grant: Grant, columns: Mapping[str, Column]) -> None:
    """What narrows a grant must mean something for the column."""
    for name, grain in grant.grain.items():
        if not fits(grain, columns[name].kind):
            raise Malformed(f"{name} cannot have this grain", fix="a period for a date, a width for a measure")
    for name, labels in grant.domains.items():
        if columns[name].kind is not Kind.CATEGORY or not set(labels) <= set(columns[name].domain):
            raise Malformed(f"the values of {name} leave the standard's domain", fix="declare values of the standard")
    if any(True for test in grant.rows for _ in misused(test, columns)):
        raise Malformed("a grant opens rows by a test that has no meaning", fix="compare categories with values")


def _by_name(standard: Standard) -> Mapping[str, Column]:
    return {column.name: column for column in standard.columns}

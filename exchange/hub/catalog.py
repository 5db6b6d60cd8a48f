"""Who takes part, under which standards, with which datasets and rules: metadata only, signed by its owners."""

import json
from typing import Any

from exchange.evolution import check_compatible
from exchange.hub.store import Event, Store
from exchange.hub.view import HELD, STANDING, UNDER, View
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Encumbered, Forbidden, PeerFault, Unknown
from exchange.protocol.messages import Deprecation, Publication, Registration, Withdrawal, expect
from privacy.errors import Malformed, Mismatch, Refused
from privacy.policy import Policy
from privacy.terms import Standard, check_party

ROLES = ("institution", "lender", "regulator", "officer")


def enrol(store: Store, *, party: str, name: str, role: str, key: bytes) -> None:
    """Register a party with its Ed25519 key (32 bytes). Enrolling the same facts again changes nothing.

    An officer is a person: a salted commitment stands for the name.

    Raises:
        Malformed: if the role or key is not valid.
        PeerFault: if the name is taken by another key.
    """
    check_party(party)
    if role not in ROLES or len(key) != 32 or not 0 < len(name) <= 200:
        raise Malformed("the party's role, name or key is not valid", fix=f"roles: {', '.join(ROLES)}; key: 32 bytes")
    if role == "officer":
        name = store.log.commitment(party, name)
    store.write(lambda view: (enrolment(view, party=party, name=name, role=role, key=key), None))


def enrolment(view: View, *, party: str, name: str, role: str, key: bytes) -> list[Event]:
    """Return what enrolling a party changes: nothing if it is enrolled so; anew only where its key was revoked.

    Raises:
        PeerFault: if the name is taken, or the key belongs, or belonged, to a party.
    """
    row = {"id": party, "name": name, "role": role, "key": key.hex()}
    held = next((other for other in view.parties() if other["id"] == party), None)
    if held == row and party not in view.revoked():
        return []
    if held is not None and (party not in view.revoked() or held["role"] != role):
        raise PeerFault("this party is already enrolled with other facts", fix="choose another id")
    if view.owner_of(row["key"]) is not None:
        raise PeerFault("this key already belongs to a party, or did", fix="give each party its own key")
    return [("party", row)]


def publish_standard(store: Store, standard: Standard) -> None:
    """Publish a standard; a published version never changes, and a new one may only extend the one before it.

    Raises:
        PeerFault: if the version is published with other content.
        Refused: if it is not compatible with the version before it, naming each change that is not.
    """

    def decide(view: View) -> tuple[list[Event], None]:
        held = view.standard(standard.id)
        if held is None:
            before = view.standard_before(standard)
            if before is not None:
                check_compatible(before, standard)
            return [("standard", standard.to_json())], None
        if held.digest != standard.digest:
            raise PeerFault("this version of the standard is published with other content", fix="raise its version")
        return [], None

    store.write(decide)


def register(store: Store, envelope: Envelope) -> str:
    """Put an institution's dataset into the catalog and return the asset's name, ``owner/dataset``.

    Registering it again makes a new version of the record; the earlier ones stay readable.

    Raises:
        Forbidden: if the signer is not an institution.
        Unknown: if the standard is not published.
        Mismatch: if the registration pins another content of the standard.
        Malformed: if it maps a column that the standard does not have, or its lineage names itself.
        Refused: if its level is lower than a parent's.
        Encumbered: if a pledged dataset would become something else.
        PeerFault: if the dataset was withdrawn, its people change, or another one is held under the standard.
    """
    told, standard = _checked(store.view(), envelope)
    asset = f"{envelope.signer}/{told.dataset}"

    def decide(inner: View) -> tuple[list[Event], str]:
        if inner.state(asset) == "withdrawn":
            raise PeerFault("the dataset was withdrawn", fix="register what follows it under a name of its own")
        for (other,) in inner.find(UNDER, envelope.signer, standard.id):
            if other != asset and inner.state(other) != "withdrawn":
                raise PeerFault("you hold another dataset under this standard", fix="extend that dataset instead")
        for _, id_, under, population, _ in inner.find(HELD, asset):
            if id_ == envelope.id:
                return [], asset
            if population != told.population:
                raise PeerFault("the people of a dataset stay the same", fix="register it under a name of its own")
            if under.partition("/")[0] != standard.name:
                _check_unpledged(inner, asset, doing="registered under another standard")
        _check_level(inner, told)
        return [("dataset", envelope.to_json())], asset

    foreseen = [(HELD, (asset,)), (UNDER, (envelope.signer, standard.id)), (STANDING, (asset,))]
    return store.write(decide, foreseen)


def _checked(view: View, envelope: Envelope) -> tuple[Registration, Standard]:
    """Check what does not depend on other datasets; published standards and enrolled keys never change."""
    told = expect(envelope, view.signer(envelope.signer), Registration)
    if view.role(envelope.signer) != "institution":
        raise Forbidden("only institutions register datasets", fix="enrol as an institution")
    standard = view.standard(told.standard)
    if standard is None:
        raise Unknown("standard")
    if view.standard_digest(told.standard) != told.standard_digest:
        raise Mismatch("the registration pins another content of the standard", fix="fetch the standard anew")
    if not set(told.columns) <= {column.name for column in standard.columns} or standard.unit not in told.columns:
        raise Malformed("the mapped columns are not the standard's", fix="map the identifier and the columns you hold")
    lineage = told.declared.lineage
    if f"{envelope.signer}/{told.dataset}" in (*lineage.parents, lineage.earlier):
        raise Malformed("a dataset does not descend from itself", fix="name the datasets that it was made from")
    return told, standard


def _check_level(view: View, told: Registration) -> None:
    """What was made from rows of a level is not below it, whoever holds them; undeclared is below everything."""
    lineage = told.declared.lineage
    for source in (*lineage.parents, *([lineage.earlier] if lineage.earlier else [])):
        for *_, level in view.find(HELD, source):
            if level is not None and (told.declared.level is None or told.declared.level < level):
                raise Refused(f"the level is below that of {source}", fix=f"declare level {level} or above")


def _check_unpledged(view: View, asset: str, *, doing: str) -> None:
    for lien in view.liens(asset):
        raise Encumbered(asset=asset, rank=lien.rank, holder=lien.holder, since=lien.since, doing=doing)


def deprecate(store: Store, envelope: Envelope) -> str:
    """Mark a dataset as one that its owner advises against; it still answers. Returns the asset's name.

    Raises:
        Unknown: if the signer has no such dataset.
        PeerFault: if it was deprecated with other words, or withdrawn.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Deprecation)
    return _declare(store, envelope, dataset=told.dataset, state="deprecated")


def withdraw(store: Store, envelope: Envelope) -> str:
    """Take a dataset out of the catalog for good and return the asset's name; what is on record of it stays.

    Raises:
        Unknown: if the signer has no such dataset.
        Encumbered: while a lien on it is live.
        PeerFault: if it was withdrawn with other words.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Withdrawal)
    return _declare(store, envelope, dataset=told.dataset, state="withdrawn")


def _declare(store: Store, envelope: Envelope, *, dataset: str, state: str) -> str:
    asset = f"{envelope.signer}/{dataset}"

    def decide(view: View) -> tuple[list[Event], str]:
        if not view.find(HELD, asset):
            raise Unknown("dataset")
        for _, held, id_ in view.find(STANDING, asset):
            if id_ == envelope.id:
                return [], asset
            if held in ("withdrawn", state):
                raise PeerFault(f"the dataset is {held} already", fix="leave it so: it is told with its reason")
        if state == "withdrawn":
            _check_unpledged(view, asset, doing="withdrawn")
        return [(state, envelope.to_json())], asset

    return store.write(decide)


def consequences(view: View, asset: str, *, caller: str) -> dict[str, Any]:
    """Tell a dataset's owner what its withdrawal would meet: open sessions end without it, liens forbid it, offers lapse.

    Raises:
        Unknown: if the caller has no such dataset.
    """
    record = view.record(asset)
    if record is None or record["owner"] != caller:
        raise Unknown("dataset")
    return {
        "asset": asset,
        "state": record["state"],
        "open_sessions": len(view.open_sessions_under(caller, record["standard"])),
        "liens": [{"rank": lien.rank, "holder": lien.holder, "since": lien.since} for lien in view.liens(asset)],
        "open_offers": [envelope.id for envelope in view.open_offers(caller) if _is_for(envelope, asset)],
    }


def _is_for(offer: Envelope, asset: str) -> bool:
    return bool(json.loads(offer.body)["asset"] == asset)


def hidden_owners(reader: str) -> frozenset[str]:
    """Return the owners whose datasets ``reader`` may not see: the one rule for lists, searches, counts and records.

    Today nobody's are hidden: what is in the catalog was registered to be found by every registered party.
    """
    del reader
    return frozenset()


def describe(view: View, asset: str, *, reader: str) -> dict[str, Any]:
    """Return everything on record of a dataset: its metadata, unit, versions, its policy's version and what its owner said of it.

    Raises:
        Unknown: if there is none that ``reader`` may see.
    """
    record = view.record(asset)
    if record is None or record["owner"] in hidden_owners(reader):
        raise Unknown("dataset")
    standard = view.standard(record["standard"])
    versions = [{"seq": seq, "at": at, "registration": told.to_json()} for told, seq, at in view.versions(asset)]
    standing, policy = view.standing(asset), view.policy(asset)
    return record | {
        "policy": None if policy is None else policy.version,
        "unit": None if standard is None else standard.unit,
        "versions": versions,
        "standing": None
        if standing is None
        else {"seq": standing[1], "at": standing[2], "said": standing[0].to_json()},
    }


def publish_policy(store: Store, envelope: Envelope) -> str:
    """Put a dataset's policy in force and return the asset's name.

    Raises:
        Forbidden: if the signer does not own the dataset.
        Unknown: if the dataset is not registered.
        PeerFault: if a newer version is in force.
    """
    told = expect(envelope, store.view().signer(envelope.signer), Publication)
    policy = Policy.from_json(told.policy)
    if policy.owner != envelope.signer:
        raise Forbidden("a policy is signed by the owner of its dataset", fix="sign it with the owner's key")
    asset = f"{policy.owner}/{policy.dataset}"

    def decide(view: View) -> tuple[list[Event], str]:
        dataset = view.dataset(asset)
        if dataset is None or dataset["standard"] != policy.standard:
            raise Unknown("dataset")
        held = view.policy(asset)
        if held is not None and held.digest == policy.digest:
            return [], asset
        if held is not None and held.version >= policy.version:
            raise PeerFault("this or a newer version of the policy is in force", fix="raise the version")
        return [("policy", envelope.to_json())], asset

    return store.write(decide)

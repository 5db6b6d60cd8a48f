"""Who takes part, under which standards, with which datasets and rules: metadata only, signed by its owners."""

from exchange.hub.store import Event, Store, View
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Denied, PeerFault, Unknown
from exchange.protocol.messages import Publication, Registration, expect
from privacy.errors import Malformed, Mismatch
from privacy.policy import Policy
from privacy.terms import Standard, check_party

ROLES = ("institution", "lender", "regulator", "officer")


def enrol(store: Store, *, party: str, name: str, role: str, key: bytes) -> None:
    """Register a party with its Ed25519 key (32 bytes). Enrolling the same facts again changes nothing.

    Raises:
        Malformed: if the role or key is not valid.
        PeerFault: if the name is taken by another key.
    """
    check_party(party)
    if role not in ROLES or len(key) != 32 or not 0 < len(name) <= 200:
        raise Malformed("the party's role, name or key is not valid", fix=f"roles: {', '.join(ROLES)}; key: 32 bytes")
    store.write(lambda view: (_enrolment(view.parties(), party=party, name=name, role=role, key=key), None))


def _enrolment(held: list[dict[str, str]], *, party: str, name: str, role: str, key: bytes) -> list[Event]:
    row = {"id": party, "name": name, "role": role, "key": key.hex()}
    for other in held:
        if other == row:
            return []
        if other["id"] == party:
            raise PeerFault("this party is already enrolled with other facts", fix="choose another id")
        if other["key"] == row["key"]:
            raise PeerFault("this key already belongs to a party", fix="give each party its own key")
    return [("party", row)]


def publish_standard(store: Store, standard: Standard) -> None:
    """Publish a standard; a published version never changes.

    Raises:
        PeerFault: if the version is published with other content.
    """

    def decide(view: View) -> tuple[list[Event], None]:
        held = view.standard(standard.id)
        if held is None:
            return [("standard", standard.to_json())], None
        if held.digest != standard.digest:
            raise PeerFault("this version of the standard is published with other content", fix="raise its version")
        return [], None

    store.write(decide)


def register(store: Store, envelope: Envelope) -> str:
    """Put an institution's dataset into the catalog and return the asset's name, ``owner/dataset``.

    Raises:
        Denied: if the signer is not an institution.
        Unknown: if the standard is not published.
        Mismatch: if the registration pins another content of the standard.
        Malformed: if it maps a column that the standard does not have.
    """
    view = store.view()
    told = expect(envelope, view.directory(), Registration)
    if view.role(envelope.signer) != "institution":
        raise Denied("only institutions register datasets", fix="enrol as an institution")
    standard = view.standard(told.standard)
    if standard is None:
        raise Unknown("standard")
    if standard.digest != told.standard_digest:
        raise Mismatch("the registration pins another content of the standard", fix="fetch the standard anew")
    if not set(told.columns) <= {column.name for column in standard.columns} or standard.unit not in told.columns:
        raise Malformed("the mapped columns are not the standard's", fix="map the identifier and the columns you hold")

    def decide(inner: View) -> tuple[list[Event], str]:
        asset = f"{envelope.signer}/{told.dataset}"
        if any(row["asset"] != asset for row in inner.datasets_of(envelope.signer, standard.id)):
            raise PeerFault("you hold another dataset under this standard", fix="extend that dataset instead")
        return ([] if inner.registration(asset) == envelope else [("dataset", envelope.to_json())]), asset

    return store.write(decide)


def publish_policy(store: Store, envelope: Envelope) -> str:
    """Put a dataset's policy in force and return the asset's name.

    Raises:
        Denied: if the signer does not own the dataset.
        Unknown: if the dataset is not registered.
        PeerFault: if a newer version is in force.
    """
    told = expect(envelope, store.view().directory(), Publication)
    policy = Policy.from_json(told.policy)
    if policy.owner != envelope.signer:
        raise Denied("a policy is signed by the owner of its dataset", fix="sign it with the owner's key")
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

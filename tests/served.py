"""A small exchange, served by a real process, with somebody of every role and something of every kind on record."""

import hashlib
import secrets
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo.town import Town
from exchange.hub import catalog, liens
from exchange.hub.store import Store
from exchange.protocol import version
from exchange.protocol.messages import Appraisal, Offer, Publication, Registration
from exchange.protocol.request import token
from exchange.standards import shipped

ROLES = {
    "bank-a": "institution",
    "bank-b": "institution",
    "lender-x": "lender",
    "lender-y": "lender",
    "bureau": "regulator",
    "clerk": "officer",
}
CREDIT = shipped("consumer_credit/1")


def clock():
    return time.time_ns() // 1000


def registration(**change):
    told = {
        "dataset": "accounts", "title": "Accounts", "standard": CREDIT.id, "standard_digest": CREDIT.digest,
        "population": "people", "columns": ("balance", "person"), "refreshed": "2026-10-31",
    }  # fmt: skip
    return Registration(**told | change)


def publication(owner, *, version=1):
    return Publication(policy={
        "owner": owner, "dataset": "accounts", "standard": CREDIT.id, "version": version, "everyone": 1, "partner": 1,
        "grants": [], "bounds": {}, "domains": {},
        "pledging": {"lenders": ["lender-x", "lender-y"], "limit": 10**9, "until": "2030-12-31"},
    })  # fmt: skip


@dataclass
class Served:
    """The process's address, its log's id, everybody's key, and the ids of an appraisal of bank-a's asset and an offer on it."""

    town: Town
    url: str
    log: str
    keys: dict[str, Ed25519PrivateKey]
    appraisal: str
    offer: str

    def token(self, party, method, path, body=b"", **change):
        told = {
            "caller": party, "audience": self.log, "key": self.keys[party], "now": int(time.time()),
            "token_id": secrets.token_hex(16),
        }  # fmt: skip
        return token(method=method, path=path, body=body, **told | change)

    def call(self, party, method, path, body=b"", **headers):
        headers = {"authorization": f"Bearer {self.token(party, method, path, body)}"} | headers
        return httpx2.request(method, self.url + path, content=body, headers=headers, timeout=60)

    def send(self, party, path, message, **headers):
        """Post a message in an envelope of its sender."""
        body = message.sealed_by(party, self.keys[party])
        return self.call(party, "POST", path, canonical_of(body), **headers)

    def raw(self, data, *, patience=20):
        """Send bytes as they are and return all that comes back until the other side is done."""
        place = urlsplit(self.url)
        with closing(socket.create_connection((place.hostname, place.port), timeout=patience)) as wire:
            wire.sendall(data)
            found = b""
            try:
                while part := wire.recv(1 << 16):
                    found += part
            except ConnectionResetError:
                pass
            return found


def canonical_of(envelope):
    from privacy import canonical

    return canonical.encode(envelope.to_json())


def serve(home, *, roles=ROLES, settle=None):
    """Make the exchange's memory, then start it; the caller stops its town. ``settle`` puts more on record before."""
    keys = {party: Ed25519PrivateKey.generate() for party in roles}
    store = Store.open(home / "exchange", clock=clock)
    for party, role in roles.items():
        raw = keys[party].public_key().public_bytes_raw()
        catalog.enrol(store, party=party, name=party, role=role, key=raw)
    catalog.publish_standard(store, CREDIT)
    for owner in ("bank-a", "bank-b"):
        catalog.register(store, registration().sealed_by(owner, keys[owner]))
        catalog.publish_policy(store, publication(owner).sealed_by(owner, keys[owner]))
    seen = Appraisal(asset="bank-a/accounts", report=hashlib.sha256(b"report").hexdigest(), releases=())
    appraisal = liens.record_appraisal(store, seen.sealed_by("lender-x", keys["lender-x"]))
    asked = Offer(
        asset="bank-a/accounts", rank=1, amount=1_000, matures="2028-12-31", appraisal=appraisal,
        nonce=secrets.token_hex(32), forbids_juniors=False,
    )  # fmt: skip
    offer = liens.offer(store, asked.sealed_by("lender-x", keys["lender-x"]))
    if settle is not None:
        settle(store, keys)
    log = store.log.id
    store.close()
    town = Town(home, [], clock=clock)
    return Served(town=town, url=town.start_exchange(), log=log, keys=keys, appraisal=appraisal, offer=offer)


SPOKEN = {version.HEADER: str(version.NEWEST)}

"""A second verifier of bundles, written from RFC 6962 and docs/audit.md alone: it shares no line with the product.

Merkle hashes are the recursive definitions of RFC 6962, section 2.1; signatures are checked by calls of its own; budgets
and liens are added up from the raw JSON. It knows less than the product's verifier (no session tables, no proofs of keys)
and says why it refuses by raising :class:`Refuted`.
"""

import base64
import hashlib
import json
from collections import defaultdict

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey


class Refuted(Exception):
    """Why a bundle is not believed."""


def need(holds, why):
    if not holds:
        raise Refuted(why)


def sha(data):
    return hashlib.sha256(data).digest()


def half(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(leaves):
    """MTH(D[n]) over the hashes of leaves."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = half(len(leaves))
    return sha(b"\x01" + mth(leaves[:k]) + mth(leaves[k:]))


def path(m, leaves):
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = half(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m, leaves):
    """PROOF(m, D[n])."""
    return subproof(m, leaves, whole=True)


def subproof(m, leaves, *, whole):
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = half(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def root_from_path(leaf, m, n, steps):
    """Climb by the definition: the last step joins at the top."""
    if n == 1:
        need(not steps, "the path is too long")
        return leaf
    need(steps, "the path is too short")
    k = half(n)
    if m < k:
        return sha(b"\x01" + root_from_path(leaf, m, k, steps[:-1]) + steps[-1])
    return sha(b"\x01" + steps[-1] + root_from_path(leaf, m - k, n - k, steps[:-1]))


def spelled(value):
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def unbase(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def log_id(keys):
    told = {"use": "touchstone/log-id/1", "ed25519": keys["ed25519"], "ml_dsa_65": keys["ml_dsa_65"]}
    return hashlib.sha256(spelled(told)).hexdigest()


def check_statement(told, kind, log):
    need(log_id(told["keys"]) == log, "another log's keys")
    need(told["kind"] == kind, "another kind of statement")
    name = spelled([kind, log])
    signed = b"touchstone/log/1\0" + len(name).to_bytes(4, "big") + name + told["body"].encode()
    try:
        Ed25519PublicKey.from_public_bytes(unbase(told["keys"]["ed25519"])).verify(
            unbase(told["signatures"]["ed25519"]), signed
        )
        MLDSA65PublicKey.from_public_bytes(unbase(told["keys"]["ml_dsa_65"])).verify(
            unbase(told["signatures"]["ml_dsa_65"]), signed
        )
    except (InvalidSignature, ValueError, KeyError) as error:
        raise Refuted("a signature of the log does not hold") from error
    return json.loads(told["body"])


def check_envelope(envelope, keys):
    name = spelled([envelope["kind"], envelope["signer"]])
    signed = b"touchstone/envelope/1\0" + len(name).to_bytes(4, "big") + name + envelope["body"].encode()
    need(envelope["signer"] in keys, "an unknown signer")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys[envelope["signer"]]))
        key.verify(unbase(envelope["signature"]), signed)
    except (InvalidSignature, ValueError) as error:
        raise Refuted("an envelope's signature does not hold") from error
    return hashlib.sha256(signed).hexdigest(), json.loads(envelope["body"])


ENVELOPES = {
    "dataset": "", "deprecated": "", "withdrawn": "", "policy": "", "key": "envelope", "session": "ask",
    "message": "envelope", "appraisal": "", "offer": "", "lien": "", "objected": "", "officers": "",
    "pledge": "envelope",
    "access": "envelope", "ruling": "envelope",
}  # fmt: skip
PLAIN = {"party", "standard", "witness", "folded", "expired", "refusal", "lapsed"}


def verify(data, *, log=None, seen=None):
    """Check the bytes of a bundle; return what was spent on whose people and which liens are live."""
    try:
        return _verify(data, log, seen)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Refuted("not well formed") from error


def _verify(data, log, seen):
    need(data.endswith(b"\n"), "the last line is cut off")
    first, *lines = data[:-1].split(b"\n")
    opening = json.loads(first)
    need(
        spelled(opening) == first and set(opening) == {"format", "head", "cosigned"}, "the first line is not canonical"
    )
    need(opening["format"] == "touchstone bundle 1", "another format")
    signed = opening["head"]
    need(set(signed) == {"kind", "body", "keys", "signatures"}, "the head is not a statement")
    need(base64.urlsafe_b64encode(unbase(signed["signatures"]["ed25519"])).decode().rstrip("=") ==
         signed["signatures"]["ed25519"], "not canonical")  # fmt: skip
    need(base64.urlsafe_b64encode(unbase(signed["signatures"]["ml_dsa_65"])).decode().rstrip("=") ==
         signed["signatures"]["ml_dsa_65"], "not canonical")  # fmt: skip
    log = log or log_id(signed["keys"])
    head = check_statement(signed, "head", log)
    need(len(lines) == head["size"], "another number of entries than the head says")
    label = b"touchstone journal entry 1\0"
    chain = sha(label + spelled({"format": "touchstone journal 1", "owner": "exchange"}))
    leaves, books = [], Books()
    for number, line in enumerate(lines, 1):
        digest, text = line[:64], line[65:]
        chain = sha(label + chain + text)
        need(line[64:65] == b" " and digest == chain.hex().encode(), f"entry {number} breaks the chain")
        entry = json.loads(text)
        need(spelled(entry) == text and entry["seq"] == number, f"entry {number} is out of place")
        leaves.append(sha(b"\0" + text))
        books.take(entry)
    need(mth(leaves).hex() == head["root"] and chain.hex() == head["chain"], "the root is another")
    for envelope in opening["cosigned"]:
        need(base64.urlsafe_b64encode(unbase(envelope["signature"])).decode().rstrip("=") == envelope["signature"], "-")
        _, told = check_envelope(envelope, books.keys)
        need(envelope["kind"] == "cosigned" and told["log"] == log, "cosigned another log")
        need(mth(leaves[: told["size"]]).hex() == told["root"], "cosigned other entries")
    if seen is not None:
        need(seen["size"] <= head["size"], "stale")
        need(mth(leaves[: seen["size"]]).hex() == seen["root"], "forked")
    return {"spent": {name: dict(told) for name, told in books.spent.items()}, "liens": dict(books.liens)}


class Books:
    """Keys, policies, charges and liens from raw entries."""

    def __init__(self):
        self.keys, self.asked, self.offers, self.liens = {}, {}, {}, {}
        self.people, self.caps = {}, defaultdict(list)
        self.spent = defaultdict(lambda: defaultdict(int))

    def take(self, entry):
        kind, body = entry["kind"], entry["body"]
        need(kind in PLAIN or kind in ENVELOPES, f"entry {entry['seq']} is of an unknown kind")
        if kind == "party":
            need(body["id"] not in self.keys, "enrolled twice")
            self.keys[body["id"]] = body["key"]
        if kind == "lapsed":
            self.end(body["offer"])
        if kind not in ENVELOPES:
            return
        envelope = body[ENVELOPES[kind]] if ENVELOPES[kind] else body
        id_, told = check_envelope(envelope, self.keys)
        owner = envelope["signer"]
        if kind == "dataset":
            self.people[owner, told["standard"]] = told["population"]
        elif kind == "policy":
            self.caps[owner, told["policy"]["standard"]].append(told["policy"]["everyone"])
        elif kind == "session":
            self.asked[id_] = told["plan"]["standard"]
        elif kind == "message" and envelope["kind"] == "share":
            held = owner, self.asked[told["session"]]
            self.spent[self.people[held]][owner] += told["charged"]
            need(self.spent[self.people[held]][owner] <= max(self.caps[held]), "spent beyond the cap")
        else:
            self.pledge(kind, body, envelope, id_=id_, told=told)

    def pledge(self, kind, body, envelope, *, id_, told):
        """Offers, liens that go live, change hands and end."""
        owner = envelope["signer"]
        if kind == "offer":
            self.offers[id_] = told["asset"], told["rank"], owner
        elif kind == "lien":
            asset, rank, lender = self.offers[told["offer"]]
            need((asset, rank) not in self.liens, "pledged twice")
            self.liens[asset, rank] = lender
        elif kind == "pledge" and envelope["kind"] == "pledge-acceptance":
            asset, rank, _ = self.offers[body["offer"]]
            self.offers[body["offer"]] = asset, rank, owner
            self.liens[asset, rank] = owner
        elif kind == "pledge" and envelope["kind"] in ("pledge-release", "pledge-realisation"):
            self.end(body["offer"])

    def end(self, offer):
        asset, rank, lender = self.offers[offer]
        if self.liens.get((asset, rank)) == lender:
            del self.liens[asset, rank]

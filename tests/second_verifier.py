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
    "rotated": "", "access": "envelope", "ruling": "envelope", "fingerprint": "", "confirmation": "", "clearance": "",
}  # fmt: skip
PLAIN = {
    "party",
    "standard",
    "witness",
    "folded",
    "expired",
    "refusal",
    "lapsed",
    "appointed",
    "searched",
    "revoked",
    "invited",
}


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
        told = books.cosigned(envelope)
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
        self.ended, self.at = {}, 0
        self.people, self.caps = {}, defaultdict(list)
        self.spent = defaultdict(lambda: defaultdict(int))
        self.assets, self.askers, self.terms, self.stepped = {}, {}, {}, defaultdict(set)
        self.drawn = defaultdict(int)
        self.marks, self.pledged_on, self.reviewers, self.ruled, self.cleared = {}, {}, set(), set(), None

    def take(self, entry):
        kind, body, self.at = entry["kind"], entry["body"], entry["seq"]
        need(kind in PLAIN or kind in ENVELOPES, f"entry {entry['seq']} is of an unknown kind")
        cleared, self.cleared = self.cleared, None
        if kind in PLAIN:
            self.plain(kind, body)
            return
        envelope = body[ENVELOPES[kind]] if ENVELOPES[kind] else body
        id_, told = check_envelope(envelope, self.keys)
        owner = envelope["signer"]
        if kind == "dataset":
            self.people[owner, told["standard"]] = told["population"]
            self.assets[f"{owner}/{told['dataset']}"] = told["population"]
        elif kind == "policy":
            self.caps[owner, told["policy"]["standard"]].append(told["policy"]["everyone"])
        elif kind == "session":
            self.asked[id_] = told["plan"]["standard"]
            self.askers[id_] = owner, told["plan"]["purpose"]
        elif kind == "message" and envelope["kind"] == "share":
            held = owner, self.asked[told["session"]]
            self.spent[self.people[held]][owner] += told["charged"]
            need(self.spent[self.people[held]][owner] <= max(self.caps[held]), "spent beyond the cap")
            self.reserve(owner, held, told)
        elif kind == "rotated":
            self.rotate(owner, told)
        elif kind in ("fingerprint", "clearance"):
            self.identity(kind, owner, id_=id_, told=told)
        else:
            need(kind != "lien" or cleared == told["offer"], "no search before the lien")
            self.pledge(kind, body, envelope, id_=id_, told=told)

    def reserve(self, owner, held, told):
        """Who drew from a reserve had stepped in; nobody else ate into what live liens keep back."""
        pledge = told.get("reserve")
        if pledge is not None:
            need(self.askers[told["session"]] in self.stepped[pledge], "drawn without a step-in")
            self.drawn[pledge] += told["charged"]
            need(self.drawn[pledge] <= self.terms[pledge]["reserve"], "drawn beyond the reserve")
            return
        kept = sum(
            terms["reserve"] - self.drawn[offer]
            for offer, terms in self.terms.items()
            for asset, rank, _ in [self.offers[offer]]
            if self.pledged_on.get(offer) is not None and (asset, rank) in self.liens
            and asset.split("/")[0] == owner and self.assets[asset] == self.people[held]
        )  # fmt: skip
        room = max(self.caps[held]) - self.spent[self.people[held]][owner]
        need(not told["charged"] or room >= kept, "charged into a reserve")

    def plain(self, kind, body):
        """What nobody but the exchange signs."""
        if kind == "party":
            need(body["id"] not in self.keys, "enrolled twice")
            self.give(body["id"], body["key"])
        elif kind == "invited":
            need(body["party"] not in self.keys, "invited though enrolled")
        elif kind == "revoked":
            need(self.keys[body["party"]] == body["key"], "another key was revoked")
            self.ended[body["key"]] = body["party"], self.at
            del self.keys[body["party"]]
        elif kind == "lapsed":
            self.end(body["offer"])
        elif kind == "appointed":
            self.reviewers.add(body["party"])
        elif kind == "searched":
            self.search(body)

    def give(self, party, key):
        need(key not in self.keys.values() and key not in self.ended, "another's key, or one that was given up")
        self.keys[party] = key

    def rotate(self, party, told):
        """The present key signed this; the new one must have signed it, too."""
        need(self.keys[party] == told["old"] != told["key"], "not the present key")
        proved = b"touchstone/rotation/1\0" + spelled([party, told["old"], told["key"]])
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(told["key"])).verify(bytes.fromhex(told["proof"]), proved)
        except (InvalidSignature, ValueError) as error:
            raise Refuted("the new key is not proved") from error
        self.ended[told["old"]] = party, self.at
        self.give(party, told["key"])

    def cosigned(self, envelope):
        """Under the present key, or under one that was given up after what it cosigned."""
        for key, (party, at) in self.ended.items():
            if party == envelope["signer"]:
                try:
                    _, told = check_envelope(envelope, {party: key})
                except Refuted:
                    continue
                need(told["size"] < at, "cosigned with a key that was given up")
                return told
        return check_envelope(envelope, self.keys)[1]

    def identity(self, kind, owner, *, id_, told):
        """Whose rows are known by which sketch, and what reviewers have cleared."""
        if kind == "fingerprint":
            sketch = {told["sketch"][at : at + 16] for at in range(0, len(told["sketch"]), 16)}
            self.marks[f"{owner}/{told['dataset']}"] = id_, told["standard"].split("/")[0], sketch
            return
        need(owner in self.reviewers, "no reviewer")
        if told["act"] == "clear":
            self.ruled |= {frozenset((told["fingerprint"], told["other_fingerprint"]))}

    def search(self, body):
        """A search that cleared: whose rows are pledged, at eight tenths of what both sketches show in full, it must not be."""
        id_, standard, sketch = self.marks[body["asset"]]
        need(id_ == body["fingerprint"], "a search of another version")
        if body["state"] != "clear":
            return
        for offer, (other, named, theirs) in self.pledged_on.items():
            asset, rank, _ = self.offers[offer]
            if asset == body["asset"] or named != standard or (asset, rank) not in self.liens:
                continue
            ends = [max(one) for one in (sketch, theirs) if len(one) == 1024]
            ours, known = ({v for v in one if not ends or v <= min(ends)} for one in (sketch, theirs))
            share = max(len(ours & known) / max(1, len(one)) for one in (ours, known))
            need(share < 0.3 or (share < 0.8 and {id_, other} in self.ruled), "a copy was cleared")
        self.cleared = body["offer"]

    def pledge(self, kind, body, envelope, *, id_, told):
        """Offers, liens that go live, change hands and end."""
        owner = envelope["signer"]
        if kind == "offer":
            self.offers[id_] = told["asset"], told["rank"], owner
            if told.get("step_in"):
                self.terms[id_] = dict(told["step_in"])
        elif kind == "lien":
            asset, rank, lender = self.offers[told["offer"]]
            need((asset, rank) not in self.liens, "pledged twice")
            self.liens[asset, rank] = lender
            self.pledged_on[told["offer"]] = self.marks[asset]
        elif kind == "pledge" and envelope["kind"] == "pledge-acceptance":
            asset, rank, _ = self.offers[body["offer"]]
            self.offers[body["offer"]] = asset, rank, owner
            self.liens[asset, rank] = owner
        elif kind == "pledge" and envelope["kind"] in ("pledge-release", "pledge-realisation"):
            self.end(body["offer"])
        if kind == "pledge" and body["offer"] in self.terms:
            terms = self.terms[body["offer"]]
            terms["reserve"] -= told.get("reserve", 0)
            if envelope["kind"] in ("pledge-step-in", "pledge-realisation") and told["offer"] == body["offer"]:
                need("successor" in told or told["operator"] in terms["operators"], "an operator whom nobody agreed on")
                self.stepped[body["offer"]].add((told.get("operator") or told["successor"], terms["purpose"]))

    def end(self, offer):
        asset, rank, lender = self.offers[offer]
        if self.liens.get((asset, rank)) == lender:
            del self.liens[asset, rank]
            self.pledged_on.pop(offer, None)

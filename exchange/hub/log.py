"""The exchange's log as outsiders see it: the Merkle tree over its journal, heads under two keys, what parties cosigned.

Persons stay out of it: of an officer's name the log holds a salted commitment, ``sha256:`` and the SHA-256 over the salt and
the name; the salt follows from ``salt.key`` and is told to who enrols the officer.

The tree is made from the journal when it is opened and grows with it. A head is signed when somebody asks, at most once a
second unless an entry must be covered, and anew after a minute, so that nobody can be kept at an old one unnoticed. The last
head and the newest cosignature of each party lie in ``log.json``: an exchange whose journal lacks what it signed does not
start.
"""

import hashlib
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from exchange import identity
from exchange.journal import Head, RolledBack
from exchange.protocol.attest import Attested, LogSigner, attest
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Unknown
from exchange.protocol.log import HEAD, PROMISE, Place, Promise, TreeHead, read_head
from exchange.protocol.messages import Cosigned
from exchange.protocol.tree import Tree
from privacy import canonical

_log = logging.getLogger(__name__)

REST = 1
"""Seconds for which a head serves although the log has grown."""

FRESH = 60
"""Seconds after which a head is signed anew although the log has not grown."""


MOST, MOST_BYTES = 1_000, 8 << 20
"""Entries, and about how many bytes of them, in one answer to a regulator."""


class Log:
    """One exchange's log; safe for any number of threads. ``head`` tells the end of its journal."""

    def __init__(self, tree: Tree, *, signer: LogSigner, salting: bytes, head: Callable[[], Head], file: Path) -> None:
        self.tree = tree
        self._salting = salting
        self.signer = signer
        self._head = head
        self._file = file
        self._lock = threading.Lock()
        self._last: tuple[TreeHead, Attested] | None = None
        self._cosigned: dict[str, tuple[Cosigned, Envelope]] = {}
        self._kept = True

    @classmethod
    def open(cls, home: Path, tree: Tree, *, signing: Ed25519PrivateKey, head: Callable[[], Head]) -> "Log":
        """Open the log under ``home``, whose journal ``tree`` was made from; its second key is made at the first opening.

        Raises:
            RolledBack: if the journal lacks what this exchange has signed.
            Unknown: if the key that it signed with is gone.
        """
        path, salt, file = home / "ml-dsa.key", home / "salt.key", home / "log.json"
        if not path.exists() and not file.exists():
            identity.write_key(salt, secrets.token_bytes(32).hex())
            identity.write_key(path, MLDSA65PrivateKey.generate().private_bytes_raw().hex())
        try:
            second = MLDSA65PrivateKey.from_seed_bytes(bytes.fromhex(identity.read_key(path)))
            salting = identity.read_bytes(salt, 32)
        except (OSError, ValueError):
            raise Unknown("ml-dsa.key or salt.key of this exchange: put it back from the backup") from None
        log = cls(tree, signer=LogSigner(signing, second), salting=salting, head=head, file=file)
        log._remember()
        return log

    @cached_property
    def id(self) -> str:
        """The log's id, for others to pin: every token is held against it."""
        return self.signer.keys.id

    def head(self, *, now: int, covering: int = 0) -> tuple[TreeHead, Attested]:
        """Return a signed head that covers entry ``covering``; ``now`` in seconds.

        Raises:
            Unknown: if there is no such entry.
        """
        with self._lock:
            seq, chain = self._head()
            if covering > seq:
                raise Unknown("entry of the log")
            last = self._last
            if last is not None and last[0].size >= covering:
                age = now - last[0].at
                if 0 <= age < REST or (last[0].size == seq and age < FRESH):
                    return last
            at = max(now, last[0].at if last is not None else 0)
            told = TreeHead(size=seq, root=self.tree.root(seq).hex(), chain=chain, at=at)
            self._last = told, attest(HEAD, told.model_dump(mode="json"), self.signer)
            self._kept = False
            return self._last

    def cosigned(self) -> list[tuple[Cosigned, Envelope]]:
        """Return the newest cosignature of each party, by name."""
        with self._lock:
            return [self._cosigned[party] for party in sorted(self._cosigned)]

    def take(self, said: Cosigned, envelope: Envelope) -> None:
        """Keep a party's cosignature of a head, which was checked for who signed it.

        One of another log is not kept: the party learns from the head that it is shown that the two differ.
        """
        if said.log != self.id or said.size > self._head()[0] or self.tree.root(said.size).hex() != said.root:
            _log.warning("%s has cosigned another log than this exchange's", envelope.signer)
            return
        with self._lock:
            held = self._cosigned.get(envelope.signer)
            if held is None or said.size > held[0].size:
                self._cosigned[envelope.signer] = said, envelope
                self._kept = False

    def promise(self, session: str, seqs: list[int]) -> Attested:
        """Promise that a session's entries stand in the log."""
        places = tuple(Place(seq=seq, leaf=self.tree.leaf(seq - 1).hex()) for seq in seqs)
        return attest(PROMISE, Promise(session=session, entries=places).model_dump(mode="json"), self.signer)

    def salt(self, party: str) -> str:
        """Return the salt of a person's commitment, 64 hexadecimal digits: with the name it proves who is meant."""
        return hmac.digest(self._salting, party.encode(), "sha256").hex()

    def commitment(self, party: str, name: str) -> str:
        """Return what the log holds in place of a person's name."""
        return f"sha256:{hashlib.sha256(bytes.fromhex(self.salt(party)) + name.encode()).hexdigest()}"

    def keep(self) -> None:
        """Write the last head and the cosignatures to disk, if they have changed."""
        with self._lock:
            if self._kept or self._last is None:
                return
            document = {
                "head": self._last[1].to_json(),
                "cosigned": [self._cosigned[party][1].to_json() for party in sorted(self._cosigned)],
            }
            self._kept = True
        identity.write_secret(self._file, canonical.encode(document).decode())

    def _remember(self) -> None:
        """Read what was kept, and hold the journal to it."""
        if not self._file.exists():
            return
        try:
            document = json.loads(self._file.read_text("utf-8"))
            attested = Attested.from_json(document["head"])
            told = read_head(document["head"], self.id)
            said = [Envelope.from_json(item) for item in document["cosigned"]]
        except (ValueError, KeyError, TypeError):
            raise Unknown("readable log.json of this exchange: put it back from the backup") from None
        if told.size > self.tree.size or self.tree.root(told.size).hex() != told.root:
            raise RolledBack(
                f"the journal lacks entries to {told.size} that this exchange has signed and shown",
                file="journal",
                offset=0,
                seq=min(told.size, self.tree.size),
                fix="put the newest journal back; without it the log is another one, and every party refuses it",
            )
        self._last = told, attested
        for envelope in said:
            self._cosigned[envelope.signer] = Cosigned.model_validate_json(envelope.body), envelope

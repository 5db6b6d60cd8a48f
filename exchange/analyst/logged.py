"""That an answer is in the exchange's log: its promise, checked before the answer counts, and the proof, fetched later.

What is promised are the asker's question, every institution's answer with its charge, and the product, as entries whose
bytes the desk makes again from the messages that it has checked. Both lie in ``proofs/`` beside the receipt.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exchange import identity
from exchange.line import Line
from exchange.protocol.errors import PeerFault, Unknown
from exchange.protocol.log import entry_text, read_promise
from exchange.protocol.tree import leaf_hash
from exchange.witness import Witness
from privacy import canonical
from privacy.errors import Mismatch
from privacy.plan import Plan


class Proofs:
    """The promises and proofs of one desk under ``home``; ``directory`` are the parties' keys that it pins."""

    def __init__(self, home: Path, line: Line, *, directory: Mapping[str, bytes]) -> None:
        self.witness = Witness(home)
        self._folder = home / "proofs"
        self._line = line
        self._directory = directory

    def keep_promise(self, session: str, record: Mapping[str, Any], plan: Plan, *, now: int) -> None:
        """Check and keep the promise that comes with the checked record of an answered session; ``now`` in seconds.

        Raises:
            Mismatch: if it is not made by the followed log, or not about this session's messages.
            PeerFault: if there is none.
        """
        match record.get("logged"):
            case {"promise": dict(document), "places": list(places)}:
                pass
            case _:
                raise PeerFault("the exchange promises no place in its log", fix="do not rely on the answer; report it")
        if self.witness.log is None:
            self.witness.look(self._line, now=now, directory=self._directory)
        promise = read_promise(document, self._log())
        texts = _texts(session, record, places, plan)
        told = {place.seq: place.leaf for place in promise.entries}
        if promise.session != session or told != {seq: leaf_hash(text).hex() for seq, text in texts.items()}:
            raise Mismatch("the exchange promises other entries than this session's", fix="report the exchange")
        self._write(promise.session, {"promise": document})

    def kept(self, session: str) -> Mapping[str, Any] | None:
        """Return the promise of a session as it was kept, with its proof once that was fetched; nothing if there is none."""
        path = self._folder / f"{session}.json"
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else None

    def prove(self, session: str, *, now: int) -> Mapping[str, Any]:
        """Have the promise of a session kept: fetch, check and keep the proof that its entries are in the log.

        Raises:
            Unknown: if nothing was promised to this desk.
            Forked, Mismatch: if the exchange has not kept its promise, or shows another log than before.
        """
        kept = self.kept(session)
        if kept is None:
            raise Unknown("promise for this question")
        promise = read_promise(kept["promise"], self._log())
        last = max(place.seq for place in promise.entries)
        seen = self.witness.look(self._line, now=now, directory=self._directory, covering=last)
        if seen.head.size < last:
            raise Mismatch(
                f"the log ends before entry {last}, which was promised", fix="show the promise to a regulator"
            )
        paths = {str(place.seq): self.witness.prove(self._line, place, seen.head) for place in promise.entries}
        document = {
            "promise": kept["promise"],
            "head": dict(seen.signed),
            "paths": paths,
            "cosigned": dict(seen.cosigned),
        }
        self._write(session, document)
        return document

    def _log(self) -> str:
        if self.witness.log is None:
            raise Unknown("log that this desk follows")
        return self.witness.log

    def _write(self, session: str, document: Mapping[str, Any]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity.write_secret(self._folder / f"{session}.json", canonical.encode(dict(document)).decode())


def _texts(session: str, record: Mapping[str, Any], places: list[Any], plan: Plan) -> dict[int, bytes]:
    """Make the bytes of the entries again from a checked record: the question, all answers and the product, each once."""
    ask = record["ask"]
    shares = {item["signer"]: item for item in record["shares"]}
    wanted = {("session", ask["signer"]), ("folded", ""), *(("share", party) for party in plan.parties)}
    found: dict[int, bytes] = {}
    told = set()
    for place in places:
        match place:
            case {"seq": int(seq), "kind": str(kind), "party": str(party), "stage": str(stage), "at": int(at)}:
                pass
            case _:
                raise PeerFault("the exchange's places in the log are not well formed", fix="report the exchange")
        if (kind, party) not in wanted or (kind, party) in told:
            raise Mismatch("the exchange promises other entries than this session's", fix="report the exchange")
        told.add((kind, party))
        body: dict[str, Any]
        match kind:
            case "session":
                body = {
                    "id": session,
                    "asker": ask["signer"],
                    "plan_hash": plan.hash,
                    "key_fingerprint": json.loads(ask["body"])["key"],
                    "parties": list(plan.parties),
                    "expires": json.loads(ask["body"])["expires"],
                    "ask": ask,
                }
                found[seq] = entry_text(seq=seq, at=at, kind="session", body=body)
            case "share":
                body = {"session": session, "stage": stage, "envelope": shares[party]}
                found[seq] = entry_text(seq=seq, at=at, kind="message", body=body)
            case _:
                body = {"session": session, "product": record["product"]}
                found[seq] = entry_text(seq=seq, at=at, kind="folded", body=body)
    if told != wanted:
        raise Mismatch("the exchange does not promise all of this session's entries", fix="report the exchange")
    return found

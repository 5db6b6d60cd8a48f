"""Write the vectors of packing, masks and envelopes anew: ``python -m tests.vectors``.

Everything is derived from fixed labels, so the files come out byte for byte the same; a test compares them with what is
committed. Negative vectors name what has to be refused. Other implementations may check themselves against the files.
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from exchange.protocol.envelope import sign
from privacy.masks import Context, Peer, mask
from privacy.noise import Noised
from privacy.packing import Layout, Packed, lay_out, pack

HERE = Path(__file__).parent


def seed(label):
    """32 fixed bytes for a label."""
    return hashlib.sha256(f"touchstone vectors: {label}".encode()).digest()


def number(label, below):
    """A fixed number in [0, below) for a label."""
    stream = b"".join(hashlib.sha256(seed(label) + bytes([i])).digest() for i in range(14))
    return int.from_bytes(stream) % below


def packing():
    """Rows of parties, their plaintexts and sums; sums and cells that are out of range."""
    shapes = {
        "one party, one cell": {"cells": 1, "parties": 1, "magnitude": 4, "modulus_bits": 32},
        "three parties, two plaintexts": {"cells": 5, "parties": 3, "magnitude": 6, "modulus_bits": 40},
        "nine parties, 3072 bits": {"cells": 100, "parties": 9, "magnitude": 40, "modulus_bits": 3072},
    }
    good = []
    for name, shape in shapes.items():
        layout, most = lay_out(**shape), (1 << shape["magnitude"]) - 1
        for kind in ("mixed", "all largest", "all smallest"):
            cell = {"all largest": most, "all smallest": -most}
            rows = [
                [cell.get(kind, number(f"{name} {p} {c}", 2 * most + 1) - most) for c in range(layout.cells)]
                for p in range(layout.parties)
            ]
            packed = [pack(Noised("", tuple(row)), layout).plaintexts for row in rows]
            good.append(
                {
                    "name": f"{name}, {kind}",
                    "lay_out": shape,
                    "layout": {"width": layout.width, "slots": layout.slots, "plaintexts": layout.plaintexts},
                    "parties": rows,
                    "packed": [[str(value) for value in row] for row in packed],
                    "totals": [sum(column) for column in zip(*rows, strict=True)],
                }
            )
    shape = {"cells": 5, "parties": 3, "magnitude": 6, "modulus_bits": 40}
    layout = lay_out(**shape)
    # three parties with cells of zero: every slot holds 3 * 64
    sums = [3 * value for value in pack(Noised("", (0,) * 5), layout).plaintexts]
    bad_sums = {
        "a slot below three": [sums[0] - 190, *sums[1:]],
        "a slot above 3 * 127": [sums[0] + 190, *sums[1:]],
        "the guard bit": [sums[0] | 1 << (layout.width - 1), *sums[1:]],
        "something above the last slot": [*sums[:-1], sums[-1] + (1 << (layout.width * 2))],
        "a negative sum": [-sums[0], *sums[1:]],
        "all zero": [0] * len(sums),
        "a plaintext short": sums[:-1],
        "a plaintext long": [*sums, 0],
    }
    bad_cells = {"too large": [64, 0, 0, 0, 0], "too small": [0, 0, 0, 0, -64], "a cell short": [0] * 4, "none": []}
    bad = [{"name": name, "lay_out": shape, "sums": [str(v) for v in told]} for name, told in bad_sums.items()]
    bad += [{"name": f"cells: {name}", "lay_out": shape, "cells": cells} for name, cells in bad_cells.items()]
    return {"good": good, "bad": bad}


def masks():
    """Rosters with all keys and nonces, what each party sends, and the sums; shares that must be refused."""
    good = []
    for count, modulus in ((2, 65_537), (3, 2**64 + 13), (5, 2**3071 + number("modulus", 2**3070) * 2 + 1)):
        name = f"{count} parties, {modulus.bit_length()} bits"
        context = {
            field: seed(f"{name} {field}").hex() for field in ("session", "plan_hash", "roster_hash", "key_fingerprint")
        }
        names = ("bank-a", "bank-b", "insurer-c", "tax-office", "a-telecom")[:count]
        secrets = {party: X25519PrivateKey.from_private_bytes(seed(f"{name} {party} secret")) for party in names}
        peers = {
            party: Peer(secrets[party].public_key().public_bytes_raw(), seed(f"{name} {party} nonce"))
            for party in names
        }
        parties, sums = [], [0, 0]
        for party in names:
            plain = [number(f"{name} {party} {index}", modulus) for index in range(2)]
            masked = mask(
                Packed(tuple(plain), Layout(cells=2, parties=count, magnitude=4, width=8, slots=1)),
                me=party,
                secret=secrets[party],
                nonce=peers[party].nonce,
                peers={other: peer for other, peer in peers.items() if other != party},
                context=Context(**context),
                modulus=modulus,
            )
            sums = [(one + other) % modulus for one, other in zip(sums, plain, strict=True)]
            parties.append(
                {
                    "name": party,
                    "secret": secrets[party].private_bytes_raw().hex(),
                    "share": peers[party].public.hex(),
                    "nonce": peers[party].nonce.hex(),
                    "plaintexts": [str(value) for value in plain],
                    "masked": [str(value) for value in masked.values],
                }
            )
        told = {"name": name, "modulus": str(modulus), "context": context, "parties": parties}
        good.append({**told, "sums": [str(value) for value in sums]})
    honest = {"name": "bank-b", "share": parties[1]["share"], "nonce": parties[1]["nonce"]}
    shares = {
        "a share of zero": "00" * 32,
        "a share of one": "01" + "00" * 31,
        "a share of order eight": "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "a share of p - 1": (2**255 - 20).to_bytes(32, "little").hex(),
        "a share of 31 bytes": "09" * 31,
        "a share of 33 bytes": "09" * 33,
        "no share": "",
    }
    bad = [
        {
            "name": name,
            "modulus": "65537",
            "plaintexts": ["5"],
            "peers": [honest, {**honest, "name": "c", "share": share}],
        }
        for name, share in shares.items()
    ]
    for name, plaintext in (("a plaintext of the modulus", "65537"), ("a negative plaintext", "-1")):
        bad.append({"name": name, "modulus": "65537", "plaintexts": ["1", plaintext], "peers": [honest]})
    bad.append(
        {"name": "itself as peer", "modulus": "65537", "plaintexts": ["1"], "peers": [{**honest, "name": "bank-a"}]}
    )
    return {"good": good, "bad": bad}


def envelopes():
    """Signed bodies with the signer's key and the envelope's name; changes after which nothing may verify."""
    key = Ed25519PrivateKey.from_private_bytes(seed("envelope key"))
    bodies = {
        "a commit": ("commit", {"session": "5e" * 32, "roster_hash": "40" * 32}),
        "an empty body": ("anything", {}),
        "text beyond ASCII": ("note", {"\u540d": "\u6570\u636e\U0001f600", "n": [2**63 - 1, None, True]}),
    }
    good = []
    for name, (kind, body) in bodies.items():
        envelope = sign(kind, body, signer="bank-a", key=key)
        good.append({"name": name, "wire": envelope.to_json(), "id": envelope.id, "body": body})
    wire = good[0]["wire"]
    changes = {
        "other kind": {"kind": "abort"},
        "other signer": {"signer": "bank-b"},
        "other body": {"body": wire["body"].replace("40", "41", 1)},
        "the same body with a space": {"body": wire["body"].replace(":", ": ", 1)},
        "signature of another body": {"signature": good[1]["wire"]["signature"]},
        "signature of zeros": {"signature": "A" * 86},
        "signature padded": {"signature": wire["signature"] + "=="},
        "signature with a stray last bit": {"signature": wire["signature"][:-1] + chr(ord(wire["signature"][-1]) + 1)},
        "signature a byte short": {"signature": wire["signature"][:-2]},
        "no signature": {"signature": ""},
        "kind as a list": {"kind": ["commit"]},
        "body as an object": {"body": bodies["a commit"][1]},
        "extra field": {"alg": "none"},
    }
    bad = [{"name": name, "wire": {**wire, **change}} for name, change in changes.items()]
    # bank-b is pinned with a key of its own
    other = Ed25519PrivateKey.from_private_bytes(seed("another key"))
    directory = {
        name: secret.public_key().public_bytes_raw().hex() for name, secret in (("bank-a", key), ("bank-b", other))
    }
    return {"directory": directory, "good": good, "bad": bad}


FILES = {"packing.json": packing, "masks.json": masks, "envelope.json": envelopes}


def text(name):
    """The text of one file."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    for file in FILES:
        (HERE / file).write_text(text(file), "utf-8")
        sys.stdout.write(f"{file}\n")

"""What a dataset is known by, computed from its rows where they lie: a Merkle root of keyed row hashes, and a sketch of them.

A row's hash covers what the row says under the standard (:mod:`exchange.node.source`), so names, order and formats of the
source do not matter, nor does what the standard does not speak of. Rows are put together by their hash, so their order does
not matter either, and equal rows count as often as they occur.

The **root** covers all mapped columns: a tree over 256 leaves, by the first byte of the row hashes, each the digest of its
hashes in their order. The **sketch** holds the smallest hashes of person and required columns: a copy that leaves other
columns out, or maps them otherwise, has the same one.

Hashes are SHA-256 behind a key of one block; the texts begin with the person's length and end with a mark, so that none is
another's beginning, which makes the plain cascade a pseudorandom function (Bellare, Canetti and Krawczyk 1996). The keys are
derived from the one that institutions share, for each standard's name, and never leave a node.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from exchange.node.engine import Engines, Parameters, engine
from exchange.node.printer import quote
from exchange.node.source import Dataset, print_told, view_columns
from exchange.protocol.collateral import DIGITS, SKETCH, Fingerprint, band, columns_digest
from privacy.errors import Malformed, Refused

PARTS = 16
"""Parts in which the row hashes of a large source are put in order, so that memory stays bounded."""

LARGE = 1 << 20
"""Rows from which on a source is large."""

KEY_BYTES = 32

Progress = Callable[[int, int], None]
"""Told how many steps of how many are done."""

_LEAVES = 256


@dataclass(frozen=True, slots=True)
class Computed:
    """Root, sketch and number of a version's rows; ``key`` is the public name of the key behind them."""

    key: str
    root: str
    sketch: str
    rows: int

    def message(self, dataset: Dataset, *, earlier: str | None) -> Fingerprint:
        """Return what may leave the node of it: the number of rows as a band."""
        least, below = band(self.rows)
        return Fingerprint(
            dataset=dataset.name,
            version=dataset.refreshed,
            standard=dataset.standard.id,
            key=self.key,
            root=self.root,
            columns_digest=columns_digest(standard_digest=dataset.standard.digest, columns=sorted(dataset.mapping)),
            least=least,
            below=below,
            sketch=self.sketch,
            earlier=earlier,
        )


def read_key(text: str) -> bytes:
    """Return the key that a file's text holds: 64 hexadecimal digits.

    Raises:
        Malformed: if it holds something else; never with the text.
    """
    stripped = text.strip()
    if not re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", stripped):
        raise Malformed(
            "the file holds no key for fingerprints", fix="take the file that another institution's node made"
        )
    return bytes.fromhex(stripped)


def key_name(key: bytes, standard: str) -> str:
    """Return the public name of the key for a standard's name: equal names, equal keys; it tells nothing else."""
    return _derived(key, "name", standard)


def compute(
    dataset: Dataset, *, key: bytes, engines: Engines, progress: Progress = lambda _done, _total: None
) -> Computed:
    """Read every row once and return what they are known by.

    Raises:
        Refused: if a column that the standard requires is not mapped, or no row has a person.
        SourceFault: if the source cannot be read.
    """
    required = sorted(column.name for column in dataset.standard.columns if column.required)
    missing = [name for name in required if name not in dataset.mapping]
    if missing:
        raise Refused(
            f"a dataset without {', '.join(missing)} cannot be compared with others", fix="map the required columns"
        )
    unit = quote(dataset.standard.unit)
    name = dataset.standard.name
    parameters: Parameters = {
        "whole": _derived(key, "rows", name),
        "core": _derived(key, "sketch", name),
    }
    told = print_told(dataset, parameters)
    every = view_columns(dataset)
    core = [quote(column) for column in required] or every
    leaves: dict[int, tuple[int, str]] = {}
    with engine(dataset.location, engines=engines) as opened:
        opened.execute(
            f"CREATE TEMP TABLE hashed AS SELECT unhex({_hash('whole', unit, every)}) AS leaf, "
            f"left({_hash('core', unit, core)}, {DIGITS}) AS core FROM ({told})",
            parameters,
        )
        counted = opened.execute("SELECT count(*) FROM hashed").fetchall()
        parts = PARTS if counted[0][0] >= LARGE else 1
        progress(1, parts + 1)
        smallest = opened.execute(f"SELECT core FROM hashed GROUP BY core ORDER BY core LIMIT {SKETCH}").fetchall()
        for part in range(parts):
            first, last = part * _LEAVES // parts, (part + 1) * _LEAVES // parts - 1
            found = opened.execute(
                "SELECT left(hex(leaf), 2) AS place, count(*), sha256(string_agg(hex(leaf), '' ORDER BY leaf)) "
                "FROM hashed WHERE leaf >= unhex($first) AND leaf <= unhex($last) GROUP BY place",
                {"first": f"{first:02x}", "last": f"{last:02x}" + "ff" * 31},
            ).fetchall()
            leaves |= {int(place, 16): (int(count), str(digest)) for place, count, digest in found}
            progress(part + 2, parts + 1)
    rows = sum(count for count, _ in leaves.values())
    if not rows:
        raise Refused("there is no row to pledge", fix="check the source and the mapping of the person")
    return Computed(key_name(key, name), merkle_root(leaves), "".join(value for (value,) in smallest), rows)


def merkle_root(leaves: dict[int, tuple[int, str]]) -> str:
    """Return the root of the tree over 256 leaves; each has the number of its row hashes and their digest, none if empty."""
    level = [
        hashlib.sha256(b"\x00" + bytes([place]) + count.to_bytes(8) + bytes.fromhex(digest)).digest()
        for place in range(_LEAVES)
        for count, digest in [leaves.get(place, (0, ""))]
    ]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return level[0].hex()


def _hash(key: str, unit: str, columns: list[str]) -> str:
    """Print a row's keyed hash in 64 hexadecimal digits; all but the person are numbers and flags."""
    values = [f"coalesce(CAST({column} AS VARCHAR), '-')" for column in columns]
    text = ", ".join([f"length({unit})", unit, *values, "'.'"])
    return f"sha256(${key} || concat_ws(';', {text}))"


def _derived(key: bytes, use: str, standard: str) -> str:
    return hmac.new(key, f"touchstone collateral {use}\0{standard}".encode(), hashlib.sha256).hexdigest()

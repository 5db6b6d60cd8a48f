"""Fingerprints as an owner's node would make them, over rows that are only numbers: for tests that need no source."""

from hashlib import sha256

from exchange.hub import collateral
from exchange.protocol.collateral import SKETCH, Fingerprint, band, columns_digest


def sketch_of(rows):
    """The smallest hashes of rows, whatever they are."""
    return "".join(sorted(sha256(f"row {row}".encode()).hexdigest()[:16] for row in set(rows))[:SKETCH])


def fingerprint(store, asset, rows, **changes):
    """The message about the version in force of a registered asset."""
    view = store.view()
    dataset = view.dataset(asset)
    rows = list(rows)
    least, below = band(len(rows))
    held = store.view().rows("SELECT id FROM fingerprint WHERE asset = ? ORDER BY seq DESC LIMIT 1", [asset])
    told = {
        "dataset": asset.partition("/")[2],
        "version": dataset["refreshed"],
        "standard": dataset["standard"],
        "key": "ab" * 32,
        "root": sha256(repr(sorted(rows)).encode()).hexdigest(),
        "columns_digest": columns_digest(
            standard_digest=view.standard_digest(dataset["standard"]), columns=sorted(dataset["columns"])
        ),
        "least": least,
        "below": below,
        "sketch": sketch_of(rows),
        "earlier": held[0][0] if held else None,
    }
    return Fingerprint(**told | changes)


def mark(store, asset, key, rows=range(5_000), **changes):
    """Put a fingerprint on record, signed by the asset's owner, and return its id."""
    signed = fingerprint(store, asset, rows, **changes).sealed_by(asset.partition("/")[0], key)
    return collateral.record_fingerprint(store, signed)

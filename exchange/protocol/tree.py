"""The Merkle tree over a log: root, proof that an entry is in it, proof that a later tree only adds (RFC 6962, section 2.1).

A leaf's hash is SHA-256 over a zero byte and the entry, an inner node's over a one byte and its two children; so no entry
can pass for a node. Hashes are 32 bytes. The two checks at the end follow RFC 9162, sections 2.1.3.2 and 2.1.4.2, and
trust nothing that the prover says but the hashes.
"""

import threading
from collections.abc import Iterable, Sequence
from hashlib import sha256

from privacy.errors import Malformed, Mismatch

WIDTH = 32
"""Bytes of a hash."""

EMPTY = sha256(b"").digest()
"""Root of a tree without leaves."""

_DEEPEST = 64


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree that answers for any of its earlier sizes; 64 bytes an entry. Any number of readers, one that adds.

    Adding costs one leaf: the full subtrees above are hashed when somebody asks for the first time.
    """

    def __init__(self) -> None:
        self._levels = [bytearray()]  # the hashes of full subtrees, by height, side by side
        self._growing = threading.Lock()

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // WIDTH

    def add(self, entry: bytes) -> None:
        """Append an entry."""
        self._levels[0] += leaf_hash(entry)

    def extend(self, entries: Iterable[bytes]) -> None:
        """Append entries, all at once for who reads."""
        self._levels[0] += b"".join([sha256(b"\x00" + entry).digest() for entry in entries])

    def leaf(self, index: int) -> bytes:
        """Return the hash of a leaf, counted from 0.

        Raises:
            Malformed: if there is none.
        """
        self._check(index + 1, least=1)
        return self._full(0, index)

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first ``size`` leaves (all, if not given).

        Raises:
            Malformed: if there are not so many.
        """
        size = self.size if size is None else size
        self._check(size)
        return self._over(0, size) if size else EMPTY

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of a leaf, counted from 0, in the tree of the first ``size`` leaves: lowest node first.

        Raises:
            Malformed: if it is not among them.
        """
        self._check(size)
        self._check(index + 1, least=1, most=size)
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._over(middle, end))
                end = middle
            else:
                path.append(self._over(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first ``old`` leaves of the tree of ``new`` are those of the tree of ``old``.

        Raises:
            Malformed: if ``old`` is greater than ``new``, or there are not so many.
        """
        self._check(new)
        self._check(old, most=new)
        if old in (0, new):
            return []
        proof: list[bytes] = []
        start, end, whole = 0, new, True
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                proof.append(self._over(middle, end))
                end = middle
            else:
                proof.append(self._over(start, middle))
                start, whole = middle, False
        return ([] if whole else [self._over(start, end)]) + proof[::-1]

    def _check(self, size: int, *, least: int = 0, most: int | None = None) -> None:
        if not least <= size <= (self.size if most is None else most):
            raise Malformed("the log has no such entry or size", fix="ask within the head that you hold")
        self._grow()

    def _grow(self) -> None:
        """Hash the full subtrees that are complete by now."""
        with self._growing:
            for height, below in enumerate(self._levels):
                if height + 1 == len(self._levels):
                    if len(below) < 2 * WIDTH:
                        return
                    self._levels.append(bytearray())
                above = self._levels[height + 1]
                start, end = 2 * len(above), len(below) // (2 * WIDTH) * (2 * WIDTH)
                pairs = bytes(below[start:end])
                above += b"".join(
                    sha256(b"\x01" + pairs[at : at + 2 * WIDTH]).digest() for at in range(0, len(pairs), 2 * WIDTH)
                )

    def _full(self, height: int, index: int) -> bytes:
        return bytes(self._levels[height][index * WIDTH : (index + 1) * WIDTH])

    def _over(self, start: int, end: int) -> bytes:
        """Return the root over leaves ``start`` to ``end``, where ``start`` divides by the next power of two."""
        count = end - start
        if count & (count - 1) == 0:
            height = count.bit_length() - 1
            return self._full(height, start >> height)
        middle = start + _split(count)
        return node_hash(self._over(start, middle), self._over(middle, end))


def root_by_inclusion(leaf: bytes, *, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that an audit path leads to from the hash of a leaf, counted from 0.

    Raises:
        Mismatch: if no tree of this size has such a path.
    """
    fault = Mismatch(
        "the proof is not one for this place in the log", fix="fetch it again; if it stays so, tell others"
    )
    if not 0 <= index < size or len(path) > _DEEPEST:
        raise fault
    at, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise fault
        if at & 1 or at == last:
            root = node_hash(step, root)
            at, last = _rise(at, last)
        else:
            root = node_hash(root, step)
        at, last = at >> 1, last >> 1
    if last:
        raise fault
    return root


def check_consistency(*, old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Make sure that the tree of ``new`` leaves begins with that of ``old``.

    Raises:
        Mismatch: if the proof does not show it.
    """
    if not 0 <= old <= new or len(proof) > _DEEPEST:
        raise _apart()
    if old in (0, new):
        if proof or old_root != (new_root if old else EMPTY):
            raise _apart()
        return
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    if not steps:
        raise _apart()
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise _apart()
        if at & 1 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            at, last = _rise(at, last)
        else:
            second = node_hash(second, step)
        at, last = at >> 1, last >> 1
    if last or (first, second) != (old_root, new_root):
        raise _apart()


def _rise(at: int, last: int) -> tuple[int, int]:
    """Leave out the heights at which a node at the right edge has no sibling."""
    while not at & 1 and at:
        at, last = at >> 1, last >> 1
    return at, last


def _apart() -> Mismatch:
    return Mismatch("the log does not go on from what it was", fix="keep both heads and tell the other parties")


def _split(count: int) -> int:
    """Return the largest power of two below ``count``, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)

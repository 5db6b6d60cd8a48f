"""Paillier beside phe at 3072 bits, both in one run on one core: ``python -m benchmarks.paillier``.

A table for people goes to stderr, one JSON object to stdout. Every ratio is the median over rounds in which both sides
were timed back to back, so that a busy machine slows both. Times are medians in milliseconds per ciphertext.

``decrypt_ratio`` leaves out the fault check, which is amortised over a batch (``fault_check_ratio``); ``open_ratio`` is
everything: validation, re-randomisation, decryption and fault check of a batch.
"""
# ruff: noqa: SLF001 - the parts of a decryption are timed apart

import gc
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from secrets import randbelow
from statistics import median
from time import perf_counter

from privacy import modulus
from privacy.masks import Masked
from privacy.seal import Blinder, Sealed, nth_residue, seal
from privacy.unseal import SecretKey

BITS = 3072
SLOTS = 47
"""64-bit cells in one plaintext of 3072 bits; phe encrypts one number in each."""
ROUNDS = 9
BATCH = 47
"""Ciphertexts decrypted together: 2,209 cells."""


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        # one core for both sides: threads then cost us a little and gain us nothing
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    gc.disable()
    secret = SecretKey.generate(BITS)
    key = secret.public
    table_ms = median(clock(lambda: Blinder(nth_residue(key), key.n)) for _ in range(3))
    seal(draw(key.n, 1), key)
    secret.seal(draw(key.n, 1))
    rounds = [{**encryption(secret), **decryption(secret)} for _ in range(ROUNDS)]
    figures = {name: median(figure[name] for figure in rounds) for name in rounds[0]}
    figures["table_ms"] = table_ms
    figures["key_validation_ms"] = median(clock(lambda: modulus._sound.__wrapped__(key.n)) for _ in range(5))
    proof = secret.prove(context="benchmark")
    figures["proof_verify_ms"] = median(
        clock(lambda: modulus.verify(key, proof, context="benchmark")) for _ in range(3)
    )
    report(figures)


def encryption(secret: SecretKey) -> dict[str, float]:
    """One round of phe's and our encryption and of the checks that a ciphertext costs its receiver."""
    key, phe_key = secret.public, secret.public.phe()
    many, few = draw(key.n, 200), draw(key.n, 3)
    theirs = clock(lambda: [phe_key.raw_encrypt(value) for value in few.values]) / 3
    ours = clock(lambda: seal(many, key)) / 200
    owners = clock(lambda: secret.seal(many)) / 200
    sealed = seal(many, key)
    wire = sealed.to_wire()
    batch = clock(lambda: Sealed(sealed.ciphertexts, key)) / 200
    alone = clock(lambda: Sealed(sealed.ciphertexts[:1], key))
    return {
        "phe_encrypt_ms": theirs,
        "encrypt_ms": ours,
        "encrypt_ratio": theirs / ours,
        "encrypt_cell_ratio": SLOTS * theirs / ours,
        "owner_encrypt_ms": owners,
        "owner_encrypt_ratio": theirs / owners,
        "validation_ms": batch,
        "validation_share": batch / theirs,
        "validation_alone_ms": alone,
        "validation_alone_share": alone / theirs,
        "wire_validation_ms": clock(lambda: Sealed.from_wire(wire, key)) / 200,
    }


def decryption(secret: SecretKey) -> dict[str, float]:
    """One round of phe's and our decryption, ciphertext by ciphertext, then of the fault check over the whole batch."""
    key, phe_key = secret.public, secret._phe
    batch = seal(draw(key.n, BATCH), key).ciphertexts
    theirs = ours = 0.0
    values: list[int] = []

    def open_one(ciphertext: int) -> None:
        values.extend(secret._decrypt(secret._veil(Sealed((ciphertext,), key).ciphertexts)))

    for ciphertext in batch:
        theirs += clock(partial(phe_key.raw_decrypt, ciphertext))
        ours += clock(partial(open_one, ciphertext))
    fault_check = clock(lambda: secret._verify(batch, values))
    whole = clock(lambda: secret.open(Sealed(batch, key)))
    return {
        "phe_decrypt_ms": theirs / BATCH,
        "decrypt_ms": ours / BATCH,
        "decrypt_ratio": ours / theirs,
        "fault_check_ms": fault_check / BATCH,
        "fault_check_ratio": fault_check / theirs,
        "open_ratio": whole / theirs,
    }


def draw(n: int, count: int) -> Masked:
    """Values as masks leave them: uniform modulo n."""
    return Masked(tuple(randbelow(n) for _ in range(count)), n)


def clock(work: Callable[[], object]) -> float:
    """Milliseconds that ``work`` takes."""
    start = perf_counter()
    work()
    return (perf_counter() - start) * 1e3


def report(figures: dict[str, float]) -> None:
    goals = {
        "encrypt_ratio": ">= 60",
        "encrypt_cell_ratio": ">= 1500",
        "decrypt_ratio": "<= 1.5",
        "validation_share": "< 0.01",
    }
    for name in sorted(figures):
        sys.stderr.write(f"{name:26} {figures[name]:12.5f}  {goals.get(name, '')}\n")
    print(
        json.dumps(
            {"bits": BITS, "slots": SLOTS, "batch": BATCH, **{k: round(v, 6) for k, v in sorted(figures.items())}}
        )
    )


if __name__ == "__main__":
    main()

"""What one joint answer costs each side at 3072 bits: ``python -m benchmarks.session``.

Every step between the clipped cells and the opened totals, in the order in which nodes, exchange and analyst take them,
for 60, 1,000 and 5,000 cells and for 3 and 9 nodes. All times are seconds of processor time (all threads of the process),
the median over rounds, so that a busy machine changes little; a figure per node is the mean over the nodes. A table for
people goes to stderr, one JSON object to stdout.

OpenDP's start (once for each process) and the key's table (once for each key) come before and are reported apart. Reading rows and writing the journal are not part of it: ``benchmarks.end_to_end`` and
``benchmarks.journal`` measure them.
"""

import gc
import json
import sys
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from exchange.hub.fold import fold as fold_at_the_exchange
from privacy.expression import ByCategory, Value
from privacy.ledger import Caps, Receipt, Spent, charge
from privacy.masks import Context, Masked, Peer, mask
from privacy.noise import add_noise
from privacy.packing import layout_of, pack, unpack
from privacy.plan import CountRows, Plan, Sum
from privacy.seal import Sealed, fold, seal
from privacy.sensitivity import Clipped
from privacy.terms import NANO, Bounds
from privacy.unseal import SecretKey

CELLS = (60, 1_000, 5_000)
NODES = (3, 9)
ROUNDS = 3
GOAL = 3.0
"""Seconds of processor time that 5,000 cells may cost a node."""

T = TypeVar("T")
NODE_STEPS = ("noise", "pack", "mask", "seal", "write")


def main() -> None:
    gc.disable()
    secret = SecretKey.generate()
    small = plan_of(cells=2, nodes=1)
    started = process_time()
    add_noise(Clipped(small.hash, (0, 0)), small, receipt_of(small))
    opendp = process_time() - started
    started = process_time()
    seal(Masked((1,), secret.public.n), secret.public)
    table = process_time() - started
    measured = [session(secret, cells=cells, nodes=nodes) for cells in CELLS for nodes in NODES]
    report(measured, table=table, opendp=opendp)


def plan_of(*, cells: int, nodes: int) -> Plan:
    """A count and a sum over as many groups as it takes."""
    return Plan(
        standard="consumer_credit/1",
        standard_digest="a" * 64,
        purpose="credit-risk-statistics",
        parties=tuple(f"bank-{index}" for index in range(nodes)),
        rows_per_unit=3,
        institutions_per_unit=3,
        groups=groups_of(cells // 2),
        where=(),
        measures=(CountRows(), Sum(Value("balance"))),
        bounds=(("balance", Bounds(0, 10**8)),),
        rho=NANO // 100,
    )


def groups_of(count: int) -> tuple[ByCategory, ...]:
    """One grouping column, or two where one list would be too long."""
    if count <= 1_000:
        return (ByCategory("region", tuple(f"r{index}" for index in range(count))),)
    outer = tuple(f"c{index}" for index in range(count // 500))
    return (ByCategory("city", outer), ByCategory("region", tuple(f"r{index}" for index in range(500))))


def receipt_of(plan: Plan) -> Receipt:
    caps = Caps(everyone=NANO, partner=NANO, purposes={plan.purpose: NANO})
    return charge(plan, caps=caps, spent=Spent(), population="people", partner="lender")


def session(secret: SecretKey, *, cells: int, nodes: int) -> dict[str, Any]:
    """Run a whole answer ``ROUNDS`` times and return the median cost of each step."""
    rounds = [one_round(secret, cells=cells, nodes=nodes) for _ in range(ROUNDS)]
    costs = {step: median(told[step] for told in rounds) for step in rounds[0]}
    layout = layout_of(plan_of(cells=cells, nodes=nodes), modulus_bits=secret.public.bits)
    return {
        "cells": cells,
        "nodes": nodes,
        "plaintexts": layout.plaintexts,
        "bytes_sent_per_node": layout.plaintexts * secret.public.ciphertext_bytes * 4 // 3,
        "node_s": sum(costs[step] for step in NODE_STEPS),
        "exchange_s": costs["check"] + costs["fold"],
        "analyst_s": costs["recompute"] + costs["unseal"] + costs["unpack"],
        "steps_s": costs,
    }


def one_round(secret: SecretKey, *, cells: int, nodes: int) -> dict[str, float]:
    plan = plan_of(cells=cells, nodes=nodes)
    public = secret.public
    costs: dict[str, float] = {}
    agreed = {party: X25519PrivateKey.generate() for party in plan.parties}
    peers = {
        party: Peer(share.public_key().public_bytes_raw(), bytes([index] * 32))
        for index, (party, share) in enumerate(agreed.items())
    }
    context = Context(session="5" * 64, plan_hash=plan.hash, roster_hash="6" * 64, key_fingerprint=public.fingerprint)
    clipped = Clipped(plan.hash, tuple(range(cells)))
    receipt = receipt_of(plan)
    layout = layout_of(plan, modulus_bits=public.bits)
    wires: list[list[str]] = []
    expected = [0] * cells
    for party in plan.parties:
        noised = timed(costs, "noise", lambda: add_noise(clipped, plan, receipt))
        packed = timed(costs, "pack", lambda noised=noised: pack(noised, layout))  # type: ignore[misc]
        others = {name: peer for name, peer in peers.items() if name != party}
        masked = timed(
            costs,
            "mask",
            lambda party=party, packed=packed, others=others: mask(  # type: ignore[misc]
                packed,
                me=party,
                secret=agreed[party],
                nonce=peers[party].nonce,
                peers=others,
                context=context,
                modulus=public.n,
            ),
        )
        sealed = timed(costs, "seal", lambda masked=masked: seal(masked, public))  # type: ignore[misc]
        wires.append(timed(costs, "write", sealed.to_wire))
        expected = [total + value for total, value in zip(expected, noised.values, strict=True)]
    for step in NODE_STEPS:
        costs[step] /= nodes
    for wire in wires:
        timed(costs, "check", lambda wire=wire: Sealed.from_wire(wire, public))  # type: ignore[misc]
    product = timed(costs, "fold", lambda: fold_at_the_exchange(wires, public))
    again = timed(costs, "recompute", lambda: fold([Sealed.from_wire(wire, public) for wire in wires]))
    assert again.to_wire() == product
    opened = timed(costs, "unseal", lambda: secret.open(again))
    totals = timed(costs, "unpack", lambda: unpack(opened, layout))
    assert list(totals) == expected
    return costs


def timed(costs: dict[str, float], step: str, work: Callable[[], T]) -> T:
    """Do ``work`` and add the processor time that it took to ``step``."""
    started = process_time()
    result = work()
    costs[step] = costs.get(step, 0.0) + process_time() - started
    return result


def report(measured: list[dict[str, Any]], *, table: float, opendp: float) -> None:
    steps = list(measured[0]["steps_s"])
    sys.stderr.write("seconds of processor time; node steps per node\n")
    sys.stderr.write(f"{'cells':>6}{'nodes':>6}{'node':>8}{'exch.':>8}{'analyst':>9} |")
    sys.stderr.write("".join(f"{step:>10}" for step in steps) + "\n")
    for row in measured:
        sys.stderr.write(f"{row['cells']:>6}{row['nodes']:>6}{row['node_s']:>8.3f}{row['exchange_s']:>8.3f}")
        sys.stderr.write(f"{row['analyst_s']:>9.3f} |" + "".join(f"{row['steps_s'][s]:>10.4f}" for s in steps) + "\n")
    worst = max(row["node_s"] for row in measured if row["cells"] == CELLS[-1])
    sys.stderr.write(f"5,000 cells cost a node at most {worst:.3f} s (goal: below {GOAL:g} s)\n")
    told = {
        "bits": 3072,
        "rounds": ROUNDS,
        "key_table_s": table,
        "opendp_start_s": opendp,
        "node_5000_cells_s": worst,
        "goal_met": worst < GOAL,
        "sessions": measured,
    }
    print(json.dumps(rounded(told)))


def rounded(value: Any) -> Any:
    """Round every float in a JSON value to a microsecond."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()

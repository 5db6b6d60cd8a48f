"""One answer that was charged, in words: the statement that asks it, what it told and how exactly."""

from contextlib import suppress
from functools import lru_cache
from math import sqrt
from typing import Any

from api.console.node.place import NodePlace
from exchange.protocol.errors import Unknown
from exchange.protocol.messages import Ask, unverified
from exchange.standards import shipped
from privacy.plan import CountFilled, CountValid, Plan
from privacy.sensitivity import calibrate, weight
from privacy.terms import Standard

DEVIATIONS = 1.96
"""Standard deviations on each side of a 95 % interval."""


@lru_cache(maxsize=1_024)
def _told(plan: Plan, standard: Standard) -> tuple[str, tuple[tuple[str, str, int | None], ...]]:
    """Return the statement that shows all of a plan's answer, and each figure with its half-width and the rows it supposes."""
    # the reader of SQL takes half a second to load: who never looks here does not wait for it
    from exchange.analyst import accuracy, consequence  # noqa: PLC0415
    from exchange.analyst.tables import figures  # noqa: PLC0415

    question = consequence.shown(plan, standard)
    found: list[tuple[str, str, int | None]] = []
    if question.shown:
        expected = accuracy.worst(figures(question, accuracy.assumed(plan, standard, rows=consequence.ROWS)))
        depending = accuracy.depending(question, standard, figures)
        for output in question.shown:
            half = expected.get(output.name)
            shown = "" if half is None else f"{half:.4g}"
            found.append((output.name, shown, consequence.ROWS if output.name in depending else None))
    for scale in calibrate(plan):
        if isinstance(scale.measure, CountFilled | CountValid):
            half = DEVIATIONS * sqrt(len(plan.parties)) * float(scale.sigma) * scale.grain / weight(plan, scale.measure)
            found.append((scale.measure.key, f"{half:.4g}", None))
    return consequence.statement(plan, standard), tuple(found)


def plan_of(place: NodePlace, session: str) -> tuple[Plan, Ask]:
    """Return the plan of a session that this node has judged, and all that its asker has signed.

    Raises:
        Unknown: if the node knows of none.
    """
    standing = place.vault.standing(session)
    if standing is None:
        raise Unknown("session")
    ask = unverified(standing.ask, Ask)  # it was verified before it was recorded
    return Plan.from_json(ask.plan), ask


def standard_of(place: NodePlace, plan: Plan) -> Standard | None:
    """Return the standard of a plan as it was pinned in it, if it is at hand: of a dataset held here, or one that ships."""
    held = [dataset.standard for dataset in place.vault.datasets()]
    with suppress(Unknown):
        held.append(shipped(plan.standard))
    return next((one for one in held if (one.id, one.digest) == (plan.standard, plan.standard_digest)), None)


def described(place: NodePlace, session: str) -> dict[str, Any]:
    """Return what a session's question was: statement, figures with errors, groups, parties, days that the answer is kept."""
    plan, ask = plan_of(place, session)
    standard = standard_of(place, plan)
    statement, figures = ("", ()) if standard is None else _told(plan, standard)
    return {
        "statement": statement,
        "figures": [{"name": name, "half": half, "rows": rows} for name, half, rows in figures],
        "groups": plan.groups_count if plan.groups else 0,
        "parties": list(plan.parties),
        "standard": plan.standard,
        "purpose": plan.purpose,
        "keeps": ask.keeps,
    }

"""Minimum necessity: a request gets what its purpose needs and no more.

A plan is a set of **atoms** (column, use), cuts on a grid and a few scalars. Layers must each cover it: the registry's
template of the purpose, the classification floor, and one grant of each owner's policy; a prohibition overrides every
grant; silence and unknown terms deny. A refusal names every offending item and the nearest request that would pass. The
exchange and every node run this same function on the same documents; a node's own answer is the one that counts for its rows.
Source: PROOFS 8.1, 8.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from privacy.approval import Approval
from privacy.atoms import ROWS
from privacy.floor import least_group
from privacy.nearest import nearest
from privacy.offences import APPROVAL, Judged, Request, Violation, of_everybody, of_policy
from privacy.plan import Plan
from privacy.policy import Grant, Policy
from privacy.terms import Standard


class Outcome(StrEnum):
    """What becomes of a request: answered; refused with a smaller one that passes, or without; waiting for a person."""

    ALLOW = "allow"
    TRIM = "trim"
    REFUSE = "refuse"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome for one request: allowed when nothing is violated.

    Else ``nearest`` is the plan of the nearest request that passes, if there is one, and ``keeps`` the days that it keeps
    its result. ``grants`` are those that cover the request, or come nearest to it: one of each policy, in their order.
    """

    violations: tuple[Violation, ...]
    nearest: Plan | None = None
    keeps: int | None = None
    grants: tuple[Grant, ...] = field(default=(), compare=False)

    @property
    def allowed(self) -> bool:
        """Whether the request passes every layer."""
        return not self.violations

    @property
    def outcome(self) -> Outcome:
        """What becomes of the request."""
        if self.allowed:
            return Outcome.ALLOW
        if all(violation.item == APPROVAL for violation in self.violations):
            return Outcome.ESCALATE
        return Outcome.REFUSE if self.nearest is None else Outcome.TRIM


def decide(
    request: Request, *, standard: Standard, policies: Iterable[Policy], approvals: Iterable[Approval] | None = ()
) -> Decision:
    """Judge a request against the floor, the purpose and each policy; all violations are named.

    ``approvals`` are those of the owner whose policy is judged, verified by the caller; ``None`` leaves approval to the
    owners' nodes. A policy that is missing for a party of the plan is the caller's to refuse; an empty ``policies`` refuses.
    """
    held, given = list(policies), None if approvals is None else tuple(approvals)
    violations, judged = _violations(request, standard=standard, policies=held, approvals=given)
    grants = tuple(one.grant for one in judged if one.grant is not None)
    if not violations:
        return Decision((), grants=grants)
    told = tuple(sorted(violations))
    pairs = [(one.policy, one.grant) for one in judged if one.grant is not None]
    found = nearest(request, standard=standard, covering=pairs) if len(pairs) == len(held) else None
    if found is None or found == request:
        return Decision(told, grants=grants)
    # whether a person approves what is left is for that person to say
    left, _ = _violations(found, standard=standard, policies=held, approvals=None)
    return Decision(told, grants=grants) if left else Decision(told, found.plan, found.keeps, grants)


def _violations(
    request: Request, *, standard: Standard, policies: list[Policy], approvals: tuple[Approval, ...] | None
) -> tuple[set[Violation], list[Judged]]:
    found = set(of_everybody(request, standard))
    if not policies:
        why, fix = "no owner has published a policy", "ask an owner to publish one"
        found.add(Violation("policy", "policy", "published policy", why, fix))
    judged = [of_policy(request, policy, standard=standard, approvals=approvals) for policy in policies]
    return found.union(*(one.violations for one in judged)), judged


def shown_from(plan: Plan, *, standard: Standard, grant: Grant) -> int:
    """Return the least noisy count of a group worth showing: the owner's, or the floor's for the columns if that is more."""
    used = [column for column in standard.columns if column.name in plan.columns and column.name != ROWS]
    return max(grant.min_group, least_group(used))

"""Policies read before anything is asked: who may do what for which purpose, and what is wrong with a policy."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from privacy import canonical
from privacy.approval import Manner
from privacy.atoms import ROWS, USES, Atom
from privacy.floor import least_group
from privacy.grain import PERIODS
from privacy.offences import of_atom
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES, ROLES, Template
from privacy.recipients import ANYBODY, ROLE
from privacy.terms import Column, Kind, Standard

STRANGER = "anybody-else"


@dataclass(frozen=True, slots=True, order=True)
class Person:
    """A party that may ask, with the role that it is known in."""

    party: str
    role: str

    def __str__(self) -> str:
        return f"{self.party} ({self.role})"


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether one use of one column is open to a party for a purpose, and if not, why not."""

    who: Person
    purpose: str
    atom: Atom
    reasons: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """Whether nothing is against it."""
        return not self.reasons


def persons(policies: Iterable[Policy]) -> list[Person]:
    """Return everybody whom policies tell apart: each party that they name and one that they do not, in every role."""
    listed = [one for policy in policies for grant in policy.grants for one in grant.recipients]
    listed += [one.recipient for policy in policies for one in policy.prohibitions]
    names = sorted({one for one in listed if one != ANYBODY and not one.startswith(ROLE)})
    return [Person(name, role) for name in (*names, STRANGER) for role in ROLES]


def permissions(
    policies: Sequence[Policy], standard: Standard, who: Iterable[Person], *, on: date
) -> Iterator[Permission]:
    """Yield for each party, purpose, column and use whether all policies open it on a day."""
    columns = {column.name: column for column in standard.columns}
    every = [Atom(ROWS, "count"), *(Atom(name, use) for name in columns for use in USES)]
    for person in who:
        for purpose, template in PURPOSES.items():
            barred = template.roles and person.role not in template.roles
            for atom in every:
                reasons = [f"only a {' or '.join(template.roles)} may declare this purpose"] if barred else []
                reasons += [offence.why for offence in of_atom(atom, columns, template)]
                reasons += [why for policy in policies for why in _closed(policy, person, purpose, atom, on)]
                yield Permission(person, purpose, atom, tuple(dict.fromkeys(reasons)))


def _closed(policy: Policy, who: Person, purpose: str, atom: Atom, on: date) -> Iterator[str]:
    admitted = [grant for grant in policy.granted(purpose) if grant.admits(who.party, who.role)]
    if any(one.forbids(atom, purpose=purpose, asker=who.party, role=who.role) for one in policy.prohibitions):
        yield f"{policy.id} prohibits it"
    elif not admitted:
        yield f"{policy.id} grants nothing for this purpose"
    elif not any(grant.opens(atom) for grant in admitted):
        yield f"{policy.id} does not grant it"
    elif not any(grant.opens(atom) and grant.holds_on(on) for grant in admitted):
        yield f"{policy.id} grants it on other days"


def institutions(count: int) -> str:
    """Return a number of institutions in words."""
    return f"{count} institution{'' if count == 1 else 's'}"


def conditions(grant: Grant, standard: Standard) -> Iterator[str]:
    """Yield the conditions of a grant as sentences."""
    template = PURPOSES[grant.purpose]
    used = [column for column in standard.columns if any(grant.opens(Atom(column.name, use)) for use in USES)]
    shown = max([grant.min_group, least_group(column for column in used if column.kind is not Kind.IDENTIFIER)])
    yield f"joined by at least {institutions(max(grant.min_parties, template.min_parties))} besides the asker"
    raised = "" if shown == grant.min_group else f", from {shown} where the most sensitive column is used"
    yield f"groups shown from {grant.min_group} rows on{raised}"
    yield f"at most {grant.rho_per_query / 1e9:g} rho a question, {grant.budget / 1e9:g} for the purpose in all"
    yield f"kept for at most {min(template.keeps, grant.keeps if grant.keeps is not None else template.keeps)} days"
    if grant.shared_from is not None:
        yield f"noise may be shared if it withstands {institutions(grant.shared_from)} in collusion"
    for name, grain in grant.grain.items():
        yield f"{name} is cut {f'by the {grain}' if isinstance(grain, str) else f'at multiples of {grain} units'}"
    yield from (f"{name} named as {', '.join(labels)} alone" for name, labels in grant.domains.items())
    yield from (f"only rows where {test}" for test in grant.rows)
    for name, half in grant.finest.items():
        yield f"{'counts' if name == ROWS else f'sums of {name}'} told to ± {half} at 95 % at most"
    if grant.max_cells is not None:
        yield f"at most {grant.max_cells} cells an answer"
    if grant.valid is not None:
        yield f"from {grant.valid[0]} until, without, {grant.valid[1]}"
    if grant.consent.manner is not Manner.AUTOMATIC:
        often = "each question" if grant.consent.manner is Manner.ONCE else "such questions"
        yield f"{grant.consent.persons} of the owner's officers approve {often}, for {grant.consent.days} days at most"


def findings(policy: Policy, standard: Standard) -> Iterator[str]:
    """Yield what a data office should look at again: what is granted in vain, twice, or beyond what budgets bear."""
    columns = {column.name: column for column in standard.columns}
    if policy.standard != standard.id:
        yield f"the policy is for {policy.standard}, not for {standard.id}"
    for name in sorted((policy.columns | {one.column for one in policy.prohibitions}) - set(columns) - {ROWS}):
        yield f"unknown column {name}"
    for grant in policy.grants:
        yield from (f"{grant.purpose}: {text}" for text in _in_vain(grant, policy, columns))
    spread = {grant.purpose: grant.budget for grant in policy.grants}
    if sum(spread.values()) > policy.everyone:
        yield (
            f"the purposes' budgets add up to {sum(spread.values()) / 1e9:g} rho, "
            f"the population's cap is {policy.everyone / 1e9:g}: who asks last may find nothing left"
        )
    yield from _of_step_in(policy)
    yield from _twice(policy)


def _of_step_in(policy: Policy) -> Iterator[str]:
    """Yield where a step-in would have no effect, or the reserve could not be spent."""
    declared = None if policy.pledging is None else policy.pledging.step_in
    if declared is None:
        return
    granted = policy.granted(declared.purpose)
    if not granted:
        yield f"a step-in is declared for {declared.purpose} in vain: nothing is granted for it"
    room = min([policy.everyone, policy.partner, *(grant.budget for grant in granted)])
    if declared.reserve > room:
        yield f"a reserve of up to {declared.reserve / 1e9:g} rho is declared, one party may spend {room / 1e9:g}"


def _in_vain(grant: Grant, policy: Policy, columns: dict[str, Column]) -> Iterator[str]:
    template = PURPOSES[grant.purpose]
    granted = (
        Atom(name, use) for name, uses in grant.columns.items() for use in uses if name == ROWS or name in columns
    )
    for atom in granted:
        yield from (f"{atom} is granted in vain: {offence.why}" for offence in of_atom(atom, columns, template))
        if grant.recipients and all(_is_struck(atom, one, grant, policy) for one in grant.recipients):
            yield f"{atom} is granted in vain: the policy prohibits it"
    yield from _wider(grant, template)
    floor = least_group(columns[name] for name in grant.columns if name in columns)
    if grant.min_group < floor:
        yield f"groups from {grant.min_group} rows on are granted, the levels of its columns show them from {floor} on"
    if grant.rho_per_query > min(grant.budget, policy.partner, policy.everyone):
        yield "one question may cost more than a budget holds"


def _is_struck(atom: Atom, recipient: str, grant: Grant, policy: Policy) -> bool:
    """Whether prohibitions take a use from every party that a recipient of a grant stands for."""
    is_role = recipient.startswith(ROLE)
    # no role at all, for a name or everybody: what strikes some of their roles leaves the others
    asker, role = (STRANGER, recipient.removeprefix(ROLE)) if is_role else (recipient, "")
    return any(one.forbids(atom, purpose=grant.purpose, asker=asker, role=role) for one in policy.prohibitions)


def _wider(grant: Grant, template: Template) -> Iterator[str]:
    """Yield where a grant goes beyond what its purpose needs."""
    for one in grant.recipients:
        if template.roles and one.startswith(ROLE) and one.removeprefix(ROLE) not in template.roles:
            yield f"{one} is a recipient in vain: only a {' or '.join(template.roles)} may declare this purpose"
    if grant.keeps is not None and grant.keeps > template.keeps:
        yield f"results may be kept for {grant.keeps} days, the purpose needs {template.keeps} at most"
    for name, grain in grant.grain.items():
        if isinstance(grain, str) and PERIODS.index(grain) > PERIODS.index(template.part):
            yield f"the grain {grain} of {name} is finer than the purpose needs, the {template.part}"


def _twice(policy: Policy) -> Iterator[str]:
    """Yield the grants that another grant of the purpose holds in whole."""
    told = {}
    for grant in policy.grants:
        alone = canonical.encode(replace(grant, recipients=()).to_json())
        if alone in told:
            yield f"{grant.purpose}: two grants differ in their recipients alone: write them as one"
        told[alone] = grant

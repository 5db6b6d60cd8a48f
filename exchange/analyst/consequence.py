"""What an owner gives away by approving a request, in one sentence: made from the plan, the standard and the owner's policy.

Nothing that the asker has written goes into it: the plan is what would be answered, and says all that could be learned.
"""

from collections.abc import Iterator
from itertools import combinations

from exchange.analyst import accuracy
from exchange.analyst.narrowing import within
from exchange.analyst.question import Aggregate, Output, Question, default_name
from exchange.analyst.spelling import spell, spell_dimension, spell_term, spell_test
from exchange.analyst.tables import figures
from privacy.approval import Consent, Manner
from privacy.expression import Value
from privacy.necessity import Outcome, decide
from privacy.offences import APPROVAL, Request
from privacy.plan import CountFilled, CountValid, Plan
from privacy.policy import Policy
from privacy.terms import NANO, Standard

ROWS = 100_000
"""Rows that a group is taken to have where an error depends on them."""

_WORDS = {
    "ROWS": "the number of rows",
    "UNITS": "the number of people",
    "KNOWN": "the number of known values of",
    "COUNT": "the number of values of",
    "SUM": "the sum of",
    "AVG": "the average of",
    "STDDEV_SAMP": "the standard deviation of",
    "CORR": "the correlation of",
    "HISTOGRAM": "the histogram of",
}


def statement(plan: Plan, standard: Standard) -> str:
    """Return a statement that shows everything that a plan's answer tells; empty if the language has none."""
    question = shown(plan, standard)
    return spell(question, standard) if question.shown else ""


def shown(plan: Plan, standard: Standard) -> Question:
    """Return the question that shows everything that a plan's answer tells: in figures that people know, where it makes some."""
    columns = [Value(column) for column in plan.clipped]
    known = [Aggregate(name, (column,)) for name in ("AVG", "STDDEV_SAMP") for column in columns]
    known += [Aggregate("CORR", pair) for pair in combinations(columns, 2)]
    outputs = tuple(Output(default_name(of), of) for of in known)
    return within(Question(plan=plan, standard=standard, outputs=outputs), plan)


def consequence(request: Request, *, standing: bool, standard: Standard, policy: Policy | None) -> str:
    """Return what an owner with this ``policy`` in force gives away by an approval, as a sentence."""
    plan = request.plan
    question = shown(plan, standard)
    learned = [*_learned(question), *_quality(plan)]
    parts = [f"{request.asker} learns for {plan.purpose} {_listed(learned)}"]
    if plan.groups:
        by = _listed([spell_dimension(question, one) for one in plan.groups])
        parts.append(f"by {by} ({plan.groups_count} groups)")
    if plan.where:
        parts.append(f"where {' and '.join(spell_test(question, test) for test in plan.where)}")
    sentence = " ".join(parts)
    told = [f"jointly over {_listed(list(plan.parties))}" if len(plan.parties) > 1 else "of this institution alone"]
    told.append(f"uses {len(plan.columns)} of {len(standard.columns)} columns")
    decision = decide(request, standard=standard, policies=[] if policy is None else [policy])
    told += [f"costs {plan.rho / NANO:g} of {grant.budget / NANO:g} rho for this purpose" for grant in decision.grants]
    match decision.outcome:
        case Outcome.ESCALATE:
            told.append(_manner(decision.grants[0].consent, standing=standing))
        case Outcome.ALLOW:
            told.append("the grant asks for no approval")
        case _:
            items = _listed(sorted({violation.item for violation in decision.violations} - {APPROVAL}))
            told.append(f"an approval would count for nothing, since the policy in force does not cover {items}")
    return f"{sentence}; {'; '.join(told)}."


def _learned(question: Question) -> Iterator[str]:
    """Yield each figure with the half-width of its 95 % interval in the worst group."""
    plan, standard = question.plan, question.standard
    if not question.shown:
        return
    expected = accuracy.worst(figures(question, accuracy.assumed(plan, standard, rows=ROWS)))
    depending = accuracy.depending(question, standard, figures)
    for output in question.shown:
        half = expected.get(output.name)
        error = "with an unknown error" if half is None else f"to ±{half:,.4g}{_unit(output, standard)}"
        sized = f" in groups of {ROWS:,} rows" if output.name in depending else ""
        yield f"{_named(output, question)} {error}{sized}"


def _quality(plan: Plan) -> Iterator[str]:
    filled = sum(isinstance(measure, CountFilled) for measure in plan.measures)
    valid = sum(isinstance(measure, CountValid) for measure in plan.measures)
    if filled:
        yield f"how many values of {filled} columns are there"
    if valid:
        yield f"how many values of {valid} columns are valid"


def _named(output: Output, question: Question) -> str:
    of = output.of
    if not isinstance(of, Aggregate):
        return output.name
    about = of.column or (of.band.column if of.band is not None else "")
    about = about or " and ".join(spell_term(question, term) for term in of.terms)
    where = "" if of.where is None else f" where {spell_test(question, of.where)}"
    return f"{_WORDS.get(of.name, of.name)} {about}".strip() + where


def _unit(output: Output, standard: Standard) -> str:
    match output.of:
        case Aggregate("SUM" | "AVG" | "STDDEV_SAMP", terms=(Value(column),)):
            unit = standard.column(column).unit
            return f" {unit}" if unit else ""
        case _:
            return ""


def _manner(consent: Consent, *, standing: bool) -> str:
    if standing and consent.manner is Manner.ONCE:
        return "the grant is approved request by request: a standing approval would count for nothing"
    covers = "every later question that needs no more, at no higher price" if standing else "this question alone"
    persons = "one officer approves" if consent.persons == 1 else f"{consent.persons} different officers approve"
    return f"{persons} {covers}, for {consent.days} days at most"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "nothing"

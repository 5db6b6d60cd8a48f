"""Steps of a pledge on the command line: what lenders, their officers and owners sign.

Any enrolled party's home will do, a desk's, an officer's or a node's, even while it runs: only its name and key are read.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.homes import Address, document

if TYPE_CHECKING:
    from exchange.analyst.pledging import Pledges

Home = Annotated[Path, typer.Argument(help="Home of the party that signs: a desk, an officer or a node.")]
Name = Annotated[str, typer.Argument(metavar="ID", help="Id of the pledge, or its beginning.")]
Yuan = Annotated[str, typer.Option(help="Yuan, with up to two decimals: 1250000.50")]
Evidence = Annotated[Path, typer.Option(help="File that it rests on; its SHA-256 goes on record, it stays here.")]


def offer(
    home: Home,
    asset: Annotated[str, typer.Argument(help="The dataset as owner/name.")],
    *,
    report: Annotated[Path, typer.Option(help="The valuation report that the quote rests on.")],
    amount: Annotated[int, typer.Option(min=1, help="Loan in whole yuan, which is what the pledge secures.")],
    matures: Annotated[str, typer.Option(help="Day on which the loan ends, for example 2027-11-20.")],
    exchange: Address,
    rank: Annotated[int, typer.Option(min=1, max=9, help="Rank of the lien.")] = 1,
    forbid_juniors: Annotated[bool, typer.Option("--forbid-juniors", help="No later rank without your leave.")] = False,
    reserve: Annotated[
        str | None, typer.Option(help="Privacy budget (rho) that the owner's node keeps back for a step-in: 0.05")
    ] = None,
    operator: Annotated[list[str] | None, typer.Option(help="Who may step in; may be repeated.")] = None,
    purpose: Annotated[str, typer.Option(help="What a step-in is for, as the owner's policy declares it.")] = "",
    exclusive: Annotated[bool, typer.Option("--exclusive", help="Nobody else is answered after a step-in.")] = False,
) -> None:
    """Offer a loan against an asset as its lender; prints its id. Two of your officers approve it next."""
    from exchange.protocol.messages import Appraisal, Offer  # noqa: PLC0415

    terms = step_in_terms(reserve, operator or [], purpose=purpose, exclusive=exclusive)
    digest, releases = _report(report)
    with opened(home, exchange) as pledges:
        appraisal = pledges.record(stated(Appraisal, asset=asset, report=digest, releases=releases))
        told = {"asset": asset, "rank": rank, "amount": amount, "matures": matures, "appraisal": appraisal}
        typer.echo(pledges.quote(stated(Offer, **told, **terms, nonce=nonce(), forbids_juniors=forbid_juniors)))


def officers(
    home: Home,
    named: Annotated[list[str], typer.Argument(metavar="OFFICER...", help="All of them.")],
    *,
    exchange: Address,
) -> None:
    """Name the officers who approve your quotes, in place of any named before."""
    with opened(home, exchange) as pledges:
        pledges.name_officers(*named)
    typer.echo(f"officers: {', '.join(named)}")


def approve(home: Home, name: Name, *, exchange: Address) -> None:
    """Approve a quote as an officer of its lender; two must."""
    _act(home, exchange, name, lambda pledges, id_: pledges.approve(id_))


def refuse(
    home: Home, name: Name, *, because: Annotated[str, typer.Option(help="The reason, in one line.")], exchange: Address
) -> None:
    """Refuse a quote as an officer of its lender."""
    from exchange.protocol.agreement import Endorsement  # noqa: PLC0415

    _send(home, exchange, name, Endorsement, act="refuse", because=because)


def sign(home: Home, name: Name, *, exchange: Address) -> None:
    """Sign an approved quote as its lender; the owner's node answers by its policy."""
    _act(home, exchange, name, lambda pledges, id_: pledges.sign(id_))


def register(
    home: Home,
    name: Name,
    *,
    exchange: Address,
    expires: Annotated[str | None, typer.Option(help="Last day of the registration; the loan's if not told.")] = None,
) -> None:
    """Have a pledge registered that both parties have signed: from then on it is a live lien."""
    _act(home, exchange, name, lambda pledges, id_: pledges.file(id_, expires=expires))


def draw(home: Home, name: Name, *, amount: Yuan, exchange: Address) -> None:
    """Tell as the lender that the loan is paid out."""
    from exchange.protocol.agreement import Drawdown  # noqa: PLC0415

    _send(home, exchange, name, Drawdown, amount=cents(amount))


def pay(home: Home, name: Name, *, amount: Yuan, exchange: Address) -> None:
    """Tell as the lender that a payment has come in."""
    from exchange.protocol.agreement import Payment  # noqa: PLC0415

    _send(home, exchange, name, Payment, amount=cents(amount), nonce=nonce())


def notice(
    home: Home,
    name: Name,
    level: Annotated[str, typer.Argument(help="warning, margin_call, cured or lifted")],
    *,
    evidence: Evidence,
    exchange: Address,
    cure_by: Annotated[str | None, typer.Option(help="Last day to cure; of a margin call only.")] = None,
) -> None:
    """Give notice as the lender of how the cover stands."""
    from exchange.protocol.agreement import Level, Notice  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415

    if level not in set(Level):
        raise Malformed("there is no such notice", fix=f"one of {', '.join(Level)}")
    if (cure_by is None) is (level == Level.MARGIN_CALL):
        raise Malformed("a margin call, and nothing else, has a last day to cure", fix="give it with --cure-by")
    told = {"level": Level(level), "evidence": _digest(evidence), "cure_by": cure_by, "nonce": nonce()}
    _send(home, exchange, name, Notice, **told)


def step_in(
    home: Home,
    name: Name,
    *,
    operator: Annotated[str, typer.Option(help="Who has the asset's fees and grants from now on.")],
    evidence: Evidence,
    exchange: Address,
) -> None:
    """Step in as the lender after a margin call that was not cured. No data moves."""
    from exchange.protocol.agreement import StepIn  # noqa: PLC0415

    _titled(home, exchange, name, StepIn, operator=operator, evidence=_digest(evidence))


def realise(
    home: Home,
    name: Name,
    *,
    proceeds: Yuan,
    costs: Yuan,
    successor: Annotated[str, typer.Option(help="Who has the asset's fees and grants now; the owner, perhaps.")],
    evidence: Evidence,
    exchange: Address,
    unregistered: Annotated[
        list[str] | None, typer.Option(help="A creditor without a lien, as NAME=YUAN; may be repeated.")
    ] = None,
) -> None:
    """Tell as the lender that the asset was realised, and print who gets what: costs, ranks, the others, the owner."""
    from exchange.protocol.agreement import Creditor, Realisation  # noqa: PLC0415

    others = [one.rpartition("=") for one in unregistered or []]
    told = {
        "proceeds": cents(proceeds),
        "costs": cents(costs),
        "unregistered": tuple(stated(Creditor, name=who, amount=cents(due)) for who, _, due in others),
        "successor": successor,
        "evidence": _digest(evidence),
    }
    with opened(home, exchange) as pledges:
        id_ = pledges.find(name)
        made, _ = pledges.show(id_)
        done = pledges.send(stated(Realisation, offer=id_, asset=made.asset, title=made.title, **told))
    for line in payouts(done["steps"][-1]["paid"]):
        typer.echo(line)


def release(
    home: Home,
    name: Name,
    *,
    exchange: Address,
    amount: Annotated[str | None, typer.Option(help="Release so much only, in yuan.")] = None,
    reserve: Annotated[str | None, typer.Option(help="Let so much of the reserve go with it (rho).")] = None,
) -> None:
    """Let go of a pledge as its lender; of a part of it with --amount, which an owner may as long as the claim stays covered."""
    from exchange.protocol.agreement import PartialRelease, Release  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415

    if amount is None and reserve is not None:
        raise Malformed("a part of the reserve goes with a part of the pledge", fix="say which with --amount")
    if amount is None:
        _titled(home, exchange, name, Release)
    else:
        part = 0 if reserve is None else nano(reserve)
        _titled(home, exchange, name, PartialRelease, amount=cents(amount), nonce=nonce(), reserve=part)


def assign(
    home: Home, name: Name, to: Annotated[str, typer.Argument(help="The new lender.")], *, exchange: Address
) -> None:
    """Assign a pledge with its claim to another lender, who accepts it with `accept`."""
    from exchange.protocol.agreement import Assignment  # noqa: PLC0415

    _titled(home, exchange, name, Assignment, to=to, nonce=nonce())


def accept(home: Home, name: Name, *, exchange: Address) -> None:
    """Take over a pledge that was assigned to you; its rank and position stay."""
    from exchange.protocol.agreement import Acceptance  # noqa: PLC0415
    from exchange.protocol.errors import Unknown  # noqa: PLC0415

    with opened(home, exchange) as pledges:
        id_ = pledges.find(name)
        made, _ = pledges.show(id_)
        if made.assigned is None:
            raise Unknown("assignment of this pledge")
        told = pledges.send(stated(Acceptance, offer=id_, title=made.title, assignment=made.assigned[0]))
    _tell(told)


def renew(
    home: Home, name: Name, *, expires: Annotated[str, typer.Option(help="New last day.")], exchange: Address
) -> None:
    """Prolong a registration within its last 90 days; rank and position stay."""
    from exchange.protocol.agreement import Renewal  # noqa: PLC0415

    with opened(home, exchange) as pledges:
        id_ = pledges.find(name)
        made, _ = pledges.show(id_)
        told = pledges.send(stated(Renewal, offer=id_, title=pledges.title(made.asset), expires=expires))
    _tell(told)


def let(
    home: Home, name: Name, other: Annotated[str, typer.Argument(help="Id of the other quote.")], *, exchange: Address
) -> None:
    """Let another pledge of the same asset be registered although yours forbids it or would be overtaken."""
    from exchange.protocol.agreement import Leave  # noqa: PLC0415

    _send(home, exchange, name, Leave, other=other)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "offer": offer, "officers": officers, "approve": approve, "refuse": refuse, "sign": sign, "register": register,
    "draw": draw, "pay": pay, "notice": notice, "step-in": step_in, "realise": realise, "release": release,
    "assign": assign, "accept": accept, "renew": renew, "let": let,
}  # fmt: skip


@contextmanager
def opened(home: Path, exchange: str) -> "Iterator[Pledges]":
    """Open the pledges of the party whose home this is."""
    from exchange import address, identity  # noqa: PLC0415
    from exchange.analyst.pledging import Pledges  # noqa: PLC0415

    party, key = identity.load(home, what="party")
    with address.line(home, exchange, party=party, key=key) as line:
        yield Pledges.under(line, key)


def _act(home: Path, exchange: str, name: str, act: "Callable[[Pledges, str], dict[str, Any]]") -> None:
    with opened(home, exchange) as pledges:
        told = act(pledges, pledges.find(name))
    _tell(told)


def _send(home: Path, exchange: str, name: str, message: Any, **told: Any) -> None:
    _act(home, exchange, name, lambda pledges, id_: pledges.send(stated(message, offer=id_, **told)))


def _titled(home: Path, exchange: str, name: str, message: Any, **told: Any) -> None:
    """Send a step that names the title to which the pledge is tied."""

    def act(pledges: "Pledges", id_: str) -> dict[str, Any]:
        made, _ = pledges.show(id_)
        return pledges.send(stated(message, offer=id_, title=made.title, **told))

    _act(home, exchange, name, act)


def stated(message: Any, **told: Any) -> Any:
    """Return a message of a pledge with what somebody told.

    Raises:
        Malformed: naming the parts that are not valid.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        return message(**told)
    except ValidationError as error:
        parts = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]} & set(message.model_fields))
        raise Malformed(
            f"not valid: {', '.join(parts) or 'parts that contradict each other'}",
            fix="days as 2027-11-20, names as enrolled, amounts above 0; see where the pledge stands",
        ) from None


def _tell(told: Mapping[str, Any]) -> None:
    typer.echo(f"{told['id'][:16]} is {told['state']}{', waits for the owner' if told['waiting_for'] else ''}")


def _report(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return a valuation report's digest, and those of the releases that it rests on."""
    from valuation.report import verify as verified  # noqa: PLC0415

    told = document(path)
    verified(told)
    return str(told["digest"]), tuple(told["releases"])


def _digest(path: Path) -> str:
    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise Malformed(f"{path.name} cannot be read", fix="check the path and the file") from None


def cents(text: str) -> int:
    """Read an amount in yuan, exactly.

    Raises:
        Malformed: if it is none, or has more than two decimals.
    """
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415

    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        made = Decimal(text) * 100
    except InvalidOperation:
        made = Decimal("NaN")
    if not made.is_finite() or made < 0 or made != int(made):
        raise Malformed("the amount is not one of yuan and cents", fix="write it as 1250000.50")
    return int(made)


def step_in_terms(reserve: str | None, operators: list[str], *, purpose: str, exclusive: bool) -> dict[str, Any]:
    """Return the terms of a step-in as a part of an offer, if there are any."""
    from exchange.protocol.messages import StepInTerms  # noqa: PLC0415
    from privacy.errors import Malformed  # noqa: PLC0415

    if reserve is None and not operators and not purpose and not exclusive:
        return {}
    if reserve is None or not operators or not purpose:
        raise Malformed(
            "a step-in needs a reserve, an operator and a purpose", fix="give --reserve, --operator and --purpose"
        )
    told = {"reserve": nano(reserve), "operators": tuple(operators), "purpose": purpose, "exclusive": exclusive}
    return {"step_in": stated(StepInTerms, **told)}


def nano(text: str) -> int:
    """Read a part of a privacy budget, in rho, as billionths of it.

    Raises:
        Malformed: if it is none.
    """
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415

    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        made = Decimal(text) * 10**9
    except InvalidOperation:
        made = Decimal("NaN")
    if not made.is_finite() or made <= 0 or made != int(made):
        raise Malformed("the reserve is not an amount of rho", fix="write it as 0.05, with nine decimals at most")
    return int(made)


def payouts(paid: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield who got what of the proceeds, a line each."""
    for one in paid:
        yield f"{one['as']:<13} {shown(one['paid']):>18} of {shown(one['due']):>18}  {one['name']}"


def shown(cents: int) -> str:
    """Write an amount of cents in yuan."""
    return f"{cents // 100:,}.{cents % 100:02d}"


def nonce() -> str:
    """Return a fresh nonce, so that the same words may be meant twice."""
    return secrets.token_hex(32)

"""The story that ``touchstone demo`` tells, step by step, on real processes; with ``check`` every step is verified.

What a step shows comes from the same calls that any party makes: nothing is prepared, nothing is skipped.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from math import sqrt
from pathlib import Path

from rich.console import Console
from rich.table import Table

from api.commands import asking
from api.demo import people, town
from api.demo.checking import check
from api.demo.granting import approve, request
from api.demo.lending import Valued, pledge, value
from api.demo.page import write_page
from api.demo.people import Institution
from api.demo.telling import Telling
from api.demo.truth import Truth
from exchange import connect
from exchange.analyst.client import Client
from exchange.analyst.desk import Desk
from exchange.analyst.result import Result
from exchange.hub.blindness import blind_check
from exchange.node.vault import Vault
from exchange.protocol.errors import Overreach, PeerFault, Taken
from privacy import canonical
from privacy.release import Release
from privacy.terms import NANO
from valuation.report import verify

PRICE = NANO // 10
"""What each institution charges for one joint question of the story, in 1e-9 rho."""

SUPERVISED = NANO // 20
"""What each charges for the supervisor's question."""

SIGMAS = 5
"""Standard errors within which every released value must lie; all of some sixty together do in 29,000 runs of 29,001."""


def tell(*, data: Path | None, check: bool, keep: Path | None, rows: int, console: bool) -> int:
    """Run the story and return the exit code: 0, or 1 if a check failed. With ``console``, hold open house until Ctrl-C.

    Raises:
        PeerFault: if ``keep`` names a directory that is not empty.
        Malformed: if ``data`` is not the credit-card file.
    """
    telling = Telling(Console(stderr=False, soft_wrap=True), check)
    try:
        failed = _tell(telling, data=data, keep=keep, rows=rows, console=console)
    except BaseException:
        if not telling.ending.code:
            raise
        telling.console.print("\ninterrupted; every process is stopped")
        return telling.ending.code
    return telling.ending.code or int(failed)


def _tell(telling: Telling, *, data: Path | None, keep: Path | None, rows: int, console: bool) -> bool:
    """Run every step; returns whether a check failed."""
    with _home(keep) as home:
        telling.step("1. Three institutions, each with its own table")
        institutions = people.synthesise(home, rows=rows) if data is None else people.split_cards(home, data)
        for one in institutions:
            where = Path(one.location.path).name
            telling.say(
                f"{one.party}: {one.rows:,} rows of {one.persons:,} people in {where}, which stays where it lies"
            )
        with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as running:
            _perform(telling, running, institutions, home=home, group="region" if data is None else "education")
        _ledgers(telling, institutions, home)
        _audited(telling, institutions, home)
        _blind(telling, home)
        path = write_page((keep or Path.cwd()) / ("summary.html" if keep else "touchstone-demo.html"), telling.page)
        telling.console.print(f"\nSummary page: [bold]{path}[/bold]", highlight=False)
        if telling.check:
            verdict = f"{telling.checked - len(telling.failures)} of {telling.checked} checks passed"
            telling.console.print(f"{verdict} in {time.monotonic() - telling.started:.0f} s", highlight=False)
        if console:
            _open_house(telling, institutions, home)
    return bool(telling.failures)


def _open_house(telling: Telling, institutions: list[Institution], home: Path) -> None:
    """Start everybody again with a console for each role, and hold them open until somebody wants to end."""
    telling.step("The consoles: open each link once; Ctrl-C stops everything")
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as running:
        url = running.start_exchange()
        for one in institutions:
            running.start_node(one.party, console=one is institutions[0])
        telling.say(f"{'a bank, at its node':<24} {running.open_console(institutions[0].party)}")
        for role, party in town.VISITORS.items():
            telling.say(f"{role:<24} {running.start_console(party)}")
        telling.say(f"{'the exchange itself':<24} touchstone console HOME --exchange {url} --at-exchange")
        telling.say("each begins with a tour: open the page Tour")
        while True:
            telling.ending.check()
            time.sleep(0.2)


def _perform(telling: Telling, running: town.Town, institutions: list[Institution], *, home: Path, group: str) -> None:
    telling.step("2. An exchange and three nodes, each a process of its own")
    running.settle()
    url = running.start_exchange()
    telling.say(f"exchange: process {running.running()['exchange']} at {url}, holds no rows and no secret key")
    for one in institutions:
        pid = running.start_node(one.party)
        telling.say(f"{one.party}: process {pid}, calls out, accepts no connection; dataset and policy are announced")
    telling.expect("four separate processes run", holds=len(set(running.running().values())) == 4)
    truth = Truth(institutions)
    telling.page |= {
        "institutions": [
            (one.party, f"{one.rows:,}", f"{one.persons:,}", Path(one.location.path).name) for one in institutions
        ],
        "group": group,
    }
    with connect(home / "lender-x", url) as client, connect(home / "lender-y", url) as rival:
        telling.say("lender-x has no data: it makes its Paillier key (3072 bits), which never leaves its desk")
        _ = client.desk.key
        _joint(telling, client, truth, group)
        _refused(telling, client, truth, group)
        _approved(telling, truth, group, home, url)
        valued = _valued(telling, client.desk, truth, institutions[0], home)
        _pledged(telling, client.desk, rival.desk, valued, institutions[0].party, home)
    truth.close()


def _joint(telling: Telling, client: Client, truth: Truth, group: str) -> None:
    sql = (
        f"SELECT {group}, COUNT(*), SUM(balance), AVG(balance) FROM consumer_credit "  # noqa: S608  parsed, never run
        f"WHERE product = 'card' GROUP BY {group}"
    )
    telling.step("3. lender-x asks all three at once, in SQL")
    telling.say(sql)
    telling.say("before anything is spent, every institution's own node tells what it would say:")
    looked = client.query(sql, purpose=town.PURPOSE, rows=10_000).preview(seconds=30)
    for line in looked.lines():
        telling.say(f"  {line}")
    telling.expect("the preview says that all would answer", holds=looked.allowed and all(looked.on_line.values()))
    result = _ask(telling, client, sql)
    telling.console.print(asking.table(result))
    receipt = result.receipt
    for party, charged in receipt["charged"].items():
        telling.say(f"{party} charged {charged / NANO:g} rho; {receipt['left'][party] / NANO:g} left for lender-x")
    for seen in receipt["seen_by"]:
        telling.say(f"privacy loss seen by {seen['who']}: epsilon {float(seen['epsilon']):.2f} at delta 1e-6")
    telling.say(f"receipt: session {receipt['session'][:16]}…, plan {receipt['plan_hash'][:16]}…")
    known = truth.by(group)
    for row in result.table.records():
        rows, present, total = known.get(str(row[group]), (0, 0, 0.0))
        average = total / present if present else 0.0
        for name, true in (("count", rows), ("sum_balance", total), ("avg_balance", average)):
            _near(telling, f"{name} of {row[group]}", row, name, true)
    exact = set(receipt["charged"].values()) == {PRICE}
    telling.expect(f"each institution charged exactly {PRICE / NANO:g} rho", holds=exact)
    again = _ask(telling, client, sql, fresh=True)
    same = again.table == result.table and not any(again.receipt["charged"].values())
    telling.say("the institutions asked again: the same figures, to the last digit, at no charge")
    telling.expect("the repeated question gave the same figures free of charge", holds=same)
    _rolled_up(telling, client, known)
    telling.page |= {"sql": sql, "answer": result, "receipt": receipt}


def _rolled_up(telling: Telling, client: Client, known: Mapping[str, tuple[int, int, float]]) -> None:
    """Ask for less than what is stored: nobody is asked and nothing is spent."""
    sql = "SELECT COUNT(*), AVG(balance) FROM consumer_credit WHERE product = 'card'"
    coarser = _ask(telling, client, sql)
    telling.say(f"{sql}: read off the stored answer, for nothing")
    telling.console.print(asking.table(coarser))
    telling.expect("a coarser question is answered from what is stored", holds=coarser.free)
    (row,) = coarser.table.records()
    _near(telling, "count of all cards", row, "count", sum(rows for rows, _, _ in known.values()))


def _refused(telling: Telling, client: Client, truth: Truth, group: str) -> None:
    sql = (
        f"SELECT {group}, COUNT(*), SUM(credit_limit) FROM consumer_credit "  # noqa: S608  parsed, never run
        f"WHERE product = 'card' GROUP BY {group}"
    )
    telling.step("4. A question that its purpose does not cover")
    telling.say(sql)
    inquiry = client.query(sql, purpose=town.PURPOSE, budget=PRICE / NANO, fresh=True)
    try:
        inquiry.run()
    except Overreach as refusal:
        items = sorted({(v.item, v.why) for v in refusal.violations})
        for item, why in items:
            telling.say(f"[red]refused[/red]: {item}: {why}")
        offer = inquiry.offer(refusal)
        telling.say(f"nearest request that passes: {offer}")
        named = {item.partition(" as ")[0] for item, _ in items}
        telling.expect("the refusal names the offending column and no other", holds=named == {"credit_limit"})
        telling.expect("the refusal offers a request that passes", holds=offer is not None)
        telling.page |= {"refused": sql, "violations": items, "offer": offer}
        if offer is not None:
            telling.say("accepted in one step:")
            result = _ask(telling, client, offer, fresh=True)
            telling.console.print(asking.table(result))
            known = truth.by(group)
            for row in result.table.records():
                _near(telling, f"count of {row[group]}", row, "count", known.get(str(row[group]), (0, 0, 0))[0])
        return
    telling.expect("the question is refused", holds=False)


def _approved(telling: Telling, truth: Truth, group: str, home: Path, url: str) -> None:
    """The supervisor's question waits for the officers of its owners, and is answered once each has approved it."""
    sql = (
        f"SELECT {group}, COUNT(*), AVG(months_overdue) FROM consumer_credit "  # noqa: S608  parsed, never run
        f"WHERE product = 'card' GROUP BY {group}"
    )
    telling.step("5. A question that a person must see first")
    telling.say(f"the supervisor asks: {sql}")
    with connect(home / town.AUTHORITY[0], url) as client:
        question = client.query(sql, purpose=town.SUPERVISION, budget=SUPERVISED / NANO, fresh=True)
        early = question.preview(seconds=30)
        for line in early.refusals:
            telling.say(f"[red]not yet[/red]: {line}")
        telling.expect("no node answers before its officer has approved", holds=not early.allowed and not early.nearest)
        name = request(client.desk, question.plan())
        approvals = list(approve(name, home=home, url=url))
        telling.say(
            f"request {name[:16]}… waits in the inbox of {', '.join(one.officer for one in approvals)}, who each read:"
        )
        telling.say(f"  “{approvals[0].consequence}”")
        telling.say(f"each approves this question, once, until {approvals[0].until}; now it is answered:")
        result = question.run()
    telling.console.print(asking.table(result))
    charged = result.receipt["charged"]
    telling.expect("each charged what was approved", holds=set(charged.values()) == {SUPERVISED})
    known = truth.by(group)
    for row in result.table.records():
        _near(telling, f"count of {row[group]}", row, "count", known.get(str(row[group]), (0, 0, 0))[0])
    telling.page |= {"approved": sql, "approvals": approvals}


def _valued(telling: Telling, desk: Desk, truth: Truth, one: Institution, home: Path) -> Valued:
    telling.step(f"6. What is {one.party}'s dataset worth, and what may be lent on it?")
    valued = value(
        desk,
        owner=one.party,
        documents=home / one.party / "documents",
        mapped=tuple(one.mapping),
        progress=lambda _stage, _waiting: None,
    )
    for key, true in truth.quality(0).items():
        _near_cell(telling, f"{key} of {one.party}", valued.measured.release, key, true)
    appraisal, quoted = valued.appraisal, valued.quoted
    alpha = Decimal(str(appraisal.central.find("quality.alpha").value))
    telling.say(f"quality, measured at the node under differential privacy: {alpha:.4f}")
    view = Table(show_edge=False)
    view.add_column("cost method of the 2023 guidance")
    view.add_column("yuan", justify="right")
    for label, figure in (("low", appraisal.low), ("central", appraisal.central), ("high", appraisal.high)):
        view.add_row(f"value, {label}", figure.money.shown())
    for name, haircut in quoted.haircuts:
        view.add_row(f"haircut {name.replace('_', ' ')}", f"{float(haircut.share):.1%}")
    view.add_row("recognised value", quoted.recognised.money.shown())
    view.add_row(f"loan limit, bound by {quoted.binding}", quoted.limit.money.shown())
    telling.console.print(view)
    verified = verify(canonical.encode(valued.report))
    telling.say(f"report {verified.digest[:16]}…: every figure re-derived offline from the report alone")
    low, central, high = (figure.money.amount for figure in (appraisal.low, appraisal.central, appraisal.high))
    telling.expect("low < central < high", holds=low < central < high)
    telling.expect(
        "the limit is below the recognised value", holds=quoted.limit.money.amount < quoted.recognised.money.amount
    )
    (home / "valuation-report.json").write_bytes(canonical.encode(valued.report))
    telling.page |= {"valued": valued, "alpha": alpha}
    return valued


def _pledged(telling: Telling, desk: Desk, rival: Desk, valued: Valued, owner: str, home: Path) -> None:
    telling.step("7. One asset, one live lien")
    told = pledge(desk, valued, owner=owner, home=home)
    telling.say(
        f"{' and '.join(told['approved_by'])} approve the quote for {told['lender']}, which signs; {owner} signs"
    )
    telling.say(f"filed: {told['asset']} is pledged to {told['lender']} at rank 1 since {told['since']}")
    live = told["state"] == "registered" and told["lender"] == "lender-x" and len(told["approved_by"]) == 2
    telling.expect("the lien is live for lender-x, approved by two and signed by both", holds=live)
    watched = desk.line.get(f"/v1/collateral/{told['asset']}")
    telling.say(
        f"its fingerprint {watched['root'][:16]}… was compared with all on record; lender-x sees: {watched['state']}"
    )
    telling.expect("no other rows on record are like them", holds=told["search"]["state"] == "clear")
    telling.expect("the lender sees the pledged rows confirmed", holds=watched["state"] == "confirmed")
    try:
        pledge(rival, valued, owner=owner, home=home)
        refused = None
    except Taken as taken:
        refused = taken
        telling.say(f"[red]refused[/red]: lender-y's attempt: {taken.reason}")
    right = refused is not None and (refused.holder, refused.since) == ("lender-x", told["since"])
    telling.expect("the second pledge is refused with holder and time", holds=right)
    telling.page |= {"lien": told, "second": refused.reason if refused else ""}


def _ledgers(telling: Telling, institutions: list[Institution], home: Path) -> None:
    """Open the stopped nodes' ledgers: what was charged must be what was told, to the unit."""
    telling.step("8. What it cost, from each institution's own ledger")
    rows = []
    for index, one in enumerate(institutions):
        held = Vault.open(home / one.party, clock=lambda: time.time_ns() // 1000)
        try:
            spent = sum(charge["nano"] for charge in held.spending())
        finally:
            held.close()
        cap = town.BUDGETS["everyone"]
        rows.append((one.party, f"{spent / NANO:g}", f"{cap / NANO:g}"))
        telling.say(f"{one.party}: {spent / NANO:g} of {cap / NANO:g} rho spent")
        owed = 2 * PRICE + SUPERVISED + (NANO // 50 if index == 0 else 0)
        telling.expect(f"{one.party} spent exactly {owed / NANO:g} rho", holds=spent == owed)
    telling.page["ledger"] = rows


def _audited(telling: Telling, institutions: list[Institution], home: Path) -> None:
    telling.step("9. Anybody can check it all, offline and with no account")
    found = check(home)
    record = found.verdict.record
    telling.say(f"the exchange's log, {found.entries} entries: every signature, hash and rule holds")
    telling.say(f"cosigned by {', '.join(found.verdict.cosigned)}; its id is {found.verdict.log[:16]}…")
    spent = {account["population"]: account["everyone"] / NANO for account in record.spending.to_json()}
    for population, rho in spent.items():
        telling.say(f"{population}: {rho:g} rho charged, as far as answers arrived")
    telling.say(f"one byte of a copy changed: [red]refused[/red], {found.spoiled}")
    telling.expect(
        "every institution has cosigned the log",
        holds={one.party for one in institutions} <= set(found.verdict.cosigned),
    )
    telling.expect("the log adds up to one live lien", holds=list(record.claims.values()) == ["lender-x"])
    telling.expect("the changed byte is found and its entry named", holds=found.spoiled.startswith("entry "))
    telling.page["log"] = {
        "entries": found.entries,
        "id": found.verdict.log,
        "cosigned": ", ".join(found.verdict.cosigned),
        "spoiled": found.spoiled,
    }


def _blind(telling: Telling, home: Path) -> None:
    telling.step("10. What the exchange could see")
    found = blind_check(home / "exchange")
    telling.say(
        f"its directory, read again: {found.keys} keys, {found.shares} answers, {found.ciphertexts} ciphertexts"
    )
    telling.say(
        "each blinded, none twice; each product made of its answers alone; no key that opens one, no other file"
    )
    told = "0 figures of a single institution in clear" if found.blind else f"[red]{len(found.findings)} findings[/red]"
    telling.say(told)
    telling.expect("the exchange was blind", holds=found.blind and found.ciphertexts >= found.shares > 0)
    telling.page["blind"] = found


def _ask(telling: Telling, client: Client, sql: str, *, fresh: bool = False) -> Result:
    with telling.console.status("asking") as status:
        inquiry = client.query(sql, purpose=town.PURPOSE, budget=PRICE / NANO if fresh else None, fresh=fresh)
        return inquiry.run(lambda stage, waiting: status.update(asking.progress_line(stage, waiting)))


def _near(telling: Telling, what: str, row: Mapping[str, str | float | None], name: str, true: float) -> None:
    """Expect a figure within so many standard errors of the truth; its interval is 1.96 of them on each side."""
    value, low, high = (row[name + end] for end in ("", "_low", "_high"))
    if isinstance(value, float) and isinstance(low, float) and isinstance(high, float):
        near = abs(value - true) <= SIGMAS * (high - low) / 2 / 1.96
        telling.expect(f"{what} lies within {SIGMAS} standard errors of the truth", holds=near)


def _near_cell(telling: Telling, what: str, release: Release, key: str, true: float) -> None:
    estimate = release.estimate(key)
    near = abs(float(estimate.value) - true) <= SIGMAS * sqrt(estimate.variance)
    telling.expect(f"{what} lies within {SIGMAS} standard errors of the truth", holds=near)


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    """Give the story a directory: the one to keep, or one that is removed whatever happens."""
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise PeerFault("the directory to keep is not empty", fix="name a new one")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    home = Path(tempfile.mkdtemp(prefix="touchstone-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)

"""The command line. Heavy libraries load inside the commands that need them; data goes to stdout, the rest to stderr."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from api import cataloguing, certificates, inviting, keeping, pledge_records, pledging, quoting, terminal, watching
from api.approving import app as access_app
from api.auditing import audit_app
from api.financing import finance_app
from api.keys import keys_app
from api.policy import policy_app
from api.terminal import note, tell
from privacy.errors import PrivacyError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Value data without moving it.",
)
exchange_app = typer.Typer(no_args_is_help=True, help="Run an exchange.")
node_app = typer.Typer(no_args_is_help=True, help="Run an institution's node.")
desk_app = typer.Typer(no_args_is_help=True, help="Keep an asker's keys.")
app.add_typer(exchange_app, name="exchange")
app.add_typer(node_app, name="node")
job_app = typer.Typer(no_args_is_help=True, help="Find questions again that were asked.")
app.add_typer(desk_app, name="desk")
app.add_typer(job_app, name="job")
value_app = typer.Typer(no_args_is_help=True, help="Value data assets.")
pledge_app = typer.Typer(no_args_is_help=True, help="Pledge data assets, from quote to release.")
app.add_typer(access_app, name="access")
app.add_typer(policy_app, name="policy")
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")
app.add_typer(cataloguing.catalog_app, name="catalog")
app.add_typer(cataloguing.standard_app, name="standard")
app.add_typer(cataloguing.certificate_app, name="certificate")
app.add_typer(value_app, name="value")
app.add_typer(finance_app, name="finance")
backup_app = typer.Typer(no_args_is_help=True, help="Back a party's directory up, check a backup, put it back.")
app.add_typer(backup_app, name="backup")
backup_app.command("take")(keeping.backup)
backup_app.command("verify")(keeping.verify)
backup_app.command("restore")(keeping.restore)
app.add_typer(pledge_app, name="pledge")
for name, command in {
    **quoting.COMMANDS,
    **pledging.COMMANDS,
    **pledge_records.COMMANDS,
    **watching.COMMANDS,
}.items():
    pledge_app.command(name)(command)
node_app.command("draft")(cataloguing.draft)
node_app.command("deprecate")(cataloguing.deprecate)
node_app.command("withdraw")(cataloguing.withdraw)
node_app.command("collateral-key")(watching.collateral_key)
node_app.command("fingerprint")(watching.fingerprint)
node_app.command("confirm")(watching.confirm)
exchange_app.command("appoint")(watching.appoint)
exchange_app.command("certify")(certificates.certify)
exchange_app.command("invite")(inviting.invite)
exchange_app.command("blind-check")(keeping.blind_check)
desk_app.command("pin")(inviting.pin)

Home = Annotated[Path, typer.Argument(help="Directory that holds the keys, the journal and the catalogue.")]
Address = Annotated[str, typer.Option("--exchange", envvar="TOUCHSTONE_URL", help="Address of the exchange.")]
Session = Annotated[str, typer.Argument(help="Id of the question's session, or its beginning.")]
Lifeline = Annotated[bool, typer.Option("--lifeline", hidden=True)]


@app.callback()
def every(
    context: typer.Context,
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every call to the exchange.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the first call that would change something, and stop before it.")
    ] = False,
    lang: Annotated[str, typer.Option(envvar="TOUCHSTONE_LANG", help="Language of the help: en or zh.")] = "en",
) -> None:
    """Value data without moving it."""
    del lang  # known before the help is made
    if verbose:
        terminal.show_calls()
    if dry_run:
        if context.invoked_subcommand not in terminal.REHEARSED:
            raise typer.BadParameter(f"only of {', '.join(sorted(terminal.REHEARSED))}", param_hint="--dry-run")
        from exchange import line  # noqa: PLC0415

        context.with_resource(line.rehearsing())


@app.command()
def demo(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Split this credit-card CSV file over the three institutions.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify every step against the truth; exit 0 or 1.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep everything in this directory.")] = None,
    rows: Annotated[
        int, typer.Option(min=5_000, max=10_000_000, help="Synthetic rows for each institution.")
    ] = 100_000,
    console: Annotated[
        bool, typer.Option("--console", help="Start the town again afterwards, with a console for each role.")
    ] = False,
) -> None:
    """Run the whole story on this machine: three banks, an exchange, two lenders, a query, a price, a lien."""
    from api.demo.story import tell  # noqa: PLC0415

    raise typer.Exit(tell(data=data, check=check, keep=keep, rows=rows, console=console))


@app.command("console")
def open_console(
    home: Annotated[Path, typer.Argument(help="Directory that holds the keys of your party.")],
    *,
    exchange: Address,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 picks a free one.")] = 0,
    at_exchange: Annotated[
        bool, typer.Option("--at-exchange", help="Print a link to the exchange's own console, for reading.")
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    lifeline: Lifeline = False,
) -> None:
    """Open the console in a browser: beside your keys on this machine, or at the exchange; prints a link that works once."""
    if at_exchange:
        from exchange import address, identity  # noqa: PLC0415
        from exchange.line import Line  # noqa: PLC0415

        party, key = identity.load(home, what="party")
        with Line(exchange, party=party, key=key, pin=address.pin(home)) as line:
            typer.echo(f"{line.url}{line.post('/v1/links', {})['path']}")
        return
    from api.console.desk.app import serve  # noqa: PLC0415

    serve(home, exchange=exchange, port=port, open_browser=open_browser, lifeline=lifeline)


@exchange_app.command("init")
def exchange_init(home: Home) -> None:
    """Make an exchange and publish the standards of this release."""
    from exchange.hub import catalog, certificates  # noqa: PLC0415
    from exchange.standards import every  # noqa: PLC0415

    with _store(home) as store:
        for standard in every():
            catalog.publish_standard(store, standard)
            note(f"published {standard.id}")
        note(f"signs with {certificates.public_key(store)}")
        note(f"log {store.log.id}")


@exchange_app.command("enrol")
def exchange_enrol(
    home: Home,
    party: Annotated[str, typer.Argument(help="Short name: a-z, 0-9 and hyphen.")],
    key: Annotated[str, typer.Argument(help="The party's Ed25519 key, 64 hexadecimal digits.")],
    *,
    role: Annotated[str, typer.Option(help="institution, lender, regulator or officer")],
    name: Annotated[str, typer.Option(help="Full name.")],
) -> None:
    """Register a party with the key that it told you; the exchange must not be running."""
    from exchange.hub import catalog  # noqa: PLC0415

    with _store(home) as store:
        catalog.enrol(store, party=party, name=name, role=role, key=_hex_key(key))
        note(f"enrolled {party} as {role}")
        if role == "officer":
            note(f"the log holds a commitment to the name; keep its salt with the name: {store.log.salt(party)}")


@exchange_app.command("revoke")
def exchange_revoke(
    home: Home,
    party: Annotated[str, typer.Argument(help="The party's short name.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, in one line; it goes on record, and auditors read it.")],
) -> None:
    """Take a party's key away: nothing that it signs is taken any more. The exchange must not be running."""
    from exchange.hub import parties  # noqa: PLC0415

    with _store(home) as store:
        key = parties.revoke(store, party, because=reason)
    note(f"revoked {key}; what {party} has on record stays; to come back it enrols anew")


@exchange_app.command("reset-witness")
def exchange_reset_witness(
    home: Home,
    party: Annotated[str, typer.Argument(help="The institution whose ledger was lost.")],
    seq: Annotated[int, typer.Argument(min=0, help="Entry at which its journal stands now.")],
    head: Annotated[str, typer.Argument(help="Hash of that entry, as the institution told you.")],
) -> None:
    """Accept an institution's journal after a loss; journaled, since it lets forgotten charges go."""
    _hex_key(head)
    with _store(home) as store:
        store.write(lambda _: ([("witness", {"party": party, "seq": seq, "hash": head})], None))
    note(f"the exchange now goes by entry {seq} of {party}")


@exchange_app.command("up")
def exchange_up(
    home: Home,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 0,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of a certificate (chain); else the one of `exchange certify`, if any.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    lifeline: Lifeline = False,
) -> None:
    """Serve the exchange until Ctrl-C, by TLS if it has a certificate; prints its address when ready."""
    from api.certificates import pair  # noqa: PLC0415
    from api.processes import serve_exchange  # noqa: PLC0415

    serve_exchange(home, host=host, port=port, lifeline=lifeline, tls=pair(tls_cert, tls_key))


@node_app.command("init")
def node_init(home: Home, party: Annotated[str, typer.Argument(help="Short name of the institution.")]) -> None:
    """Make a node's keys and print the public one, to be told to the exchange and to partners out of band."""
    from exchange.node.vault import create  # noqa: PLC0415
    from privacy.terms import check_party  # noqa: PLC0415

    key = create(home, party=check_party(party))
    typer.echo(key.public_key().public_bytes_raw().hex())


@node_app.command("pin")
def node_pin(
    home: Home,
    party: Annotated[str, typer.Argument(help="The partner's short name.")],
    key: Annotated[str, typer.Argument(help="The key that the partner told you, 64 hexadecimal digits.")],
    *,
    role: Annotated[
        str, typer.Option(help="institution (counts on a roster), lender, regulator, or officer (approves here).")
    ],
    replaces: Annotated[str | None, typer.Option(help="The pinned key whose place it takes, after a loss.")] = None,
) -> None:
    """Trust a partner's or an own officer's key for a role; compare it by phone first."""
    with _vault(home) as vault:
        vault.pin(party, _hex_key(key), role=role, replaces=None if replaces is None else _hex_key(replaces))
    note(f"pinned {party} as {role}")


@node_app.command("dismiss")
def node_dismiss(home: Home, officer: Annotated[str, typer.Argument(help="The officer's short name.")]) -> None:
    """Take an officer's key away, and with it every approval that needs it; the node must not be running."""
    with _vault(home) as vault:
        vault.dismiss(officer)
    note(f"dismissed {officer}")


@node_app.command("register")
def node_register(
    home: Home,
    dataset: Annotated[Path, typer.Argument(help="Dataset: name, title, standard, source, mapping (JSON).")],
    policy: Annotated[Path, typer.Argument(help="Policy: purposes, columns, bounds, budgets (JSON).")],
) -> None:
    """Register a dataset where it lies, with its policy. Nothing leaves; both are announced when the node runs."""
    from exchange.node.registration import register  # noqa: PLC0415

    with _vault(home) as vault:
        register(vault, dataset=_document(dataset), policy=_document(policy))
    note("registered; `touchstone node up` announces it")


@node_app.command("refresh")
def node_refresh(
    home: Home,
    dataset: Annotated[str, typer.Argument(help="The dataset's short name.")],
    *,
    date: Annotated[str, typer.Option(help="Day of the load, for example 2026-12-31; later than the last one.")],
) -> None:
    """Take up a source that has grown or changed, as a new version; the node must not be running."""
    from exchange.node.registration import refresh  # noqa: PLC0415

    with _vault(home) as vault:
        refresh(vault, name=dataset, refreshed=date)
    note(f"refreshed {dataset}; `touchstone node up` announces it")


@node_app.command("up")
def node_up(
    home: Home,
    *,
    exchange: Address,
    console: Annotated[
        int | None,
        typer.Option("--console", min=0, max=65535, help="Serve the console on this port of loopback; 0: a free one."),
    ] = None,
    lifeline: Lifeline = False,
) -> None:
    """Run the node until Ctrl-C: it calls the exchange, nobody calls it."""
    from api.processes import run_node  # noqa: PLC0415

    run_node(home, exchange=exchange, console=console, lifeline=lifeline)


@node_app.command("console")
def node_console(home: Home) -> None:
    """Print a link that opens the console of a running node once; start the node with --console first."""
    from api.console.node.doorbell import ring  # noqa: PLC0415

    typer.echo(ring(home))


@node_app.command("budget")
def node_budget(home: Home) -> None:
    """Print every charge on the institution's people and what is kept back for pledges, as JSON; the node must not be running."""
    with _vault(home) as vault:
        tell({"charges": vault.spending(), "reserves": vault.kept_back()})


@node_app.command("approvals")
def node_approvals(home: Home) -> None:
    """Print what officers have approved and is in force today, as JSON; the node must not be running."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from exchange.line import seconds  # noqa: PLC0415

    today = datetime.fromtimestamp(seconds(), tz=UTC).date()
    with _vault(home) as vault:
        held = [
            {
                "asker": one.asker,
                "purpose": one.purpose,
                "plan_hash": one.plan_hash,
                "uses": sorted(one.atoms),
                "nano_rho": one.rho,
                "until": one.until.isoformat(),
                "officers": sorted(one.persons),
            }
            for one in vault.approvals(today)
        ]
    tell({"approvals": held})


@desk_app.command("init")
def desk_init(
    home: Home,
    party: Annotated[str, typer.Argument(help="Short name of the asker.")],
    pins: Annotated[Path, typer.Argument(help="Keys of the institutions, checked out of band: {name: key} (JSON).")],
) -> None:
    """Make an asker's keys and print the public one, to be enrolled with the exchange."""
    from exchange.analyst.desk import create  # noqa: PLC0415
    from privacy.terms import check_party  # noqa: PLC0415

    pinned = {check_party(name): _hex_key(key) for name, key in _document(pins).items()}
    key = create(home, party=check_party(party), pinned=pinned)
    typer.echo(key.public_key().public_bytes_raw().hex())


@app.command()
def query(
    home: Home,
    *,
    purpose: Annotated[str, typer.Option(help="Declared purpose, for example credit-risk-statistics.")],
    exchange: Address,
    sql: Annotated[str | None, typer.Option("-e", "--sql", help="Joint SQL over a standard.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="File that holds the statement.")] = None,
    accuracy: Annotated[
        list[str] | None, typer.Option(help="Half-width wanted at 95 %, as column=number; may be repeated.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=1e-9, max=100, help="Price in rho that each institution charges.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows to expect in a group, for predicted errors.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Tell price, error and verdicts; ask nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask even where a stored answer would do.")] = False,
    shared: Annotated[
        int | None, typer.Option(min=0, help="Share the noise: withstand this many colluding institutions.")
    ] = None,
    standard: Annotated[
        str | None, typer.Option(help="Standard to read from, name/version; the newest of this name if not given.")
    ] = None,
    keep_days: Annotated[
        int | None, typer.Option(min=0, help="Days that you keep the answer at most; as long as the purpose needs.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to a file: .parquet, .csv, .xlsx or .json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a joint question and print each value with its 95 % half-width, the price and the receipt."""
    from api import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    text = asking.statement(sql, file)
    with connect(home, exchange) as client, asking.pointing_at(text):
        inquiry = client.query(
            text,
            purpose=purpose,
            accuracy=asking.wanted_errors(accuracy) if accuracy else None,
            budget=budget,
            rows=rows,
            shared=shared,
            standard=standard,
            fresh=fresh,
            keep_days=keep_days,
        )
        if preview:
            asking.show_preview(inquiry.preview(), as_json=as_json)
        else:
            asking.show(asking.follow(inquiry), as_json=as_json, output=output)


@job_app.command("list")
def job_list(
    home: Home,
    *,
    exchange: Address,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List every question that this desk put, newest first."""
    from api import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        asking.list_jobs(client, as_json=as_json)


@job_app.command("show")
def job_show(
    home: Home,
    session: Session,
    *,
    exchange: Address,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to a file: .parquet, .csv, .xlsx or .json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the answer of a question; one that is still open is followed to its end."""
    from api import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        asking.show(client.job(session).result(), as_json=as_json, output=output)


@job_app.command("watch")
def job_watch(home: Home, session: Session, *, exchange: Address) -> None:
    """Follow a question to its end: one JSON line for each piece of news, the last one marked as such."""
    from api import asking  # noqa: PLC0415
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        asking.watch_job(client, session)


@job_app.command("receipt")
def job_receipt(home: Home, session: Session, *, exchange: Address) -> None:
    """Print the receipt of an answered question as JSON."""
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        typer.echo(json.dumps(client.job(session).receipt(), indent=2, ensure_ascii=False))


@job_app.command("proof")
def job_proof(home: Home, session: Session, *, exchange: Address) -> None:
    """Prove that a question, its answers and charges are in the exchange's log; the proof is kept beside the receipt."""
    from exchange import connect  # noqa: PLC0415

    with connect(home, exchange) as client:
        typer.echo(json.dumps(client.job(session).proof(), indent=2))


@value_app.command("formula")
def value_formula(
    name: Annotated[
        str | None, typer.Argument(help="A method of the formula desk; alone, it prints its contract.")
    ] = None,
    *,
    inputs: Annotated[Path | None, typer.Option(help="JSON file with the method's inputs; - reads stdin.")] = None,
    every: Annotated[bool, typer.Option("--list", help="List all methods.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list or a contract as JSON.")] = False,
) -> None:
    """Compute one valuation method exactly, or say what it needs."""
    from api import valuing  # noqa: PLC0415

    if every or name is None:
        valuing.list_formulas(as_json=as_json)
    elif inputs is None:
        valuing.show_contract(name, as_json=as_json)
    else:
        valuing.compute(name, inputs)


@value_app.command("appraise")
def value_appraise(
    facts: Annotated[Path, typer.Argument(help="JSON file of an appraisal's inputs; - reads stdin.")],
    *,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the report here.")] = None,
) -> None:
    """Value a data asset by the approaches that its facts support, and write the report."""
    from api import valuing  # noqa: PLC0415

    valuing.appraise(facts, output=output)


@value_app.command("split")
def value_split(
    facts: Annotated[Path, typer.Argument(help="JSON file of a split's inputs; - reads stdin.")],
    *,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the split here.")] = None,
) -> None:
    """Split a pool's value among the institutions that contribute to it, and write how."""
    from api import valuing  # noqa: PLC0415

    valuing.split(facts, output=output)


@value_app.command("sign")
def value_sign(
    report: Annotated[Path, typer.Argument(help="A report; - reads stdin.")],
    *,
    key: Annotated[Path, typer.Option(help="Home of the party that signs: a desk or a node; it may be running.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the signed report here.")] = None,
) -> None:
    """Verify a report and sign it, so that others know who stands for its evidence."""
    from api import valuing  # noqa: PLC0415

    valuing.sign(report, home=key, output=output)


@value_app.command("verify")
def value_verify(
    report: Annotated[Path, typer.Argument(help="A report, signed or not, or a split; - reads stdin.")],
    *,
    signer: Annotated[
        str | None, typer.Option(help="Key of the party that must have signed it: 64 hexadecimal digits.")
    ] = None,
) -> None:
    """Compute every figure of a report or a split anew, offline, and name the first that differs."""
    from api import valuing  # noqa: PLC0415

    valuing.verify(report, signer=None if signer is None else _hex_key(signer))


@value_app.command("compare")
def value_compare(
    first: Annotated[Path, typer.Argument(help="A report.")],
    second: Annotated[Path, typer.Argument(help="A later report of the same asset.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Explain the change in value between two reports by cause, in money that adds up to it."""
    from api import valuing  # noqa: PLC0415

    valuing.compare(first, second, as_json=as_json)


@value_app.command("report")
def value_report(
    report: Annotated[Path, typer.Argument(help="A report; - reads stdin.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="A file ending in .pdf, .html or .xlsx.")],
    lang: Annotated[str, typer.Option(help="zh, en, or both side by side.")] = "both",
) -> None:
    """Make a report into a PDF, a web page or a workbook for people, once every figure of it has been verified."""
    from api import valuing  # noqa: PLC0415

    valuing.state(report, output=output, lang=lang)


app.command("doctor")(keeping.doctor)
app.command("join")(inviting.join)


def main() -> None:
    """Run the command line; errors are one sentence and its fix, never a traceback."""
    arguments = sys.argv[1:]
    command = typer.main.get_command(app)
    if terminal.language(arguments, os.environ) == "zh":
        from api.console.wording import Words  # noqa: PLC0415

        terminal.localise(command, Words("zh").say)
    try:
        command(prog_name="touchstone")
    except PrivacyError as error:
        sys.exit(terminal.end(error, as_json="--json" in arguments))


def _store(home: Path) -> Any:
    from contextlib import closing  # noqa: PLC0415

    from api.processes import microseconds  # noqa: PLC0415
    from exchange.hub.store import Store  # noqa: PLC0415

    return closing(Store.open(home, clock=microseconds))


def _vault(home: Path) -> Any:
    from contextlib import closing  # noqa: PLC0415

    from api.processes import microseconds  # noqa: PLC0415
    from exchange.node.vault import Vault  # noqa: PLC0415

    return closing(Vault.open(home, clock=microseconds))


def _document(path: Path) -> Any:
    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise Malformed(f"{path.name} cannot be read as JSON", fix="check the path and the file") from None


def _hex_key(text: str) -> bytes:
    from privacy.errors import Malformed  # noqa: PLC0415

    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Malformed("the key is not 64 hexadecimal digits", fix="copy it from the party's init command")
    return key


if __name__ == "__main__":
    main()

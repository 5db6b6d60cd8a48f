"""``touchstone exchange invite``, ``join`` and ``desk pin``: how a party comes to an exchange, on both sides of the phone."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from api.commands.homes import at_exchange
from api.commands.terminal import note
from privacy.errors import Malformed, PrivacyError

if TYPE_CHECKING:
    from exchange.invite import Invite

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")
OLDEST = (3, 11)
"""Python that this release needs."""

ROOM = 1 << 30
"""Bytes that a party needs on its disk to begin with."""

WITHIN = 10.0
SKEW = 60
"""Seconds to wait for the exchange, and by which clocks may differ."""


class Unfit(PrivacyError):
    """Something on this machine, or on its way to the exchange, is to be mended before it joins."""

    code = "TS-JOIN-001"


def invite(
    home: Annotated[Path, typer.Argument(help="Directory of the exchange.")],
    party: Annotated[str, typer.Argument(help="Short name: a-z, 0-9 and hyphen.")],
    *,
    role: Annotated[str, typer.Option(help="institution, lender, regulator or officer")],
    url: Annotated[str, typer.Option(envvar="TOUCHSTONE_URL", help="Address at which the party reaches the exchange.")],
    expires: Annotated[str, typer.Option(help="How long it is good for: 90m, 24h, 7d; 30d at most.")] = "24h",
    name: Annotated[str | None, typer.Option(help="Full name; the short one if not given.")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate that the exchange serves with, if not one of `exchange certify`.")
    ] = None,
) -> None:
    """Print a line that enrols one party once; read it out over the phone or send it in secret. A newer one replaces it."""
    from api.commands import certificates  # noqa: PLC0415
    from exchange.hub.office import Invite as Inviting  # noqa: PLC0415
    from exchange.line import seconds  # noqa: PLC0415

    told = _DURATION.fullmatch(expires)
    if told is None:
        raise Malformed("the time that the invite is good for is not one", fix="write it as 90m, 24h or 7d")
    pin = certificates.pin(home, tls_cert)
    if pin is not None and not url.startswith("https://"):
        raise Malformed("the exchange serves by TLS, and the address is one without", fix="give its https address")
    now = int(seconds())
    asked = Inviting(
        party=party, name=name or party, role=role, url=url, pin=None if pin is None else pin.hex(),
        now=now, expires=now + int(told[1]) * _UNITS[told[2]],
    )  # fmt: skip
    typer.echo(at_exchange(home, asked)["invite"])
    if pin is None:
        note("without TLS, anybody on the way reads what goes to the exchange: `touchstone exchange certify` first")
    note(f"good for {expires} and for {party} alone, who types: touchstone join INVITE DIRECTORY")


def join(
    line: Annotated[
        str, typer.Argument(metavar="INVITE", help="The invite as it was told; - asks for it, or reads stdin.")
    ],
    home: Annotated[Path, typer.Argument(help="New directory for this party's keys.")],
    *,
    service: Annotated[Path | None, typer.Option(help="Write a systemd service file for the node here.")] = None,
) -> None:
    """Check this machine and the way to the exchange, make keys here, and enrol by invite; again, it goes on where it was."""
    from exchange import joining  # noqa: PLC0415
    from exchange.invite import Invite  # noqa: PLC0415

    if line == "-":
        line = typer.prompt("Invite", err=True) if sys.stdin.isatty() else sys.stdin.read()
    told = Invite.read(line)
    if service is not None and told.role != "institution":
        raise Malformed("only an institution runs a service", fix="leave --service out")
    faults = 0
    for text, fix in examined(told, home):
        typer.echo(f"{'MEND' if fix else 'fine':<5} {text}")
        if fix:
            typer.echo(f"      do: {fix}")
            faults += 1
    if faults:
        raise Unfit(f"{faults} to mend; nothing was sent, and the invite is still good", fix="then type the same again")
    log = joining.join(home, told)
    typer.echo(f"fine  enrolled as {told.party}, {told.role}; follows log {log}")
    if service is not None:
        _write(service, unit(told, home.resolve()))
        typer.echo(f"fine  wrote {service.name}")
    typer.echo(sheet(told))
    typer.echo(following(told, home, service))


def pin(
    home: Annotated[Path, typer.Argument(help="Directory of the desk.")],
    party: Annotated[str, typer.Argument(help="The institution's short name.")],
    key: Annotated[str, typer.Argument(help="The key that it told you, 64 hexadecimal digits.")],
    *,
    replaces: Annotated[str | None, typer.Option(help="The pinned key whose place it takes, after a loss.")] = None,
) -> None:
    """Trust an institution's key at a desk; compare it by phone first."""
    from exchange.pins import Pins  # noqa: PLC0415
    from privacy.terms import check_party  # noqa: PLC0415

    if not all(re.fullmatch(r"[0-9a-f]{64}", told) for told in (key, *([] if replaces is None else [replaces]))):
        raise Malformed("the key is not 64 hexadecimal digits", fix="copy it from the party's `touchstone keys show`")
    Pins(home).add(
        check_party(party), bytes.fromhex(key), replaces=None if replaces is None else bytes.fromhex(replaces)
    )
    note(f"pinned {party}")


def examined(told: "Invite", home: Path) -> Iterator[tuple[str, str]]:
    """Look at everything that joining needs; each finding with what to do about it, or nothing if it is fine."""
    from exchange.line import greet, seconds  # noqa: PLC0415

    version = ".".join(map(str, sys.version_info[:2]))
    yield f"Python {version}", "" if sys.version_info >= OLDEST else "install Python 3.11 or later"
    place = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    yield f"{free >> 20} MiB free on the disk", "" if free >= ROOM else "make room: 1 GiB at least"
    writable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    yield f"{place.name or place} can be written to", "" if writable else "choose a directory of your own"
    try:
        _, now = greet(told.url, within=WITHIN, pin=told.pin)
    except PrivacyError as error:
        yield error.reason, error.fix
        now = None
    else:
        pinned = "" if told.pin is None else ", with the certificate that the invite pins"
        yield f"{told.url} serves{pinned}", ""
    if now is not None:
        skew = round(abs(now - seconds()))
        yield f"the clocks differ by {skew} s", "" if skew <= SKEW else "set the clock (NTP)"
    over = (now or seconds()) > told.expires
    yield "the invite has expired" if over else "the invite is in date", "ask the operator for another" if over else ""


def sheet(told: "Invite") -> str:
    """Return what is to be allowed by a firewall, for whoever keeps it."""
    address = urlsplit(told.url)
    port = address.port or (443 if address.scheme == "https" else 80)
    opened = "TLS; must not be opened on the way: the certificate is pinned" if address.scheme == "https" else "no TLS"
    return "\n".join(
        [
            "",
            "Firewall sheet",
            f"  outbound  TCP to {address.hostname}, port {port} ({opened})",
            "  inbound   nothing: no port is listened on",
            "  also      DNS for that name, and NTP: clocks may differ by a minute",
        ]
    )


def following(told: "Invite", home: Path, service: Path | None) -> str:
    """Return what to do next, by role."""
    steps = [f"touchstone keys protect {home}     (a passphrase or key file on the keys)"]
    match told.role:
        case "institution":
            start = f"touchstone node up {home} --exchange {told.url}"
            if service is not None:
                start = f"sudo cp {service} /etc/systemd/system/ && sudo systemctl enable --now {service.name}"
            steps += [
                f"touchstone node pin {home} PARTY KEY --role ROLE     (for each partner; keys by phone)",
                f"touchstone node register {home} DATASET.json POLICY.json     (docs/node.md has both)",
                start,
            ]
        case "lender":
            steps += [f"touchstone desk pin {home} PARTY KEY     (for each institution; keys by phone)"]
            steps += [f"touchstone query {home} --exchange {told.url} --purpose PURPOSE -e 'SELECT ...'"]
        case "regulator":
            steps += [f"touchstone audit watch --as {home} --exchange {told.url}"]
        case _:
            steps += [f"touchstone keys show {home}     (tell the key to your institution, which pins it)"]
    steps += [f"touchstone doctor {home} --exchange {told.url}     (whenever something is wrong)"]
    return "\n".join(["", "Next", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))])


def unit(told: "Invite", home: Path) -> str:
    """Return a systemd service that runs the node under ``home`` and lets it write nowhere else."""
    import pwd  # noqa: PLC0415

    found = shutil.which("touchstone")
    program = [found] if found else [sys.executable, "-P", "-m", "api.cli"]
    command = " ".join(map(_quoted, [*program, "node", "up", str(home), "--exchange", told.url]))
    return f"""[Unit]
Description=Touchstone node of {told.party}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command}
User={pwd.getpwuid(os.getuid()).pw_name}
Restart=on-failure
RestartSec=10
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={_quoted(str(home))}
# if the keys are protected, put the passphrase where root alone reads it, and take the marks off the two lines:
# LoadCredential=passphrase:/etc/touchstone/{told.party}.passphrase
# Environment=TOUCHSTONE_PASSPHRASE_FILE=%d/passphrase

[Install]
WantedBy=multi-user.target
"""


def _quoted(text: str) -> str:
    """Spell a word of a command as systemd reads it."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError:
        raise Malformed(f"{path.name} cannot be written", fix="name a file in a directory of yours") from None

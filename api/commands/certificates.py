"""The exchange's TLS certificate: made by itself, pinned by its parties, or taken from files that its operator has."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privacy.errors import Malformed

if TYPE_CHECKING:
    import ssl

KEY, CERTIFICATE = "tls.key", "tls.json"
Files = tuple[Path, Path]
"""Certificate and key, as PEM files."""


def certify(
    home: Annotated[Path, typer.Argument(help="Directory of the exchange.")],
    host: Annotated[str, typer.Argument(help="Name or address at which parties reach it.")],
) -> None:
    """Make a self-signed certificate, used from the next start on; done again, it keeps its key, and parties their pin."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from exchange import identity, tls  # noqa: PLC0415
    from exchange.line import seconds  # noqa: PLC0415

    party, _ = identity.load(home, what="exchange")
    if party != "exchange":
        raise Malformed(
            "no exchange lives under this directory", fix="give the directory of `touchstone exchange init`"
        )
    if not (home / KEY).exists():
        identity.write_key(home / KEY, tls.make_key())
    key = identity.read_key(home / KEY)
    made = tls.certify(key, host, now=datetime.fromtimestamp(seconds(), tz=UTC))
    identity.write_secret(home / CERTIFICATE, json.dumps({"host": host, "pem": made}))
    typer.echo(tls.pin_of_key(key).hex())
    typer.echo(
        f"certificate for {host}; `touchstone exchange up` serves by TLS with it, and invites carry its pin", err=True
    )


def pair(certificate: Path | None, key: Path | None) -> Files | None:
    """Return the two files, or nothing if none is named.

    Raises:
        Malformed: if one is named without the other.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise Malformed("a certificate needs its key, and a key its certificate", fix="give --tls-cert and --tls-key")
    return certificate, key


def context(home: Path, files: Files | None) -> "ssl.SSLContext | None":
    """Return how the exchange under ``home`` speaks TLS, if it does.

    Raises:
        Malformed: if certificate or key cannot be read, or one is missing: it does not go on without TLS then.
    """
    from exchange import tls  # noqa: PLC0415

    held = _texts(home, files)
    return None if held is None else tls.server(*held)


def pin(home: Path, certificate: Path | None) -> bytes | None:
    """Return the pin that parties are given: of a certificate's file, or of the exchange's own; nothing if it has none.

    Raises:
        Malformed: if the certificate cannot be read.
    """
    from exchange import tls  # noqa: PLC0415

    if certificate is not None:
        return tls.pin_of_pem(_read(certificate))
    held = _texts(home, None)
    return None if held is None else tls.pin_of_pem(held[0])


def _texts(home: Path, files: Files | None) -> tuple[str, str] | None:
    from exchange import identity  # noqa: PLC0415

    if files is not None:
        return _read(files[0]), _read(files[1])
    if not (home / KEY).exists() and not (home / CERTIFICATE).exists():
        return None
    try:
        return json.loads((home / CERTIFICATE).read_text("ascii"))["pem"], identity.read_key(home / KEY)
    except (OSError, ValueError, KeyError, TypeError):
        raise Malformed(
            "the exchange's certificate or its key cannot be read", fix="run `touchstone exchange certify` again"
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        raise Malformed(f"{path.name} cannot be read", fix="check its path and rights") from None

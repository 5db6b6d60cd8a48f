"""TLS between parties and their exchange without anybody's certificate authority: the certificate's key is pinned.

The pin is the SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 7469, section 2.4): it came by invite, so whoever answers
with another key is not the exchange, whatever authority vouches for it. A renewed certificate keeps its key, and its pin.
"""

import hashlib
import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from privacy.errors import Malformed, PrivacyError

LIFETIME = timedelta(days=3650)
"""A self-signed certificate lasts this long: those who pin its key ask no authority about it."""

PIN_BYTES = 32
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class Impostor(PrivacyError):
    """Whoever answered is not the exchange that is pinned."""

    code = "TS-NET-002"


def pin_of(certificate: bytes) -> bytes:
    """Return the pin of a certificate (DER): SHA-256 of its public key's info, 32 bytes."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def pin_of_pem(text: str) -> bytes:
    """Return the pin of the first certificate in a PEM file.

    Raises:
        Malformed: if there is none.
    """
    try:
        return pin_of(x509.load_pem_x509_certificates(text.encode())[0].public_bytes(Encoding.DER))
    except (ValueError, IndexError):
        raise Malformed(
            "the file holds no certificate", fix="give a PEM file that begins with the exchange's"
        ) from None


def pin_of_key(text: str) -> bytes:
    """Return the pin that certificates of a private key (PEM) have."""
    public = load_pem_private_key(text.encode(), None).public_key()
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def make_key() -> str:
    """Make a private key for certificates (P-256), as PEM."""
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certify(key: str, host: str, *, now: datetime) -> str:
    """Return a self-signed certificate for a host name or address, as PEM.

    Raises:
        Malformed: if it is neither.
    """
    signing = load_pem_private_key(key.encode(), None)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise Malformed("the key is not one that was made here", fix="remove tls.key and certify anew")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64] or "-")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signing.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - timedelta(hours=1))
        .not_valid_after(now.astimezone(UTC) + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_named(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(signing, SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def server(certificate: str, key: str) -> ssl.SSLContext:
    """Return the context of a server with a certificate and its key (PEM); the key touches no disk on the way.

    Raises:
        Malformed: if they are not a certificate and its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with _in_memory(certificate) as first, _in_memory(key) as second:
            context.load_cert_chain(first, second, password=_no_password)
    except (ssl.SSLError, OSError, ValueError):
        raise Malformed(
            "the certificate and the key do not belong together", fix="give PEM files, the key without a passphrase"
        ) from None
    return context


class _Pinned(ssl.SSLContext):
    """A client's context that trusts one key; the handshake has proved by then that the server has it."""

    pin: bytes

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """Connect, and send nothing to anybody else."""
        connected = super().wrap_socket(*arguments, **named)
        shown = connected.getpeercert(binary_form=True)
        if shown is None or pin_of(shown) != self.pin:
            connected.close()
            raise Impostor(
                "the server shows another certificate than the exchange's",
                fix="send nothing there: compare the pin by phone, and have no proxy open what goes to the exchange",
            )
        return connected

    def wrap_bio(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse connections inside of others, whose handshake could not be looked at here."""
        raise Impostor("a proxy that speaks TLS itself stands before the exchange", fix="reach the exchange without it")


def client(pin: bytes) -> ssl.SSLContext:
    """Return the context of a client that trusts the key of one pin (32 bytes) and no authority."""
    context = _Pinned(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin is checked instead, of every connection
    context.pin = pin
    return context


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        raise Malformed("this is neither a host's name nor its address", fix="give it as clients will reach it")
    return x509.DNSName(host)


def _no_password() -> str:
    raise ValueError


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Give text the name of a file that lies in memory alone."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)

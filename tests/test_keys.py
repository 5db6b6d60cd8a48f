"""Keys at rest: sealed, opened by nothing else, never lost on the way, never shown."""

import json
import os
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from exchange import backup, identity, passphrase, protecting, strongbox
from exchange.analyst import desk
from exchange.hub.store import Store
from exchange.node import custody
from exchange.node.vault import Vault, create
from exchange.protocol.errors import PeerFault, Unknown
from exchange.strongbox import Locked, Opener, Protection
from privacy.errors import Malformed

WORDS = "correct horse battery staple"
FILE = Opener.key_file(b"\x07" * 32)
OTHER = Opener.key_file(b"\x08" * 32)


def clock():
    return time.time_ns() // 1000


@pytest.fixture(autouse=True)
def opening(monkeypatch, tmp_path):
    """A key file in the environment, and nothing remembered from another test."""
    path = tmp_path / "outside.bin"
    path.write_bytes(FILE.value)
    for variable in (passphrase.PASSPHRASE_FILE, passphrase.PASSPHRASE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(passphrase.KEY_FILE, str(path))
    identity._unwrapped.cache_clear()
    return path


def node(home):
    create(home, party="bank-a")
    custody.make_key(home)
    return home


def touchstone(*args, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "api.cli", *map(str, args)],
        env=kept | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def plain_of(home):
    return {path.name: path.read_text() for path in protecting.secret_files(home)}


def test_every_secret_of_every_home_is_sealed_and_everything_works(tmp_path):
    node(tmp_path / "node")
    desk.create(tmp_path / "desk", party="lender-x", pinned={})
    (tmp_path / "desk" / "paillier.json").write_text('{"pub": {}, "p": "a secret"}')
    Store.open(tmp_path / "exchange", clock=clock).close()
    identity.make(tmp_path / "officer", party="clerk", what="officer")
    for name, count in (("node", 3), ("desk", 2), ("exchange", 3), ("officer", 1)):
        home = tmp_path / name
        before, party = plain_of(home), identity.load(home, what="party")
        assert protecting.protect(home, FILE) == count == len(before)
        whole = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
        for text in before.values():
            assert text.encode() not in whole
            assert text.strip('"{}').encode() not in whole
        again = identity.load(home, what="party")
        assert (again[0], again[1].private_bytes_raw()) == (party[0], party[1].private_bytes_raw())
        for path in [home, *home.glob("*")]:
            assert path.is_dir() or path.stat().st_mode & 0o077 == 0 or path.name == "process.log"
        assert protecting.protect(home, FILE) == 0
    with closing(Vault.open(tmp_path / "node", clock=clock)) as vault:
        assert vault.sampling.hex() not in (tmp_path / "node" / "sampling.key").read_text()
        assert vault.comparing is not None
    Store.open(tmp_path / "exchange", clock=clock).close()
    # what is made later is sealed, too; what is handed over is not
    late = tmp_path / "late"
    create(late, party="bank-b")
    protecting.protect(late, FILE)
    assert strongbox.is_sealed(custody.make_key(late).read_text())
    custody.hand_over(late, tmp_path / "shared.key")
    assert custody.held_key(late).hex() == (tmp_path / "shared.key").read_text()


def test_a_sealed_file_is_what_the_page_says(tmp_path):
    """Computed anew from docs/keys.md with calls of its own."""
    home = node(tmp_path / "node")
    before = plain_of(home)
    protecting.protect(home, FILE)
    told = json.loads((home / "protection.json").read_text())
    wrapping = HKDF(SHA256(), 32, bytes.fromhex(told["salt"]), b"touchstone/key-file/1").derive(FILE.value)
    bound = {name: told[name] for name in ("cost", "format", "kind", "nonce", "salt")}
    spelled = json.dumps(bound, sort_keys=True, separators=(",", ":")).encode()
    data_key = AESGCM(wrapping).decrypt(bytes.fromhex(told["nonce"]), bytes.fromhex(told["wrapped"]), spelled)
    for name, text in before.items():
        sealed = json.loads((home / name).read_text())
        opened = AESGCM(data_key).decrypt(
            bytes.fromhex(sealed["nonce"]), bytes.fromhex(sealed["sealed"]), b"touchstone/sealed/1\0" + name.encode()
        )
        assert opened.decode() == text


class Stopped(BaseException):
    """The machine stops here."""


def stopping(monkeypatch, after):
    """Stop at the n-th change of a name on the disk: what was not done by then is never done."""
    changes = 0

    def count():
        nonlocal changes
        if changes == after:
            raise Stopped
        changes += 1

    def counted(original):
        def change(*arguments, **named):
            count()
            return original(*arguments, **named)

        return change

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    monkeypatch.setattr(os, "open", counted(os.open))
    return count


@pytest.mark.parametrize("way", ["protect", "unprotect"])
def test_a_home_opens_at_every_moment_and_the_command_finishes_what_was_stopped(monkeypatch, tmp_path, way):
    def act(home):
        return protecting.protect(home, FILE) if way == "protect" else protecting.unprotect(home, lambda _: FILE)

    finished = False
    for after in range(60):
        home = node(tmp_path / f"{way}-{after}")
        party, before = identity.load(home, what="node"), plain_of(home)
        if way == "unprotect":
            protecting.protect(home, FILE)
        with monkeypatch.context() as patched:
            stopping(patched, after)
            try:
                act(home)
                finished = True
            except Stopped:
                pass
        opened = {path.name: identity.read_key(path) for path in protecting.secret_files(home)}
        assert opened == before
        assert identity.load(home, what="node")[1].private_bytes_raw() == party[1].private_bytes_raw()
        if not finished and (way == "protect" or protecting.protection(home) is not None):
            act(home)
        sealed = {strongbox.is_sealed(path.read_text()) for path in protecting.secret_files(home)}
        assert sealed == {way == "protect"}
        if way == "protect":
            assert not list(home.glob("*.new"))
        if finished:
            break
    assert finished
    assert after > 10


def test_nothing_else_opens_a_home(tmp_path, opening):
    home = node(tmp_path / "node")
    protecting.protect(home, FILE)
    for opener in (OTHER, Opener.passphrase(WORDS)):
        with pytest.raises(Locked) as refusal:
            protecting.protection(home).unwrap(opener)
        assert refusal.value.fix
        assert "secret" in repr(opener)
        assert WORDS not in repr(opener)
    with pytest.raises(Locked):
        protecting.protect(home, OTHER)
    opening.write_bytes(OTHER.value)
    with pytest.raises(Locked):
        Vault.open(home, clock=clock)
    opening.write_bytes(FILE.value)
    # one sealed file does not pass for another, nor one of another home
    (home / "sampling.key").write_text((home / "signing.key").read_text())
    with pytest.raises(Locked, match=r"sampling\.key"):
        Vault.open(home, clock=clock)
    other = node(tmp_path / "other")
    protecting.protect(other, FILE)
    (home / "signing.key").write_text((other / "signing.key").read_text())
    with pytest.raises(Locked, match=r"signing\.key"):
        identity.load(home, what="node")
    (other / "protection.json").unlink()
    identity._unwrapped.cache_clear()
    with pytest.raises(Locked, match="missing"):
        identity.load(other, what="node")
    for path, error in ((tmp_path / "nowhere", Unknown), (node(tmp_path / "open"), PeerFault)):
        with pytest.raises(error):
            protecting.unprotect(path, lambda _: FILE)


@settings(max_examples=60)
@given(st.data())
def test_a_changed_byte_in_a_sealed_file_or_in_the_protection_is_refused(tmp_path_factory, data):
    protection, key = Protection.make(FILE)
    assert protection.unwrap(FILE) == key
    sealed = bytearray(strongbox.seal("5e" * 32, name="signing.key", key=key).encode())
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 127))
    if (changed := bytes(sealed).decode("utf-8", "replace")) and strongbox.is_sealed(changed):
        with suppress(Locked):  # hexadecimal digits have two spellings; whatever opens is what was sealed
            assert strongbox.unseal(changed, name="signing.key", key=key) == "5e" * 32
    document = protection.to_json()
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = data.draw(
        st.one_of(st.none(), st.booleans(), st.integers(-2, 1 << 40), st.text(max_size=70), st.just([1]))
        .filter(lambda value: value != document[name] or type(value) is not type(document[name]))
    )  # fmt: skip
    with pytest.raises((Malformed, Locked)):
        Protection.read(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).unwrap(FILE)


def test_what_opens_comes_from_files_the_environment_or_a_terminal(monkeypatch, tmp_path, opening):
    assert passphrase.given("key-file") == FILE
    opening.write_text(FILE.value.hex() + "\n")
    assert passphrase.chosen() == FILE
    for content in (b"", b"short", b"\x07" * 33, b"\xff" * 64):
        opening.write_bytes(content)
        with pytest.raises(Malformed):
            passphrase.given("key-file")
    monkeypatch.delenv(passphrase.KEY_FILE)
    for kind in strongbox.KINDS:
        with pytest.raises(Locked) as refusal:
            passphrase.given(kind)
        assert refusal.value.absent
    monkeypatch.setenv(passphrase.PASSPHRASE, WORDS)
    assert passphrase.given("passphrase") == passphrase.chosen() == Opener.passphrase(WORDS)
    told = tmp_path / "words"
    told.write_text("other words, as long\nand a second line\n")
    monkeypatch.setenv(passphrase.PASSPHRASE_FILE, str(told))
    assert passphrase.given("passphrase") == Opener.passphrase("other words, as long")
    monkeypatch.setenv(passphrase.PASSPHRASE_FILE, str(tmp_path / "gone"))
    with pytest.raises(Malformed, match="PASSPHRASE_FILE"):
        passphrase.given("passphrase")
    monkeypatch.delenv(passphrase.PASSPHRASE_FILE)
    monkeypatch.delenv(passphrase.PASSPHRASE)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    typed = iter([WORDS, WORDS, WORDS, WORDS + "x"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
    assert passphrase.chosen() == Opener.passphrase(WORDS)
    with pytest.raises(Malformed, match="differ"):
        passphrase.chosen()


def test_a_person_protects_a_home_looks_at_it_and_is_refused_in_words(tmp_path, monkeypatch):
    home = tmp_path / "desk"
    key = desk.create(home, party="lender-x", pinned={}).public_key().public_bytes_raw().hex()
    secret = (home / "signing.key").read_text()
    monkeypatch.delenv(passphrase.KEY_FILE)
    monkeypatch.setenv(passphrase.PASSPHRASE, "short")
    assert "fewer than 12" in run("keys", "protect", home).exception.reason
    monkeypatch.setenv(passphrase.PASSPHRASE, WORDS)
    assert run("keys", "protect", home).exit_code == 0
    shown = run("keys", "show", home)
    assert shown.stdout.split() == ["signing.key", "sealed", key]
    wrong = touchstone("keys", "show", home, TOUCHSTONE_PASSPHRASE=WORDS + "x")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "TS-KEY-001  the passphrase does not open the keys here" in wrong.stderr
    identity._unwrapped.cache_clear()
    monkeypatch.setenv(passphrase.PASSPHRASE, WORDS + "x")
    lost = run("doctor", home)
    assert lost.exit_code == 1
    assert "does not open" in lost.stdout
    monkeypatch.delenv(passphrase.PASSPHRASE)
    silent = run("doctor", home)
    assert silent.exit_code == 0
    assert "protected by a passphrase" in silent.stdout
    for said in (shown.output, wrong.stdout + wrong.stderr, silent.output, lost.output):
        assert secret not in said
        assert WORDS not in said
        assert "Traceback" not in said
    # a backup takes the bytes as they lie: it opens with the same words
    backup.take(home, tmp_path / "b", at=clock())
    assert secret.encode() not in (tmp_path / "b").read_bytes()
    backup.restore(tmp_path / "b", tmp_path / "again")
    monkeypatch.setenv(passphrase.PASSPHRASE, WORDS)
    assert run("keys", "unprotect", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / "signing.key").read_text() == secret


def run(*arguments):
    return CliRunner().invoke(cli.app, list(map(str, arguments)))


def test_a_long_running_process_leaves_no_core_and_is_not_traced(tmp_path):
    program = (
        "import ctypes, resource\nfrom pathlib import Path\nfrom api import processes\n"
        f"processes.prepare(Path({str(tmp_path)!r}), lifeline=False)\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[0] == "(0, 0) 0"

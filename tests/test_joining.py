"""Invites and TLS as a new party's IT person meets them, over real processes: typed wrong, used twice, late, and in the wrong hands."""

import json
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from api.commands import certificates, inviting
from exchange import address, connect, identity, joining, tls
from exchange.audit import verdict
from exchange.hub import invites, parties
from exchange.hub.store import Store
from exchange.invite import Invite
from exchange.line import Line, Unreachable, greet, send
from exchange.protocol import enrolment
from exchange.protocol.attest import LogSigner, attest
from exchange.protocol.errors import PeerFault, Throttled, Uninvited
from exchange.tls import Impostor
from privacy.errors import Malformed, Mismatch, PrivacyError
from tests import second_verifier as second

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def clock():
    return time.time_ns() // 1000


def invited(**changed):
    told = {
        "party": "bank-a", "role": "institution", "expires": 1_800_000_000, "url": "https://exchange.example:8443",
        "log": b"l" * 16, "pin": b"p" * 32, "secret": b"s" * 16,
    }  # fmt: skip
    return Invite(**(told | changed))


INVITES = st.builds(
    invited,
    party=st.from_regex(r"\A[a-z][a-z0-9-]{0,62}\Z"),
    role=st.sampled_from(identity.ROLES),
    expires=st.integers(0, (1 << 32) - 1),
    url=st.from_regex(r"\Ahttps?://[a-z0-9.-]{1,60}(?::[0-9]{1,5})?\Z"),
    log=st.binary(min_size=16, max_size=16),
    pin=st.one_of(st.none(), st.binary(min_size=32, max_size=32)),
    secret=st.binary(min_size=16, max_size=16),
)


# -- the line -----------------------------------------------------------------------------------------------------------


@given(INVITES, st.data())
def test_an_invite_survives_the_phone(made, data):
    line = made.spelled()
    assert Invite.read(line) == made
    heard = line.lower().replace("-", data.draw(st.sampled_from([" ", "", "\n", " - "])))
    assert Invite.read(heard.replace("0", "o").replace("1", data.draw(st.sampled_from("lI")))) == made
    assert made.secret.hex() not in repr(made)


@settings(max_examples=40)
@given(INVITES, st.data())
def test_a_mistyped_group_is_named(made, data):
    groups = made.spelled().split("-")
    number = data.draw(st.integers(0, len(groups) - 1))
    group = groups[number]
    at = data.draw(st.integers(0, 4))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda character: character != group[at]))
    wrong = [group[:at] + other + group[at + 1 :]]
    if at < 4 and group[at] != group[at + 1]:
        wrong.append(group[:at] + group[at + 1] + group[at] + group[at + 2 :])
    for bent in wrong:
        with pytest.raises(Malformed, match=f"group {number + 1} of"):
            Invite.read("-".join([*groups[:number], bent, *groups[number + 1 :]]))
    cut = data.draw(st.integers(0, len(groups) - 1))
    for broken in (groups[:cut], [*groups, groups[-1]], groups[1:], [*groups[:number], *groups[number + 1 :]]):
        with pytest.raises(Malformed):
            Invite.read("-".join(broken))


@given(st.text(alphabet=ALPHABET + "U-é\0 ", max_size=300))
def test_no_line_of_noise_is_an_invite(text):
    with pytest.raises(Malformed):
        Invite.read(text)


# -- what the exchange keeps and takes ------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    with closing(Store.open(tmp_path / "exchange", clock=clock)) as made:
        yield made


NOW = 1_790_000_000


def make(store, party="bank-a", *, role="institution", expires=NOW + 60, now=NOW):
    return invites.invite(
        store, party=party, name=f"The {party}", role=role, url="http://localhost:1", pin=None, expires=expires, now=now
    )


def enrolling(invite, *, key=None, party=None, role=None, signing=None):
    key = key or Ed25519PrivateKey.generate()
    return enrolment.enrol(party or invite.party, role or invite.role, key=key, invite=signing or invite.key)


def test_an_invite_enrols_its_party_once_and_nobody_else(store):
    invite, key = make(store), Ed25519PrivateKey.generate()
    whole = b"".join(path.read_bytes() for path in store.home.rglob("*") if path.is_file())
    assert invite.secret not in whole
    assert invite.secret.hex().encode() not in whole
    assert invite.key.private_bytes_raw().hex().encode() not in whole
    for document, why in (
        (enrolling(invite, party="bank-b"), "another party or role"),
        (enrolling(invite, role="lender"), "another party or role"),
        (enrolling(invited()), "no such invite"),
    ):
        with pytest.raises(Uninvited, match=why):
            invites.enrol(store, document, now=NOW)
    # the message of one enrolment under the proof of another, and the invite's name without its secret
    mixed = enrolling(invite) | {"proof": enrolling(invite)["proof"]}
    with pytest.raises(Uninvited, match="no such invite"):
        invites.enrol(store, mixed, now=NOW)
    stolen = enrolling(invite)
    body = json.loads(stolen["envelope"]["body"])
    with pytest.raises(Mismatch):
        invites.enrol(
            store,
            stolen
            | {
                "envelope": stolen["envelope"]
                | {"body": json.dumps(body | {"key": "00" * 32}, sort_keys=True, separators=(",", ":"))}
            },
            now=NOW,
        )
    with pytest.raises(Uninvited, match="expired"):
        invites.enrol(store, enrolling(invite), now=NOW + 61)
    before = store.book.head
    document = enrolling(invite, key=key)
    first = invites.enrol(store, document, now=NOW + 60)
    assert store.book.head[0] == before[0] + 1
    again = invites.enrol(store, document, now=NOW + 99_999)
    assert again["enrolled"]["body"] == first["enrolled"]["body"]
    with pytest.raises(Uninvited, match="was used"):
        invites.enrol(store, enrolling(invite), now=NOW)
    assert store.view().parties()[0] | {"key": ""} == {
        "id": "bank-a",
        "name": "The bank-a",
        "role": "institution",
        "key": "",
    }
    with pytest.raises(PeerFault, match="enrolled"):
        make(store)


def test_a_newer_invite_replaces_an_older_one_and_brings_a_revoked_party_back(store):
    first, second_one = make(store), make(store)
    with pytest.raises(Uninvited, match="no such invite"):
        invites.enrol(store, enrolling(first), now=NOW)
    old = Ed25519PrivateKey.generate()
    invites.enrol(store, enrolling(second_one, key=old), now=NOW)
    parties.revoke(store, "bank-a", because="stolen")
    with pytest.raises(Uninvited, match="was used"):
        invites.enrol(store, enrolling(second_one, key=old), now=NOW)
    with pytest.raises(PeerFault, match="another role"):
        make(store, role="lender")
    third = make(store)
    with pytest.raises(PeerFault, match="belongs"):
        invites.enrol(store, enrolling(third, key=old), now=NOW)
    invites.enrol(store, enrolling(third), now=NOW)
    assert store.view().revoked() == {}


def test_an_officers_name_stays_out_of_the_log(store):
    invites.invite(
        store, party="clerk", name="Jia Li", role="officer", url="http://h", pin=None, expires=NOW + 9, now=NOW
    )  # fmt: skip
    assert b"Jia Li" not in b"".join(path.read_bytes() for path in store.home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "wrong",
    [{"role": "operator"}, {"name": ""}, {"name": "a\nb"}, {"expires": NOW}, {"expires": NOW + 31 * 86_400}, {"party": "Bank A"},
     {"url": "ftp://x"}, {"url": "https://"}, {"url": "https://a b"}, {"url": "https://x/y?z"}, {"url": "https://me@x"}],
    ids=str,
)  # fmt: skip
def test_an_invite_that_makes_no_sense_is_not_made(store, wrong):
    told = {
        "party": "bank-a",
        "name": "A",
        "role": "lender",
        "url": "http://h",
        "pin": None,
        "expires": NOW + 9,
        "now": NOW,
    }
    with pytest.raises(Malformed):
        invites.invite(store, **(told | wrong))


# -- over the wire ----------------------------------------------------------------------------------------------------------


def run(*arguments, stdin=None):
    return CliRunner().invoke(cli.app, list(map(str, arguments)), input=stdin)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An exchange that serves by TLS, and invites to it that were made before it started."""
    home = tmp_path_factory.mktemp("joining")
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    assert run("exchange", "init", home / "exchange").exit_code == 0
    assert run("exchange", "certify", home / "exchange", "127.0.0.1").exit_code == 0
    made = {}
    for party, role in (
        ("bank-a", "institution"),
        ("lender-x", "lender"),
        ("bureau", "regulator"),
        ("clerk", "officer"),
    ):
        told = run("exchange", "invite", home / "exchange", party, "--role", role, "--url", url)
        assert told.exit_code == 0, told.output
        made[party] = told.stdout.split()[0]
    with closing(Store.open(home / "exchange", clock=clock)) as held:
        late = invites.invite(
            held, party="late", name="late", role="lender", url=url, pin=None, expires=NOW + 1, now=NOW
        )
        log = held.log.id
    command = [
        sys.executable,
        "-P",
        "-m",
        "api.cli",
        "exchange",
        "up",
        str(home / "exchange"),
        "--port",
        str(port),
        "--lifeline",
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert json.loads(process.stdout.readline()) == {"ready": url}
        yield SimpleNamespace(
            home=home,
            url=url,
            port=port,
            invites=made,
            late=late,
            log=log,
            pin=certificates.pin(home / "exchange", None),
        )
    finally:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


def test_each_role_joins_and_is_told_what_comes_next(place, tmp_path):
    for party, line in place.invites.items():
        home = place.home / party
        service = ["--service", tmp_path / "touchstone.service"] if party == "bank-a" else []
        told = run("join", line.lower().replace("-", " "), home, *service)
        assert told.exit_code == 0, (told.output, told.exception)
        assert f"outbound  TCP to 127.0.0.1, port {place.port} (TLS" in told.stdout
        assert "inbound   nothing" in told.stdout
        assert "MEND" not in told.stdout
        key = identity.load(home, what="party")[1]
        with Line(place.url, party=party, key=key, pin=address.pin(home)) as held:
            roles = {one["id"]: one["role"] for one in held.get("/v1/parties")["parties"]}
        assert roles[party] == Invite.read(line).role
        assert json.loads((home / "log.json").read_text())["log"] == place.log
        for path in home.iterdir():
            assert path.stat().st_mode & 0o077 == 0
        # stopped and typed again, it goes on where it was; from another directory the invite is used
        assert run("join", "-", home, stdin=line).exit_code == 0
        with pytest.raises(Uninvited, match="was used"):
            joining.join(tmp_path / party, Invite.read(line))
    unit = (tmp_path / "touchstone.service").read_text()
    assert f'"node" "up" "{place.home / "bank-a"}" "--exchange" "{place.url}"' in unit
    for word in (
        "Restart=on-failure",
        "LimitCORE=0",
        "NoNewPrivileges=yes",
        f'ReadWritePaths="{place.home / "bank-a"}"',
    ):
        assert word in unit
    # a desk that joined works like one that was made by hand
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert run("desk", "pin", place.home / "lender-x", "bank-a", other).exit_code == 0
    with connect(place.home / "lender-x", place.url) as client:
        assert client.desk.pinned["bank-a"].hex() == other
        assert client.desk.standards() == frozenset()
    assert isinstance(run("desk", "pin", place.home / "lender-x", "bank-a", "00" * 32).exception, PeerFault)
    assert isinstance(run("desk", "pin", place.home / "lender-x", "bank-b", other).exception, PeerFault)
    told = run("doctor", place.home / "bureau", "--exchange", place.url)
    assert told.exit_code == 0, told.output


def test_what_is_to_be_mended_is_told_before_anything_is_sent(place, tmp_path, monkeypatch):
    line = place.late.spelled()
    told = run("join", line, tmp_path / "late")
    assert isinstance(told.exception, inviting.Unfit)
    assert "MEND  the invite has expired" in told.stdout
    silent = invited(url=f"http://127.0.0.1:{free_port()}", pin=None, expires=int(time.time()) + 60)
    told = run("join", silent.spelled(), tmp_path / "silent")
    assert "does not answer" in told.stdout
    assert not (tmp_path / "silent").exists()
    monkeypatch.setattr("exchange.line.seconds", lambda: time.time() + 500)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    monkeypatch.setattr(inviting, "OLDEST", (9, 0))
    told = run("join", Invite.read(place.invites["bank-a"]).spelled(), tmp_path / "unfit")
    for what in ("set the clock (NTP)", "make room", "install Python"):
        assert what in told.stdout
    assert isinstance(run("join", line, tmp_path / "x", "--service", tmp_path / "s").exception, Malformed)


def test_an_altered_invite_leads_nowhere(place, tmp_path):
    honest = Invite.read(place.invites["bank-a"])
    other_log = Invite(
        **{name: getattr(honest, name) for name in honest.__slots__}
        | {"log": b"x" * 16, "party": "late", "role": "lender"}
    )
    with pytest.raises(PrivacyError):
        joining.join(tmp_path / "a", other_log)
    word = {"party": honest.party, "role": honest.role, "key": "00" * 32}
    stranger = LogSigner(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())
    for told in ({}, [], {"enrolled": {}}, {"enrolled": attest("enrolled", word, stranger).to_json()}):
        with pytest.raises(Mismatch, match="not the exchange of the invite"):
            joining._confirmed(told, honest, "00" * 32)


def test_the_open_route_takes_little_and_not_often(place):
    document = enrolling(invited(url=place.url))
    with pytest.raises(Uninvited):
        send(place.url, "/v1/enrolments", document, pin=place.pin)
    for wrong in ({}, [], None, "x", {"envelope": {}, "proof": ""}, document | {"more": 1}, {"x": "y" * 5000}):
        with pytest.raises((Malformed, Mismatch, Throttled)):
            send(place.url, "/v1/enrolments", wrong, pin=place.pin)
    with pytest.raises(Throttled) as refusal:
        knock(place, document, times=60)
    assert refusal.value.seconds >= 1


def knock(place, document, *, times):
    for _ in range(times):
        with suppress(Uninvited):
            send(place.url, "/v1/enrolments", document, pin=place.pin)


@contextmanager
def between(port, context):
    """A man in the middle: answers by TLS with a certificate of his own, and passes everything on to the exchange."""
    heard, ending = [], threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)

    def serve():
        while not ending.is_set():
            try:
                raw, _ = listener.accept()
            except TimeoutError:
                continue
            raw.settimeout(3)
            try:
                with context.wrap_socket(raw, server_side=True) as held:
                    pass_on(held)
            except OSError:
                continue

    def pass_on(held):
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with trusting.wrap_socket(socket.create_connection(("127.0.0.1", port))) as onward:
            while True:
                ready, _, _ = select.select([held, onward], [], [], 3)
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    heard.append(data)
                    (onward if one is held else held).sendall(data)
                if not ready:
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        ending.set()
        thread.join()
        listener.close()


def test_a_man_in_the_middle_is_named_and_hears_nothing(place):
    home = place.home / "between"
    identity.make(home, party="between", what="desk")
    key = identity.load(home, what="desk")[1]
    his = tls.make_key()
    certificate = tls.certify(his, "127.0.0.1", now=datetime.now(UTC))
    with between(place.port, tls.server(certificate, his)) as (url, heard):
        with Line(url, party="between", key=key, pin=place.pin) as held, pytest.raises(Impostor) as refusal:
            held.get("/v1/exchange")
        assert "another certificate" in refusal.value.reason
        assert "phone" in refusal.value.fix
        with pytest.raises(Impostor):
            greet(url, within=5, pin=place.pin)
        with pytest.raises(Impostor):
            send(url, "/v1/enrolments", {}, pin=place.pin)
        assert heard == []
        # his own pin is believed, so the wire was whole; and nobody is believed without pin or authority
        assert greet(url, within=5, pin=tls.pin_of_pem(certificate))[0]["status"] == "serving"
        assert heard
        with pytest.raises(Unreachable):
            greet(url, within=5)
        address.remember(home, url=url, pin=place.pin)
        told = run("doctor", home, "--exchange", url)
        assert told.exit_code == 1
        assert "another certificate" in told.stdout
    with pytest.raises(Impostor, match="without TLS"):
        Line(f"http://127.0.0.1:{place.port}", party="between", key=key, pin=place.pin)
    for broken in ("", "{}", '{"pin":"00","url":"x"}', '{"pin":5,"url":"x"}'):
        (home / address.FILE).write_text(broken)
        with pytest.raises(Malformed):
            address.pin(home)


def test_a_certificate_is_renewed_under_its_pin_and_its_key_can_be_sealed(tmp_path, monkeypatch):
    home = tmp_path / "exchange"
    Store.open(home, clock=clock).close()
    assert certificates.context(home, None) is None
    assert certificates.pin(home, None) is None
    first = run("exchange", "certify", home, "exchange.example").stdout.split()[0]
    again = run("exchange", "certify", home, "10.0.0.7").stdout.split()[0]
    assert first == again == certificates.pin(home, None).hex()
    monkeypatch.setenv("TOUCHSTONE_KEY_FILE", str(tmp_path / "outside"))
    (tmp_path / "outside").write_bytes(b"\x05" * 32)
    assert run("keys", "protect", home).exit_code == 0
    assert "PRIVATE" not in (home / "tls.key").read_text()
    assert f"tls.key            sealed  {first}" in run("keys", "show", home).stdout
    assert isinstance(certificates.context(home, None), ssl.SSLContext)
    (home / "tls.json").unlink()
    with pytest.raises(Malformed, match="certificate or its key cannot be read"):
        certificates.context(home, None)
    with pytest.raises(Malformed):
        tls.server(tls.certify(tls.make_key(), "x", now=datetime.now(UTC)), tls.make_key())
    for host in ("", "a" * 300, "h\u00e4"):
        with pytest.raises(Malformed):
            tls.certify(tls.make_key(), host, now=datetime.now(UTC))
    with pytest.raises(Malformed):
        certificates.pair(tmp_path, None)


def test_two_verifiers_agree_on_a_log_of_invites(tmp_path):
    home = tmp_path / "exchange"
    with closing(Store.open(home, clock=clock)) as held:
        now = clock() // 1_000_000
        for _ in range(2):
            invite = make(held, now=now, expires=now + 60)
        invites.enrol(held, enrolling(invite), now=now)
        log = held.log.id
    assert run("audit", "export", home, "-o", tmp_path / "b").exit_code == 0
    assert verdict.verify(tmp_path / "b", log=log).record.kinds == {"invited": 2, "party": 1}
    second.verify((tmp_path / "b").read_bytes(), log=log)

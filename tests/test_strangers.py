"""What strangers, accidents and hostile members send, on every route over real HTTP: an error that echoes nothing, and no more.

The last test reads the log of the process: whatever was sent before it, nothing in it was unexpected.
"""

import asyncio
import base64
import gc
import json
import re
import secrets
import socket
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from served import CREDIT, SPOKEN, publication, registration, serve
from test_api import ROUTES, pattern_of

from api import limits, rights, service
from api.app import create_app
from api.tags import tag_of, unchanged
from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.line import Line
from exchange.protocol import problems, version
from exchange.protocol.agreement import Endorsement
from exchange.protocol.errors import Stale, Throttled, TooNew, TooOld
from exchange.protocol.messages import Consent, Deprecation, Officers, Withdrawal
from exchange.protocol.request import token
from privacy import canonical
from privacy.errors import Malformed

CALLERS = {"institution": "bank-a", "lender": "lender-x", "regulator": "bureau", "officer": "clerk"}
MARK = "Zx9QwCanary"
"""In everything that is sent here, and in nothing that comes back."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    made = serve(tmp_path_factory.mktemp("strangers"))
    yield made
    made.town.stop()


@pytest.fixture(scope="module")
def http():
    with httpx2.Client(timeout=60) as client:
        yield client


def caller_of(method, path):
    roles = rights.TABLE[pattern_of(method, path)]
    return next(party for role, party in CALLERS.items() if role in roles)


def send(http, exchange, method, path, body=b"", *, signed=None, **headers):
    """Send a request with a token for it, or with what ``signed`` is; wait where the caller is told to."""
    while True:
        told = exchange.token(caller_of(method, path), method, path, body) if signed is None else signed
        headers["authorization"] = f"Bearer {told}"
        answer = http.request(method, exchange.url + path, content=body, headers=headers)
        if answer.status_code != 429 or signed is not None:
            return answer
        time.sleep(answer.json()["seconds"])


def is_problem(answer, *statuses, but=""):
    """``but`` matches the one place where a word of the caller's may stand: a short key that a document should not have."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["code"]
    assert told["fix"]
    assert told["status"] == answer.status_code
    assert MARK not in re.sub(but, "", answer.text, count=bool(but))
    return told


# --- bodies ---------------------------------------------------------------------------------------------------------------

NUMBER = "1234567890" * 4
BODIES = {
    "nothing": b"",
    "a mark": MARK.encode(),
    "not a number": f'{{"{MARK}":NaN}}'.encode(),
    "infinity": f'{{"{MARK}":-Infinity}}'.encode(),
    "a number beyond doubles": f'{{"{MARK}":1e999}}'.encode(),
    "forty digits": f'{{"{MARK}":{NUMBER}}}'.encode(),
    "forty digits and a point": f'{{"{MARK}":0.{NUMBER}}}'.encode(),
    "5,000 digits": f'{{"{MARK}":{"9" * 5_000}}}'.encode(),
    "a key twice": f'{{"kind":"ask","kind":"{MARK}"}}'.encode(),
    "a body twice": f'{{"body":"{MARK}","body":"{MARK}"}}'.encode(),
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "33 levels": b"[" * 33 + f'"{MARK}"'.encode() + b"]" * 33,
    "UTF-16": f'{{"{MARK}":1}}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + f'{{"{MARK}":1}}'.encode(),
    "Latin-1": f'{{"{MARK}":"\xe9"}}'.encode("latin-1"),
    "an overlong slash": b'{"a":"\xc0\xaf"}',
    "a lone surrogate": f'{{"{MARK}":"\\ud800"}}'.encode(),
    "a lone surrogate as a key": f'{{"{MARK}\\ud800":1}}'.encode(),
    "a NUL": f'{{"{MARK}":"\\u0000"}}'.encode(),
    "cut off": f'{{"kind":"registration","signer":"bank-a","body":"{MARK}'.encode(),
    "two documents": f'{{}}{{"{MARK}":1}}'.encode(),
    "a form": f"kind={MARK}&signer=bank-a".encode(),
    "XML": f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>{MARK}&b;</a>'.encode(),
    "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01" + MARK.encode(),
    "many keys": ("{" + ",".join(f'"{MARK}{n}":{n}' for n in range(20_000)) + "}").encode(),
    "an envelope of somebody else": f'{{"body":"{{}}","kind":"{MARK}","signature":"{"A" * 86}","signer":"bank-b"}}'.encode(),
}
POSTS = [route for route in ROUTES if route[0] == "POST"]


@pytest.mark.parametrize(("method", "path"), POSTS)
def test_no_body_gets_more_than_a_clear_error(exchange, http, method, path):
    for body in BODIES.values():
        answer = send(http, exchange, method, path, body)
        is_problem(answer, 403, 404, 409, 422, but=rf"(inputs\.|report\.)?{MARK}0?: unknown key")


def test_a_body_without_an_end_is_cut_off_by_size(exchange, http):
    def chunks():
        for _ in range(canonical.MAX_BYTES // (1 << 16) + 2):
            yield b"[" * (1 << 16)

    signed = exchange.token("bank-a", "POST", "/v1/datasets", b"")
    headers = {"authorization": f"Bearer {signed}"}
    try:
        answer = http.post(exchange.url + "/v1/datasets", content=chunks(), headers=headers)
    except httpx2.RequestError:
        return  # cut off while it still spoke
    is_problem(answer, 422)


class Unheard:
    """An application of its own, called as a server calls it, with a body that comes in parts."""

    def __init__(self, exchange, tmp_path):
        self.store = Store.open(tmp_path / "copy", clock=lambda: time.time_ns() // 1000)
        self.app = create_app(self.store, seconds=time.time)

    def post(self, receive, *, headers):
        told = []

        async def run():
            async def sent(message):
                told.append(message)

            scope = {
                "type": "http", "method": "POST", "path": "/v1/datasets", "raw_path": b"/v1/datasets",
                "query_string": b"", "headers": headers, "client": ("192.0.2.9", 1), "server": ("here", 80),
                "scheme": "http", "http_version": "1.1", "root_path": "",
            }  # fmt: skip
            await self.app(scope, receive, sent)

        asyncio.run(run())
        body = b"".join(message.get("body", b"") for message in told)
        return told[0]["status"], json.loads(body)


def test_a_body_that_does_not_arrive_in_time_is_given_up(exchange, tmp_path, monkeypatch):
    here = Unheard(exchange, tmp_path)
    key = Ed25519PrivateKey.generate()
    catalog.enrol(here.store, party="bank-a", name="A", role="institution", key=key.public_key().public_bytes_raw())
    monkeypatch.setattr(service, "ARRIVAL", 0.05)

    async def drip():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"[", "more_body": True}

    async def hung_up():
        return {"type": "http.disconnect"}

    def signed():
        told = token(
            caller="bank-a", audience=here.store.log.id, key=key, method="POST", path="/v1/datasets", body=b"",
            now=int(time.time()), token_id=secrets.token_hex(16),
        )  # fmt: skip
        return [(b"authorization", f"Bearer {told}".encode())]

    status, told = here.post(drip, headers=signed())
    assert (status, told["code"]) == (408, "TS-REQ-005")
    status, told = here.post(hung_up, headers=signed())
    assert (status, told["code"]) == (422, "TS-REQ-001")

    async def never():
        raise AssertionError("the body of a stranger is never asked for")

    status, told = here.post(never, headers=[(b"authorization", b"Bearer a.b.c")])
    assert (status, told["code"]) == (401, "TS-AUTH-001")
    here.store.close()


def test_callers_who_hang_up_half_way_leave_nothing_behind(exchange):
    place = urlsplit(exchange.url)
    for told in (b"POST /v1/datasets HT", b"POST /v1/datasets HTTP/1.1\r\nHost: a\r\n", None):
        for _ in range(20):
            signed = exchange.token("bank-a", "POST", "/v1/datasets", b"x" * 100)
            whole = f"POST /v1/datasets HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {signed}\r\nContent-Length: 100\r\n\r\nxx"
            with socket.create_connection((place.hostname, place.port)) as wire:
                wire.sendall(whole.encode() if told is None else told)
    assert httpx2.get(exchange.url + "/healthz").status_code == 200


# --- addresses ------------------------------------------------------------------------------------------------------------

SEGMENTS = [
    f"%2F{MARK}", f"..%2F..%2F{MARK}", f"%2e%2e%2f{MARK}", f"{MARK}%00", "%00", "%", "%zz" + MARK, "%ff%fe" + MARK, "%c0%af",
    MARK * 909, "%E4%BF%A1" * 300, "%F0%9F%92%A9" + MARK, "%E2%80%AE" + MARK, f"{MARK}%0d%0aSet-Cookie:%20a=b",
    f"{MARK}';drop%20table%20party;--", f"%3Cscript%3E{MARK}", f"{MARK};a=b", "~" + MARK, "%ED%A0%80", f"${{jndi:{MARK}}}",
    "None", "-1", "0", "9" * 40, "Infinity",
]  # fmt: skip
QUERIES = [
    f"{MARK}={MARK}",
    f"wait={MARK}",
    "limit=" + "9" * 40,
    "seen=%00",
    "&" * 2_000,
    "a=b&" * 2_000,
    "%",
    "q=%ff",
    "cursor=" + MARK,
]


def hostile(method, pattern):
    """Addresses of a route with something hostile in each place."""
    names = [part for part in pattern.split("/") if part.startswith("{")]
    for segment in SEGMENTS if names else ():
        filled = pattern
        for name in names:
            filled = filled.replace(name, segment)
        yield filled
    plain = pattern.replace("{version}", "1")
    for name in names:
        plain = plain.replace(name, "abc")
    for query in QUERIES if method == "GET" else QUERIES[:1]:
        yield f"{plain}?{query}"
    yield plain + "/"
    yield "/" + plain
    yield plain.replace("/v1/", "/v1/./") + "/../x"


def answered(exchange, party, method, path, data):
    """What comes back for bytes in which ``{signed}`` stands for a token; a caller that has to wait waits."""
    while True:
        answer = exchange.raw(data.replace(b"{signed}", exchange.token(party, method, path).encode()))
        if not answer.startswith(b"HTTP/1.1 429"):
            return answer
        time.sleep(0.2)


@pytest.mark.parametrize("line", rights.TABLE)
def test_no_address_gets_more_than_a_clear_error(exchange, line):
    method, _, pattern = line.partition(" ")
    party = next(party for role, party in CALLERS.items() if role in rights.TABLE[line])
    for path in hostile(method, pattern):
        signed = "{signed}"
        head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nAuthorization: Bearer {signed}\r\n\r\n"
        answer = answered(exchange, party, method, path, head.encode())
        status = int(answer.split(b" ", 2)[1])
        assert status < 500 or b"TS-SYS" in answer, (path[:80], answer[:300])
        assert status != 401, (path[:80], answer[-300:])
        assert MARK.encode() not in answer, path[:80]
        assert b"set-cookie" not in answer.lower()


@pytest.mark.parametrize("front", ["/", "/enter/", "/static/", "/problems/", "/v2/"])
def test_no_address_without_a_key_gets_more_than_a_clear_error(exchange, front):
    for path in [front + segment for segment in SEGMENTS] + [f"{front}?{query}" for query in QUERIES]:
        for method in ("GET", "POST"):
            head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nCookie: a={MARK}\r\n\r\n"
            answer = exchange.raw(head.encode())
            assert int(answer.split(b" ", 2)[1]) < 500, (method, path[:80], answer[:300])
            assert MARK.encode() not in answer, (method, path[:80])


# --- headers --------------------------------------------------------------------------------------------------------------


def framings(method, path, signed, body):
    """Requests that a lax server could read in two ways, and what a strict one answers."""
    head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nAuthorization: Bearer {signed}\r\n"
    refused = (400,)
    yield "two lengths", f"{head}Content-Length: 2\r\nContent-Length: 5\r\n\r\n".encode() + body, refused
    yield "a negative length", f"{head}Content-Length: -1\r\n\r\n".encode() + body, refused
    yield "a length with a sign", f"{head}Content-Length: +2\r\n\r\n".encode() + body, refused
    yield "a length in hexadecimal", f"{head}Content-Length: 0x2\r\n\r\n".encode() + body, refused
    yield "a length without end", f"{head}Content-Length: {'9' * 30}\r\n\r\n".encode() + body, (400, 401, 403, 422)
    yield "an unknown coding", f"{head}Transfer-Encoding: gzip\r\n\r\n".encode() + body, (*refused, 501)
    yield "a bad chunk", f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode() + body, (400, 401, 403, 422)
    yield "a control character", f"{head}X-{MARK}: a\x00b\r\n\r\n".encode(), refused
    yield "a line of its own", f"{head}X-A: a\n{MARK}: b\r\n\r\n".encode(), (200, 304, 400, 401, 403, 404, 409, 422)
    yield "a folded line", f"{head} {MARK}\r\n\r\n".encode(), (400, 401)
    yield "a space before the colon", f"{head}{MARK} : b\r\n\r\n".encode(), refused
    yield "two tokens", f"{head}Authorization: Bearer {signed}\r\n\r\n".encode(), (401,)
    yield "100 KB of header", f"{head}X-A: {MARK * 9_000}\r\n\r\n".encode(), (400, 422)
    yield "2,000 headers", (head + f"X-{MARK}: {'b' * 40}\r\n" * 2_000 + "\r\n").encode(), (400, 422)
    yield "no host", f"{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode(), refused
    yield "not HTTP", f"{MARK}\r\n\r\n".encode(), refused
    yield "another version", f"{method} {path} HTTP/9.9\r\nConnection: close\r\n\r\n".encode(), (*refused, 401, 505)
    yield "a method of its own", head.replace(method, MARK.upper(), 1).encode() + b"\r\n", (405,)
    yield "TRACE", head.replace(method, "TRACE", 1).encode() + b"\r\n", (405,)
    yield "another method's name", f"{head}X-HTTP-Method-Override: DELETE\r\n\r\n".encode(), (200, 403, 404, 409, 422)


@pytest.mark.parametrize("line", rights.TABLE)
def test_no_framing_gets_more_than_a_clear_error(exchange, line):
    method, _, pattern = line.partition(" ")
    path = pattern.replace("{version}", "1").replace("{", "").replace("}", "")
    party = next(party for role, party in CALLERS.items() if role in rights.TABLE[line])
    for name, data, expected in framings(method, path, "{signed}", b"[]"):
        answer = answered(exchange, party, method, path, data)
        status = int(answer.split(b" ", 2)[1])
        assert status in expected, (name, answer[:400])
        assert MARK.lower().encode() not in answer.lower(), name
        assert answer.count(b"HTTP/1.1 ") == 1, f"{name}: one request, one answer"


# --- tokens ---------------------------------------------------------------------------------------------------------------


def text(raw):
    return base64.urlsafe_b64encode(raw if isinstance(raw, bytes) else json.dumps(raw).encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def other_keys():
    """Keys of every other kind that a lax reader could be talked into."""
    return {
        "ES256": ECKey.import_key(_pem(ec.generate_private_key(ec.SECP256R1()))),
        "RS256": RSAKey.import_key(_pem(rsa.generate_private_key(65537, 2048))),
        "Ed448": OKPKey.generate_key("Ed448"),
    }


def _pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def abuses(exchange, party, method, path, others):
    """Every token that is not for this request from this party now."""
    now = int(time.time())
    good = exchange.token(party, method, path)
    header, claims, signature = good.split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    public = exchange.keys[party].public_key().public_bytes_raw()
    own = OKPKey.import_key(_pem(exchange.keys[party]))
    for alg in ("none", "None", ""):
        yield f"algorithm {alg!r}", f"{text({'alg': alg, 'kid': party})}.{claims}."
    yield "HS256 under the public key", _made("HS256", party, told, OctKey.import_key(public))
    yield "a signature of nothing", f"{header}.{claims}."
    yield "a signature of zeros", f"{header}.{claims}.{text(bytes(64))}"
    yield "EdDSA by its old name", f"{text({'alg': 'EdDSA', 'kid': party})}.{claims}.{signature}"
    for alg, key in others.items():
        yield alg, _made(alg, party, told, key)
    yield "expired", exchange.token(party, method, path, now=now - 200)
    yield "of the future", exchange.token(party, method, path, now=now + 90)
    yield "of another method", exchange.token(party, "DELETE", path)
    yield "of another address", exchange.token(party, method, path + "x")
    yield "of another query", exchange.token(party, method, path + "?a=b")
    yield "of another body", exchange.token(party, method, path, b"another")
    yield "of another party under this name", exchange.token(party, method, path, key=exchange.keys["lender-y"])
    stranger = Ed25519PrivateKey.generate()
    yield "of the same name at another exchange", exchange.token(party, method, path, key=stranger)
    yield "for another exchange", exchange.token(party, method, path, audience="0" * 64)
    yield "for no exchange", _made("Ed25519", party, {name: told[name] for name in told if name != "aud"}, own)
    yield "for a list of exchanges", _made("Ed25519", party, told | {"aud": [exchange.log]}, own)
    yield (
        "of a stranger",
        exchange.token(party, method, path, caller="nobody", key=stranger),
    )
    yield "five parts", f"{good}.a.b"
    yield "a mark", MARK


def _made(alg, party, claims, key):
    return jws.serialize_compact({"alg": alg, "kid": party}, json.dumps(claims), key, algorithms=[alg])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_token_but_the_callers_own_for_this_request_opens_a_route(exchange, http, other_keys, method, path):
    party = caller_of(method, path)
    for name, forged in abuses(exchange, party, method, path, other_keys):
        told = is_problem(send(http, exchange, method, path, signed=forged), 401)
        assert told["code"] == "TS-AUTH-001", name
    signed = exchange.token(party, method, path)
    assert send(http, exchange, method, path, signed=signed).status_code != 401
    is_problem(send(http, exchange, method, path, signed=signed), 401)


# --- floods ---------------------------------------------------------------------------------------------------------------


def test_an_address_that_proves_no_name_is_held_up_and_nobody_else():
    now = [1000.0]
    held = limits.Strangers(lambda: now[0])
    for _ in range(int(limits.FAILURES)):
        held.check("192.0.2.1")
        held.failed("192.0.2.1")
    with pytest.raises(Throttled) as refused:
        held.check("192.0.2.1")
    assert refused.value.seconds == 1
    with pytest.raises(Throttled):
        held.check("::ffff:192.0.2.1")
    held.check("192.0.2.2")
    now[0] += 1 / limits.FAILURES_EACH_SECOND
    held.check("192.0.2.1")
    held.failed("192.0.2.1")
    now[0] -= 500  # a clock set back fills nothing
    with pytest.raises(Throttled):
        held.check("192.0.2.1")
    held.proved("192.0.2.1")
    held.check("192.0.2.1")
    now[0] += limits.KNOWN + 1
    held.check("192.0.2.1")  # its bucket is full again


def test_one_subscriber_is_one_address():
    held = limits.Strangers(lambda: 1000.0)
    for host in range(int(limits.FAILURES)):
        held.failed(f"2001:db8:1:2::{host:x}")
    with pytest.raises(Throttled):
        held.check("2001:db8:1:2:ffff::1")
    held.check("2001:db8:1:3::1")
    for odd in ("", "unix", "a" * 1000, "fe80::1%eth0"):
        held.failed(odd)
        held.check(odd)


def test_what_is_remembered_of_addresses_is_bounded(monkeypatch):
    now = [1000.0]
    held = limits.Strangers(lambda: now[0])
    held.proved("192.0.2.1")
    monkeypatch.setattr(limits, "MOST_ADDRESSES", 1_000)
    gc.collect()
    tracemalloc.start()
    for number in range(3_000):
        held.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        now[0] += 0.00001
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) <= limits.MOST_ADDRESSES
    assert size < 512 * limits.MOST_ADDRESSES, "10,000 addresses are less than 5 MB"
    with pytest.raises(Throttled):
        held.check("203.0.113.7")  # new while all places are taken: it shares what is left
    held.check("192.0.2.1")
    now[0] += limits.FAILURES / limits.FAILURES_EACH_SECOND
    held.check("203.0.113.7")
    held.failed("203.0.113.7")
    assert len(held) < 10, "those whose buckets are full again are forgotten"


def test_tokens_are_remembered_at_a_cost_that_does_not_grow():
    now = [1000.0]
    here = service.Service(None, lambda: now[0])
    swept = 0
    for number in range(30_000):
        before = here._tokens
        here.remember(service.proof.Caller(f"p{number % 2000}", f"{number:032}", 1180, "0" * 64, 1120))
        swept += before is not here._tokens
    assert swept <= 2
    now[0] = 2000.0
    for number in range(40_000):
        here.remember(service.proof.Caller(f"p{number % 2000}", f"x{number:031}", 2180, "0" * 64, 2120))
    assert len(here._tokens) < 60_000, "what has expired is forgotten"


def test_a_flood_of_forgeries_from_one_address_shuts_out_nobody_else(exchange, http):
    def ask(address, signed):
        headers = {"authorization": f"Bearer {signed}", "x-forwarded-for": address}
        return http.get(exchange.url + "/v1/parties", headers=headers)

    heard = set()
    for _ in range(5_000):  # a slow machine gives the bucket time to fill
        heard.add(ask("198.51.100.1", "a.b.c").status_code)
        if 429 in heard:
            break
    assert heard == {401, 429}
    assert ask("198.51.100.1", exchange.token("bank-b", "GET", "/v1/parties")).status_code in (200, 429)
    assert ask("198.51.100.2", exchange.token("bank-b", "GET", "/v1/parties")).status_code == 200
    statuses = [ask("198.51.100.2", "a.b.c").status_code for _ in range(int(limits.FAILURES) + 100)]
    assert set(statuses) == {401}, "a party has proved its name from there"
    assert ask("198.51.100.2", exchange.token("bank-b", "GET", "/v1/parties")).status_code == 200


# --- versions -------------------------------------------------------------------------------------------------------------


def test_a_client_of_another_version_is_told_what_to_do(exchange):
    told = exchange.call("bank-a", "GET", "/v1/exchange", **SPOKEN).json()
    assert told["protocol"] == {"oldest": version.OLDEST, "newest": version.NEWEST}
    older = is_problem(exchange.call("bank-a", "GET", "/v1/parties", **{version.HEADER: str(version.OLDEST - 1)}), 400)
    newer = is_problem(exchange.call("bank-a", "GET", "/v1/parties", **{version.HEADER: str(version.NEWEST + 1)}), 400)
    assert (older["code"], newer["code"]) == ("TS-VER-001", "TS-VER-002")
    assert older["speaks"] == newer["speaks"] == told["protocol"]
    assert "install a newer release" in older["fix"]
    assert "operator" in newer["fix"]
    for odd in ("", "x", "-1", "1.0", "9" * 40, "\xb2", MARK):
        answer = httpx2.get(exchange.url + "/v1/parties", headers={version.HEADER: odd.encode("latin-1")})
        is_problem(answer, 422)
    unsigned = httpx2.get(exchange.url + "/v1/parties", headers={version.HEADER: "99"})
    assert is_problem(unsigned, 400)["code"] == "TS-VER-002", "whoever cannot be understood hears so first"


@pytest.mark.parametrize(("spoken", "kind"), [(0, TooOld), (99, TooNew)])
def test_the_client_says_so_in_its_own_words(exchange, monkeypatch, spoken, kind):
    monkeypatch.setattr(version, "NEWEST", spoken)
    with Line(exchange.url, party="bank-a", key=exchange.keys["bank-a"]) as line, pytest.raises(kind) as refused:
        line.get("/v1/parties")
    assert (refused.value.oldest, refused.value.newest) == (1, 1)
    assert "the exchange speaks version 1 of the protocol" in refused.value.reason


def test_every_version_in_the_range_is_spoken_and_no_other():
    for told in (3, 4, 5):
        version.check(str(told), oldest=3, newest=5)
    for told, kind in ((0, TooOld), (2, TooOld), (6, TooNew), (999_999_999, TooNew)):
        with pytest.raises(kind) as refused:
            version.check(str(told), oldest=3, newest=5)
        heard = problems.error(problems.document(refused.value))
        assert (type(heard), heard.oldest, heard.newest, heard.reason) == (kind, 3, 5, refused.value.reason)
        assert "versions 3 to 5" in heard.reason
    version.check(None)
    with pytest.raises(Malformed):
        version.check("four")


# --- tags -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] == "GET"])
def test_what_a_reader_has_is_not_sent_again(exchange, http, method, path):
    first = send(http, exchange, method, path)
    if first.status_code != 200:
        assert "etag" not in first.headers
        return
    assert first.headers["cache-control"] == "private, no-cache"
    again = send(http, exchange, method, path, **{"if-none-match": f'"x", W/{first.headers["etag"]}'})
    if again.status_code == 200:
        assert again.content != first.content, "signed anew, or newer"
        return
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert send(http, exchange, method, path, **{"if-none-match": '"another"'}).status_code == 200


def test_of_two_who_looked_and_then_write_the_second_is_told_to_look_again(exchange):
    def tag():
        return exchange.call("bank-b", "GET", "/v1/datasets/bank-b/accounts").headers["etag"]

    seen = tag()
    first = registration(title="Accounts, and their state")
    told = exchange.send("bank-b", "/v1/datasets", first, **{"if-match": seen})
    assert told.status_code == 201
    stale = is_problem(exchange.send("bank-b", "/v1/datasets", registration(title="Others"), **{"if-match": seen}), 412)
    assert stale["code"] == "TS-REQ-006"
    assert "read it again" in stale["fix"]
    assert exchange.send("bank-b", "/v1/datasets", first, **{"if-match": seen}).status_code == 201, "what is on record"
    said = Deprecation(dataset="accounts", because="old")
    over = publication("bank-b", version=2)
    gone = Withdrawal(dataset="accounts", because="gone")
    for path, message in (("/v1/policies", over), ("/v1/deprecations", said), ("/v1/withdrawals", gone)):
        is_problem(exchange.send("bank-b", path, message, **{"if-match": seen}), 412)
        is_problem(exchange.send("bank-b", path, message, **{"if-match": f"W/{tag()}"}), 412)
        before, seen = seen, tag()
        assert exchange.send("bank-b", path, message, **{"if-match": f'"x", {seen}'}).status_code == 201
        assert tag() not in (before, seen), "every change is seen in the tag"
    elsewhere = registration(dataset="others", population="others")
    assert is_problem(exchange.send("bank-b", "/v1/datasets", elsewhere, **{"if-match": seen}), 412)


def test_a_pledge_moves_only_from_where_its_reader_saw_it(exchange):
    offer, path = exchange.offer, f"/v1/offers/{exchange.offer}"
    seen = exchange.call("lender-x", "GET", path).headers["etag"]
    assert exchange.call("bank-a", "GET", path).headers["etag"] == seen
    assert exchange.send("lender-x", "/v1/access/officers", Officers(officers=("clerk",))).status_code == 200
    step, steps = Endorsement(offer=offer, act="approve", because=""), f"/v1/pledges/{offer}/steps"
    is_problem(exchange.send("clerk", steps, step, **{"if-match": '"another"'}), 412)
    assert exchange.call("bank-a", "GET", path).headers["etag"] == seen, "nothing was done"
    assert exchange.send("clerk", steps, step, **{"if-match": seen}).status_code == 200
    assert exchange.call("bank-a", "GET", path).headers["etag"] != seen
    assert exchange.send("clerk", steps, step, **{"if-match": seen}).status_code == 200, "what is on record"
    refused = exchange.send("bank-a", "/v1/appraisals", Consent(offer=offer), **{"if-match": seen})
    assert "If-Match" in is_problem(refused, 422)["detail"], "a condition that is not kept is not ignored"


def test_of_two_writers_with_the_same_tag_one_wins(tmp_path):
    """In the writer's turn, not before it: the check and the write are one."""
    store = Store.open(tmp_path, clock=lambda: time.time_ns() // 1000)
    key = Ed25519PrivateKey.generate()
    catalog.enrol(store, party="bank-a", name="A", role="institution", key=key.public_key().public_bytes_raw())
    catalog.publish_standard(store, CREDIT)
    catalog.register(store, registration().sealed_by("bank-a", key))

    def look(view):
        return catalog.describe(view, "bank-a/accounts", reader="bank-a")

    guarded = store.guarded(unchanged(tag_of(look(store.view())), look))

    def rename(number):
        try:
            return catalog.register(guarded, registration(title=f"Number {number}").sealed_by("bank-a", key))
        except Stale:
            return None

    with ThreadPoolExecutor(16) as pool:
        won = [told for told in pool.map(rename, range(64)) if told]
    assert len(won) == 1
    assert len(store.view().versions("bank-a/accounts")) == 2
    store.close()


def test_nothing_of_all_this_was_unexpected(exchange):
    told = (exchange.town.home / "exchange" / "process.log").read_text("utf-8", "replace")
    assert "unexpected failure" not in told
    assert "Traceback" not in told
    assert MARK not in told
    assert httpx2.get(exchange.url + "/readyz").json() == {"status": "ready"}

"""The exchange over real HTTP, as a stranger, a curious member and a careless client meet it."""

import base64
import gzip
import json
import os
import re
import secrets
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api import limits, problems, rights
from api.app import create_app
from api.demo import people, town
from api.leads import LEADS
from exchange import identity
from exchange import line as line_room
from exchange.book import Closed, Mended
from exchange.hub import catalog
from exchange.hub.store import Store
from exchange.journal import Broken, NoSpace
from exchange.line import Line, Unreachable
from exchange.protocol.envelope import sign
from exchange.protocol.errors import Forbidden, Throttled, Unknown
from exchange.protocol.messages import Appraisal, Offer, Publication
from exchange.protocol.request import token
from exchange.witness import followed
from privacy import canonical
from privacy.errors import Malformed, PrivacyError


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """An exchange process with three enrolled institutions and two lenders; no node runs."""
    home = tmp_path_factory.mktemp("api")
    with town.Town(home, people.synthesise(home, rows=1000), clock=lambda: time.time_ns() // 1000) as made:
        made.settle()
        for party, role in (("bureau", "regulator"), ("clerk", "officer")):
            key = identity.make(home / party, party=party, what="desk").public_key().public_bytes_raw()
            store = Store.open(home / "exchange", clock=lambda: time.time_ns() // 1000)
            catalog.enrol(store, party=party, name=party, role=role, key=key)
            store.close()
        made.start_exchange()
        yield made


def key_of(exchange, party):
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex((exchange.home / party / "signing.key").read_text()))


def log_of(exchange):
    return followed(exchange.home / "bank-a")


@pytest.fixture
def line(exchange):
    with Line(exchange.url, party="bank-a", key=key_of(exchange, "bank-a")) as made:
        yield made


def call(exchange, method, path, body=b"", *, party="bank-a", now=None, token_id=None, **headers):
    signed = token(
        caller=party,
        audience=log_of(exchange),
        key=key_of(exchange, party),
        method=method,
        path=path,
        body=body,
        now=int(now or time.time()),
        token_id=token_id or secrets.token_hex(16),
    )
    headers = {"authorization": f"Bearer {signed}"} | headers
    return httpx2.request(method, exchange.url + path, content=body, headers=headers)


def is_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["code"] == code
    assert told["status"] == status
    assert told["fix"]
    assert len(told["request_id"]) == 16
    return told


CALLERS = {"institution": "bank-a", "lender": "lender-x", "regulator": "bureau", "officer": "clerk"}
ROUTES = [
    ("GET", "/v1/standards/consumer_credit/1"),
    ("GET", "/v1/nodes"),
    ("GET", "/v1/parties"),
    ("GET", "/v1/standards"),
    ("GET", "/v1/datasets"),
    ("GET", "/v1/datasets/bank-a/accounts"),
    ("GET", "/v1/datasets/bank-a/accounts/consequences"),
    ("GET", "/v1/datasets/bank-a/accounts/certificate"),
    ("GET", "/v1/exchange"),
    ("POST", "/v1/links"),
    ("POST", "/v1/datasets"),
    ("POST", "/v1/deprecations"),
    ("POST", "/v1/withdrawals"),
    ("POST", "/v1/policies"),
    ("POST", "/v1/keys"),
    ("GET", "/v1/rotations"),
    ("POST", "/v1/rotations"),
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions/abc"),
    ("POST", "/v1/sessions/abc/messages"),
    ("POST", "/v1/poll"),
    ("POST", "/v1/previews"),
    ("GET", "/v1/previews/abc"),
    ("POST", "/v1/previews/abc/verdicts"),
    ("POST", "/v1/appraisals"),
    ("POST", "/v1/offers"),
    ("GET", "/v1/offers/abc"),
    ("POST", "/v1/offers/abc/answer"),
    ("GET", "/v1/liens/bank-a/accounts"),
    ("GET", "/v1/pledges"),
    ("POST", "/v1/pledges/abc/steps"),
    ("GET", "/v1/pledges/abc/certificate"),
    ("GET", "/v1/pledges/abc/form"),
    ("POST", "/v1/fingerprints"),
    ("POST", "/v1/confirmations"),
    ("GET", "/v1/collateral/bank-a/accounts"),
    ("GET", "/v1/reviews"),
    ("POST", "/v1/reviews"),
    ("GET", "/v1/supervision/pledges"),
    ("GET", "/v1/supervision/refusals"),
    ("GET", "/v1/formulas"),
    ("GET", "/v1/formulas/cost_cas2023"),
    ("POST", "/v1/formulas/cost_cas2023"),
    ("GET", "/v1/structures"),
    ("POST", "/v1/structures/abs"),
    ("POST", "/v1/pledges/quote"),
    ("POST", "/v1/reports"),
    ("POST", "/v1/reports/verify"),
    ("POST", "/v1/access"),
    ("GET", "/v1/access"),
    ("POST", "/v1/access/officers"),
    ("GET", "/v1/access/abc"),
    ("POST", "/v1/access/abc/rulings"),
    ("GET", "/v1/log/head"),
    ("GET", "/v1/log/inclusion"),
    ("GET", "/v1/log/consistency"),
    ("GET", "/v1/log/entries"),
]


def pattern_of(method, path):
    """The line in the table of rights that an address belongs to."""
    for line in rights.TABLE:
        verb, _, pattern = line.partition(" ")
        exact = "{" not in pattern
        if verb == method and (path == pattern if exact else re.fullmatch(re.sub(r"{\w+}", "[^/]+", pattern), path)):
            return line
    raise LookupError(path)


def test_every_route_is_listed_here(exchange):
    described = httpx2.get(exchange.url + "/openapi.json").json()["paths"]
    told = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    told -= {"GET /healthz", "GET /readyz"}
    assert told - rights.OPEN == set(rights.TABLE) == {pattern_of(*route) for route in ROUTES}
    assert rights.OPEN == {"POST /v1/enrolments"} <= told, (
        "an open route is a decision of its own: see tests/test_joining.py"
    )
    assert len(ROUTES) == len(rights.TABLE)


@pytest.mark.parametrize("role", CALLERS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_role_calls_what_the_table_of_rights_says_and_nothing_else(exchange, method, path, role):
    answer = call(exchange, method, path, party=CALLERS[role])
    if role in rights.TABLE[pattern_of(method, path)]:
        assert answer.status_code < 500
        assert answer.status_code not in (401, 429)
        assert answer.status_code != 403 or answer.json()["code"] != "TS-AUTH-002"
    else:
        told = is_problem(answer, 403, "TS-AUTH-002")
        assert role not in told["fix"]


def test_a_route_without_a_line_lets_nobody_in():
    for role in (*CALLERS, None, "", "operator"):
        with pytest.raises(Forbidden, match="your role does not allow this"):
            rights.check("GET /v1/everything", role)
    with pytest.raises(Forbidden):
        rights.check("POST /v1/datasets", None)


def test_a_service_whose_routes_and_rights_differ_does_not_start(monkeypatch, tmp_path):
    store = Store.open(tmp_path, clock=lambda: time.time_ns() // 1000)
    create_app(store, seconds=time.time)
    monkeypatch.delitem(rights.TABLE, "GET /v1/parties")
    with pytest.raises(RuntimeError, match="GET /v1/parties"):
        create_app(store, seconds=time.time)
    store.close()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_told_to_who_does_not_prove_its_name(exchange, method, path):
    is_problem(httpx2.request(method, exchange.url + path), 401, "TS-AUTH-001")
    forged = httpx2.request(method, exchange.url + path, headers={"authorization": "Bearer a.b.c"})
    is_problem(forged, 401, "TS-AUTH-001")
    stranger = token(
        caller="bank-a",
        audience=log_of(exchange),
        key=Ed25519PrivateKey.generate(),
        method=method,
        path=path,
        body=b"",
        now=int(time.time()),
        token_id="s" * 32,
    )
    is_problem(
        httpx2.request(method, exchange.url + path, headers={"authorization": f"Bearer {stranger}"}), 401, "TS-AUTH-001"
    )


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] == "POST"])
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b'{"a":1.5}', b'{"kind":"ask"}', b"\xff\xfe", b'{"wait":-1}', b"[" * 5000]
)
def test_a_body_that_is_no_message_is_a_problem_without_an_echo(exchange, method, path, body):
    roles = rights.TABLE[pattern_of(method, path)]
    party = next(party for role, party in CALLERS.items() if role in roles)
    response = call(exchange, method, path, body, party=party)
    assert response.status_code in (404, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "1.5" not in response.text


def test_a_body_beyond_the_limit_is_refused(exchange):
    is_problem(call(exchange, "POST", "/v1/datasets", b"0" * (canonical.MAX_BYTES + 1)), 422, "TS-REQ-001")


def test_a_recorded_request_cannot_be_replayed_or_bent(exchange):
    once = {"token_id": "r" * 32}
    assert call(exchange, "GET", "/v1/parties", **once).status_code == 200
    is_problem(call(exchange, "GET", "/v1/parties", **once), 401, "TS-AUTH-001")
    signed = call(exchange, "GET", "/v1/parties").request.headers["authorization"]
    bent = httpx2.get(exchange.url + "/v1/datasets", headers={"authorization": signed})
    is_problem(bent, 401, "TS-AUTH-001")


def test_a_clock_that_is_wrong_is_named_with_its_error(exchange):
    told = is_problem(call(exchange, "GET", "/v1/parties", now=time.time() - 1000), 401, "TS-AUTH-001")
    assert "differ by 100" in told["detail"]
    assert "clock" in told["fix"]


def test_nobody_sends_anothers_message(exchange, line):
    offer = Appraisal(asset="bank-a/accounts", report="0" * 64, releases=())
    stolen = offer.sealed_by("lender-x", key_of(exchange, "lender-x"))
    with pytest.raises(Forbidden):
        line.post("/v1/appraisals", stolen)


def test_institutions_lend_nothing_and_lenders_register_nothing(exchange):
    offer = Offer(
        asset="bank-a/accounts",
        rank=1,
        amount=1,
        matures="2027-01-01",
        appraisal="0" * 64,
        nonce="0" * 64,
        forbids_juniors=False,
    )
    with Line(exchange.url, party="bank-a", key=key_of(exchange, "bank-a")) as line, pytest.raises(Forbidden):
        line.post("/v1/offers", offer.sealed_by("bank-a", key_of(exchange, "bank-a")))
    with Line(exchange.url, party="lender-x", key=key_of(exchange, "lender-x")) as line:
        policy = town.policy_document(exchange.institutions[0])
        forged = Publication(policy=policy).sealed_by("lender-x", key_of(exchange, "lender-x"))
        with pytest.raises(Forbidden):
            line.post("/v1/policies", forged)
        with pytest.raises(Unknown):
            line.post("/v1/offers", offer.sealed_by("lender-x", key_of(exchange, "lender-x")))


def test_what_is_not_yours_reads_like_what_does_not_exist(exchange, line):
    for path in (
        "/v1/sessions/" + "0" * 64,
        "/v1/previews/" + "0" * 64,
        "/v1/offers/" + "0" * 64,
        "/v1/pledges/" + "0" * 64 + "/certificate",
        "/v1/liens/bank-z/accounts",
    ):
        with pytest.raises(Unknown):
            line.get(path)


def test_an_unknown_kind_of_envelope_is_refused(exchange, line):
    with pytest.raises((Malformed, PrivacyError)) as refused:
        line.post("/v1/datasets", sign("gossip", {"a": 1}, signer="bank-a", key=key_of(exchange, "bank-a")))
    assert "gossip" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/v1/parties", 405), ("PUT", "/v1/poll", 405), ("GET", "/redoc", 404)],
)
def test_addresses_and_methods_that_do_not_exist_are_problems_too(exchange, method, path, status):
    response = httpx2.request(method, exchange.url + path)
    is_problem(response, status, f"TS-HTTP-{status}")


def test_parameters_out_of_range_are_problems_without_an_echo(exchange):
    for query in ("wait=-1", "wait=99", "wait=x", "seen=-5"):
        told = is_problem(call(exchange, "GET", f"/v1/sessions/abc?{query}"), 422, "TS-REQ-001")
        assert query.split("=")[1] not in json.dumps(told["detail"])
    is_problem(call(exchange, "GET", "/v1/standards/consumer_credit/x"), 422, "TS-REQ-001")


def test_health_needs_no_key_and_tells_no_secret(exchange):
    told = httpx2.get(exchange.url + "/healthz").json()
    assert set(told) == {"status", "log", "journal"}
    assert told["log"] == log_of(exchange)
    assert told["status"] == "serving"
    assert told["journal"] > 0


def test_readiness_is_that_of_the_journal_and_its_catalogue(exchange, tmp_path, monkeypatch):
    assert httpx2.get(exchange.url + "/readyz").json() == {"status": "ready"}
    store = Store.open(tmp_path, clock=lambda: time.time_ns() // 1000)
    store.check_ready()
    monkeypatch.setattr("exchange.journal.LEAST_FREE", 1 << 62)
    with pytest.raises(NoSpace):
        store.check_ready()
    monkeypatch.undo()
    store.book._behind = True
    with pytest.raises(Mended):
        store.check_ready()
    store.book._behind = False
    store.book.journal._refusal = "the disk failed"
    with pytest.raises(Broken):
        store.check_ready()
    store.close()
    with pytest.raises(Closed):
        store.check_ready()


def test_a_request_carries_its_id_in_answer_log_and_problem_and_is_counted(exchange):
    fine = call(exchange, "GET", "/v1/standards/consumer_credit/1")
    wrong = call(exchange, "GET", "/v1/datasets/bank-a/secret-name")
    assert re.fullmatch("[0-9a-f]{16}", fine.headers["x-request-id"])
    assert wrong.headers["x-request-id"] == wrong.json()["request_id"]
    log, last = exchange.home / "exchange" / "process.log", wrong.headers["x-request-id"]
    until = time.monotonic() + 20
    while last not in log.read_text() and time.monotonic() < until:
        time.sleep(0.05)  # the line is written once the answer is on its way
    lines = log.read_text()
    standard, dataset = "/v1/standards/{name}/{version}", "/v1/datasets/{owner}/{dataset}"
    for answer, route, status in ((fine, standard, 200), (wrong, dataset, 404)):
        (told,) = [line for line in lines.splitlines() if answer.headers["x-request-id"] in line]
        assert f'"route": "{route}", "status": {status}' in told
        assert '"party": "bank-a"' in told
        assert '"from"' not in told
    counts = httpx2.get(exchange.url + "/metrics").text
    assert 'touchstone_requests_total{method="GET",route="/v1/datasets/{owner}/{dataset}",status="404"}' in counts
    httpx2.request("BREW", exchange.url + "/tea?for=two")
    counts = httpx2.get(exchange.url + "/metrics").text
    for leak in ("secret-name", "bank-a", "tea", "two", "BREW"):
        assert leak not in counts
        assert leak == "bank-a" or leak not in lines
    is_problem(httpx2.get(exchange.url + "/metrics", headers={"x-forwarded-for": "10.0.0.1"}), 404, "TS-REQ-004")


def test_where_somebody_who_proves_no_name_comes_from_is_in_the_log(exchange):
    with httpx2.Client(transport=httpx2.HTTPTransport(local_address="127.0.0.7")) as http:
        refused = http.get(exchange.url + "/v1/datasets", headers={"authorization": "Bearer a.b.c"})
    is_problem(refused, 401, "TS-AUTH-001")
    log, until = exchange.home / "exchange" / "process.log", time.monotonic() + 20
    while refused.headers["x-request-id"] not in log.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    (told,) = [line for line in log.read_text().splitlines() if refused.headers["x-request-id"] in line]
    assert '"party": null, "from": "127.0.0.7"' in told


def test_the_description_is_whole_and_every_reference_in_it_leads_somewhere(exchange):
    told = httpx2.get(exchange.url + "/openapi.json").json()
    assert told["openapi"].startswith("3.1")

    def references(value):
        if isinstance(value, dict):
            yield from (inner for key, inner in value.items() if key == "$ref")
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in set(references(told)):
        assert reference.removeprefix("#/components/schemas/") in told["components"]["schemas"]
    for line, roles in rights.TABLE.items():
        method, _, path = line.partition(" ")
        operation = told["paths"][path][method.lower()]
        assert {"401", "403", "429", "500", "503"} <= set(operation["responses"])
        assert operation["security"] == [{"signed": []}]
        assert all(role in operation["description"] for role in roles) or roles == rights.EVERY
        assert (method == "POST") == ("requestBody" in operation)


def test_the_page_that_explains_the_interface_needs_no_key_no_script_and_no_other_host(exchange):
    shown = httpx2.get(exchange.url + "/docs")
    assert shown.status_code == 200
    assert shown.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in shown.text
    assert not re.search(r"(?:src|href)=.https?:", shown.text)
    for line in rights.TABLE:
        assert f"<code>{line}</code>" in shown.text
    for lead in (lead for leads in LEADS.values() for lead in leads):
        assert f"<li><code>{lead.to}</code> " in shown.text


@pytest.mark.parametrize("page", ["/problems", *(f"/problems/{problem.code}" for problem in problems.every())])
def test_the_pages_about_problems_need_no_key_and_no_other_host(exchange, page):
    shown = httpx2.get(exchange.url + page)
    assert shown.status_code == 200
    assert shown.headers["content-security-policy"].startswith("default-src 'self'")
    assert not re.search(r"(?:src|href)=.https?:", shown.text)


def test_a_problem_that_does_not_exist_has_no_page(exchange):
    assert httpx2.get(exchange.url + "/problems/TS-NO-1").status_code == 404
    told = httpx2.get(exchange.url + "/problems/TS-NO-1.json")
    assert (told.status_code, told.json()["code"]) == (404, "TS-REQ-004")


def test_who_asks_too_often_waits_and_nobody_else_does():
    now = [1000.0]
    held = limits.Limits(lambda: now[0])
    for _ in range(int(limits.BURST)):
        held.take("bank-a")
    with pytest.raises(Throttled) as refused:
        held.take("bank-a")
    assert refused.value.seconds == 1
    held.take("bank-b")
    now[0] += 1.5 / limits.EACH_SECOND
    held.take("bank-a")
    with pytest.raises(Throttled):
        held.take("bank-a")
    now[0] -= 500  # a clock set back fills nothing
    with pytest.raises(Throttled):
        held.take("bank-a")
    now[0] += 10_000
    for _ in range(int(limits.BURST)):
        held.take("bank-a")
    with pytest.raises(Throttled):
        held.take("bank-a")


def test_an_exchange_that_stops_tells_held_polls_so(tmp_path, monkeypatch):
    monkeypatch.setattr(line_room.time, "sleep", lambda _: None)
    told = {"wait": 20, "seq": 5, "head": "0" * 64}
    with town.Town(tmp_path, people.synthesise(tmp_path, rows=1000), clock=lambda: time.time_ns() // 1000) as made:
        made.settle()
        made.start_exchange()
        with Line(made.url, party="bank-b", key=key_of(made, "bank-b")) as line, ThreadPoolExecutor(2) as pool:
            raw = pool.submit(call, made, "POST", "/v1/poll", canonical.encode(told))
            held = pool.submit(line.post, "/v1/poll", told)
            assert not _ends(raw, within=1), "the poll is held"
            os.kill(made.running()["exchange"], signal.SIGTERM)
            answer = is_problem(raw.result(timeout=10), 503, "TS-SYS-001")
            assert answer["title"] == "The service is stopping"
            with pytest.raises(Unreachable, match="does not answer"):
                held.result(timeout=10)


def line_to(answer, monkeypatch, *, audience="a" * 64):
    """A line whose far end is a function, and the clock that passes with each pause and each part of an answer."""
    passed = [0.0]
    monkeypatch.setattr(line_room, "monotonic", lambda: passed[0])
    monkeypatch.setattr(line_room.time, "sleep", lambda seconds: passed.__setitem__(0, passed[0] + seconds))
    line = Line("http://exchange", party="bank-a", key=Ed25519PrivateKey.generate(), audience=audience)
    line._http = httpx2.Client(
        base_url=line.url, transport=httpx2.MockTransport(lambda request: answer(request, passed))
    )
    return line, passed


def drip(passed, *, seconds, size=1):
    while True:
        passed[0] += seconds
        yield b"0" * size


def silence(request, passed):
    passed[0] += 60
    raise httpx2.ReadTimeout("silence", request=request)


def test_an_answer_without_an_end_is_given_up(monkeypatch):
    line, passed = line_to(lambda _, passed: httpx2.Response(200, content=drip(passed, seconds=50)), monkeypatch)
    with line, pytest.raises(Unreachable):
        line.get("/v1/parties")
    assert passed[0] <= line_room.LONGEST + 50
    monkeypatch.setattr(line_room, "MOST_BYTES", 1000)
    line, passed = line_to(
        lambda _, passed: httpx2.Response(200, content=drip(passed, seconds=0, size=300)), monkeypatch
    )
    with line, pytest.raises(Unreachable):
        line.get("/v1/parties")


def test_an_exchange_that_says_nothing_is_given_up_before_all_patience_is_spent(monkeypatch):
    line, passed = line_to(silence, monkeypatch)
    with line, pytest.raises(Unreachable):
        line.get("/v1/parties")
    assert line_room.LONGEST <= passed[0] <= line_room.LONGEST + 60


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"[" * 100_000, {}),
        (200, b"{}", {"content-encoding": "gzip", "content-length": "7"}),
        (200, gzip.compress(b"{}"), {"content-encoding": "gzip"}),
        (200, b"", {}),
        (200, b"null", {}),
        (200, b"9" * 10_000, {}),
        (500, b"Internal Server Error", {}),
        (404, b"\xff", {}),
        (302, b"", {"location": "http://elsewhere"}),
    ],
    ids=range(9),
)
def test_whatever_comes_back_is_a_document_or_an_error_of_ours(monkeypatch, status, body, headers):
    line, _ = line_to(lambda _, __: httpx2.Response(status, content=iter([body]), headers=headers), monkeypatch)
    with line:
        try:
            assert line.get("/v1/parties") == {}
        except PrivacyError:
            return
        assert body == b"{}"


def test_an_exchange_that_is_not_ready_is_asked_again(monkeypatch):
    answers = iter([(503, b"{}"), (503, b""), (200, b'{"a":1}')])

    def answer(*_):
        status, body = next(answers)
        return httpx2.Response(status, content=iter([body]))

    line, passed = line_to(answer, monkeypatch)
    with line:
        assert line.get("/v1/parties") == {"a": 1}
    assert passed[0] > 0


def test_an_exchange_whose_log_is_not_known_is_asked_for_it_once(monkeypatch):
    asked, answers = [], iter([(503, b""), (200, b'{"log":"abc"}'), (503, b""), (200, b'{"a":1}'), (200, b'{"a":2}')])

    def answer(request, _):
        asked.append((request.url.path, request.headers.get("authorization")))
        status, body = next(answers)
        return httpx2.Response(status, content=iter([body]))

    line, _ = line_to(answer, monkeypatch, audience=None)
    with line:
        assert [line.get("/v1/parties"), line.get("/v1/parties")] == [{"a": 1}, {"a": 2}]
    assert [path for path, _ in asked] == ["/healthz", "/healthz", *["/v1/parties"] * 3]
    for path, signed in asked:
        if path == "/healthz":
            assert signed is None
        else:
            claims = signed.removeprefix("Bearer ").split(".")[1]
            assert json.loads(base64.urlsafe_b64decode(claims + "=="))["aud"] == "abc"


@pytest.mark.parametrize("told", [b"{}", b"[]", b'{"log":1}', b'{"log":"%s"}' % (b"a" * 101), b"hello"])
def test_what_is_no_exchange_hears_nothing_that_is_signed(monkeypatch, told):
    asked = []

    def answer(request, _):
        asked.append(request.url.path)
        return httpx2.Response(200, content=iter([told]))

    line, _ = line_to(answer, monkeypatch, audience=None)
    with line, pytest.raises(PrivacyError):
        line.get("/v1/parties")
    assert asked == ["/healthz"]


def _ends(future, *, within):
    try:
        future.result(timeout=within)
    except TimeoutError:
        return False
    return True

"""Whatever the interface makes is found where its description says: ways along its links, walked by who may, over real HTTP.

First every life from beginning to end, with ids that come from links alone; then schemathesis, in any order, along any link.
"""

import json
import re
import time
from collections import Counter
from contextlib import suppress

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from api import rights
from privacy import canonical
from privacy.errors import PrivacyError
from tests.walked import SAYS, inhabited

NOWHERE = {
    "POST /v1/links": "the address that it answers is a page of the console, for people",
    "POST /v1/poll": "it hands tasks out; each names where it is answered",
    "POST /v1/access/officers": "the list is read nowhere: it decides who sees requests and pledges",
    "POST /v1/previews/{preview_id}/verdicts": "a preview is its asker's to read, and its nodes have said all",
    "POST /v1/formulas/{name}": "it computes; nothing is kept, and the figures are the answer",
    "POST /v1/structures/{kind}": "it computes; nothing is kept, and the figures are the answer",
    "POST /v1/pledges/quote": "it computes; nothing is kept, and the figures are the answer",
}
"""Routes that take something and lead nowhere, each with the reason."""

ONE_TIME = (
    "POST /v1/enrolments",  # needs an invite for each
    "POST /v1/rotations",  # what signs next depends on whether this one was taken
    "POST /v1/reviews",  # waits for a pledge that was filed on rows like another's
    "POST /v1/reports",  # computes for half a second
    "POST /v1/reports/verify",
)
"""Routes that are walked once each, in their own lives."""

REGISTERED = ("GET /v1/pledges/{offer_id}/certificate", "GET /v1/pledges/{offer_id}/form")
"""What is read of a registered pledge alone."""

UNFIT = ("positive_data_acceptance", "object_level_authorization")
"""As in test_contract.py: what fits the description may be refused by rules that no schema says."""


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    made = inhabited(tmp_path_factory.mktemp("leads"))
    yield made
    made.exchange.town.stop()


@pytest.fixture(scope="module")
def described(hand):
    return requests.get(f"{hand.exchange.url}/openapi.json", timeout=60).json()


def operations(described):
    return {
        f"{method.upper()} {path}": told
        for path, methods in described["paths"].items()
        for method, told in methods.items()
    }


def success(operation):
    return next(answer for status, answer in operation["responses"].items() if status.startswith("2"))


def in_path(operation):
    return {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}


# -- what the description says -----------------------------------------------------------------------------------------


def test_every_route_that_takes_something_says_where_that_leads(described):
    routes = operations(described)
    taking = {route for route in routes if route.startswith("POST ")}
    leading = {route for route in taking if success(routes[route]).get("links")}
    assert taking - leading == set(NOWHERE), (
        "a route that makes something needs a line in api/leads.py, or a reason here"
    )
    assert leading == set(SAYS) - set(NOWHERE), "every one of them is walked below"


def test_every_link_names_a_route_and_all_that_its_path_needs(described):
    routes = operations(described)
    by_id = {told["operationId"]: route for route, told in routes.items()}
    assert len(by_id) == len(routes)
    for route, operation in routes.items():
        for name, link in success(operation).get("links", {}).items():
            target = by_id[link["operationId"]]
            assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
            assert link["description"]
            assert set(link.get("parameters", {})) == in_path(routes[target]), (route, target)
            for expression in link.get("parameters", {}).values():
                told = re.fullmatch(r"\$response\.body#/[a-z]+|\$request\.path\.([a-z_]+)", expression)
                assert told, expression
                assert told[1] is None or told[1] in in_path(operation), (route, expression)
            if target.startswith("GET "):  # who was answered may go on and read; what others send is for others
                assert rights.TABLE.get(route, frozenset()) <= rights.TABLE[target], (route, target)


# -- every life, by the links alone ------------------------------------------------------------------------------------


class Life:
    """One client who knows nothing but the description: it goes where a link has led, with the ids that the link told."""

    def __init__(self, hand, described, *begins):
        self.hand = hand
        self.routes = operations(described)
        self.by_id = {told["operationId"]: route for route, told in self.routes.items()}
        self.known = {route: {} for route in begins}
        self.schema = schemathesis.openapi.from_dict(described)
        self.schema.config.update(base_url=hand.exchange.url)
        self.read = {}

    def go(self, route, move="next", salt=0, *, status=None, **told):
        """Send what comes next on a route that is known, follow every link of the answer that reads, and return its body."""
        ids = self.known[route]
        party, document = self.hand.say(route, ids | told, move, salt)
        path = route.removeprefix("POST ").format_map(ids)
        answer = self.call(party, "POST", path, canonical.encode(document))
        self.check(route, answer)
        if status is not None:
            assert answer.status_code == status, answer.text
            return answer.json()
        assert answer.status_code in (200, 201), (route, answer.text)
        if route == "POST /v1/rotations":
            self.hand.keys[party] = self.hand.turning
        self.follow(route, ids, answer, party)
        return answer.json()

    def call(self, party, method, path, body=b""):
        headers = (
            {}
            if path == "/v1/enrolments"
            else {"authorization": f"Bearer {self.hand.exchange.token(party, method, path, body)}"}
        )
        return requests.request(method, self.hand.exchange.url + path, data=body, headers=headers, timeout=60)

    def check(self, route, answer):
        method, _, path = route.partition(" ")
        self.schema[path][method].validate_response(answer)

    def follow(self, route, ids, answer, party):
        body = answer.json()
        for link in success(self.routes[route]).get("links", {}).values():
            target = self.by_id[link["operationId"]]
            told = {name: resolved(expression, body, ids) for name, expression in link.get("parameters", {}).items()}
            if "requestBody" in link:
                assert link["requestBody"] == "$response.body"
                told["body"] = body
            self.known[target] = told
            if target.startswith("GET "):
                self.look(route, target, told, party)

    def look(self, route, target, told, party):
        """Read at a route that a link leads to, as who was answered."""
        path = target.removeprefix("GET ").format_map(told)
        # the word of a node is read by the officers: the request itself is not the node's
        reader = "li" if (route, party) == ("POST /v1/access/{request_id}/rulings", "bank-b") else party
        found = self.call(reader, "GET", path)
        self.check(target, found)
        early = target in REGISTERED and found.status_code == 409
        assert found.status_code == 200 or early, (route, target, found.text)
        self.read[target] = found.json()


def resolved(expression, body, ids):
    """What a runtime expression of a link stands for (OpenAPI 3.1, section 4.8.20.4)."""
    kind, _, name = expression.rpartition("." if expression.startswith("$request.path.") else "/")
    value = ids[name] if kind == "$request.path" else body[name]
    assert isinstance(value, str)
    assert value
    return value


def test_a_dataset_from_registration_to_withdrawal(hand, described):
    life = Life(hand, described, "POST /v1/datasets")
    record = "GET /v1/datasets/{owner}/{dataset}"
    made = life.go("POST /v1/datasets")
    assert made["asset"] == f"{made['owner']}/{made['dataset']}"
    assert (life.read[record]["state"], life.read[record]["policy"]) == ("active", None)
    assert life.read["GET /v1/liens/{owner}/{dataset}"]["liens"] == []
    life.go("POST /v1/policies")
    assert life.read[record]["policy"] == 1
    marked = life.go("POST /v1/fingerprints")
    assert life.read["GET /v1/collateral/{owner}/{dataset}"]["fingerprint"] == marked["id"]
    life.go("POST /v1/confirmations")
    assert life.read["GET /v1/collateral/{owner}/{dataset}"]["state"] == "confirmed"
    assert life.go("POST /v1/deprecations", salt=1)["asset"] == made["asset"]
    assert life.read[record]["state"] == "deprecated"
    life.go("POST /v1/withdrawals", salt=1)
    assert life.read[record]["state"] == "withdrawn"
    assert life.read["GET /v1/datasets/{owner}/{dataset}/consequences"]["state"] == "withdrawn"
    assert life.read["GET /v1/datasets/{owner}/{dataset}/certificate"]["kind"]


def test_what_is_withdrawn_takes_nothing_more(hand, described):
    life = Life(hand, described, "POST /v1/datasets")
    name = life.go("POST /v1/datasets")["dataset"]
    life.go("POST /v1/policies")
    life.go("POST /v1/fingerprints")
    ways = [route for route in life.known if route.startswith("POST /v1/") and route != "POST /v1/appraisals"]
    held = {route: hand.say(route, {}, salt=2) for route in (*ways, "POST /v1/datasets")}
    life.go("POST /v1/withdrawals", salt=1)
    for route, (party, document) in held.items():
        answer = life.call(party, "POST", route.removeprefix("POST "), canonical.encode(document))
        life.check(route, answer)
        assert answer.status_code in (404, 409), (route, answer.text)
    assert life.call("bank-c", "GET", f"/v1/datasets/bank-c/{name}").json()["state"] == "withdrawn"


def test_a_question_from_its_key_to_its_answer(hand, described):
    life = Life(hand, described, "POST /v1/keys")
    life.go("POST /v1/keys")
    life.go("POST /v1/sessions")
    stages = [life.go("POST /v1/sessions/{session}/messages")["stage"] for _ in range(9)]
    assert stages == [*["judging"] * 2, *["committing"] * 3, *["answering"] * 3, "answered"]
    told = life.read["GET /v1/sessions/{session}"]
    assert (told["heard"], len(told["shares"]), bool(told["product"])) == (9, 3, True)
    life.go("POST /v1/sessions/{session}/messages", "abort", status=409)


def test_a_preview_and_what_its_nodes_say(hand, described):
    life = Life(hand, described, "POST /v1/previews")
    opened = life.go("POST /v1/previews")
    assert life.go("POST /v1/previews/{preview_id}/verdicts")["heard"] == 1
    assert life.go("POST /v1/previews/{preview_id}/verdicts", "other")["heard"] == 2
    life.look("POST /v1/previews", "GET /v1/previews/{preview_id}", {"preview_id": opened["id"]}, "lender-x")
    assert life.read["GET /v1/previews/{preview_id}"]["waiting_for"] == ["bank-d"]


def test_a_request_for_access_from_the_question_to_the_node_s_word(hand, described):
    life = Life(hand, described, "POST /v1/access")
    life.go("POST /v1/access", salt=1)
    life.go("POST /v1/access/{request_id}/rulings")
    life.go("POST /v1/access/{request_id}/rulings")
    told = life.read["GET /v1/access/{request_id}"]["owners"]["bank-b"]
    assert (len(told["rulings"]), len(told["words"])) == (1, 1)


def test_a_pledge_from_its_appraisal_to_its_release(hand, described):
    life = Life(hand, described, "POST /v1/reports")
    life.go("POST /v1/reports")
    assert life.go("POST /v1/reports/verify")["digest"]
    life.go("POST /v1/appraisals", salt=1)
    life.go("POST /v1/offers")
    step, answer = "POST /v1/pledges/{offer_id}/steps", "POST /v1/offers/{offer_id}/answer"
    states = [life.go(step)["state"] for _ in range(3)]
    states.append(life.go(answer)["state"])
    states += [life.go(step, salt=salt)["state"] for salt in (0, 0, 1, 3, 0)]
    assert states == [
        "quoted", "approved", "approved", "signed", "registered", "active", "active", "margin_call", "step_in",
    ]  # fmt: skip
    assert life.read["GET /v1/pledges/{offer_id}/form"]
    assert life.read["GET /v1/pledges/{offer_id}/certificate"]["kind"]
    assert life.go(step, "release")["state"] == "released"
    assert life.read["GET /v1/offers/{offer_id}"]["state"] == "released"
    for move in ("refuse", "assign"):
        life.go(step, move, status=409)
    life.go(answer, "object", status=409)


def test_a_pledge_that_a_reviewer_lets_go_on(hand, described):
    life = Life(hand, described, "POST /v1/appraisals", "POST /v1/reviews")
    step = "POST /v1/pledges/{offer_id}/steps"
    mine = {"asset": "bank-d/accounts"}
    cited = life.go("POST /v1/appraisals", salt=2, **mine)["id"]
    life.go("POST /v1/offers", appraisal=cited, **mine)
    for _ in range(3):
        life.go(step)
    life.go("POST /v1/offers/{offer_id}/answer")
    life.go(step, status=403)
    life.go("POST /v1/reviews")
    assert life.read["GET /v1/reviews"]["reviews"] == []
    assert life.go(step)["state"] == "registered"
    assert life.go(step, "release")["state"] == "released"


def test_a_party_from_its_invite_and_a_key_that_changes(hand, described):
    life = Life(hand, described, "POST /v1/enrolments", "POST /v1/rotations")
    life.go("POST /v1/enrolments")
    assert "newcomer" in {one["id"] for one in life.read["GET /v1/parties"]["parties"]}
    for _ in range(2):
        made = life.go("POST /v1/rotations")
        keys = {one["id"]: one["key"] for one in life.read["GET /v1/parties"]["parties"]}
        assert keys["turner"] == made["key"]
        assert json.loads(life.read["GET /v1/rotations"]["rotations"][-1]["envelope"]["body"])["key"] == made["key"]


# -- any order, along any link -----------------------------------------------------------------------------------------

MOVES = {
    "POST /v1/sessions/{session}/messages": ["next", "abort", "decline"],
    "POST /v1/previews/{preview_id}/verdicts": ["next", "other"],
    "POST /v1/access/{request_id}/rulings": ["next", "refuse"],
    "POST /v1/offers/{offer_id}/answer": ["next", "object"],
    "POST /v1/pledges/{offer_id}/steps": ["next", "release", "refuse", "assign"],
}


def begun(hand, described):
    """Make one of everything, and return the ids by which paths name them."""
    life = Life(
        hand, described, "POST /v1/keys", "POST /v1/datasets", "POST /v1/previews", "POST /v1/access", "POST /v1/offers"
    )
    life.go("POST /v1/keys")
    return life.go("POST /v1/datasets") | {
        "session": life.go("POST /v1/sessions", salt=3)["id"],
        "preview_id": life.go("POST /v1/previews", salt=3)["id"],
        "request_id": life.go("POST /v1/access", salt=3)["id"],
        "offer_id": life.go("POST /v1/offers", salt=3)["id"],
    }


def with_moves(described, ids):
    """The description in which a move stands where a route takes a message; no way begins at what was never made."""
    told = json.loads(json.dumps(described))
    for route, operation in operations(told).items():
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"] in ids:
                parameter["schema"] = {"enum": [ids[parameter["name"]]]}
            if parameter["name"] == "wait":
                parameter["schema"] = {"enum": [0]}  # what is held open is tried in test_api.py
        if route in SAYS:
            operation["requestBody"]["content"]["application/json"]["schema"] = {
                "type": "object",
                "required": ["move", "salt"],
                "additionalProperties": False,
                "properties": {
                    "move": {"enum": MOVES.get(route, ["next"])},
                    "salt": {"type": "integer", "minimum": 0, "maximum": 10**9},
                },
            }
    return told


class Walking(requests.auth.AuthBase):
    """Puts the message in the place of a move, and signs the request as who sends or reads it."""

    def __init__(self, hand, described):
        self.hand = hand
        self.routes = [
            (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.partition(" ")[2])))
            for route in operations(described)
        ]

    def __call__(self, request):
        path = request.path_url.partition("?")[0]
        route, ids = next(
            (route, found.groupdict())
            for route, pattern in self.routes
            if route.startswith(f"{request.method} ") and (found := pattern.fullmatch(path))
        )
        party = self.hand.reader(route, ids)
        if request.body:
            try:
                told = json.loads(request.body)
                salt = int(told["salt"])
                # most moves lead on, so that what takes many steps is reached
                party, document = self.hand.say(route, ids, told["move"] if salt % 8 == 1 else "next", salt)
                request.prepare_body(canonical.encode(document), None)
            except (ValueError, PrivacyError):
                pass  # no message can name such an id: the move itself goes, which is none
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        signed = self.hand.exchange.token(party, request.method, request.path_url, body)
        request.headers["authorization"] = f"Bearer {signed}"
        return request


@pytest.mark.parametrize(
    ("rounds", "length"), [pytest.param(2, 8, id="ten"), pytest.param(40, 25, id="many", marks=pytest.mark.long)]
)
def test_in_any_order_what_was_made_is_there(hand, described, rounds, length):
    """Rounds of five ways each: what the exchange remembers of one way may make the next take another turn."""
    routes = operations(described)
    by_id = {told["operationId"]: route for route, told in routes.items()}
    linked = {
        by_id[link["operationId"]] for told in routes.values() for link in success(told).get("links", {}).values()
    }
    walked = (set(SAYS) | linked) - set(ONE_TIME)
    moving = with_moves(described, begun(hand, described))
    schema = schemathesis.openapi.from_dict(moving).include(lambda ctx: ctx.operation.label in walked)
    schema.config.update(base_url=hand.exchange.url)
    schema.config.generation.update(modes=[GenerationMode.POSITIVE])  # what does not fit is tried in test_contract.py
    load_all_checks()
    checks = [check for check in CHECKS.get_all() if check.__name__ not in UNFIT]
    assert {"ensure_resource_availability", "use_after_free"} <= {check.__name__ for check in checks}
    auth, seen, faults = Walking(hand, described), Counter(), []

    class Way(schema.as_state_machine()):
        def get_call_kwargs(self, case):
            return {"auth": None if case.operation.schema.is_security_param_negated(case) else auth}

        def call(self, case, **kwargs):
            answer = super().call(case, **kwargs)
            while answer.status_code == 429:
                time.sleep(1)
                answer = super().call(case, **kwargs)
            return answer

        def validate_response(self, response, case, additional_checks=(), **kwargs):
            seen[case.operation.label, response.status_code] += 1
            how = {"transport_kwargs": self.get_call_kwargs(case), "recorder": self.recorder}
            try:
                case.validate_response(response, checks=checks, **how)
            except FailureGroup as found:
                faults.append(f"{case.operation.label}: {found}")

    told = settings(
        max_examples=5,
        stateful_step_count=length,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for number in range(rounds):
        with suppress(FlakyStrategyDefinition):  # the same choices lead elsewhere once something is on record: no fault
            seed(number)(Way).run(settings=told)
    assert not faults, "\n\n".join(faults[:20])
    assert not [status for _, status in seen if status >= 500]
    assert len({route for route, status in seen if status < 300}) >= 10, seen  # the lives above reach every one

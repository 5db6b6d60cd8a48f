"""The interface held against its own description by schemathesis: requests that fit it and requests that do not, over real HTTP.

Every request is signed for what it is, so none ends at the door. Half of them are made from the description as it is served,
the other half from one that is opened: a message stands where the served one has an envelope, and is put into an envelope
that its sender signed; ids are often those of things on record. So what is wrong with a message is tried behind the signature.
"""

import copy
import json
import time
from collections import Counter

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from served import serve

from api import rights
from exchange.protocol.envelope import sign
from privacy.errors import PrivacyError

CALLERS = {"institution": "bank-a", "lender": "lender-x", "regulator": "bureau", "officer": "clerk"}
ON_RECORD = {
    "owner": ["bank-a", "bank-b"],
    "dataset": ["accounts"],
    "name": ["consumer_credit", "cost_cas2023"],
    "kind": ["abs", "guarantee", "trust"],
    "code": ["TS-REQ-001"],
}
UNFIT = ("positive_data_acceptance", "object_level_authorization")
"""What fits the description may still be refused, by rules that no schema says; whose is whose is tried in test_api.py."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    made = serve(tmp_path_factory.mktemp("contract"))
    yield made
    made.town.stop()


def opened(description, exchange):
    """The description with messages where envelopes are, and with the ids of what is on record."""
    told = copy.deepcopy(description)
    for methods in told["paths"].values():
        for operation in methods.values():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None and "allOf" in body["schema"]:
                named = body["schema"]["allOf"][1]["properties"]
                messages = named["body"]["contentSchema"]["oneOf"]
                kinds = zip(named["kind"]["enum"], messages, strict=True)
                body["schema"] = {"anyOf": [_message(kind, message) for kind, message in kinds]}
            for parameter in operation.get("parameters", ()):
                ids = {**ON_RECORD, "offer_id": [exchange.offer]}.get(parameter["name"])
                if ids is not None and parameter["in"] == "path":
                    parameter["schema"] = {"enum": [*ids, "nobody"]}
    return told


def _message(kind, message):
    return {
        "type": "object",
        "required": ["kind", "body"],
        "additionalProperties": False,
        "properties": {"kind": {"const": kind}, "body": message},
    }


class Signed(requests.auth.AuthBase):
    """Signs a request as it is about to leave; with ``sealing``, a message in it is first put into an envelope."""

    def __init__(self, exchange, party, *, sealing):
        self.exchange, self.party, self.sealing = exchange, party, sealing

    def __call__(self, request):
        if self.sealing and request.body:
            try:
                told = json.loads(request.body)
                sealed = sign(told["kind"], told["body"], signer=self.party, key=self.exchange.keys[self.party])
                request.prepare_body(json.dumps(sealed.to_json(), sort_keys=True, separators=(",", ":")), None)
            except (ValueError, TypeError, KeyError, PrivacyError, RecursionError):
                pass  # what is no message goes as it is
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        signed = self.exchange.token(self.party, request.method, request.path_url, body)
        request.headers["authorization"] = f"Bearer {signed}"
        return request


def tried(operation, exchange, *, mode, cases, sealing, seen):
    """Try an operation and yield what does not agree with its description."""
    load_all_checks()
    checks = [check for check in CHECKS.get_all() if check.__name__ not in UNFIT]
    roles = rights.TABLE.get(operation.label, rights.EVERY)
    party = next(party for role, party in CALLERS.items() if role in roles)
    faults = []

    @settings(
        max_examples=cases,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def one(case):
        unsigned = operation.schema.is_security_param_negated(case)
        auth = None if unsigned else Signed(exchange, party, sealing=sealing)
        response = case.call(session=session, auth=auth)
        while response.status_code == 429:
            time.sleep(1)
            response = case.call(session=session, auth=auth)
        seen[response.status_code] += 1
        try:
            case.validate_response(response, checks=checks, transport_kwargs={"auth": auth, "session": session})
        except FailureGroup as found:
            faults.append(f"{operation.label}: {found}")

    with requests.Session() as session:
        one()
    return faults


@pytest.mark.parametrize(
    "cases", [pytest.param(5, id="a thousand"), pytest.param(95, id="twenty thousand", marks=pytest.mark.long)]
)
def test_every_answer_is_one_that_the_description_tells(exchange, cases):
    served = requests.get(f"{exchange.url}/openapi.json", timeout=60).json()
    seen, faults = Counter(), []
    for description, sealing in ((served, False), (opened(served, exchange), True)):
        schema = schemathesis.openapi.from_dict(description)
        schema.config.update(base_url=exchange.url)
        for operation in (found.ok() for found in schema.get_all_operations()):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.NEGATIVE and operation.label in ("GET /healthz", "GET /readyz"):
                    continue  # they read nothing that could be wrong
                faults += tried(operation, exchange, mode=mode, cases=cases, sealing=sealing, seen=seen)
    assert not faults, "\n\n".join(faults[:20])
    assert sum(seen.values()) >= 200 * cases, seen
    assert seen[200] + seen[201] > 20 * cases // 5, seen
    assert not [status for status in seen if status >= 500]

"""Standards, parties, datasets and policies over HTTP: metadata that every registered party may read."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from api.description import takes
from api.service import Authenticated, Call
from api.tags import tagged
from exchange.hub import catalog, certificates
from exchange.hub.search import LONGEST_QUESTION, MOST, Question
from exchange.hub.store import Store
from exchange.hub.view import View
from exchange.protocol import version
from exchange.protocol.errors import Unknown
from exchange.protocol.messages import Deprecation, Publication, Registration, Withdrawal
from privacy import canonical

router = APIRouter(prefix="/v1")
Facet = Annotated[str | None, Query(max_length=LONGEST_QUESTION)]


@router.get("/standards/{name}/{version}")
async def standard(name: str, version: int, call: Authenticated) -> dict[str, Any]:
    """Return a published standard."""
    found = await run_in_threadpool(lambda: call.store.view().standard(f"{name}/{version}"))
    if found is None:
        raise Unknown("standard")
    return found.to_json()


@router.get("/parties")
async def parties(call: Authenticated) -> dict[str, Any]:
    """Return who is registered, with roles and present keys; compare fingerprints out of band before pinning.

    ``revoked`` is since when a party has no key, if the operator took it away.
    """

    def listed() -> list[dict[str, Any]]:
        view = call.store.view()
        revoked = view.revoked()
        return [party | {"revoked": revoked.get(party["id"])} for party in view.parties()]

    return {"parties": await run_in_threadpool(listed)}


@router.get("/standards")
async def standards(call: Authenticated) -> dict[str, Any]:
    """Return every published standard and how many datasets are listed under it."""
    return {"standards": await run_in_threadpool(lambda: call.store.view().standards())}


@router.get("/datasets")
async def datasets(
    call: Authenticated,
    *,
    q: Annotated[str, Query(max_length=LONGEST_QUESTION)] = "",
    standard: Facet = None,
    owner: Facet = None,
    level: Facet = None,
    state: Facet = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    facets: bool = False,
) -> dict[str, Any]:
    """Return one page of the datasets that hold all words of ``q`` and the values asked for, newest change first.

    ``next`` is the cursor of the page that follows. With ``facets``, all that was found is counted by standard, owner, level
    and state; ``exact`` tells whether that was everything or the newest part. Withdrawn datasets are found by their state
    only.
    """
    question = Question(words=q.strip(), standard=standard, owner=owner, level=level, state=state)
    found = await run_in_threadpool(
        lambda: call.store.search.find(
            question, hidden=catalog.hidden_owners(call.party), cursor=cursor, limit=limit, facets=facets
        )
    )
    told: dict[str, Any] = {"datasets": found.datasets, "next": found.following}
    return told | ({"facets": found.facets, "exact": found.exact} if facets else {})


@router.get("/datasets/{owner}/{dataset}")
async def dataset(owner: str, dataset: str, call: Authenticated) -> Response:
    """Return everything on record of a dataset, with all its versions and what its owner signed."""
    found = await run_in_threadpool(
        lambda: catalog.describe(call.store.view(), f"{owner}/{dataset}", reader=call.party)
    )
    return tagged(found)


@router.get("/datasets/{owner}/{dataset}/consequences")
async def consequences(owner: str, dataset: str, call: Authenticated) -> dict[str, Any]:
    """Tell the owner what a withdrawal would meet: open sessions, liens, open offers."""
    return await run_in_threadpool(
        lambda: catalog.consequences(call.store.view(), f"{owner}/{dataset}", caller=call.party)
    )


@router.get("/datasets/{owner}/{dataset}/certificate")
async def certificate(owner: str, dataset: str, call: Authenticated) -> dict[str, Any]:
    """Return the certificate of a dataset's registration, signed by the exchange."""
    issued = await run_in_threadpool(certificates.issue, call.store, f"{owner}/{dataset}", reader=call.party)
    return issued.to_json()


@router.get("/exchange")
async def exchange_key(call: Authenticated) -> dict[str, Any]:
    """Return the exchange's own public key, under which it signs certificates, and the versions of the protocol that it speaks."""
    spoken = {"oldest": version.OLDEST, "newest": version.NEWEST}
    return {"key": certificates.public_key(call.store), "protocol": spoken}


@router.post("/datasets", status_code=201, openapi_extra=takes(Registration))
async def register(call: Authenticated) -> dict[str, Any]:
    """Register a dataset: a signed registration envelope."""
    return _named(await run_in_threadpool(catalog.register, _if_unchanged(call), call.envelope()))


@router.post("/deprecations", status_code=201, openapi_extra=takes(Deprecation))
async def deprecate(call: Authenticated) -> dict[str, Any]:
    """Advise against a dataset: the owner's signed deprecation."""
    return _named(await run_in_threadpool(catalog.deprecate, _if_unchanged(call), call.envelope()))


@router.post("/withdrawals", status_code=201, openapi_extra=takes(Withdrawal))
async def withdraw(call: Authenticated) -> dict[str, Any]:
    """Take a dataset out of the catalog: the owner's signed withdrawal; refused while a lien on it is live."""
    return _named(await run_in_threadpool(catalog.withdraw, _if_unchanged(call), call.envelope()))


@router.post("/policies", status_code=201, openapi_extra=takes(Publication))
async def publish(call: Authenticated) -> dict[str, Any]:
    """Put a dataset's policy in force: a signed policy envelope."""
    return _named(await run_in_threadpool(catalog.publish_policy, _if_unchanged(call), call.envelope()))


def _named(asset: str) -> dict[str, Any]:
    """Return an asset's name, whole and in the two parts that addresses have."""
    owner, _, dataset = asset.partition("/")
    return {"asset": asset, "owner": owner, "dataset": dataset}


def _if_unchanged(call: Call) -> Store:
    """Return the store for a message on one of the caller's datasets, guarded by what the caller read of that dataset."""

    def look(view: View) -> Any:
        told = canonical.decode(call.envelope().body)
        named = told.get("policy", told)
        return catalog.describe(view, f"{call.party}/{named['dataset']}", reader=call.party)

    return call.store_if(look)

"""One canonical document of how a pool's value is split among institutions, and its re-performance by somebody else, offline.

Built and checked as :mod:`valuation.report` does for an appraisal: inputs, parameters, figures with reasons, digests. A split
says what each institution's part is worth if the pool is worth what its own report says; it opens no data and releases nothing.
"""

from collections.abc import Mapping
from typing import Any

from privacy import canonical
from valuation import contributors, coverage, exact, quality, utilities
from valuation.asset import Citation
from valuation.contribution import CENTS, Shared, share_out
from valuation.contributors import Search
from valuation.coverage import ReleasedCounts, ReleasedSums
from valuation.errors import OutOfRange
from valuation.gates import Passed
from valuation.intake import Record, within
from valuation.reperform import CODE, NOTICE, Verified, reperform
from valuation.trace import Traced, given, walk
from valuation.utilities import Utilities

FORMAT = "touchstone-split/1"

ASSUMPTIONS = (
    "the pool is worth what its source says; its own range is not in the intervals here",
    "intervals are of the noise of the measurement alone, by the delta method at 95 %; noises are independent",
    "a negative contribution counts as 0, and the others' parts are rescaled; both values are published",
    "money is in whole cents: rounded down, the cents left over to the largest remainders, ties to the first by name",
    "contributors are verified legal entities, and no two contributions are one",
)
"""Assumptions and limiting conditions, printed with every split."""

COVERAGE_ASSUMPTIONS = (
    "the pool is worth the identifiers that it covers, each alike",
    "every institution matched its identifiers with all others' on one day, and counts what it holds truthfully",
)
UTILITY_ASSUMPTIONS = ("the worth of every coalition is as declared; nobody's is 0",)

KINDS = ("utilities", "holders", "sums")

Game = Utilities | ReleasedCounts | ReleasedSums


def perform(inputs: Any) -> dict[str, Any]:
    """Compute a whole split from its inputs: what :func:`verify` does again.

    ``inputs`` has the keys pool, on, contributors, search (null if none was made) and game.

    Raises:
        BadInput: naming the key. GatesClosed: before any figure, if a contributor is not verified or no search was made.
        Swamped: if the contributions do not stand out of their noise. Mismatch: if releases do not fit together.
    """
    record = Record(inputs, "inputs", "pool on contributors search game")
    on = record.day("on")
    listed = contributors.contributors_from(record)
    parties = tuple(one.party for one in listed)
    search = None
    if record.given("search"):
        search = Search.from_json(record.raw("search"), record.path("search"), parties)
    pool, pool_cited = _pool(record)
    game = _game(record, parties)
    gates = contributors.check(listed, search, on)
    dated = [(f"game.{where}", day) for where, day in game.dates]
    for where, day in [("pool.cited.on", pool_cited.on), *dated]:
        if day > on:
            raise OutOfRange(record.path(where), "dates up to the date of the split")
    told = game.contributions()
    shared = share_out(pool, told)
    normal = {
        "pool": {"name": record.raw("pool")["name"], "value": pool.money.to_json(), "cited": pool_cited.to_json()},
        "on": on.isoformat(),
        "contributors": [one.to_json() for one in listed],
        "search": None if search is None else search.to_json(),
        "game": game.to_json(),
    }
    remarks = (*contributors.remarks(search), *shared.remarks)
    return _compose(normal, gates, game, shared, [remark.to_json() for remark in remarks])


def verify(document: bytes | Mapping[str, Any]) -> Verified:
    """Re-derive every figure of a split from the inputs in it; needs nothing but the document and this code.

    Raises:
        Malformed: if it is not a canonical split, or an input is not what its contract demands.
        Differs: naming the first figure or part that does not follow.
    """
    parts = "format code notice inputs parameters releases gates figures conclusion remarks assumptions basis digest"
    return reperform(document, what="split", form=FORMAT, parts=parts, perform=lambda told: perform(told["inputs"]))


def _pool(record: Record) -> tuple[Traced, Citation]:
    inner = Record(record.raw("pool"), record.path("pool"), "name value cited")
    name, value = inner.text("name"), inner.money("value")
    within(value.amount, inner.path("value.amount"), above=0)
    if (value.fraction * CENTS).denominator != 1:
        raise OutOfRange(inner.path("value.amount"), "amounts of whole cents")
    cited = Citation.from_json(inner.raw("cited"), inner.path("cited"))
    return given("pool", f"value of the pool {name}", value, source=str(cited), evidence=cited.document), cited


def _game(record: Record, parties: tuple[str, ...]) -> Game:
    document, path = record.raw("game"), record.path("game")
    kind = document.get("kind") if isinstance(document, dict) else None
    match kind:
        case "utilities":
            return Utilities.from_json(document, path, parties)
        case "holders":
            return ReleasedCounts.from_json(document, path, parties)
        case "sums":
            return ReleasedSums.from_json(document, path, parties)
        case _:
            raise OutOfRange(f"{path}.kind", "{" + ", ".join(KINDS) + "}")


def _compose(
    inputs: dict[str, Any], gates: tuple[Passed, ...], game: Game, shared: Shared, remarks: list[dict[str, Any]]
) -> dict[str, Any]:
    releases = [one.release.digest for one in game.counts] if isinstance(game, ReleasedCounts) else []
    ends = [figure for pair in shared.intervals for figure in pair]
    stated = UTILITY_ASSUMPTIONS if isinstance(game, Utilities) else COVERAGE_ASSUMPTIONS
    document: dict[str, Any] = {
        "format": FORMAT,
        "code": CODE,
        "notice": dict(NOTICE),
        "inputs": inputs,
        "parameters": _parameters(),
        "releases": releases,
        "gates": [gate.to_json() for gate in gates],
        "figures": [figure.to_json() for figure in walk(*shared.money, *ends, *shared.others)],
        "conclusion": _conclusion(inputs, shared),
        "remarks": remarks,
        "assumptions": [*ASSUMPTIONS, *stated],
    }
    document["basis"] = canonical.digest({key: document[key] for key in ("inputs", "parameters", "code", "releases")})
    document["digest"] = canonical.digest(document)
    return document


def _conclusion(inputs: dict[str, Any], shared: Shared) -> dict[str, Any]:
    """Name the figures that conclude; their values stand in the list of figures alone."""
    return {
        "currency": inputs["pool"]["value"]["currency"],
        "pool": "pool",
        "parts": [
            {"party": one["party"], "central": part.key, "low": low.key, "high": high.key}
            for one, part, (low, high) in zip(inputs["contributors"], shared.money, shared.intervals, strict=True)
        ],
    }


def _parameters() -> dict[str, Any]:
    return {
        "digits": exact.DIGITS,
        "z95": exact.spell(quality.Z95),
        "laplace95": exact.spell(coverage.LAPLACE95),
        "least_sigmas": quality.LEAST_SIGMAS,
        "impossible_sigmas": coverage.IMPOSSIBLE_SIGMAS,
        "most_players": utilities.MOST_PLAYERS,
        "searched_days": contributors.SEARCHED_DAYS,
        "blocking": exact.spell(contributors.BLOCKING),
        "reviewed": exact.spell(contributors.REVIEWED),
    }

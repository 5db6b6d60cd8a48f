"""How a pool's value is split among institutions: shares with intervals, parts to the cent, the document verified."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from api.console.everywhere import opening, reported
from api.console.pages import Offer, Page, Visit
from api.console.papers import Kind, Paper
from api.console.places import Same
from api.console.wording import msg
from exchange.protocol.errors import Unknown
from privacy import canonical

_GAMES: Mapping[str, str] = {
    "utilities": msg("the worth of every coalition, as declared"),
    "holders": msg("the people that each institution covers, by how many hold them"),
    "sums": msg("the people that each institution covers, as sums with noise"),
}
_RULES = (msg("shapley"), msg("banzhaf"), msg("beta_4_1"), msg("beta_16_1"))

_SET = (
    msg("the pool is worth what its source says; its own range is not in the intervals here"),
    msg("intervals are of the noise of the measurement alone, by the delta method at 95 %; noises are independent"),
    msg("a negative contribution counts as 0, and the others' parts are rescaled; both values are published"),
    msg(
        "money is in whole cents: rounded down, the cents left over to the largest remainders, ties to the first by name"
    ),
    msg("contributors are verified legal entities, and no two contributions are one"),
    msg("the pool is worth the identifiers that it covers, each alike"),
    msg("every institution matched its identifiers with all others' on one day, and counts what it holds truthfully"),
    msg("the worth of every coalition is as declared; nobody's is 0"),
    msg("every contributor is a verified legal entity, and no entity stands twice"),
    msg("a search found no two contributions alike, within a year up to the date of the split"),
)
"""Set phrases of a split."""


def start(visit: Visit) -> Mapping[str, Any]:
    """Return the splits that are open in this session, and an example."""
    return {
        "open": [
            {"paper": one.name, "pool": one.document["inputs"]["pool"]["name"], "on": one.document["inputs"]["on"]}
            for one in visit.place.papers.every(Kind.SPLIT)
        ],
        "examples": opening.listed("split"),
        "text": visit.form.get("text", ""),
        "same_as": [
            Same(msg("Command line"), "touchstone value split pool.json -o split.json\ntouchstone value verify split.json").to_json(),
            Same("Python", "from valuation import split\nmade = split.perform(inputs)\nsplit.verify(made)").to_json(),
        ],
    }  # fmt: skip


def take(visit: Visit) -> str:
    """Open what the form brought and lead to its page."""
    return f"/contribution/{opening.open_split(visit, opening.read(visit)).name}"


def show(visit: Visit) -> Mapping[str, Any]:
    """Return each institution's part with its interval, the largest first."""
    paper = _paper(visit)
    document = paper.document
    value = {one["key"]: one["value"] for one in document["figures"]}
    currency = document["conclusion"]["currency"]
    parts = [
        {
            "name": one["party"],
            "share": value[f"share.{one['party']}"],
            **{end: value[one[end]] for end in ("low", "central", "high")},
            "shown": visit.words.money(value[one["central"]], currency),
        }
        for one in document["conclusion"]["parts"]
    ]
    game = document["inputs"]["game"]
    rules = [gate["rule"] for gate in document["gates"]]
    return {
        "paper": paper.name,
        "pool": document["inputs"]["pool"]["name"],
        "value": value[document["conclusion"]["pool"]],
        "currency": currency,
        "on": document["inputs"]["on"],
        "figures": len(document["figures"]),
        "game": _GAMES.get(game["kind"], game["kind"]),
        "rule": game.get("rule", "shapley"),
        "parts": sorted(parts, key=lambda one: (-Decimal(one["central"]), one["name"])),
        "sum": str(sum((Decimal(one["central"]) for one in parts), Decimal(0))),
        "gates": [visit.words.say(one) for one in rules],
        "remarks": reported.remarks(document, visit.words),
        "assumptions": [visit.words.say(one) for one in document["assumptions"]],
        "same_as": [Same(msg("Command line"), "touchstone value verify split.json").to_json()],
    }


def hand_out(visit: Visit, file: str) -> Offer:
    """Return the document."""
    paper = _paper(visit)
    if file != "split.json":
        raise Unknown("file of a split")
    return Offer(f"split-{paper.name[:8]}.json", "application/json", canonical.encode(paper.document) + b"\n")


def _paper(visit: Visit) -> Paper:
    return visit.place.papers.find(visit.path["paper"], Kind.SPLIT)


PAGES = (
    Page("/contribution", "contribution.html", msg("Contribution"), start, group=msg("Lending"), act=take),
    Page("/contribution/{paper}", "contribution-split.html", msg("Split of a pool"), show, give=hand_out),
)

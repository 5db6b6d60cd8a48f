"""Pages that stand in every place: what the catalog and the register tell each party."""

from api.console.everywhere import (
    assets,
    contribution,
    cover,
    home,
    log,
    nodes,
    pledges,
    problems,
    quote,
    structures,
    supervision,
    tour,
    valuation,
)
from api.console.everywhere import help as guides

PAGES = (
    *home.PAGES,
    *tour.PAGES,
    *assets.PAGES,
    *valuation.PAGES,
    *quote.PAGES,
    *pledges.PAGES,
    *cover.PAGES,
    *contribution.PAGES,
    *structures.PAGES,
    *nodes.PAGES,
    *log.PAGES,
    *supervision.PAGES,
    *guides.PAGES,
    *problems.PAGES,
)

"""Pages that stand in every place: what the catalog and the register tell each party."""

from api.console.everywhere import assets, contribution, cover, home, pledges, quote, structures, tour, valuation

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
)

"""Pages that stand in every place: what the catalog and the register tell each party."""

from api.console.everywhere import assets, home, tour

PAGES = (*home.PAGES, *tour.PAGES, *assets.PAGES)

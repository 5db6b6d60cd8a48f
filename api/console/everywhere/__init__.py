"""Pages that stand in every place: what the catalog and the register tell each party."""

from api.console.everywhere import assets, home, log, nodes, problems, supervision, tour
from api.console.everywhere import help as guides

PAGES = (
    *home.PAGES,
    *tour.PAGES,
    *assets.PAGES,
    *nodes.PAGES,
    *log.PAGES,
    *supervision.PAGES,
    *guides.PAGES,
    *problems.PAGES,
)

"""The cells of one release as they are, read the way a desk reads stored answers."""

from exchange.analyst.shelf import Stored, serve


def cells_of(release):
    """Each cell of ``release`` by its measure key, the labels of its group and its band."""
    stored = Stored(release, {}, {}, min_group=0, opened=0, took=0)
    return serve(release.plan, stored, tuple((place,) for place in range(release.plan.cells_count)), []).cells

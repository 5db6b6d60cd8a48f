"""How institutions ask each other: the protocol, the exchange, the nodes, the analyst's desk, and the journals below.

``from exchange import connect`` is the analyst's way in; see :mod:`exchange.analyst.client`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.analyst.client import connect

__all__ = ["connect"]


def __getattr__(name: str) -> Any:
    """Load the client when it is asked for: nodes and exchanges never do."""
    if name == "connect":
        from exchange.analyst.client import connect  # noqa: PLC0415

        return connect
    raise AttributeError(name)

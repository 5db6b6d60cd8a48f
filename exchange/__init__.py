"""How institutions ask each other: the protocol, the exchange, the nodes, the analyst's desk, and the journals below."""

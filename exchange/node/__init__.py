"""An institution's node: reads its rows, keeps its keys, policy and ledger, calls the exchange; nobody calls it."""

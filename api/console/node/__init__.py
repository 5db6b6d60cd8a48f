"""Pages beside an institution's own ledger."""

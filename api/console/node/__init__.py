"""Pages beside an institution's ledger: what was spent, what is allowed, what others learned; nothing here leaves by itself."""

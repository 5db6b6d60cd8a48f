"""The exchange: catalog, sessions, fold, liens and journal. Holds no secret key and sees no plaintext."""

"""The whole main job on this machine: an exchange, three institutions, a lender, from tables to a lien."""

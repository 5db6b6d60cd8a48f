"""What may leave an institution and in what form: plans, policy, budgets, noise, packing, masks and Paillier.

Pure: no disk, no network, no clock. Randomness comes from the operating system alone, through OpenDP, ``secrets``
and ``cryptography``.
"""

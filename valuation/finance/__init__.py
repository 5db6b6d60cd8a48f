"""Products on the record of a pledge: guarantee, data trust, securitisation, and what a supervisor reads of many pledges.

Each product turns stated inputs into an :class:`~valuation.finance.arrangement.Arrangement`: traced figures and tables of
cash by period. Cash moves in whole cents, so that every cent can be accounted for.
"""

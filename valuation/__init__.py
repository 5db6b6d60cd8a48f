"""From releases and dated documents to a value with reasons, and from a value to a pledge quote.

Pure: no clock, no disk, no randomness. A product (:mod:`valuation.asset`), its facts on a date, a method and a figure
(:mod:`valuation.trace`) are four types. Money is ``Decimal``, unrounded inside; rates are decimals per year.
"""

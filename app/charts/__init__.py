"""Charts: pure functions from rows to Vega-Lite specs and descriptions.

A spec contains no data. It is built once, because Altair takes longer than the rest of a page, and
drawn with any table of the same columns, which the browser swaps in place.
"""

"""Charts: pure functions from rows to Vega-Lite specs, and the words that stand for them.

A spec holds no data. It is built once (by Altair, which takes longer than the rest of a page) and
drawn with any table of the same columns, which the browser then swaps in place.
"""

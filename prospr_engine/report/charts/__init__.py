"""The charts of a run: pure functions from rows to Vega-Lite specs and descriptions.

The dashboard draws them in the browser, a bundle has them as pictures. A spec contains no data: it
is drawn with any table of the same columns.
"""

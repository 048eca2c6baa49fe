"""Pure functions from a DataFrame to an ``alt.Chart``. Colours come from the theme."""

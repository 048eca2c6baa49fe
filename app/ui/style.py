"""The few rules that the theme cannot express."""

from __future__ import annotations

import streamlit as st

# In the dark theme the primary colour must be light, because it is also a text colour (slider
# values, selected tabs). Streamlit still writes white on primary buttons, which is unreadable on a
# light one. Primary buttons have keys that begin with "primary-".
#
# The grey of chart text is too pale on either background. Marks named "own_ink" have their own
# background and text colour.
#
# Streamlit's own Stop button stops drawing the page, not the run.
#
# "Press Enter to submit" would overlap the text in the box.
#
# The element that sets the visitor's cookie must not take up space.
RULES = """
<style>
[class*="st-key-primary-"] :is(button:enabled, a[href]) { color: light-dark(#FFFFFF, #0C161D); }
[data-testid="stVegaLiteChart"] svg g:not([class*="own_ink"]) > text { fill: currentColor; }
[data-testid="stStatusWidget"] button { display: none; }
[data-testid="stForm"] [data-testid="InputInstructions"] { display: none; }
.st-key-visitor { display: none; }
</style>
"""


def apply() -> None:
    """Call once per run of the page."""
    st.html(RULES)

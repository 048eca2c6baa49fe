"""The few rules that the theme cannot express."""

from __future__ import annotations

import streamlit as st

# On dark ground the primary colour must be light, for it is the colour of text too (the slider's
# value, the chosen tab); Streamlit writes white on primary buttons all the same, which cannot be
# read on a light one. Primary buttons have keys that begin with "primary-".
#
# Charts write in a grey that is too pale to read on either ground; marks named "own_ink" write on
# grounds of their own.
#
# While a page is drawn Streamlit offers a Stop of its own, which stops the drawing and not the run.
#
# "Press Enter to submit" would be written over what stands in the box.
#
# What leaves the visitor's cookie is not to be seen, and would push the page down.
RULES = """
<style>
[class*="st-key-primary-"] button:enabled { color: light-dark(#FFFFFF, #0C161D); }
[data-testid="stVegaLiteChart"] svg g:not([class*="own_ink"]) > text { fill: currentColor; }
[data-testid="stStatusWidget"] button { display: none; }
[data-testid="stForm"] [data-testid="InputInstructions"] { display: none; }
.st-key-visitor { display: none; }
</style>
"""


def apply() -> None:
    """Once per run of the page."""
    st.html(RULES)

"""The few rules that the theme cannot express."""

from __future__ import annotations

import streamlit as st

OUTCOME = "outcome"
"""Key of the container that holds a run."""

# On dark ground the primary colour must be light, for it is the colour of text too (the slider's
# value, the chosen tab); Streamlit writes white on primary buttons all the same, which cannot be
# read on a light one. Primary buttons have keys that begin with "primary-".
#
# Charts write in a grey that is too pale to read on either ground.
#
# Below 640 pixels Streamlit stacks columns: a run goes before the form it came from. Scrolled to,
# it must not lie under Streamlit's bar at the top.
RULES = f"""
<style>
[class*="st-key-primary-"] button:enabled {{ color: light-dark(#FFFFFF, #0C161D); }}
[data-testid="stVegaLiteChart"] svg text {{ fill: currentColor; }}
.st-key-{OUTCOME} {{ scroll-margin-top: 4rem; }}
@media (max-width: 640px) {{
  [data-testid="stColumn"]:has(.st-key-{OUTCOME}) {{ order: -1; }}
}}
</style>
"""

# Where the outcome stands beside the form it is in view already.
SCROLL = f"""
<script>
if (window.innerWidth <= 640) {{
  document.querySelector(".st-key-{OUTCOME}")?.scrollIntoView();
}}
</script>
"""


def apply() -> None:
    """Once per run of the page."""
    st.html(RULES)


def bring_into_view() -> None:
    """Scroll to the run that has just been started, on a narrow screen."""
    st.html(SCROLL, unsafe_allow_javascript=True)

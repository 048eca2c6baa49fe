"""The pages, run for every visitor; ``streamlit_app.py`` starts the server."""

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts this folder on the path, but the pages import from the one above.
ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from app import pages, session  # noqa: E402  (need the path above)
from app.ui import style  # noqa: E402

st.set_page_config(
    page_title="Prune before training",
    # A file: an icon by name would be fetched from Google by every visitor.
    page_icon=Path(__file__).with_name("icon.svg"),
    layout="wide",
    menu_items={"About": "Prunes neural networks before training with ProsPr meta-gradients."},
)
page = st.navigation(pages.pages(), position="top")
style.apply()
session.remember_visitor()
page.run()

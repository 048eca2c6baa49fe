"""Many runs at once."""

from __future__ import annotations

import streamlit as st

st.title("Sweep")

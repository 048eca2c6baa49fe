"""A study, or any runs, compared: accuracy against sparsity, and what lies behind it."""

from __future__ import annotations

import streamlit as st

st.title("Compare")

"""What a visitor's tab remembers, and what its address says."""

from __future__ import annotations

import streamlit as st

from app import services
from app.services import Job

RUN = "run"


def run_id() -> str | None:
    """The run that the address names."""
    return st.query_params.get(RUN) or None


def show(job: Job) -> None:
    """Put ``job`` into the address, where a refresh or a friend finds it again."""
    st.query_params[RUN] = job.id


def current() -> Job | None:
    """The run that the address names, if this server remembers it."""
    return services.find(run_id())

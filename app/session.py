"""The session of a visitor's tab: the visitor's id, and settings to fill the form with."""

from __future__ import annotations

import re
import uuid

import streamlit as st

from app import access, pages
from app.services import RunConfig

COOKIE = "prospr-visitor"
VISITOR = "visitor"
PREFILL = "prefill"
YEAR = 365 * 24 * 3600  # seconds


def visitor() -> str:
    """The id of this visitor, the same for all tabs and visits of one browser. It is a hash of the
    cookie: see ``access.visitor_of``."""
    if VISITOR not in st.session_state:
        secret = st.context.cookies.get(COOKIE, "")
        if not re.fullmatch("[0-9a-f]{32}", secret):
            secret = uuid.uuid4().hex
            st.session_state["fresh-cookie"] = secret
        st.session_state[VISITOR] = access.visitor_of(secret)
    known: str = st.session_state[VISITOR]
    return known


def remember_visitor() -> None:
    """Set the cookie that identifies the browser. Call once per page."""
    visitor()
    secret = st.session_state.get("fresh-cookie")
    if secret:
        # Another tab, opened at the same moment, may have set it first; then this one reloads as
        # the same visitor. Once: if the cookie never reaches the server, it would reload forever.
        st.container(key=VISITOR).html(
            f"""<script>
const found = document.cookie.match(/(?:^|; ){COOKIE}=([0-9a-f]{{32}})(?:;|$)/);
if (!found) {{
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = "{COOKIE}={secret}; Path=/; SameSite=Lax; Max-Age={YEAR}" + secure;
}} else if (found[1] !== "{secret}" && !sessionStorage.getItem("{COOKIE}")) {{
  sessionStorage.setItem("{COOKIE}", "known");
  location.reload();
}}
</script>""",
            unsafe_allow_javascript=True,
        )


def run_id(name: str = pages.ID) -> str | None:
    """The run in the address."""
    return st.query_params.get(name) or None


def drop_foreign_parameters() -> bool:
    """Remove the parameters of other pages from the address; whether there were any.

    On the way to another page, Streamlit writes that page's parameters into the address of this
    one. When the visitor comes back, they are there in place of this page's own.
    """
    foreign = [name for name in (pages.ID, pages.STUDY, pages.RUNS_OF) if name in st.query_params]
    for name in foreign:
        del st.query_params[name]
    return bool(foreign)


def prefill(config: RunConfig) -> None:
    """Fill the form with these settings when it is drawn next."""
    st.session_state[PREFILL] = config


def take_prefill() -> RunConfig | None:
    """The settings to fill the form with; returned only once."""
    config: RunConfig | None = st.session_state.pop(PREFILL, None)
    return config

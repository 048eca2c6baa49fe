"""What takes much memory or a whole core happens once at a time in the web process."""

from __future__ import annotations

import threading

HEAVY = threading.Lock()
"""Held while a ranking is sorted, a network examined, or a pair of networks loaded, whoever asked
for it. Nothing that is cached or takes this lock too may be called meanwhile: whoever computes
that may be waiting for this lock."""

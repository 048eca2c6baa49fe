"""Locks for work that takes much memory or a whole core of the web server."""

from __future__ import annotations

import threading

HEAVY = threading.Lock()
"""Sorting a ranking, examining a network and loading a pair of networks take turns, for all
visitors. Inside it, call nothing that is cached or takes the lock itself: that would deadlock."""

MEASURING = threading.Lock()
"""Networks outside the tables are measured one at a time, in a process that imports torch."""

OPENING = threading.Lock()
"""Files of visitors are opened one at a time, each in a process with limits of its own."""

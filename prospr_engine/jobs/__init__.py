"""Running many: a queue in the store, one worker process that takes from it, a child per run."""

from prospr_engine.jobs.spawn import ensure_worker

__all__ = ["ensure_worker"]

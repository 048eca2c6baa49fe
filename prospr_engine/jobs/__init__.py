"""Running many: each run in a process of its own, one at a time, the others in line."""

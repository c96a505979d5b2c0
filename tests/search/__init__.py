"""A search over random schedules: the real controller in memory, laws at the end, and faults planted on purpose."""

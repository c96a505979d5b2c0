"""What is remembered, and what is forgotten first."""

from __future__ import annotations

from worker.adapters.registry.memory import Memory


def test_the_least_used_is_forgotten_first() -> None:
    memory: Memory[str, int] = Memory(2)
    memory.keep("a", 1)
    memory.keep("b", 2)
    assert (memory.get("a"), memory.get("none")) == (1, None)
    memory.keep("c", 3)
    assert [memory.get(key) for key in "abc"] == [1, None, 3]
    memory.keep("a", 4)
    memory.keep("d", 5)
    assert [memory.get(key) for key in "acd"] == [4, None, 5]

"""Stores keep the newest entries, up to a number and a size."""

from __future__ import annotations

from hfchat_base.local.database import BoundedStore


def test_only_the_newest_entries_are_kept() -> None:
    """Beyond a number of entries the oldest goes; setting a key again makes it the newest."""
    store: BoundedStore[str, int] = BoundedStore(2)
    store["a"] = 1
    store["b"] = 2
    store["a"] = 3
    store["c"] = 4
    assert store.items() == [("a", 3), ("c", 4)]
    assert ("b" in store, store.get("b"), len(store)) == (False, None, 2)


def test_entries_are_bounded_in_size() -> None:
    """Beyond a size together the oldest go, but never the newest."""
    store: BoundedStore[str, str] = BoundedStore(10, 5, size=len)
    store["a"] = "xx"
    store["b"] = "xx"
    store["c"] = "xx"
    assert store.values() == ["xx", "xx"]
    store["c"] = "x" * 9
    assert store.items() == [("c", "x" * 9)]
    store["d"] = ""
    assert store.items() == [("d", "")]


def test_updated_entry_keeps_its_age() -> None:
    """An update changes value and size of what is still here, and brings back nothing."""
    store: BoundedStore[str, str] = BoundedStore(10, 5, size=len)
    store["a"] = "x"
    store["b"] = "x"
    store.update("a", "xx")
    store.update("c", "x")
    assert store.items() == [("a", "xx"), ("b", "x")]
    store.update("b", "xxxx")
    assert store.items() == [("b", "xxxx")]
    assert store.pop("b") == "xxxx"
    assert store.pop("b") is None
    store["e"] = "xxxxx"
    store.clear()
    store["f"] = "xxxxx"
    assert store.values() == ["xxxxx"]

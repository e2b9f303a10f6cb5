"""Which text came before, over many blocks."""

from __future__ import annotations

from fer_bench.data.checks import FirstSeen


def test_a_text_is_found_whether_it_came_long_ago_or_just_now():
    seen = FirstSeen()
    assert [seen.add(f"text {i}", i) for i in range(1, 10_001)] == [None] * 10_000
    assert [seen.add(f"text {i}", 20_000) for i in (1, 4096, 4097, 9_999, 10_000)] == [1, 4096, 4097, 9_999, 10_000]
    assert seen.add("text 0", 5) is None
    assert seen.add("text 0", 6) == 5
    assert seen.add("\udcff", 7) is None

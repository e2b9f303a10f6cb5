"""Sizes as people write them."""

from __future__ import annotations

import pytest

from fer_bench.errors import FerBenchError
from fer_bench.sizes import format_size, format_time, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), ("1.5 TiB", 3 * 2**39), ("7", 7), ("8 b", 8), ("1 kB", 1000), ("2MiB", 2**21)],
)
def test_parse_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 XB", "1e3", "nan", "1 GB free"])
def test_what_is_no_size_says_how_to_write_one(text):
    with pytest.raises(FerBenchError, match="as in 20GB"):
        parse_size(text)


def test_format_size():
    assert [format_size(size) for size in (0, 999, 1000, 1_550_000, 2 * 10**9, 10**13)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "1.6 MB",
        "2.0 GB",
        "10.0 TB",
    ]


def test_format_time():
    seconds = (0.04, 9.96, 59.4, 60, 900, 3599, 3600, 100_000)
    assert [format_time(each) for each in seconds] == [
        *("0.0 s", "10.0 s", "59 s", "1.0 min", "15 min", "60 min", "1.0 h", "28 h")
    ]

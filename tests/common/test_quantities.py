"""Times and sizes as people read them."""

from __future__ import annotations

from smoltolk.common.quantities import duration, size


def test_times():
    told = {0: "0.0 s", 0.004: "less than 0.1 s", 0.42: "0.4 s", 9.96: "10.0 s", 58: "58 s", 131: "2 min 11 s"}
    told |= {3725: "1 h 2 min", 3599.6: "1 h 0 min", 172_799: "47 h 59 min", 172_800: "2 days 0 h"}
    told |= {100 * 86_400 + 7200: "100 days 2 h", 1e9: "11,574 days 1 h"}
    assert {seconds: duration(seconds) for seconds in told} == told
    assert [duration(seconds, digits=0) for seconds in (0, 3, 75)] == ["0 s", "3 s", "1 min 15 s"]


def test_sizes():
    told = {0: "0 B", 999: "999 B", 1000: "1.00 kB", 3_210_000: "3.21 MB", 45_678_900: "45.7 MB", 123_456_789: "123 MB"}
    told |= {999_499_999: "999 MB", 999_600_000: "1.00 GB", 80e9: "80.0 GB", 1.5e12: "1.50 TB", 2e18: "2,000 PB"}
    assert {num_bytes: size(num_bytes) for num_bytes in told} == told

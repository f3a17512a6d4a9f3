from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanout
from fanout import templates
from fanout.errors import UsageError
from fanout.pages import Source

DUE = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("s3://b/{date:%Y/%m/%d}/urls.csv", "s3://b/2026/11/27/urls.csv"),
        ("s3://b/{date-1d:%Y-%m-%d}.csv", "s3://b/2026-11-26.csv"),
        ("s3://b/{date+1w:%G-%V}.csv", "s3://b/2026-49.csv"),
        ("s3://b/{date-3h:%d-%H}.csv", "s3://b/26-23.csv"),
        ("s3://b/{date:%Y}/*/{date:%j}.csv", "s3://b/2026/*/331.csv"),
        ("/data/{date:%Y-%m-%d}/*.csv", "file:///data/2026-11-27/*.csv"),
        ("/data/a b/{date:%Y}.csv", "file:///data/a%20b/2026.csv"),
        ("https://host/{date:%Y%m%d}.csv", "https://host/20261127.csv"),
        ("https://host/x.csv?day={date:%d}", "https://host/x.csv?day=27"),
    ],
)
def test_a_path_is_filled_in_as_it_was_written(written: str, read: str) -> None:
    source = fanout.Csv(written).to_source()
    assert templates.is_template(source.args)
    assert templates.fill_source(source, DUE).args["path"] == [read]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{day:%Y}.csv", "{day:%Y} in .* is no date: write {date:%Y-%m-%d}"),
        ("{date}.csv", "{date} in .* is no date"),
        ("{date-1y:%Y}.csv", "{date-1y:%Y} in .* is no date"),
        ("{date:%Y-%m-%dT%H%z}.csv", "%z in .* is no part of a date"),
        ("{date:%x}.csv", "%x in .* is no part of a date"),
        ("{date:day%}.csv", "% in .* is no part of a date"),
        ("{date:Y-m-d}.csv", "'Y-m-d' is no part of a date"),
    ],
)
def test_what_is_no_date_is_an_error_that_says_how_to_write_one(written: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        templates.is_template(fanout.Csv(written).to_source().args)


def test_braces_in_other_texts_are_left_alone() -> None:
    params = {"query": '{"day": "{date:%d}", "n": {}}', "depth": 3, "names": ["{x}", "{date:%m}"]}
    assert templates.fill(params, DUE) == {
        "query": '{"day": "27", "n": {}}',
        "depth": 3,
        "names": ["{x}", "11"],
    }
    assert not templates.is_template({"delimiter": "{", "null_values": ["{}"]})


def test_dates_are_those_of_the_time_zone() -> None:
    there = DUE.astimezone(templates.zone("America/New_York"))
    assert templates.fill("{date:%Y-%m-%d %H}", there) == "2026-11-26 21"
    # The day before the change of the clocks has the same hour, 25 hours ago.
    changed = datetime(2026, 11, 1, 12, tzinfo=ZoneInfo("America/New_York"))
    assert templates.fill("{date-1d:%d %H}", changed) == "31 12"
    assert templates.fill("{date-24h:%d %H}", changed) == "31 13"
    with pytest.raises(UsageError, match="no time zone 'Mars/Olympus'"):
        templates.zone("Mars/Olympus")


@given(st.integers(0, 30_000), st.integers(0, 9999))
def test_a_date_is_shifted_by_so_many_days(later: int, days: int) -> None:
    moment = DUE + timedelta(days=later)
    filled = templates.fill(f"{{date-{days}d:%Y-%m-%d}}", moment)
    assert filled == (moment - timedelta(days=days)).date().isoformat()


def test_a_source_without_dates_is_filled_in_to_itself() -> None:
    source = Source("range", {"start": 0, "stop": 10})
    assert templates.fill_source(source, DUE) == source

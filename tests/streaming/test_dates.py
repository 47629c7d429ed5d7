"""Dates by the W3C profile of ISO 8601: what is one is that moment, anything else is null and never another day."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streaming.tasks.dates import parse_date, read_dates
from tests.examples import examples


def read(*dates: bytes | None) -> list[datetime | None]:
    """The dates as a column, between other bytes."""
    data = b"x".join(date or b"" for date in dates)
    begins, ends, at = [], [], 0
    for date in dates:
        begins.append(-1 if date is None else at)
        ends.append(-1 if date is None else at + len(date))
        at += len(date or b"") + 1
    column = read_dates(np.frombuffer(data, np.uint8), np.array(begins, np.int64), np.array(ends, np.int64))
    return column.to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"2016-12-02T18:03:04Z", "2016-12-02T18:03:04+00:00"),
        (b"2016-12-02", "2016-12-02T00:00:00+00:00"),
        (b"2016-12-02T18:03Z", "2016-12-02T18:03:00+00:00"),
        (b"2016-12-02T18:03:04.123456789Z", "2016-12-02T18:03:04+00:00"),
        (b"2016-12-02T01:00:00+02:00", "2016-12-01T23:00:00+00:00"),
        (b"2016-12-31T23:30:00-01:00", "2017-01-01T00:30:00+00:00"),
        (b"2016-02-29T00:00:00Z", "2016-02-29T00:00:00+00:00"),
        (b"0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        (b"9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_every_precision_that_names_a_day(text: bytes, moment: str) -> None:
    assert read(text) == [datetime.fromisoformat(moment)]


@pytest.mark.parametrize(
    "text",
    [
        *(b"2016", b"2016-12", b"2016-02-30T10:00:00Z", b"2015-02-29T10:00:00Z", b"1900-02-29T10:00:00Z"),
        *(b"2016-13-01T10:00:00Z", b"2016-00-01T10:00:00Z", b"2016-12-00T10:00:00Z", b"2016-04-31"),
        *(b"2016-12-02T24:00:00Z", b"2016-12-31T23:59:60Z", b"2016-12-02T18:60:00Z", b"2016-12-02T18:03:04"),
        *(b"2016-12-02T18:03:04+24:00", b"2016-12-02T18:03:04+02:60", b"2016-12-02T18:03:04+0200"),
        *(b"0000-01-01T00:00:00Z", b"0001-01-01T00:00:00+00:01", b"9999-12-31T23:59:59-00:01"),
        *(b"2016-12-02 18:03:04Z", b"2016-12-02t18:03:04z", b"2016/12/02T18:03:04Z", b"2016-1-2", b" 2016-12-02"),
        *(b"2016-12-02T18:03:04.Z", b"2016-12-02T18:03:04Zz", b"20161202T180304Z", b"-016-12-02", b"+2016-12-02"),
        *(b"", b"yesterday", "２０１６-12-02".encode(), "201６-12-02T18:03:04Z".encode(), b"2016-12-02\r\n T18:03Z"),
    ],
)
def test_anything_else_is_null(text: bytes) -> None:
    assert read(b"2016-12-02", text, None, b"2016-12-02T00:00:00Z")[1:3] == [None, None]


@st.composite
def almost_dates(draw: st.DrawFn) -> tuple[bytes, datetime | None]:
    """A date whose parts may not exist, and its moment by the calendar module."""
    year, month, day = draw(st.integers(0, 9999)), draw(st.integers(0, 13)), draw(st.integers(0, 32))
    hour, minute, second = draw(st.integers(0, 25)), draw(st.integers(0, 61)), draw(st.integers(0, 61))
    sign, zone_hour, zone_minute = draw(st.sampled_from("+-Z")), draw(st.integers(0, 25)), draw(st.integers(0, 61))
    zone = "Z" if sign == "Z" else f"{sign}{zone_hour:02}:{zone_minute:02}"
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}"
    exists = 1 <= month <= 12 and year >= 1 and hour < 24 and minute < 60 and second < 60
    if not exists or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return text.encode(), None
    if sign != "Z" and (zone_hour > 23 or zone_minute > 59):
        return text.encode(), None
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    if sign != "Z":
        seconds -= (zone_hour * 3600 + zone_minute * 60) * (1 if sign == "+" else -1)
    try:
        return text.encode(), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return text.encode(), None


@pytest.mark.fuzz
@examples(100)
@given(st.lists(almost_dates(), min_size=1, max_size=6))
def test_impossible_dates(dates: list[tuple[bytes, datetime | None]]) -> None:
    assert read(*(text for text, _ in dates)) == [moment for _, moment in dates]


@pytest.mark.fuzz
@examples(100)
@given(
    st.lists(
        st.text("0123456789-:TZ+.０٣ /", max_size=24).map(str.encode)
        | st.from_regex(rb"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z", fullmatch=True),
        min_size=1,
        max_size=6,
    )
)
@example([b"2016-12-02T18:03:04Z", b"2016-02-30T18:03:04Z"])
def test_date_column_equals_parsing_each_date(dates: list[bytes]) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    micros = [parse_date(date) for date in dates]
    assert read(*dates) == [None if n is None else epoch + timedelta(microseconds=n) for n in micros]

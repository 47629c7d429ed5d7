"""WARC-Date values as timestamps, strictly by the W3C profile of ISO 8601 (WARC/1.1, ISO 28500:2017, section 5.4).

A date is `YYYY-MM-DD`, alone or with a time `Thh:mm`, `Thh:mm:ss` or `Thh:mm:ss.s…` and its zone, `Z` or `±hh:mm`.
Everything else is null, so that it is never counted on another day: days and times that do not exist (30 February,
24:00:00, a second 60), a time without a zone, and `YYYY` and `YYYY-MM`, which name no day.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SECOND_US: Final = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    rb"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9])))?"
)
# YYYY-MM-DDThh:mm:ssZ, as almost all dates are written.
_COMMON = np.frombuffer(b"0000-00-00T00:00:00Z", np.uint8)
_IS_DIGIT = ord("0") == _COMMON


def read_dates(data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]) -> pa.TimestampArray:
    """Parse n dates.

    Args:
        data: uint8.
        begins: int64 [n]; date i is data[begins[i]:ends[i]], and null where begins[i] is negative.
        ends: int64 [n].

    Returns:
        n timestamps in microseconds, UTC; fractions of a second are cut off.
    """
    micros = np.zeros(len(begins), np.int64)
    common = np.flatnonzero((begins >= 0) & (ends - begins == len(_COMMON)))
    micros[common], valid = _read_common(data[begins[common, None] + np.arange(len(_COMMON))])
    null = begins < 0
    others = np.ones(len(begins), np.bool_)
    others[common[valid]] = False
    for i in np.flatnonzero(others & ~null).tolist():
        value = parse_date(data[begins[i] : ends[i]].tobytes())
        null[i] = value is None
        micros[i] = value or 0
    return pa.array(micros, mask=null).cast(pa.timestamp("us", tz="UTC"))


def _read_common(text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds since 1970 of dates in the common form, uint8 [n, 20], and which of them are valid dates."""
    digits = (text - ord("0"))[:, _IS_DIGIT]  # below "0" wraps around
    valid = (digits <= 9).all(axis=1) & (text == _COMMON)[:, ~_IS_DIGIT].all(axis=1)
    tens = digits[:, 0::2].astype(np.int64) * 10 + digits[:, 1::2]
    century, year, month, day, hour, minute, second = tens.T
    months = (century * 100 + year - 1970) * 12 + month - 1
    first, following = ((months + k).astype("M8[M]").astype("M8[D]").astype(np.int64) for k in (0, 1))
    valid &= (century + year > 0) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= following - first)
    valid &= (hour <= 23) & (minute <= 59) & (second <= 59)
    return (((first + day - 1) * 24 + hour) * 60 + minute) * 60 * SECOND_US + second * SECOND_US, valid


@functools.lru_cache(1 << 12)
def parse_date(text: bytes) -> int | None:
    """Return the microseconds since 1970 of one date; None if it is not one, or not within the years 1 to 9999."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    sign, offset_hours, offset_minutes = match[7], int(match[8] or 0), int(match[9] or 0)
    offset = timedelta(hours=offset_hours, minutes=offset_minutes)
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        moment = local + offset if sign == b"-" else local - offset
    except (ValueError, OverflowError):
        return None
    return int((moment - _EPOCH).total_seconds()) * SECOND_US

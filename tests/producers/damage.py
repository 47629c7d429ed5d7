"""Damage to small WET files, for hypothesis."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st

from tests.producers.wet_forms import WetFile, wet_file

MANY = settings(max_examples=40, deadline=60_000)  # a hang, on any machine


@functools.cache
def whole(form: str) -> WetFile:
    return wet_file(form, count=14)


@dataclass(frozen=True)
class Damage:
    """`data` with the bytes from `begin` to `end` (of the undamaged file) gone, changed, or pushed on."""

    data: bytes
    begin: int
    end: int


@st.composite
def damages(draw: st.DrawFn, data: bytes) -> Damage:
    kind = draw(st.sampled_from(["cut", "flip", "insert", "take out", "write over"]))
    at = draw(st.integers(0, len(data) - 1))
    if kind == "cut":
        return Damage(data[:at], at, len(data))
    if kind == "flip":
        changed = bytearray(data)
        changed[at] ^= 1 << draw(st.integers(0, 7))
        return Damage(bytes(changed), at, at + 1)
    length = min(draw(st.sampled_from([1, 2, 7, 100, 3_000])), len(data) - at)
    if kind == "take out":
        return Damage(data[:at] + data[at + length :], at, at + length)
    noise = draw(
        st.one_of(st.binary(min_size=length, max_size=length), st.just(bytes(length)), st.just(b"\n" * length))
    )
    if kind == "insert":
        return Damage(data[:at] + noise + data[at:], at, at)
    return Damage(data[:at] + noise + data[at + length :], at, at + length)

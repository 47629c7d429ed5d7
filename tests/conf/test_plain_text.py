"""Numbers in texts: what is taken is what was written, everywhere by one grammar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from conf.plain_text import parse_number, parse_truth, parse_whole
from conf.settings import SettingsError, load_settings
from serving.api.parameters import InView, Limit
from tests.examples import examples
from wetstream.commands.options import Count, Number
from wetstream.wet.options import whole_number

REFUSED = [
    "1_6",
    "１６",
    "١٦",
    "0x10",
    "1,000",
    "1 6",
    "+-1",
    "",
    " ",
    "\n16",
    "16\0",
    "²",
    "--1",
    "nan",
    "inf",
    "-Infinity",
]


@pytest.mark.parametrize(("text", "number"), [("16", 16), (" 16\t", 16), ("+16", 16), ("-1", -1), ("007", 7)])
def test_whole_numbers(text: str, number: int) -> None:
    assert parse_whole(text) == number == parse_number(text)
    assert load_settings(environ={"WETSTREAM_KAFKA_PARTITIONS": " +016 "}).kafka.partitions == 16


@pytest.mark.parametrize(("text", "number"), [("0.5", 0.5), (".5", 0.5), ("5.", 5), ("1e3", 1000), ("-1.5E-1", -0.15)])
def test_numbers(text: str, number: float) -> None:
    assert parse_number(text) == number
    with pytest.raises(ValueError, match="not a whole number"):
        parse_whole(text)


def test_truth_values() -> None:
    assert [parse_truth(text) for text in ("true", "FALSE", " True ")] == [True, False, True]
    for text in ("on", "yes", "1", "0", "t", "", "truе"):  # the last one with a Cyrillic letter
        with pytest.raises(ValueError, match="neither true nor false"):
            parse_truth(text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_plainly_a_number_is_refused_everywhere(text: str) -> None:
    parsers: list[Callable[[str], Any]] = [
        parse_whole,
        parse_number,
        lambda text: Count(0, 100).convert(text, None, None),
        lambda text: Number(0, 100).convert(text, None, None),
        lambda text: whole_number("limit", text),
        lambda text: load_settings(environ={"WETSTREAM_KAFKA_PARTITIONS": text}),
        lambda text: load_settings(flags={"producer.retry_s": text}, environ={}),
    ]
    for parse in parsers:
        with pytest.raises((ValueError, click.BadParameter, SettingsError)):
            parse(text)
    app = FastAPI()

    @app.get("/")
    def answer(limit: Limit, view: InView) -> list[float | None]:
        return [limit, view.min_df, view.max_df]

    client = TestClient(app)
    assert client.get("/", params={"limit": "3", "min_df": "2", "max_df": "0.5"}).json() == [3, 2, 0.5]
    for name in ("limit", "min_df", "max_df"):
        assert client.get("/", params={"limit": "3"} | {name: text}).status_code == 422, name


@pytest.mark.fuzz
@examples(200)
@given(text=st.text("0123456789+-._eE \t\nx１٣", max_size=8) | st.text(max_size=5))
def test_a_number_is_the_one_that_was_written(text: str) -> None:
    try:
        number = parse_number(text)
    except ValueError:
        return
    assert text.isascii() and "_" not in text and float(text) == number
    try:
        assert parse_whole(text) == number
    except ValueError:
        assert set(text.lower()) & set(".e")

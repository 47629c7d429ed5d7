"""Where a page's language comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conf.profiles import Profile
from streaming.text.language import detect, from_header, language_of
from tests.text.pages import ENGLISH_TEXT, GERMAN_TEXT, real_pages


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("eng", "eng"),
        ("eng,spa", "eng"),
        (" SPA , eng", "spa"),
        ("en", "eng"),
        ("", None),
        (None, None),
        ("?,eng", None),
    ],
)
def test_the_first_code_of_the_header_counts(header: str | None, code: str | None) -> None:
    assert from_header(header) == code


def test_detector_and_header_share_language_codes() -> None:
    assert detect(ENGLISH_TEXT) == "eng"
    assert detect(GERMAN_TEXT) == "deu"


def test_characters_the_detector_rejects_are_removed() -> None:
    dirt = [b"\x00", b"\x01\x02", b"\x7f", b"\xff", b"\xe2\x80", b"\xed\xa0\x80", "\x81\ufffe\ufdd0\U0001ffff".encode()]
    for bad in dirt:
        assert detect(ENGLISH_TEXT + bad + ENGLISH_TEXT) == "eng", bad


@pytest.mark.parametrize("payload", [b"", b"\xff" * 100, b"\0" * 100, b"1 2 3", b"x"])
def test_unknown(payload: bytes) -> None:
    assert detect(payload) is None


def test_language_header_takes_precedence_over_the_detector(english: Profile) -> None:
    assert language_of("spa", ENGLISH_TEXT, english) == ("spa", "header")
    assert language_of(None, ENGLISH_TEXT, english) == ("eng", "detect")
    assert language_of(None, b"", english) == (None, None)
    detector_first = replace(english, language_methods=("detect", "header"))
    assert language_of("spa", ENGLISH_TEXT, detector_first) == ("eng", "detect")
    assert language_of("spa", b"", detector_first) == ("spa", "header")


def test_p21_never_detects(p21: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.text.language.detect", lambda payload: pytest.fail("detected"))
    assert language_of(None, ENGLISH_TEXT, p21) == (None, None)
    assert language_of("eng", ENGLISH_TEXT, p21) == ("eng", "header")


def test_detects_on_every_real_page() -> None:
    codes = [detect(page) for page in real_pages("wet/cc-2014-2024-merged.warc.wet.gz")]
    assert 45 <= codes.count("eng") <= 65
    assert codes.count(None) < 25
    assert all(code is None or len(code) == 3 for code in codes)

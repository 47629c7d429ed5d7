"""Profiles and baggers, made once: a bagger is kept for a worker's life, so tests share them too."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from conf.profiles import Profile, load_profile
from streaming.text.kernel import Bagger

P21 = load_profile("p21")
ENGLISH = load_profile("english")
ANY_WORDS = replace(ENGLISH, name="any words", dictionary=None, min_valid_tokens=3)
CONTRARY = replace(
    ANY_WORDS,
    name="contrary",
    possessives="keep",
    hyphens="keep",
    mixed="split",
    addresses="split",
    inner_dots="split",
    min_letters=3,
    apostrophes="’",
)
PROFILES = {profile.name: profile for profile in (P21, ENGLISH, ANY_WORDS, CONTRARY)}


@functools.cache
def shared_bagger(name: str) -> Bagger:
    return Bagger(PROFILES[name])


@pytest.fixture(params=list(PROFILES))
def bagger(request: pytest.FixtureRequest) -> Bagger:
    return shared_bagger(request.param)


@pytest.fixture(params=["p21", "english"])
def fresh_bagger(request: pytest.FixtureRequest) -> Bagger:
    return Bagger(PROFILES[request.param])


@pytest.fixture
def p21() -> Profile:
    return P21


@pytest.fixture
def english() -> Profile:
    return ENGLISH

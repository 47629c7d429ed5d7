"""Profiles and baggers."""

from __future__ import annotations

import pytest

from conf.profiles import Profile
from streaming.text.kernel import Bagger
from tests.text.profiles import ENGLISH, P21, PROFILES, shared_bagger


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

"""The profiles that tests use, and their baggers: a bagger is kept for a worker's life, so tests share them too."""

from __future__ import annotations

import functools
from dataclasses import replace

from conf.profiles import load_profile
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

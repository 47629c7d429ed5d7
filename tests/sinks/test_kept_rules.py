"""A pipeline keeps the rules that its documents were made with."""

from __future__ import annotations

from pathlib import Path

import pytest

from conf.profiles import Profile, ProfileError, load_profile
from conf.settings import load_settings
from sinks.documents.errors import DocumentsError
from sinks.documents.generations import Generations
from wetstream.pipeline.profile import pipeline_profile, stored_profile

OWN = """
tokenizer = "unicode"
language = "de"
dictionary = "words.txt"
stop_words = "stop.txt"
min_valid_tokens = 2
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("haus\nb\u00e4ume\nder\n")
    (tmp_path / "stop.txt").write_text("der\n")
    path = tmp_path / "german.toml"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("name", ["english", "p21"])
def test_a_profile_survives_being_written_down(name: str) -> None:
    profile = load_profile(name)
    assert Profile.from_json(profile.to_json()) == profile
    with pytest.raises(ProfileError, match="is damaged"):
        Profile.from_json(profile.to_json()[:100])


def test_a_moved_profile_does_not_stop_its_pipeline(tmp_path: Path, own: Path) -> None:
    settings = load_settings(flags={"home": str(tmp_path / "home")}, environ={})
    asked = load_settings(flags={"home": str(tmp_path / "home"), "profile": str(own)}, environ={})
    made = pipeline_profile(asked)
    Generations.of(settings).open_or_create(made.rules)
    for file in (own, tmp_path / "words.txt", tmp_path / "stop.txt"):
        file.unlink()
    assert pipeline_profile(settings) == stored_profile(settings) == made
    assert made.name == "german"
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert [path for path in kept if str(own).encode() in path.read_bytes()] == []
    with pytest.raises(DocumentsError, match="profile german, not english"):
        pipeline_profile(load_settings(flags={"home": str(tmp_path / "home"), "profile": "english"}, environ={}))


def test_a_pipeline_of_before_keeps_its_rules_from_its_next_start(tmp_path: Path, own: Path) -> None:
    settings = load_settings(flags={"home": str(tmp_path / "home")}, environ={})
    generations = Generations.of(settings)
    rules = load_profile(str(own)).rules
    generations.open_or_create(type(rules)(str(own), rules.rules_hash))  # as versions without a copy did
    made = pipeline_profile(settings)
    assert made.name == "german" and not list(generations.location.path.glob("profile-*"))
    generations.open_or_create(made.rules)
    own.unlink()
    assert pipeline_profile(settings) == made

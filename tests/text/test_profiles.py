"""Profiles as data: loading, refusing, hashing, sending to executors."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import tomllib
import zlib
from dataclasses import replace
from importlib import metadata, resources
from pathlib import Path

import pytest

from conf.profiles import KEYS, Profile, ProfileError, builtin_profiles, load_profile
from conf.word_lists import pack, parse_words
from streaming.text.kernel import Bagger
from tests.text.pages import assert_same


def test_p21_is_as_specified(p21: Profile) -> None:
    assert (p21.tokenizer, p21.language, p21.language_methods) == ("ascii", None, ("header",))
    assert (p21.min_valid_tokens, p21.valid_words, len(p21.stop_words)) == (11, None, 174)


def test_english_profile_settings(english: Profile) -> None:
    assert (english.tokenizer, english.language, english.language_methods) == ("unicode", "eng", ("header", "detect"))
    assert english.valid_words is not None
    assert {b"word", "café".encode()} < set(english.valid_words)
    assert not {b"recieve", b"aanbieding"} & set(english.valid_words)
    assert english.stop_words == load_profile("p21").stop_words


def test_builtin_profiles_name_every_setting_and_explain_it() -> None:
    assert builtin_profiles() == ["english", "p21"]
    text = (resources.files("conf") / "profiles" / "english.toml").read_text("utf-8")
    assert set(tomllib.loads(text)) == set(KEYS)
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith("#"):
            assert lines[number - 1].startswith("#") or line.startswith("description"), line


def test_dictionary_equals_pyspellchecker() -> None:
    distribution = metadata.distribution("pyspellchecker")  # a dependency for development
    packed = Path(str(distribution.locate_file("spellchecker/resources/en.json.gz"))).read_bytes()
    frequencies = json.loads(gzip.decompress(packed))
    wanted = sorted(frequencies, key=lambda word: (-frequencies[word], word.encode()))
    listed = gzip.decompress((resources.files("conf") / "words" / "english.txt.gz").read_bytes()).decode().split()
    assert len(listed) == 160_572
    assert listed == wanted


def test_the_stop_words_are_the_174() -> None:
    listed = (resources.files("conf") / "words" / "english_stop_words.txt").read_bytes()
    assert len(listed.split()) == 174
    digest = hashlib.sha256(b"\n".join(sorted(listed.split()))).hexdigest()
    assert digest == "1ab5c50f44a3bb9616c1978098c9061ede10984532f0302592414f93a62d4f0b"


def test_profile_is_picklable(english: Profile) -> None:
    sent = pickle.dumps(english)
    assert len(sent) < 1_000_000
    assert pickle.loads(sent) == english
    assert pickle.loads(sent).rules_hash == english.rules_hash


def test_rules_hash_changes_with_every_rule(english: Profile) -> None:
    changed = [
        replace(english, tokenizer="ascii"),
        replace(english, language="deu"),
        replace(english, language=None),
        replace(english, language_methods=("detect", "header")),
        replace(english, dictionary=None),
        replace(english, dictionary=pack([b"word"])),
        replace(english, stop_words=frozenset([b"the"])),
        replace(english, min_valid_tokens=12),
        replace(english, apostrophes="'"),
        replace(english, possessives="keep"),
        replace(english, hyphens="keep"),
        replace(english, mixed="split"),
        replace(english, addresses="split"),
        replace(english, inner_dots="split"),
        replace(english, min_letters=2),
    ]
    assert len({english.rules_hash, *(profile.rules_hash for profile in changed)}) == len(changed) + 1
    assert replace(english, name="other", description="other").rules_hash == english.rules_hash
    assert english.dictionary is not None
    backwards = pack(zlib.decompress(english.dictionary).split(b"\n")[::-1])
    assert replace(english, dictionary=backwards).rules_hash == english.rules_hash


def test_rules_hash_covers_rules_and_detector(english: Profile, p21: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    before = english.rules_hash, p21.rules_hash
    monkeypatch.setattr("conf.profiles.metadata.version", lambda name: "another")
    assert english.rules_hash != before[0]
    assert p21.rules_hash == before[1]
    monkeypatch.setattr("conf.profiles.RULES_VERSION", 99)
    assert p21.rules_hash != before[1]


GERMAN = """
tokenizer = "unicode"
language = "de"
dictionary = "lists/wörter.txt.gz"
stop_words = "stopp.txt"
min_valid_tokens = 2
"""


def test_custom_profile(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "wörter.txt.gz").write_bytes(gzip.compress("Haus\nSTRASSE\nÜber\nmu\u0308de\n\n".encode()))
    (tmp_path / "stopp.txt").write_bytes("\ufeffund\r\nÜber\r\n".encode())
    (tmp_path / "deutsch.toml").write_text(GERMAN, "utf-8")
    profile = load_profile(str(tmp_path / "deutsch.toml"))
    assert (profile.name, profile.language) == ("deutsch", "deu")
    assert profile.valid_words == tuple(word.encode() for word in ("haus", "strasse", "über", "müde"))
    assert profile.stop_words == {b"und", "über".encode()}
    assert_same(Bagger(profile), ["Das HAUS und die Strasse: ÜBER müde Häuser".encode(), b"Haus"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tokeniser = 'ascii'", "no setting tokeniser: did you mean tokenizer?"),
        ("zzz = 1", "no setting zzz: use one of addresses, apostrophes"),
        ("tokenizer = 'bytes'", "tokenizer = 'bytes' is invalid: use one of 'ascii', 'unicode'"),
        ("hyphens = true", "hyphens = True is invalid: use one of 'split', 'keep'"),
        ("min_valid_tokens = -1", "min_valid_tokens = -1 is invalid: use an integer of at least 0"),
        ("min_letters = true", "min_letters = True is invalid"),
        ("language = 'english'", "language = 'english' is invalid: use a code"),
        ("language_methods = []", "use one or both"),
        ("language_methods = ['header', 'header']", "names a method twice"),
        ("dictionary = 7", "dictionary = 7 is invalid: use a string"),
        ("dictionary = 'none.txt'", "dictionary = 'none.txt' cannot be read"),
        ("stop_words = 'builtin:none.txt'", "stop_words = 'builtin:none.txt' cannot be read"),
        ("stop_words = 'bad.txt'", "stop_words = 'bad.txt' is no word list"),
        ("stop_words = 'bad.gz'", "stop_words = 'bad.gz'"),
        ("dictionary = 'empty.txt'", "holds no words"),
        ("apostrophes = 'ab'", "only characters that are used as apostrophes"),
        ("x = ", "is not valid TOML"),
    ],
)
def test_wrong_settings_are_refused_by_name(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b\x08")
    (tmp_path / "empty.txt").write_bytes(b"\n")
    path = tmp_path / "own.toml"
    path.write_text(line if "tokenizer" in line else f"tokenizer = 'unicode'\n{line}")
    with pytest.raises(ProfileError) as error:
        load_profile(str(path))
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_settings_of_the_other_tokenizer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("tokenizer = 'ascii'\nhyphens = 'keep'")
    with pytest.raises(ProfileError, match="hyphens applies only to tokenizer"):
        load_profile(str(path))
    path.write_text("")
    with pytest.raises(ProfileError, match="tokenizer is missing"):
        load_profile(str(path))


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no profile 'p22': use one of english, p21, or the path"):
        load_profile("p22")
    with pytest.raises(ProfileError, match="cannot read"):
        load_profile(str(tmp_path / "none.toml"))


def test_word_lists_are_normalised_like_tokens() -> None:
    assert parse_words("O’Clock\nÉTÉ\nİzmir\nété\n".encode(), "'’") == [b"o'clock", "été".encode(), b"izmir"]

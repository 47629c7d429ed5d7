"""Profiles: the rules by which pages are kept or rejected and become bags of words. A profile is data, a TOML file.

The built-in profiles are conf/profiles/*.toml, which explain each key; docs/text-rules.md explains the rules.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import unicodedata
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Literal

from conf.errors import ExplainedError
from conf.languages import three_letters
from conf.redaction import redact
from conf.toml_files import read_toml
from conf.word_lists import pack, parse_words, unpack

RULES_VERSION: Final = 1
"""Incremented with any change of the kernels or the specification that can change a bag."""

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "tokenizer": ("ascii", "unicode"),
    "possessives": ("strip", "keep"),
    "hyphens": ("split", "keep"),
    "mixed": ("drop", "split"),
    "addresses": ("drop", "split"),
    "inner_dots": ("drop", "split"),
}
NUMBERS: Final = {"min_valid_tokens": 0, "min_letters": 1}
TEXTS: Final = ("description", "language", "dictionary", "stop_words", "apostrophes")
KEYS: Final = (*CHOICES, *NUMBERS, *TEXTS, "language_methods")
UNICODE_ONLY: Final = ("apostrophes", "possessives", "hyphens", "mixed", "addresses", "inner_dots", "min_letters")


class ProfileError(ExplainedError):
    """A profile cannot be used; the message names the file, the key and the remedy."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The identity of a profile's rules: its name or path, and the hash of all that can change a bag."""

    profile: str
    rules_hash: str
    content: bytes = field(default=b"", repr=False, compare=False)
    """The profile as a pipeline keeps it (`Profile.to_json`)."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The rules and word lists of a profile. Small (below 1 MB) and picklable, so executors need no files."""

    name: str
    description: str = ""
    tokenizer: Literal["ascii", "unicode"]
    language: str | None = None
    """ISO 639-3 code of the pages to keep; None: pages in any language."""
    language_methods: tuple[str, ...] = ("header", "detect")
    dictionary: bytes | None = None
    """The valid words (`conf.word_lists.pack`), frequent ones first for faster look-ups; None: every word is valid."""
    stop_words: frozenset[bytes] = frozenset()
    """UTF-8. Valid even if the dictionary lacks them, and not counted."""
    min_valid_tokens: int = 11
    """Pages with fewer valid tokens, stop words included, are rejected."""
    apostrophes: str = "'’‘ʼ＇`´"
    possessives: Literal["strip", "keep"] = "strip"
    hyphens: Literal["split", "keep"] = "split"
    mixed: Literal["drop", "split"] = "drop"
    addresses: Literal["drop", "split"] = "drop"
    inner_dots: Literal["drop", "split"] = "drop"
    min_letters: int = 1

    @property
    def valid_words(self) -> tuple[bytes, ...] | None:
        """The dictionary in its order, without possessives if those are stripped; None: every word is valid."""
        if self.dictionary is None:
            return None
        stripped = self.tokenizer == "unicode" and self.possessives == "strip"
        return unpack(self.dictionary, without_possessives=stripped)

    @property
    def rules_hash(self) -> str:
        """SHA-256 (hex) of everything that can change a bag or reject a page; name and description are left out."""
        rules = {key: value for key, value in asdict(self).items() if key not in ("name", "description")}
        if self.tokenizer == "ascii":
            rules = {key: value for key, value in rules.items() if key not in UNICODE_ONLY}
        else:
            rules["apostrophes"] = sorted(set(self.apostrophes))
            rules["unicode_version"] = unicodedata.unidata_version
        if self.dictionary is not None:
            words = sorted(zlib.decompress(self.dictionary).split(b"\n"))
            rules["dictionary"] = hashlib.sha256(b"\n".join(words)).hexdigest()
        rules["stop_words"] = hashlib.sha256(b"\n".join(sorted(self.stop_words))).hexdigest()
        rules["rules_version"] = RULES_VERSION
        if "detect" in self.language_methods:
            rules["pycld2"] = metadata.version("pycld2")
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()

    @property
    def rules(self) -> Rules:
        """The identity of the rules, as a generation of documents stores it."""
        return Rules(self.name, self.rules_hash, self.to_json())

    def to_json(self) -> bytes:
        """Return the whole profile, word lists included, for `from_json`."""
        fields = asdict(self)
        fields["dictionary"] = None if self.dictionary is None else base64.b64encode(self.dictionary).decode()
        fields["stop_words"] = sorted(word.decode("utf-8", "surrogateescape") for word in self.stop_words)
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Profile:
        """Return a profile that `to_json` wrote. Raises ProfileError."""
        try:
            fields = json.loads(content)
            if fields["dictionary"] is not None:
                fields["dictionary"] = base64.b64decode(fields["dictionary"])
            fields["stop_words"] = frozenset(word.encode("utf-8", "surrogateescape") for word in fields["stop_words"])
            fields["language_methods"] = tuple(fields["language_methods"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ProfileError(f"a profile kept with a pipeline is damaged ({error}): restore its documents") from error


def builtin_profiles() -> list[str]:
    """Return the names of the built-in profiles."""
    files = (resources.files("conf") / "profiles").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_profile(name_or_path: str) -> Profile:
    """Load a built-in profile by name, or a profile from a .toml file.

    Raises:
        ProfileError: There is no such profile, or it is invalid.
    """
    file: Traversable = Path(name_or_path)
    if not name_or_path.endswith(".toml"):
        if name_or_path not in builtin_profiles():
            known = ", ".join(builtin_profiles())
            raise ProfileError(f"there is no profile {name_or_path!r}: use one of {known}, or the path of a .toml file")
        file = resources.files("conf") / "profiles" / f"{name_or_path}.toml"
    try:
        settings, _ = read_toml(file, name_or_path)
    except OSError as error:
        raise ProfileError(f"cannot read {name_or_path} ({error.strerror}): give the path of a profile") from error
    except ValueError as error:  # among them a path that no file can have
        raise ProfileError(str(error)) from error
    for key, value in settings.items():
        if problem := _problem(key, value, settings):
            raise ProfileError(f"{name_or_path}: {problem}")
    if "tokenizer" not in settings:
        raise ProfileError(f'{name_or_path}: tokenizer is missing; set it to "ascii" or "unicode".')
    rules = dict(settings)
    apostrophes = settings.get("apostrophes", Profile.apostrophes)
    language = settings.get("language", "any")
    rules["language"] = None if language == "any" else three_letters(language)
    rules["language_methods"] = tuple(settings.get("language_methods", Profile.language_methods))
    words = {}
    for key in ("dictionary", "stop_words"):
        where = settings.get(key, "")
        words[key] = parse_list(name_or_path, key, where, apostrophes) if where else None
    rules["dictionary"] = None if words["dictionary"] is None else pack(words["dictionary"])
    rules["stop_words"] = frozenset(words["stop_words"] or ())
    return Profile(name=profile_name(name_or_path), **rules)


def profile_name(name_or_path: str) -> str:
    """Return the name of a profile: of one in a .toml file, that of the file."""
    return Path(name_or_path).stem if name_or_path.endswith(".toml") else name_or_path


def parse_list(profile: str, key: str, where: str, apostrophes: str) -> list[bytes]:
    """Load a word list that a profile names: a path relative to it, or `builtin:` and a file in conf/words."""
    if "://" in where or where.startswith("$"):
        raise ProfileError(f"{profile}: {key} = {redact(where)!r} is no path of a file: write the path itself.")
    file: Traversable = Path(profile).parent / (Path.home() / where[2:] if where.startswith("~/") else where)
    if where.startswith("builtin:"):
        file = resources.files("conf") / "words" / where.removeprefix("builtin:")
    try:
        words = parse_words(file.read_bytes(), apostrophes)
    except OSError as error:
        raise ProfileError(f"{profile}: {key} = {where!r} cannot be read ({error}); correct the path.") from error
    except (EOFError, ValueError, zlib.error) as error:
        raise ProfileError(
            f"{profile}: {key} = {where!r} is no word list ({error}); it needs one word a line in UTF-8, plain or .gz."
        ) from error
    if not words:
        raise ProfileError(f'{profile}: {key} = {where!r} holds no words; write "" for no list.')
    return words


def _problem(key: str, value: Any, settings: Mapping[str, Any]) -> str | None:
    """Describe what is wrong with a setting and which values it takes; None if it is valid."""
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(sorted(KEYS))}."
        return f"there is no setting {key}: {hint}"
    if key in UNICODE_ONLY and settings.get("tokenizer") == "ascii":
        return f'{key} applies only to tokenizer = "unicode": remove the line or change the tokenizer.'
    if key in CHOICES and (not isinstance(value, str) or value not in CHOICES[key]):
        return f"{key} = {value!r} is invalid: use one of {', '.join(map(repr, CHOICES[key]))}."
    if key in NUMBERS and (type(value) is not int or not NUMBERS[key] <= value < 1 << 31):
        return f"{key} = {value!r} is invalid: use an integer of at least {NUMBERS[key]}."
    if key in TEXTS and not isinstance(value, str):
        return f"{key} = {value!r} is invalid: use a string."
    if key == "language" and not (value == "any" or (value.isascii() and value.islower() and 2 <= len(value) <= 3)):
        return f'language = {value!r} is invalid: use a code like "en" or "eng", or "any".'
    if key == "language_methods":
        if not isinstance(value, list) or not value or not all(method in ("header", "detect") for method in value):
            return f'{key} = {value!r} is invalid: use one or both of ["header", "detect"].'
        if len(set(value)) != len(value):
            return f"{key} = {value!r} names a method twice."
    if key == "apostrophes" and any(unicodedata.category(sign) not in ("Po", "Pi", "Pf", "Sk", "Lm") for sign in value):
        return f"apostrophes = {value!r} may contain only characters that are used as apostrophes."
    return None

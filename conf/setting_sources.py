"""Where settings come from: defaults, a file, the environment, flags. Each is a source of pydantic-settings."""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from conf.errors import ExplainedError
from conf.plain_text import parse_number, parse_truth, parse_whole
from conf.toml_files import TomlFileError, line_of, read_toml

ENV_PREFIX: Final = "WETSTREAM_"
NOT_SETTINGS: Final = {
    "WETSTREAM_JARS",
    "WETSTREAM_NUMBA_CACHE",
    "WETSTREAM_DEBUG",
    "WETSTREAM_SHARED_DATA",
    "WETSTREAM_EXAMPLES",
    "WETSTREAM_TEST_HOME",
    "WETSTREAM_CRASH_AT",
    "WETSTREAM_CRASH_ONCE",
    "WETSTREAM_CRASH_SIGNAL",
}
"""Variables with the prefix that are not settings: folders of caches, debugging, and the tests' own."""

_PARSERS: Final[dict[Any, Callable[[str], Any]]] = {int: parse_whole, float: parse_number, bool: parse_truth}


class SettingsError(ExplainedError):
    """A setting is unknown or has a value that it cannot have; the message names it and the remedy."""


class Source(PydanticBaseSettingsSource):
    """One place that settings come from; `tables` is what it holds, nested as the sections are."""

    def __init__(self, settings_cls: type[BaseSettings], tables: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self.tables = tables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one top-level field, as pydantic-settings asks for it."""
        return self.tables.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return everything that this place sets."""
        return self.tables

    def holds(self, path: list[str]) -> bool:
        """Whether the setting, or the section of this path, is set here."""
        here: Any = self.tables
        for part in path:
            if not isinstance(here, Mapping) or part not in here:
                return False
            here = here[part]
        return True

    @abstractmethod
    def place(self, path: list[str]) -> str:
        """Return where a person finds the setting: `the flags`, or a file and its line."""


class FlagSource(Source):
    """Flags of the command line and arguments of Python callers, by dotted names; text is read as its type."""

    def __init__(self, settings_cls: type[BaseSettings], flags: Mapping[str, Any]) -> None:
        super().__init__(settings_cls, _nest(settings_cls, flags, self.place))

    def place(self, path: list[str] | None = None) -> str:
        """Return a fixed text."""
        return "the flags"


class EnvironmentSource(Source):
    """Variables that begin with WETSTREAM_; text is read as its type. Unknown ones are refused by name."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        allowed = {ENV_PREFIX + name.upper().replace(".", "_"): name for name in setting_names(settings_cls)}
        for variable in environ:
            if not variable.upper().startswith(ENV_PREFIX) or variable in allowed or variable in NOT_SETTINGS:
                continue
            raise SettingsError(f"environment variable {variable} is not a setting{_hint(variable.upper(), allowed)}")
        given = {allowed[variable]: environ[variable] for variable in allowed if variable in environ}
        super().__init__(settings_cls, _nest(settings_cls, given, self.place))

    def place(self, path: list[str] | None = None) -> str:
        """Return the variable's name where one setting is meant."""
        return "the environment"


class FileSource(Source):
    """A TOML file; its values have the types that TOML gives them."""

    def __init__(self, settings_cls: type[BaseSettings], file: Path, name: str) -> None:
        try:
            tables, self._text = read_toml(file, name)
        except OSError as error:
            raise SettingsError(f"cannot read the settings file {name}: {error.strerror or error}") from None
        except (TomlFileError, ValueError) as error:
            raise SettingsError(str(error)) from None
        self._name = name
        super().__init__(settings_cls, tables)

    def place(self, path: list[str]) -> str:
        """Return the file, with the line if it can be told."""
        line = line_of(self._text, path)
        return self._name if line is None else f"{self._name}, line {line}"


class ObjectSource(Source):
    """Settings that were read before."""

    def __init__(self, settings_cls: type[BaseSettings], settings: BaseSettings) -> None:
        super().__init__(settings_cls, _tables(settings))

    def place(self, path: list[str]) -> str:
        """Return a fixed text."""
        return "the settings"


def _tables(section: BaseModel) -> dict[str, Any]:
    return {name: _tables(value) if isinstance(value, BaseModel) else value for name, value in section}


def setting_names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted names of all settings, in the order of default.toml."""
    names: list[str] = []
    for key, field in model.model_fields.items():
        section = section_of(field)
        names += [prefix + key] if section is None else setting_names(section, f"{prefix}{key}.")
    return names


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a section; None for a single setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def find_field(model: type[BaseModel], path: list[str]) -> FieldInfo | None:
    """Return the field of a dotted name; None where there is none."""
    field: FieldInfo | None = None
    for part in path:
        section = model if field is None else section_of(field)
        field = section.model_fields.get(part) if section else None
        if field is None:
            return None
    return field


def hint(name: str, model: type[BaseModel]) -> str:
    """Return what an unknown setting probably means, as the end of a sentence."""
    return _hint(name, setting_names(model))


def _hint(name: str, allowed: Iterable[str]) -> str:
    names = list(allowed)
    last = [known for known in names if known.rpartition(".")[2] == name.rpartition(".")[2]]
    close = last[:1] if len(last) == 1 else difflib.get_close_matches(name, names, n=1)
    if close == [name] and "." in name:
        return f"; write {name.rpartition('.')[2]} below [{name.rpartition('.')[0]}]"
    return f"; did you mean {close[0]}?" if close else "; allowed are: " + ", ".join(names)


def _nest(model: type[BaseModel], flat: Mapping[str, Any], place: Callable[[], str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        if value is None:
            continue
        # Spark has properties whose names begin like others' (spark.speculation, spark.speculation.quantile).
        *sections, key = name.split(".", 1 if name.startswith("spark.") else -1)
        into = nested
        for section in sections:
            into = into.setdefault(section, {})
            if not isinstance(into, dict):
                raise SettingsError(f"{section} (in {place()}) is given a value and settings of its own: remove one")
        if isinstance(into.get(key), dict):
            raise SettingsError(f"{name} (in {place()}) is given a value and settings of its own: remove one")
        into[key] = _typed(find_field(model, [*sections, key]), value)
    return nested


def _typed(field: FieldInfo | None, value: Any) -> Any:
    """Read text as the number or truth value that the setting is; other text stays as it is, to be judged later."""
    parse = _PARSERS.get(field.annotation) if isinstance(value, str) and field is not None else None
    if parse is None:
        return value
    try:
        return parse(value)
    except ValueError:
        return value

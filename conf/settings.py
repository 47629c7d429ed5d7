"""Settings: one frozen object, read once at the edge and passed on from there.

`default.toml` beside this file holds every setting and its default. The order, the last one wins:
default.toml, the file given with `--config`, `WETSTREAM_…` environment variables, flags.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from conf.addresses import BootstrapServers, RedisUrl
from conf.errors import ExplainedError

ENV_PREFIX = "WETSTREAM_"
# Variables with the prefix that are not settings: where the jars are kept, and the tests' own.
NOT_SETTINGS = {
    "WETSTREAM_DEBUG",
    "WETSTREAM_JARS",
    "WETSTREAM_NUMBA_CACHE",
    "WETSTREAM_SHARED_DATA",
    "WETSTREAM_CRASH_AT",
    "WETSTREAM_CRASH_ONCE",
    "WETSTREAM_CRASH_SIGNAL",
}
NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
TOPIC = r"^[A-Za-z0-9._{}-]{1,200}$"


class SettingsError(ExplainedError):
    """A setting is unknown or has a value that it cannot have; the message names it and the remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaClientSettings(_Section):
    """How clients prove to brokers of the user's who they are."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    username: str
    password: SecretStr
    ca_file: str


class KafkaSettings(_Section):
    """The broker and its two topics."""

    bootstrap_servers: str
    records_topic: str = Field(pattern=TOPIC)
    progress_topic: str = Field(pattern=TOPIC)
    partitions: int = Field(ge=1, le=10_000)
    replication_factor: int = Field(ge=1, le=9)
    request_timeout_ms: int = Field(ge=1_000, le=600_000)
    client: KafkaClientSettings


class RedisSettings(_Section):
    """Where the statistics live and how they are written."""

    url: RedisUrl

    @field_validator("url")
    @classmethod
    def _has_a_scheme(cls, url: RedisUrl) -> RedisUrl:
        if url and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    chunk_words: int = Field(ge=100, le=200_000)
    top_words: int = Field(ge=10, le=1_000_000)
    replace_statistics: str = Field(pattern=r"^[\w-]*$")


class DocumentsSettings(_Section):
    """The documents tables."""

    path: str
    compression_level: int = Field(ge=1, le=19)
    compact_every: int = Field(ge=2, le=1_000_000)
    target_file_mb: int = Field(ge=1, le=4_096)


class ProducerSettings(_Section):
    """From WET files into the topic."""

    workers: int = Field(ge=0, le=1_000)
    compression: Literal["lz4", "zstd", "gzip", "none"]
    max_record_bytes: int = Field(ge=1_024, le=16_777_216)
    transaction_ms: int = Field(ge=50, le=10_000)
    transaction_bytes: int = Field(ge=1_048_576, le=1_073_741_824)
    transaction_timeout_ms: int = Field(ge=10_000, le=900_000)
    retry_s: float = Field(ge=1)
    verify_digests: bool
    source_timeout_s: float = Field(ge=1, le=600)
    source_retry_s: float = Field(ge=1, le=86_400)
    allow_foreign_sources: bool
    s3_anonymous: bool
    s3_endpoint: str = Field(pattern=r"^(https?://.+)?$")
    follow_poll_s: float = Field(ge=0.2, le=86_400)
    follow_rest_s: float = Field(ge=0, le=86_400)


class StreamSettings(_Section):
    """The Structured Streaming query."""

    master: str
    driver_memory: str = Field(pattern=r"^\d+[mgMG]$")
    niceness: int = Field(ge=0, le=19)
    trigger_ms: int = Field(ge=0, le=3_600_000)
    max_records: int = Field(ge=1, le=100_000_000)
    min_partitions: int = Field(ge=0, le=100_000)
    arrow_batch_records: int = Field(ge=1, le=1_000_000)
    arrow_batch_bytes: int = Field(ge=1_048_576, le=1_073_741_824)
    lease_s: float = Field(ge=2, le=3_600)
    retry_s: float = Field(ge=1)
    lost_records: Literal["refuse", "accept"]


class EmbeddedSettings(_Section):
    """The servers that `wetstream up` starts."""

    kafka_heap_mb: int = Field(ge=128, le=65_536)


class ServeSettings(_Section):
    """The HTTP server of live statistics."""

    host: str = Field(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")
    port: int = Field(ge=0, le=65_535)
    token: SecretStr
    allow_origins: str
    refresh_ms: int = Field(ge=50, le=60_000)
    max_connections: int = Field(ge=8, le=100_000)
    request_timeout_s: float = Field(ge=0.5, le=600)


class Settings(_Section):
    """All settings of a run. Made by `load_settings`, never changed afterwards."""

    home: Path
    pipeline: str = Field(pattern=NAME)
    profile: str
    kafka: KafkaSettings
    redis: RedisSettings
    documents: DocumentsSettings
    producer: ProducerSettings
    stream: StreamSettings
    serve: ServeSettings
    embedded: EmbeddedSettings

    @property
    def records_topic(self) -> str:
        """Name of this pipeline's records topic."""
        return self.kafka.records_topic.replace("{pipeline}", self.pipeline)

    @property
    def progress_topic(self) -> str:
        """Name of this pipeline's progress topic."""
        return self.kafka.progress_topic.replace("{pipeline}", self.pipeline)

    @property
    def bootstrap_servers(self) -> BootstrapServers | None:
        """The configured Kafka; None: the embedded broker is used."""
        if not self.kafka.bootstrap_servers:
            return None
        return BootstrapServers(self.kafka.bootstrap_servers, **dict(self.kafka.client))

    @property
    def documents_path(self) -> Path:
        """Absolute folder of all pipelines' documents tables."""
        return Path(self.documents.path).resolve() if self.documents.path else self.home / "documents"


def load_settings(
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings from all their places.

    `flags` maps dotted keys (`"kafka.partitions"`) to values; None values are left out. Raises SettingsError.
    """
    environ = os.environ if environ is None else environ
    layers: list[tuple[str, dict[str, Any]]] = [("the flags", _nest(flags or {}))]
    layers.append(("the environment", _from_environment(environ)))
    if config is not None:
        layers.append((str(config), _read_toml(config)))
    default = resources.files("conf").joinpath("default.toml").read_text(encoding="utf-8")
    layers.append(("conf/default.toml", tomllib.loads(default)))
    merged: dict[str, Any] = {}
    for _, layer in reversed(layers):
        _merge(merged, layer)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, layers)) from None
    return settings.model_copy(update={"home": settings.home.expanduser().resolve()})


def setting_names() -> list[str]:
    """All dotted keys, in the order of default.toml."""
    return _names(Settings)


def _names(model: type[_Section]) -> list[str]:
    names = []
    for key, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            names += [f"{key}.{name}" for name in _names(section)]
        else:
            names.append(key)
    return names


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    allowed = {ENV_PREFIX + name.upper().replace(".", "_"): name for name in setting_names()}
    for variable in environ:
        if variable.startswith(ENV_PREFIX) and variable not in allowed and variable not in NOT_SETTINGS:
            raise SettingsError(f"environment variable {variable} is not a setting{_hint(variable, allowed)}")
    return _nest({allowed[variable]: environ[variable] for variable in allowed if variable in environ})


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        if value is None:
            continue
        *sections, name = key.split(".")
        into = nested
        for section in sections:
            into = into.setdefault(section, {})
        into[name] = value
    return nested


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _explain(error: ValidationError, layers: list[tuple[str, dict[str, Any]]]) -> str:
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path)
        where = next((label for label, layer in layers if _holds(layer, path)), "the settings")
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name} (in {where}) is not a setting{_hint(name, setting_names())}")
        else:
            lines.append(f"{name} = {problem['input']!r} (in {where}): {_demand(path, problem['msg'])}")
    return "; ".join(lines)


def _demand(path: list[str], message: str) -> str:
    """What the setting allows, in one phrase."""
    model: Any = Settings
    for part in path[:-1]:
        model = model.model_fields[part].annotation
    field = model.model_fields.get(path[-1]) if hasattr(model, "model_fields") else None
    if field is None:
        return message
    if isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
        return "is a section; its settings are " + ", ".join(field.annotation.model_fields)
    choices = get_args(field.annotation)
    if choices:
        return "allowed are " + ", ".join(repr(choice) for choice in choices)
    limits = {"ge": "at least {}", "le": "at most {}", "pattern": "must match {}"}
    parts = [
        text.format(getattr(rule, attribute))
        for rule in field.metadata
        for attribute, text in limits.items()
        if getattr(rule, attribute, None) is not None
    ]
    kind = getattr(field.annotation, "__name__", "")
    return f"allowed: {kind} {' and '.join(parts)}".rstrip()


def _holds(layer: Mapping[str, Any], path: list[str]) -> bool:
    here: Any = layer
    for part in path:
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True


def _hint(name: str, allowed: Any) -> str:
    close = difflib.get_close_matches(name, list(allowed), n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return "; allowed are: " + ", ".join(allowed)

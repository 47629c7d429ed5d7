"""Settings: one frozen object, read once at the edge and passed on from there.

`default.toml` beside this file holds every setting and its default. The order, the last one wins:
default.toml, the file given with `--config`, `WETSTREAM_…` environment variables, flags.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from conf.addresses import BootstrapServers, RedisServers, TlsFiles, password_of
from conf.redaction import is_secret_name, register_secret
from conf.setting_errors import check_kafka_client, check_redis_client, explain
from conf.setting_sources import EnvironmentSource, FileSource, FlagSource, ObjectSource, SettingsError, Source
from conf.setting_sources import setting_names as _names
from conf.setting_types import (
    DriverMemory,
    HomeFolder,
    KafkaAddresses,
    OptionalLocation,
    OptionalPath,
    Origins,
    Password,
    PipelineName,
    ProfileName,
    RedisAddress,
    S3Endpoint,
    ServeHost,
    SparkMaster,
    SparkProperties,
    StoreOptions,
    Text,
    Token,
    TopicName,
)
from conf.storage.urls import is_object_store

__all__ = ["Settings", "SettingsError", "changed_settings", "load_settings", "setting_names"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class KafkaClientSettings(_Section):
    """How clients prove to brokers of the user's who they are."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    username: Text
    password: Password
    password_file: OptionalPath
    ca_file: OptionalPath
    certificate_file: OptionalPath
    key_file: OptionalPath


class KafkaSettings(_Section):
    """The broker and its two topics."""

    bootstrap_servers: KafkaAddresses
    records_topic: TopicName
    progress_topic: TopicName
    partitions: int = Field(ge=1, le=10_000)
    replication_factor: int = Field(ge=0, le=9)
    min_insync_replicas: int = Field(ge=0, le=9)
    request_timeout_ms: int = Field(ge=1_000, le=600_000)
    client: KafkaClientSettings


class RedisClientSettings(_Section):
    """How clients prove to a Redis of the user's who they are."""

    username: Text
    password: Password
    password_file: OptionalPath
    ca_file: OptionalPath
    certificate_file: OptionalPath
    key_file: OptionalPath
    sentinel_username: Text
    sentinel_password: Password
    sentinel_password_file: OptionalPath


class RedisSettings(_Section):
    """Where the statistics live and how they are written."""

    url: RedisAddress
    max_memory_mb: int = Field(ge=0, le=1 << 24)
    chunk_words: int = Field(ge=100, le=200_000)
    top_words: int = Field(ge=10, le=1_000_000)
    word_shards: int = Field(ge=1, le=1_024)
    replace_statistics: str = Field(pattern=r"^[\w-]*$")
    client: RedisClientSettings


class DocumentsSettings(_Section):
    """The documents tables."""

    path: OptionalLocation
    compression_level: int = Field(ge=1, le=19)
    compact_every: int = Field(ge=2, le=1_000_000)
    target_file_mb: int = Field(ge=1, le=4_096)
    storage: StoreOptions


class ProducerSettings(_Section):
    """From WET files into the topic."""

    workers: int = Field(ge=0, le=1_000)
    niceness: int = Field(ge=0, le=19)
    compression: Literal["lz4", "zstd", "gzip", "none"]
    max_record_bytes: int = Field(ge=1_024, le=16_777_216)
    transaction_ms: int = Field(ge=50, le=10_000)
    transaction_bytes: int = Field(ge=1_048_576, le=1_073_741_824)
    transaction_timeout_ms: int = Field(ge=10_000, le=900_000)
    retry_s: float = Field(ge=1, le=604_800)
    verify_digests: bool
    source_timeout_s: float = Field(ge=1, le=600)
    source_retry_s: float = Field(ge=1, le=86_400)
    allow_foreign_sources: bool
    s3_anonymous: bool
    s3_endpoint: S3Endpoint
    follow_poll_s: float = Field(ge=0.2, le=86_400)
    follow_rest_s: float = Field(ge=0, le=86_400)


class StreamSettings(_Section):
    """The Structured Streaming query."""

    master: SparkMaster
    archive: Text
    driver_memory: DriverMemory
    niceness: int = Field(ge=0, le=19)
    trigger_ms: int = Field(ge=0, le=3_600_000)
    max_records: int = Field(ge=1, le=100_000_000)
    target_batch_s: float = Field(ge=0, le=3_600)
    min_partitions: int = Field(ge=0, le=100_000)
    arrow_batch_records: int = Field(ge=1, le=1_000_000)
    arrow_batch_bytes: int = Field(ge=1_048_576, le=1_073_741_824)
    lease_s: float = Field(ge=2, le=3_600)
    retry_s: float = Field(ge=1, le=604_800)
    lost_records: Literal["refuse", "accept"]


class EmbeddedSettings(_Section):
    """The servers that `wetstream up` starts."""

    kafka_heap_mb: int = Field(ge=128, le=65_536)


class LogSettings(_Section):
    """What commands write to stderr."""

    format: Literal["text", "json"]
    level: Literal["debug", "info", "warning", "error"]


class HealthSettings(_Section):
    """Health and readiness of `stream`, `run` and `ingest` over HTTP."""

    host: ServeHost
    port: int = Field(ge=0, le=65_535)
    silent_s: float = Field(ge=5, le=86_400)


class ServeSettings(_Section):
    """The HTTP server of live statistics."""

    host: ServeHost
    port: int = Field(ge=0, le=65_535)
    token: Token
    allow_origins: Origins
    refresh_ms: int = Field(ge=50, le=60_000)
    max_connections: int = Field(ge=8, le=100_000)
    request_timeout_s: float = Field(ge=0.5, le=600)


@dataclass(frozen=True)
class _Places:
    """Where one run takes its settings from."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    config: Path | None = None

    def sources(self, model: type[BaseSettings]) -> tuple[Source, ...]:
        """Return the sources, those that win first."""
        default = resources.files("conf") / "default.toml"
        with resources.as_file(default) as file:
            sources = [
                FlagSource(model, self.flags),
                EnvironmentSource(model, self.environ),
                *([FileSource(model, self.config, str(self.config))] if self.config is not None else []),
                FileSource(model, file, "conf/default.toml"),
            ]
        return tuple(sources)


class Settings(BaseSettings):
    """All settings of a run. Made by `load_settings`, never changed afterwards."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    home: HomeFolder
    pipeline: PipelineName
    profile: ProfileName
    kafka: KafkaSettings
    redis: RedisSettings
    documents: DocumentsSettings
    producer: ProducerSettings
    stream: StreamSettings
    spark: SparkProperties
    serve: ServeSettings
    health: HealthSettings
    log: LogSettings
    embedded: EmbeddedSettings

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_others: Any, **_named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take exactly the sources that `load_settings` gives, not pydantic-settings' own."""
        return tuple(init_settings()["sources"])

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
        """The configured Kafka; None: the embedded broker is used. Raises CredentialsError."""
        if not self.kafka.bootstrap_servers:
            return None
        client = self.kafka.client
        return BootstrapServers(
            self.kafka.bootstrap_servers,
            client.security_protocol,
            client.sasl_mechanism,
            client.username,
            password_of("kafka.client.password_file", client.password, client.password_file),
            TlsFiles(client.ca_file, client.certificate_file, client.key_file, "kafka.client"),
        )

    @property
    def redis_servers(self) -> RedisServers | None:
        """The configured Redis; None: the embedded one is used. Raises CredentialsError."""
        if not self.redis.url:
            return None
        client = self.redis.client
        return RedisServers(
            self.redis.url,
            client.username,
            password_of("redis.client.password_file", client.password, client.password_file),
            TlsFiles(client.ca_file, client.certificate_file, client.key_file, "redis.client"),
            client.sentinel_username,
            password_of("redis.client.sentinel_password_file", client.sentinel_password, client.sentinel_password_file),
        )

    @property
    def topic_models_path(self) -> Path:
        """Where the topic models of the pipeline are."""
        return self.home / "topics" / self.pipeline

    @property
    def slices_path(self) -> Path:
        """Where counts of slices are kept."""
        return self.home / "slices" / self.pipeline

    @property
    def documents_path(self) -> str:
        """Absolute path, or URL, of the place of all pipelines' documents tables."""
        if is_object_store(self.documents.path):
            return self.documents.path
        return str(Path(self.documents.path).resolve() if self.documents.path else self.home / "documents")


def load_settings(
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings from all their places.

    Args:
        config: TOML file over the defaults.
        flags: Values by dotted names (`"kafka.partitions"`), over everything else. Text is read as the setting's
            type; None values are left out.
        environ: Environment variables; None: this process's own.

    Raises:
        SettingsError: A setting is unknown or has a value that it cannot have, or a file cannot be read.
    """
    places = _Places(flags or {}, os.environ if environ is None else environ, config)
    return _settings(places.sources(Settings))


def changed_settings(settings: Settings, flags: Mapping[str, Any]) -> Settings:
    """Return the settings with other values for some dotted names, checked as flags are. Raises SettingsError."""
    return _settings((FlagSource(Settings, flags), ObjectSource(Settings, settings)))


def _settings(sources: tuple[Source, ...]) -> Settings:
    try:
        settings = Settings.model_validate({"sources": sources})
    except ValidationError as error:
        raise SettingsError(explain(error, Settings, sources)) from None
    _check_together(settings)
    redis = settings.redis.client
    for secret in (settings.serve.token, settings.kafka.client.password, redis.password, redis.sentinel_password):
        register_secret(secret.get_secret_value())
    for name, value in settings.spark.items():
        if is_secret_name(name):
            register_secret(value)
    return settings


def setting_names() -> list[str]:
    """Return all dotted names, in the order of default.toml."""
    return _names(Settings)


def _check_together(settings: Settings) -> None:
    """Refuse values that are possible alone but not with each other."""
    topics = {"kafka.records_topic": settings.records_topic, "kafka.progress_topic": settings.progress_topic}
    for name, topic in topics.items():
        if len(topic) > 249:
            raise SettingsError(f"{name} {topic!r} is longer than Kafka's 249 characters: choose another name")
    if settings.records_topic.replace(".", "_") == settings.progress_topic.replace(".", "_"):
        raise SettingsError(
            f"kafka.records_topic and kafka.progress_topic are the same topic ({settings.records_topic}; "
            "Kafka does not tell a dot from an underscore): give each a name of its own"
        )
    check_kafka_client(settings.kafka.client)
    check_redis_client(settings.redis)

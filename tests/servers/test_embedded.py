"""up, down and status against the real broker and the real Redis."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from tests.servers.processes import end_everything_below, quiet
from wetstream.servers import broker, process, redis_server, state
from wetstream.servers.embedded import Endpoints, down, endpoints, status, up
from wetstream.servers.errors import ServerError


def kill(home: Path, name: str) -> int:
    record = state.read_record(home, name)
    assert record
    server = psutil.Process(record.pid)
    server.kill()
    server.wait(10)
    return record.pid


def states(home: Path) -> dict[str, str]:
    return {server.name: server.state for server in status(home)}


def client(here: Endpoints) -> redis.Redis:
    assert here.redis_url
    return redis.Redis.from_url(here.redis_url.get_secret_value(), decode_responses=True)


def kafka_options(here: Endpoints) -> dict[str, Any]:
    assert here.bootstrap_servers
    return here.bootstrap_servers.client_options()


def make_topic(here: Endpoints, topic: str) -> None:
    with closing(KafkaAdminClient(**kafka_options(here))) as admin:
        admin.create_topics([NewTopic(topic, 1, 1)])


def send(here: Endpoints, topic: str, value: bytes) -> None:
    options = {"max_request_size": 2 * len(value) + 1_000_000, "max_block_ms": 10_000}
    with closing(KafkaProducer(**kafka_options(here), transactional_id=topic, **options)) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, value).get(timeout=60)
        producer.commit_transaction()


def receive(here: Endpoints, topic: str) -> bytes:
    options = {"auto_offset_reset": "earliest", "isolation_level": "read_committed", "consumer_timeout_ms": 60_000}
    with closing(KafkaConsumer(topic, **kafka_options(here), **options)) as consumer:
        return next(consumer).value


def test_both_servers_run_and_status_lists_them(both: tuple[Path, Endpoints]) -> None:
    home, here = both
    assert here.started == ["redis", "kafka"]
    assert endpoints(home).bootstrap_servers == here.bootstrap_servers
    servers = {server.name: server for server in status(home)}
    assert states(home) == {"kafka": "running", "redis": "running"}
    assert str(here.bootstrap_servers) == f"127.0.0.1:{servers['kafka'].port}"
    assert str(here.redis_url) == f"redis://***@127.0.0.1:{servers['redis'].port}/0"
    assert all(server.memory_mb and server.uptime_s and server.uptime_s < 600 for server in servers.values())
    assert 0 < servers["kafka"].data_bytes < 20_000_000


def test_a_second_up_changes_nothing(both: tuple[Path, Endpoints]) -> None:
    home, here = both
    before = [(server.pid, server.port) for server in status(home)]
    again = up(home, log=quiet)
    assert again == Endpoints(here.bootstrap_servers, here.redis_url, started=[])
    assert [(server.pid, server.port) for server in status(home)] == before


def test_they_listen_on_loopback_only(both: tuple[Path, Endpoints]) -> None:
    home, _ = both
    for server in status(home):
        listening = [c.laddr for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert server.port in [address.port for address in listening]
        assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_ctrl_c_in_the_terminal_does_not_reach_them(both: tuple[Path, Endpoints]) -> None:
    home, _ = both
    for server in status(home):
        assert server.pid and os.getsid(server.pid) == server.pid != os.getsid(0)


def test_a_record_of_16_mib_with_headers_fits(both: tuple[Path, Endpoints]) -> None:
    home, here = both
    make_topic(here, "large")
    record = os.urandom(17 * 1024 * 1024)
    send(here, "large", record)
    assert receive(here, "large") == record
    indexes = list((state.data_folder(home, "kafka") / "large-0").glob("*index"))
    assert indexes and all(index.stat().st_size <= 1024 * 1024 for index in indexes)


def test_misspelt_topic_is_not_created(both: tuple[Path, Endpoints]) -> None:
    _, here = both
    producer = KafkaProducer(**kafka_options(here), max_block_ms=1_000)
    with closing(producer), pytest.raises(Exception, match=r"(?i)topic|metadata|timeout"):
        producer.send("misspelt", b"x").get(timeout=3)
    with closing(KafkaAdminClient(**kafka_options(here))) as admin:
        assert "misspelt" not in admin.list_topics()


def test_redis_persists_everything_and_evicts_nothing(both: tuple[Path, Endpoints]) -> None:
    with client(both[1]) as connection:
        info = connection.info("all")
    assert info["aof_enabled"] == 1
    assert info["maxmemory_policy"] == "noeviction"


def test_both_restart_on_their_data_and_ports_after_kill_9(home: Path) -> None:
    first = up(home, log=quiet)
    make_topic(first, "kept")
    send(first, "kept", b"a record")
    with client(first) as connection:
        connection.set("kept", "a count")
    for name in state.NAMES:
        kill(home, name)
    assert states(home) == {"kafka": "stale", "redis": "stale"}
    assert endpoints(home) == Endpoints(None, None, [])

    lines: list[str] = []
    second = up(home, log=lines.append)
    assert second == first
    assert sum("ended without `down`" in line for line in lines) == 2
    assert receive(second, "kept") == b"a record"
    with client(second) as connection:
        assert connection.get("kept") == "a count"
    assert sorted(down(home, quiet)) == ["kafka", "redis"]
    assert states(home) == {"kafka": "stopped", "redis": "stopped"}


@pytest.mark.slow
def test_kafka_moves_to_other_ports_with_its_data(home: Path) -> None:
    first = up(home, redis=False, log=quiet)
    make_topic(first, "kept")
    send(first, "kept", b"a record")
    ports = state.read_ports(home, "kafka")
    password = (home / "kafka" / "password").read_text()
    assert broker.answers(ports["port"], password)
    assert down(home, quiet) == ["kafka"]
    assert not broker.answers(ports["port"], password)
    with listening(ports["port"]), listening(ports["controller_port"]):
        second = up(home, redis=False, log=quiet)
        assert not set(ports.values()) & set(state.read_ports(home, "kafka").values())
        assert receive(second, "kept") == b"a record"


def test_only_what_is_asked_for_is_started(home: Path) -> None:
    here = up(home, kafka=False, log=quiet)
    assert here.bootstrap_servers is None
    assert here.started == ["redis"]
    assert states(home) == {"kafka": "stopped", "redis": "running"}


def listening(port: int = 0) -> socket.socket:
    """Another program on this port of the loopback interface."""
    return socket.create_server(("127.0.0.1", port))


def test_usual_port_taken_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(redis_server, "USUAL_PORT", taken)
        here = up(home, kafka=False, log=quiet)
        assert state.read_ports(home, "redis")["port"] != taken
        with client(here) as connection:
            assert connection.ping()


def test_port_taken_between_choice_and_start_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "ANSWER_LIMIT_S", 0.3)
    with listening() as other:
        choices = [other.getsockname()[1]]
        choose = redis_server.choose_port
        monkeypatch.setattr(redis_server, "choose_port", lambda *wanted: choices.pop() if choices else choose(*wanted))
        lines: list[str] = []
        here = up(home, kafka=False, log=lines.append)
        assert any("taken meanwhile" in line for line in lines)
        with client(here) as connection:
            assert connection.ping()


def test_foreign_redis_on_the_chosen_port_is_not_mistaken_for_ours(
    home: Path, both: tuple[Path, Endpoints], monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = state.read_ports(both[0], "redis")["port"]
    choices = [strange]
    choose = redis_server.choose_port
    monkeypatch.setattr(redis_server, "choose_port", lambda *wanted: choices.pop() if choices else choose(*wanted))
    assert up(home, kafka=False, log=quiet).redis_url != both[1].redis_url
    assert states(home)["redis"] == "running"


def test_recorded_pid_reused_by_another_process(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as innocent:
        try:
            state.write_record(home, state.ServerRecord("redis", innocent.pid, 1.0, 6379, ["redis-server"], "long ago"))
            assert states(home)["redis"] == "stale"
            lines: list[str] = []
            assert down(home, lines.append) == []
            assert "ended without `down`" in lines[0]
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_server_crash_unnoticed_by_its_running_parent(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from wetstream.servers.embedded import up; "
        f"up(Path({str(home)!r}), kafka=False, log=lambda line: None); print('returned', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as starter:
        # Not sooner: until `up` returns, it may still look at its children and so take notice.
        assert starter.stdout and starter.stdout.readline() == "returned\n"
        record = state.read_record(home, "redis")
        assert record
        os.kill(record.pid, signal.SIGKILL)
        killed, deadline = psutil.Process(record.pid), time.monotonic() + 30
        while killed.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.02)  # the kernel takes its time to let a process with an open data file go
        assert killed.status() == psutil.STATUS_ZOMBIE
        assert states(home)["redis"] == "stale"
        assert up(home, kafka=False, log=quiet).started == ["redis"]
        starter.communicate("")


def test_down_ends_only_the_servers_of_its_home(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    up(home, kafka=False, log=quiet)
    up(other, kafka=False, log=quiet)
    assert down(home, quiet) == ["redis"]
    assert states(other)["redis"] == "running"
    assert down(home, quiet) == []


def test_a_server_that_hangs_is_noticed_and_killed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up(home, kafka=False, log=quiet)
    record = state.read_record(home, "redis")
    assert record
    monkeypatch.setattr(redis_server, "ANSWER_LIMIT_S", 0.3)
    psutil.Process(record.pid).suspend()
    assert states(home)["redis"] == "unresponsive"
    monkeypatch.setattr("wetstream.servers.embedded.END_LIMIT_S", 0.1)
    with pytest.raises(ServerError, match="wetstream down, then wetstream up"):
        up(home, kafka=False, log=quiet)
    lines: list[str] = []
    assert down(home, lines.append, end_limit_s=0.3) == ["redis"]
    assert "killed" in lines[0]
    assert not process.is_alive(record)


def test_data_of_an_unrecorded_server_is_not_touched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOCK_TIMEOUT_S", 0.1)
    up(home, kafka=False, log=quiet)
    record = state.read_record(home, "redis")
    assert record
    state.remove_record(home, "redis")
    with pytest.raises(ServerError, match=f"in use by a process that is not recorded.*{record.pid}"):
        up(home, kafka=False, log=quiet)
    assert process.is_alive(record)


def test_a_start_that_fails_tells_why_and_leaves_nothing(home: Path) -> None:
    data = state.data_folder(home, "redis")
    data.mkdir(parents=True)
    (data / "appendonly.aof").write_bytes(b"not the format of an append-only file\r\n" * 3)
    with pytest.raises(ServerError, match=r"(?s)ended while starting.*redis.out.*[Bb]ad file format"):
        up(home, kafka=False, log=quiet)
    assert states(home)["redis"] == "stopped"
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(home) in " ".join(p.info["cmdline"] or [])]


def test_failure_of_one_server_stops_the_other(home: Path) -> None:
    with pytest.raises(ServerError, match="a heap of 16 MB is too small"):
        up(home, heap_mb=16, log=quiet)
    assert states(home) == {"kafka": "stopped", "redis": "stopped"}


def test_a_start_that_takes_too_long_is_given_up(home: Path) -> None:
    with pytest.raises(ServerError, match="did not answer within 0 s"):
        up(home, redis=False, start_limit_s=0, log=quiet)
    assert states(home)["kafka"] == "stopped"
    # The data folder is formatted by then, and the next start finds nothing in its way.
    assert up(home, redis=False, log=quiet).started == ["kafka"]


def test_concurrent_up_starts_one_set_of_servers(home: Path) -> None:
    script = (
        f"from pathlib import Path; from wetstream.servers.embedded import up; up(Path({str(home)!r}), kafka=False)"
    )
    ups = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [one.communicate(timeout=100)[0] for one in ups]
    assert [one.returncode for one in ups] == [0] * 4
    assert sum("running on" in text for text in said) == 1
    assert states(home)["redis"] == "running"


def test_servers_outlive_the_process_that_started_them(home: Path) -> None:
    script = (
        f"from pathlib import Path; from wetstream.servers.embedded import up; up(Path({str(home)!r}), kafka=False)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    time.sleep(0.2)
    assert states(home)["redis"] == "running"
    assert down(home, quiet) == ["redis"]


def test_older_redis_refuses_data_of_a_newer_one(home: Path) -> None:
    (state.data_folder(home, "redis") / "appendonlydir").mkdir(parents=True)
    old = redis_server.RedisBinary(Path("redis-server"), "Redis", "6.2.14", "PATH")
    with pytest.raises(ServerError, match="written by a newer server"):
        redis_server.prepare(home, old)


@pytest.mark.parametrize("name", ["with blank", "with,comma", "mit Ümlaut", "100%", "a=b;c'd"])
def test_any_name_of_a_state_directory(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    try:
        assert up(home, kafka=False, log=quiet).started == ["redis"]
        assert (state.data_folder(home, "redis")).is_dir()
    finally:
        end_everything_below(tmp_path)


def test_state_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match=r"cannot be written.*WETSTREAM_HOME"):
        up(tmp_path / "file" / "state", log=quiet)


def test_down_without_any_servers(tmp_path: Path) -> None:
    assert down(tmp_path / "never", quiet) == []
    assert not (tmp_path / "never").exists()

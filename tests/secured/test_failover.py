"""Redis behind Sentinels and as a cluster: the master is found, followed, and healed where a failover lost commits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis, RedisError
from redis.crc import key_slot

from conf.addresses import RedisServers, RedisUrl, TlsFiles
from serving.answers.words import Words
from serving.word_lookup import look_up_words, look_up_words_async
from sinks.keys import Keys, live_key
from sinks.redis_clients.clients import Patience, open_async_client, open_client
from sinks.redis_clients.permissions import acl_rule
from sinks.redis_clients.shards import client_of
from sinks.statistics.errors import NotInStepError
from tests.secured.certificates import Authority
from tests.secured.conftest import Counted
from tests.secured.redis_servers import (
    LOOPBACK,
    Node,
    move_slot,
    redis_cluster,
    redis_with_sentinels,
    until,
    valkey,
)
from tests.secured.redis_tls import Security

PATIENCE = Patience(answer_s=5, connect_s=1, retries=2)
SLOT = key_slot(live_key("main").encode())


PASSWORD, SENTINEL = "canary-redis-91c4", "canary-sentinel-91c4"


@dataclass(frozen=True)
class Setup:
    """How the servers are set up: their program, None for the usual one, and their TLS and logins, if any."""

    program: Path | None = None
    security: Security | None = None

    def servers(self, topology: str, nodes: list[Node], path: str = "") -> RedisServers:
        """What a pipeline's settings say of them."""
        addresses = ",".join(f"{LOOPBACK}:{node.peer_port}" for node in nodes)
        if self.security is None:
            return RedisServers(RedisUrl(f"redis+{topology}://{addresses}{path}"))
        tls = TlsFiles(str(self.security.ca_file), section="redis.client")
        url = RedisUrl(f"rediss+{topology}://{addresses}{path}")
        return RedisServers(url, "wetstream", SecretStr(PASSWORD), tls=tls, sentinel_password=SecretStr(SENTINEL))


@pytest.fixture(params=["redis", "redis-secured", "valkey"])
def setup(request: pytest.FixtureRequest, authority: Authority) -> Setup:
    if request.param == "redis-secured":
        rule = acl_rule(RedisServers(RedisUrl("redis+sentinel://host/main")), "main")
        # The tests of `Statistics` wait for a replica, and for nothing else that is not documented.
        user = f'user wetstream on ">{PASSWORD}" {rule} +cluster|slots +wait'
        return Setup(
            security=Security(authority.sign("redis"), authority.ca_file, "canary-admin-91c4", SENTINEL, (user,))
        )
    return Setup(valkey() if request.param == "valkey" else None)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.set("ws:{main}:probe", 1) and client.delete("ws:{main}:probe"))
    except RedisError:
        return False


def _stop_replicating(master: Node, replica: Node) -> None:
    """From now on the replica gets nothing of what the master writes."""
    replica("CONFIG", "SET", "masterauth", "not the password")
    master("CLIENT", "KILL", "TYPE", "replica")


def _fail_over(counted: Counted, client: Redis, master: Node, replica: Node) -> None:
    """Two batches, of which the replica gets the first; then it is the master."""
    statistics = counted.heal(client)
    counted.commit(0, statistics)
    client.execute_command("WAIT", 1, 10_000)
    _stop_replicating(master, replica)
    counted.commit(1, statistics)
    counted.check(client)
    master.kill()
    until(lambda: _answers(client), "the replica has become the master")
    # The writer still believes in what the replica never got.
    with pytest.raises(NotInStepError):
        counted.commit(2, statistics)
    counted.heal(client)
    counted.check(client)


@pytest.fixture
def sentinels(setup: Setup, tmp_path: Path) -> Iterator[tuple[list[Node], list[Node]]]:
    with redis_with_sentinels(tmp_path / "servers", security=setup.security, program=setup.program) as both:
        yield both


def test_a_failover_of_sentinels_to_a_stale_replica_is_healed(
    setup: Setup, sentinels: tuple[list[Node], list[Node]], counted: Counted
) -> None:
    (master, replica), watchers = sentinels
    nowhere = Node(9, Path())
    servers = setup.servers("sentinel", [nowhere, *watchers], "/main/0")
    with open_client(servers, "main", PATIENCE) as client:
        _fail_over(counted, client, master, replica)
        assert client.connection_pool.get_connection().port == replica.peer_port
        # The old master comes back: a client that still knows its address only is not served by it.
        master.start()
        until(lambda: master("ROLE")[0] == b"slave", "the old master follows")

    async def look() -> bytes | None:
        async with open_async_client(servers, "main", PATIENCE) as loop_client:
            return await loop_client.get(live_key("main"))

    assert asyncio.run(look())
    unknown = setup.servers("sentinel", watchers, "/other/0")
    with (
        open_client(unknown, "main", Patience(5, 1, 0)) as client,
        pytest.raises(RedisError, match="it watches no master other"),
    ):
        client.ping()


def test_a_cluster_is_followed_through_a_moved_slot_and_a_failover(
    setup: Setup, tmp_path: Path, counted: Counted
) -> None:
    with redis_cluster(
        tmp_path / "servers",
        "cluster-replica-validity-factor 0",
        replicas=1,
        security=setup.security,
        program=setup.program,
    ) as nodes:
        first, second, owner, replica = nodes  # slots in three equal parts; the replica is of the first
        assert SLOT >= 16384 * 2 // 3
        servers = setup.servers("cluster", [second, owner])
        with open_client(servers, "main", PATIENCE) as client:
            statistics = counted.heal(client)
            counted.commit(0, statistics)
            # Connections are open while all keys of the pipeline move to another master.
            move_slot(SLOT, owner, first, [second])
            counted.commit(1, statistics)
            assert client.connection_pool.get_connection().port == first.peer_port
            counted.check(client)
            client.execute_command("WAIT", 1, 10_000)
            _stop_replicating(first, replica)
            counted.commit(2, statistics)
            first.kill()
            until(lambda: _answers(client), "the replica has become the master")
            assert client.connection_pool.get_connection().port == replica.peer_port
            with pytest.raises(NotInStepError):
                counted.commit(3, statistics)
            counted.heal(client)
            counted.check(client)

        async def look() -> bytes | None:
            async with open_async_client(servers, "main", PATIENCE) as loop_client:
                return await loop_client.get(live_key("main"))

        assert asyncio.run(look()) == statistics.keys.prefix.encode()


def test_words_are_spread_over_the_masters_of_a_cluster(setup: Setup, tmp_path: Path, counted: Counted) -> None:
    counted.word_shards = 6
    with redis_cluster(tmp_path / "servers", security=setup.security, program=setup.program) as nodes:
        servers = setup.servers("cluster", nodes[:1])
        with open_client(servers, "main", PATIENCE) as client:
            statistics = counted.heal(client)
            for number in range(3):
                counted.commit(number, statistics)
            counted.check(client)
            shards = statistics.keys.shards
            masters = [_master(client, shard) for shard in shards]
            assert set(masters) == {node.peer_port for node in nodes}
            # The slot of a shard moves while connections are open; then a shard is lost.
            slot = key_slot(shards[0].words.encode())
            source = next(node for node in nodes if node.peer_port == masters[0])
            target, other = (node for node in nodes if node is not source)
            move_slot(slot, source, target, [other])
            counted.commit(3, statistics)
            assert _master(client, shards[0]) == target.peer_port
            counted.check(client)
            words = look_up_words(client, "main", ["alpha", "word19", "unseen"])
            assert [word["tf"] for word in words["words"]] == [10, 20, 0]
            client_of(client, shards[1]).delete(*shards[1].all())
            counted.heal(client)
            counted.check(client)

        async def look() -> Words:
            async with open_async_client(servers, "main", PATIENCE) as loop_client:
                prefix = await loop_client.get(live_key("main"))
                return await look_up_words_async(loop_client, "main", ["alpha", "word19"], Keys(prefix.decode()))

        assert [word["tf"] for word in asyncio.run(look())["words"]] == [10, 20]


def _master(client: Redis, keys: Keys) -> int:
    pool = client_of(client, keys).connection_pool
    connection = pool.get_connection()
    pool.release(connection)
    return int(connection.port)

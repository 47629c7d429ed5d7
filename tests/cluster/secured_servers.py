"""Servers that ask who a client is, for a pipeline on a cluster: Kafka, Redis with Sentinels, and an object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from conf.addresses import RedisServers, RedisUrl
from sinks.redis_clients.permissions import acl_rule
from tests.harness import environment_of
from tests.object_stores import KEYS, make_bucket, s3_server
from tests.secured.certificates import Authority
from tests.secured.kafka_cluster import KafkaCluster, allow, kafka_cluster
from tests.secured.redis_servers import LOOPBACK, Node, redis_with_sentinels
from tests.secured.redis_tls import Security

KAFKA, KAFKA_ADMIN, REDIS, REDIS_ADMIN, SENTINEL = (
    f"canary-{name}-7d31" for name in ("kafka", "kafka-admin", "redis", "redis-admin", "sentinel")
)
SECRETS = (KAFKA, KAFKA_ADMIN, REDIS, REDIS_ADMIN, SENTINEL, *KEYS.values())


@dataclass(frozen=True)
class SecuredServers:
    """Running servers.

    Attributes:
        kafka: Three brokers.
        redis: The first master, then its replica.
        s3: URL of the object store.
        bucket: Name of the bucket of the documents.
        environment: Variables of a command that uses all of them, as a user with no more rights than are documented.
    """

    kafka: KafkaCluster
    redis: list[Node]
    s3: str
    bucket: str
    environment: dict[str, str]

    def redis_master(self) -> Redis:
        """A client of the present master that may do everything."""
        (master,) = (node for node in self.redis if node.is_running and node("ROLE")[0] == b"master")
        return master.client()


@contextmanager
def secured_servers(folder: Path, pipeline: str) -> Iterator[SecuredServers]:
    """Start them. The password of Kafka is in the environment, those of Redis and the Sentinels are in files."""
    authority = Authority(folder / "certificates")
    files = {"redis": REDIS, "sentinel": SENTINEL}
    for name, password in files.items():
        (folder / name).write_text(f"{password}\n")
        (folder / name).chmod(0o600)
    # The rule depends on the kind of address only.
    rule = acl_rule(RedisServers(RedisUrl("rediss+sentinel://host/main/0")), pipeline)
    security = Security(
        authority.sign("redis"),
        authority.ca_file,
        REDIS_ADMIN,
        SENTINEL,
        (f'user wetstream on ">{REDIS}" {rule}',),
    )
    with (
        kafka_cluster(folder / "kafka", {"admin": KAFKA_ADMIN, "wetstream": KAFKA}) as kafka,
        redis_with_sentinels(folder / "redis-servers", "maxmemory-policy noeviction", security=security) as (
            redis,
            sentinels,
        ),
        s3_server() as s3,
    ):
        allow(kafka, pipeline, "User:wetstream")
        addresses = ",".join(f"{LOOPBACK}:{sentinel.peer_port}" for sentinel in sentinels)
        settings = {
            **kafka.user("wetstream", KAFKA).as_settings(),
            "redis.url": f"rediss+sentinel://{addresses}/main/0",
            "redis.client.username": "wetstream",
            "redis.client.password_file": str(folder / "redis"),
            "redis.client.ca_file": str(authority.ca_file),
            "redis.client.sentinel_password_file": str(folder / "sentinel"),
            "documents.path": f"{make_bucket(s3, 'cluster')}/documents",
        }
        store = {"AWS_ENDPOINT_URL": s3, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        yield SecuredServers(kafka, redis, s3, "cluster", environment_of(settings) | store | KEYS)

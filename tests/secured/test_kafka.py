"""A pipeline on a secured Kafka cluster and a secured Redis, with no more rights than the documentation names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from pyspark.sql import SparkSession

from conf.addresses import BootstrapServers, TlsFiles
from conf.settings import load_settings
from producers.sample.writer import write_sample
from tests.harness import Pipeline
from tests.secured.certificates import Authority
from tests.secured.kafka_cluster import KafkaCluster, allow, kafka_cluster
from tests.secured.redis_servers import LOOPBACK, redis_server
from wetstream.pipeline.connections import open_redis
from wetstream.servers.check import Check, Needs
from wetstream.servers.kafka_checks import check_kafka_servers

PASSWORDS = {"admin": "canary-admin-51ab", "wetstream": 'canary-"quoted\\-51ab', "stranger": "canary-stranger-51ab"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with kafka_cluster(tmp_path_factory.mktemp("kafka"), PASSWORDS) as cluster:
        yield cluster


@pytest.fixture
def pipeline_on(spark: SparkSession, tmp_path: Path) -> Callable[..., object]:
    @contextmanager
    def make(servers: BootstrapServers, name: str) -> Iterator[Pipeline]:
        with redis_server(tmp_path / f"redis-{name}") as node:
            flags = {
                "home": str(tmp_path / name),
                "pipeline": name,
                "redis.url": f"redis://{LOOPBACK}:{node.port}/0",
                "kafka.partitions": "2",
                "producer.workers": "1",
                "producer.retry_s": "120",
                **servers.as_settings(),
            }
            settings = load_settings(flags=flags, environ={})
            assert settings.bootstrap_servers is not None and settings.redis_servers is not None
            with open_redis(settings.redis_servers, name) as client:
                yield Pipeline(settings, settings.bootstrap_servers, client, spark)

    return make


@pytest.mark.timeout(570)
def test_with_the_documented_rights_a_pipeline_survives_the_death_of_a_broker(
    cluster: KafkaCluster, pipeline_on: Callable[..., object], tmp_path: Path
) -> None:
    """SCRAM, then mTLS for the same pipeline, one broker of three killed on the way: the digest of replayed files."""
    name = "secured"
    allow(cluster, name, "User:wetstream")
    allow(cluster, name, "User:CN=wetstream-client")
    files = [write_sample(tmp_path / f"{n}.warc.wet.gz", records=150, seed=n).path for n in range(3)]
    user = cluster.user("wetstream", PASSWORDS["wetstream"])
    with pipeline_on(user, name) as pipeline:  # type: ignore[attr-defined]
        assert check(user, name).level == "ok"
        pipeline.ingest(files[0])
        pipeline.stream()
        assert replicas_of(cluster, f"{name}.wet-records") == (3, "2")
        cluster.brokers[0].kill()
        pipeline.ingest(files[1])
        pipeline.stream()
        client = cluster.client(cluster.authority.sign("wetstream-client"))
        pipeline.settings = load_settings(
            flags={**pipeline.settings.model_dump(exclude={"kafka", "redis"}), **client.as_settings()}, environ={}
        )
        pipeline.bootstrap_servers = client
        pipeline.ingest(files[2])
        pipeline.stream()
        assert check(client, name).level == "ok"
        digest = pipeline.verified().digest
        pipeline.replay(*files)
        assert pipeline.verified().digest == digest
    cluster.brokers[0].start()


def check(servers: BootstrapServers, pipeline: str) -> Check:
    return check_kafka_servers(servers, Needs(pipeline, f"{pipeline}.wet-records", f"{pipeline}.wet-progress"))


def replicas_of(cluster: KafkaCluster, topic: str) -> tuple[int, str]:
    """Replicas of each partition of a topic, and its min.insync.replicas."""
    with closing(KafkaAdminClient(**cluster.scram.client_options())) as admin:
        (described,) = admin.describe_topics([topic])
        (replicas,) = {len(partition["replica_nodes"]) for partition in described["partitions"]}
        configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        text = str(configs)
        return replicas, re.findall(r"min\.insync\.replicas'.{0,80}?'?(\d)'?", text)[0]


def test_doctor_names_certificate_login_and_permission(cluster: KafkaCluster, tmp_path: Path) -> None:
    allow(cluster, "looked-at", "User:wetstream")
    user = cluster.user("wetstream", PASSWORDS["wetstream"])
    other = Authority(tmp_path / "other", "other-authority")
    expectations = {
        user: "",
        cluster.user("wetstream", PASSWORDS["stranger"]): "does not accept the user wetstream",
        cluster.user("stranger", PASSWORDS["stranger"]): "stranger may not use DESCRIBE, READ on topic looked-at.wet-r",
        replace(user, tls=TlsFiles(str(other.ca_file))): "not signed by an authority of kafka.client.ca_file",
        cluster.mtls: "asks for a certificate: set kafka.client.certificate_file",
        cluster.client(cluster.authority.sign("old", days=-1)): "it refuses the certificate of",
        replace(user, addresses=f"{LOOPBACK}:9"): f"{LOOPBACK}:9: [Errno 111] Connection refused",
    }
    for servers, expected in expectations.items():
        found = check(servers, "looked-at")
        assert expected in found.detail and (found.level == "ok") == (not expected), found
        assert "canary" not in found.detail + found.remedy

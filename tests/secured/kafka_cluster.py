"""Three Kafka brokers in KRaft mode that ask who a client is: SCRAM over TLS on one listener, mTLS on another."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import KafkaError
from pydantic import SecretStr

from conf.addresses import BootstrapServers, TlsFiles
from tests.secured.certificates import Authority, Certificate
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.ports import choose_port

DOCS = Path(__file__).parents[2] / "docs" / "security.md"
LOOPBACK = "127.0.0.1"
START_S = 300
CLUSTER_ID = "d2V0c3RyZWFtLWNsdXN0ZQ"

_PROPERTIES = """\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=SCRAM://{host}:{scram},MTLS://{host}:{mtls},CONTROLLER://{host}:{controller}
advertised.listeners=SCRAM://{host}:{scram},MTLS://{host}:{mtls}
listener.security.protocol.map=SCRAM:SASL_SSL,MTLS:SSL,CONTROLLER:SSL
inter.broker.listener.name=MTLS
log.dirs={data}

ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
ssl.client.auth=required
listener.name.scram.ssl.client.auth=none
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;

authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:CN=broker

auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=2
group.initial.rebalance.delay.ms=0
message.max.bytes=25165824
replica.fetch.max.bytes=25165824
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=4000
num.network.threads=2
num.io.threads=2
"""

_LOG = """\
status=error
appender.file.type=File
appender.file.name=file
appender.file.fileName=kafka.log
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""


@dataclass
class Broker:
    """One process."""

    folder: Path
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "out").open("ab") as out:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=environment, stdout=out, stderr=out)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class KafkaCluster:
    """A running cluster. `scram` and `mtls` are its two listeners, as a client sees them that may do everything."""

    brokers: list[Broker]
    scram: BootstrapServers
    mtls: BootstrapServers
    authority: Authority
    ports: list[int] = field(default_factory=list)

    def user(self, name: str, password: str) -> BootstrapServers:
        """The SCRAM listener for a user."""
        return replace(self.scram, username=name, password=SecretStr(password))

    def client(self, certificate: Certificate) -> BootstrapServers:
        """The mTLS listener for the owner of a certificate."""
        files = (str(self.authority.ca_file), str(certificate.certificate_file), str(certificate.key_file))
        return replace(self.mtls, tls=TlsFiles(*files))


@contextmanager
def kafka_cluster(folder: Path, users: dict[str, str]) -> Iterator[KafkaCluster]:
    """Three brokers with these SCRAM users and their passwords; `admin` may do everything."""
    authority = Authority(folder / "certificates")
    certificate = authority.sign("broker")
    keystore = folder / "broker.pem"
    keystore.write_text(certificate.key_file.read_text() + certificate.certificate_file.read_text())
    keystore.chmod(0o600)
    java = find_java(folder)
    jars = obtain_jars(default_cache(), java, lambda line: None)
    environment = {"CLASSPATH": os.pathsep.join(map(str, jars.broker))}
    options = [
        *(str(java.executable), "-Xms64m", "-Xmx224m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        "-Dlog4j2.configurationFile=log4j2.properties",
    ]
    ports: list[int] = []
    for _ in range(9):
        ports.append(choose_port(taken=frozenset(ports)))
    voters = ",".join(f"{number + 1}@{LOOPBACK}:{ports[6 + number]}" for number in range(3))
    scram = [argument for name, password in users.items() for argument in _scram(name, password)]
    with ExitStack() as stack:
        brokers = []
        for number in range(3):
            home = folder / f"broker{number}"
            home.mkdir()
            (home / "log4j2.properties").write_text(_LOG)
            (home / "server.properties").write_text(
                _PROPERTIES.format(
                    id=number + 1,
                    host=LOOPBACK,
                    voters=voters,
                    scram=ports[number],
                    mtls=ports[3 + number],
                    controller=ports[6 + number],
                    data=home / "data",
                    keystore=keystore,
                    ca=authority.ca_file,
                )
            )
            formatting = [*options, "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID]
            subprocess.run(
                [*formatting, "--config", "server.properties", *scram],
                cwd=home,
                env={**os.environ, **environment},
                check=True,
                capture_output=True,
                text=True,
            )
            broker = Broker(home, [*options, "kafka.Kafka", "server.properties"], environment)
            stack.callback(broker.kill)
            broker.start()
            brokers.append(broker)
        ca = TlsFiles(str(authority.ca_file))
        cluster = KafkaCluster(
            brokers,
            BootstrapServers(
                _addresses(ports[:3]), "SASL_SSL", "SCRAM-SHA-512", "admin", SecretStr(users["admin"]), ca
            ),
            BootstrapServers(_addresses(ports[3:6]), "SSL", tls=ca),
            authority,
            ports,
        )
        _wait_for(cluster.scram, brokers)
        yield cluster


def documented_acls(pipeline: str, principal: str) -> list[ACL]:
    """What the commands in docs/security.md add, for another pipeline and principal."""
    acls = []
    for line in DOCS.read_text().splitlines():
        if "kafka-acls.sh --add" not in line:
            continue
        kind, name = re.findall(r"--(topic|transactional-id) (\S+)", line)[0]
        pattern = ResourcePattern(
            ResourceType.TOPIC if kind == "topic" else ResourceType.TRANSACTIONAL_ID,
            name.replace("main.", f"{pipeline}."),
            ACLResourcePatternType.PREFIXED if "prefixed" in line else ACLResourcePatternType.LITERAL,
        )
        for operation in re.findall(r"--operation (\w+)", line):
            allowed = ACLOperation[operation.upper()]
            acls.append(ACL(principal, "*", allowed, ACLPermissionType.ALLOW, pattern))
    assert acls
    return acls


def allow(cluster: KafkaCluster, pipeline: str, principal: str) -> None:
    with closing(KafkaAdminClient(**cluster.scram.client_options())) as admin:
        admin.create_acls(documented_acls(pipeline, principal))


def _scram(name: str, password: str) -> Sequence[str]:
    return "--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"


def _addresses(ports: Sequence[int]) -> str:
    return ",".join(f"{LOOPBACK}:{port}" for port in ports)


def _wait_for(servers: BootstrapServers, brokers: Sequence[Broker]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(KafkaError):
            admin = KafkaAdminClient(**servers.client_options(), bootstrap_timeout_ms=2_000)
            try:
                if len(admin.describe_cluster()["brokers"]) == len(brokers):
                    return
            finally:
                admin.close()
        for broker in brokers:
            assert broker.process is not None and broker.process.poll() is None, (broker.folder / "out").read_text()
        assert time.monotonic() < deadline, (brokers[0].folder / "kafka.log").read_text()[-3_000:]
        time.sleep(0.3)

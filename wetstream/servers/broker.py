"""The embedded Kafka broker: Apache Kafka in KRaft mode, broker and controller in one process.

Acknowledged records survive the death of the process, kill -9 included, and there is no retention by time or size.
There is one replica and flushing is left to the operating system, so a power failure can lose the last seconds. For
stronger guarantees use a cluster of your own.
"""

import base64
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from pydantic import SecretStr

from conf.addresses import BootstrapServers
from conf.private_folders import make_private, write_private
from wetstream.servers.errors import ServerError
from wetstream.servers.java.jars import Jars
from wetstream.servers.java.runtime import Java
from wetstream.servers.kafka_probe import count_brokers
from wetstream.servers.ports import LOOPBACK, choose_port
from wetstream.servers.process import Launch
from wetstream.servers.state import data_folder, make_password, read_ports, server_folder, write_ports

NAME = "kafka"
USERNAME = "wetstream"
USUAL_PORT = 9092
USUAL_CONTROLLER_PORT = 9093
HEAP_MB = 512
MINIMUM_HEAP_MB = 128

MESSAGE_MAX_BYTES = 24 * 1024 * 1024
"""Maximum batch size: a WET record of 16 MiB, with room for its headers."""

LOG = "kafka.log"

# Measured on 2 cores: with C1 alone the broker starts in 2.6 s instead of 3.3, uses 0.55 s of CPU for 122 MB in zstd
# instead of 0.65, and 40 MB less memory. The heavy work there (checksums, zstd) is native code.
_JVM_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


_PROPERTIES = """\
# Written by wetstream at every start: edits are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENTS://{host}:{port}
inter.broker.listener.name=CLIENTS
log.dirs={data}

# Every connection authenticates. No TLS: only root can capture traffic on the loopback interface.
listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.clients.plain.sasl.jaas.config={jaas}
listener.name.controller.plain.sasl.jaas.config={jaas}

# A misspelt topic is an error, not a new topic.
auto.create.topics.enable=false

# One broker, so one copy of Kafka's own topics, in few partitions: each costs files and start time.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0

# The topic is the archive.
log.retention.ms=-1
log.retention.bytes=-1
message.max.bytes={message_max_bytes}
replica.fetch.max.bytes={message_max_bytes}

# Both indexes of each active segment are preallocated: 1 MiB each instead of 10, enough for 256 MiB.
log.segment.bytes=268435456
log.index.size.max.bytes=1048576

# By default the cleaner takes 128 MiB of heap, and an idle controller writes two empty records a second.
log.cleaner.dedupe.buffer.size=8388608
metadata.max.idle.interval.ms=5000

# After a crash the controller waits for the broker's previous session to expire: 9 s by default.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500

num.network.threads=2
num.io.threads=4
"""

_LOG4J2 = f"""\
# Written by wetstream at every start: edits are lost.
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={LOG}
appender.file.filePattern={LOG}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %m (%c{{1}})%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
logger.kafka.name=kafka
logger.kafka.level=info
logger.server.name=org.apache.kafka
logger.server.level=info
# Prints all 200 settings at every start.
logger.config.name=org.apache.kafka.common.config
logger.config.level=warn
logger.config2.name=kafka.server.KafkaConfig
logger.config2.level=warn
"""


def prepare(home: Path, java: Java, jars: Jars, heap_mb: int = HEAP_MB) -> Launch:
    """Write the configuration and format the data folder if it is new.

    Returns:
        How to start the broker.

    Raises:
        ServerError: The heap is too small, or the data folder cannot be formatted.
    """
    if heap_mb < MINIMUM_HEAP_MB:
        raise ServerError(f"kafka: a heap of {heap_mb} MB is too small", f"Give it at least {MINIMUM_HEAP_MB} MB.")
    folder = server_folder(home, NAME)
    make_private(folder)
    password = make_password(home, NAME)
    # In the environment: it is thousands of characters long and would fill every process listing.
    environment = {"CLASSPATH": os.pathsep.join(map(str, jars.broker))}
    if not (data_folder(home, NAME) / "meta.properties").exists():
        _format(folder, java, environment, password)
    ports = _choose_ports(home)
    write_private(folder / "server.properties", _properties("data", password, **ports))
    write_private(folder / "log4j2.properties", _LOG4J2)
    options = [
        *("-Xms64m", f"-Xmx{heap_mb}m", *_JVM_OPTIONS, "-XX:+ExitOnOutOfMemoryError"),
        "-Dlog4j2.configurationFile=log4j2.properties",
    ]
    port = ports["port"]
    return Launch(
        name=NAME,
        command=[str(java.executable), *options, "kafka.Kafka", str(folder / "server.properties")],
        folder=folder,
        ports=(port, ports["controller_port"]),
        answers=lambda: answers(port, password),
        environment=environment,
        own_log=LOG,
    )


def clients(port: int, password: str) -> BootstrapServers:
    """Return the address and credentials of the embedded broker; empty `password`: it does not authenticate clients."""
    address = f"{LOOPBACK}:{port}"
    if not password:
        return BootstrapServers(address)
    return BootstrapServers(address, "SASL_PLAINTEXT", "PLAIN", USERNAME, SecretStr(password))


def answers(port: int, password: str) -> bool:
    """Return whether the embedded broker on this port is serving."""
    try:
        return count_brokers(LOOPBACK, port, USERNAME, password) > 0
    except (OSError, ValueError):
        return False


def _choose_ports(home: Path) -> dict[str, int]:
    """Choose the ports of the last start, else the usual ones, else free ones; recorded for the next start."""
    last = read_ports(home, NAME)
    port = choose_port(last.get("port"), USUAL_PORT)
    controller_port = choose_port(last.get("controller_port"), USUAL_CONTROLLER_PORT, taken=frozenset([port]))
    ports = {"port": port, "controller_port": controller_port}
    write_ports(home, NAME, ports)
    return ports


def _properties(data: str, password: str, port: int, controller_port: int) -> str:
    # The password is URL-safe base64: nothing in it needs escaping.
    jaas = clients(port, password).jaas_config().removesuffix(";") + f' user_{USERNAME}="{password}";'
    return _PROPERTIES.format(
        host=LOOPBACK,
        port=port,
        controller_port=controller_port,
        data=data,
        jaas=jaas,
        message_max_bytes=MESSAGE_MAX_BYTES,
    )


def _format(folder: Path, java: Java, environment: dict[str, str], password: str) -> None:
    """Format the data folder under another name, then rename it: it is formatted whole or not at all."""
    fresh, data, config = folder / "data.new", folder / "data", folder / "format.properties"
    if data.exists() and any(data.iterdir()):
        raise ServerError(f"kafka: {data} holds files but is no Kafka data folder", "Move it away and try again.")
    shutil.rmtree(fresh, ignore_errors=True)
    write_private(config, _properties(fresh.name, password, USUAL_PORT, USUAL_CONTROLLER_PORT))
    done = subprocess.run(
        [
            *(str(java.executable), "-Xmx128m", *_JVM_OPTIONS, "kafka.tools.StorageTool", "format"),
            *("--cluster-id", _new_cluster_id(), "--config", config.name),
        ],
        cwd=folder,
        env={**os.environ, **environment},
        umask=0o077,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    config.unlink()
    if done.returncode != 0:
        remedy = "Make it writable, or name another state directory with WETSTREAM_HOME. Kafka said:"
        raise ServerError(f"kafka: {data} cannot be formatted", remedy, (done.stdout + done.stderr).strip())
    fresh.rename(data)


def _new_cluster_id() -> str:
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # The formatting tool would parse it as an option.
        if not cluster_id.startswith("-"):
            return cluster_id

"""Checks of a Kafka of the user's: addresses, certificates, login, and the permissions of a stream."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conf.addresses import BootstrapServers, CredentialsError
from conf.redaction import redact
from wetstream.servers.check import Check, Needs
from wetstream.servers.kafka_probe import count_brokers

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

TIMEOUT_S = 3.0

# What each topic is needed for. Kafka tells a client that may describe a topic what else it may do with it.
# By the number of the bit.
STREAM_OPERATIONS = {8: "DESCRIBE", 3: "READ"}
PRODUCER_OPERATIONS = {4: "WRITE"}
UNKNOWN = -(1 << 31)
TOPIC_AUTHORIZATION_FAILED = 29


def check_kafka_servers(servers: BootstrapServers, needs: Needs) -> Check:
    """Check the first broker that answers, with the rights of the client that the settings name."""
    complaints: dict[str, list[str]] = {}  # by complaint, the brokers
    for server in servers.addresses.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            brokers, refused = _ask(servers, host.strip("[]"), int(port), needs)
        except (OSError, ValueError, CredentialsError) as error:
            complaints.setdefault(redact(str(error)), []).append(server.strip())
            continue
        if not brokers:
            complaints.setdefault("no broker of it serves yet", []).append(server.strip())
            continue
        detail = f"{server.strip()} answers, brokers: {brokers}"
        return _with_permissions(detail, servers, refused)
    remedy = (
        "Start that Kafka, correct kafka.bootstrap_servers (HOST:PORT,...) or kafka.client, or unset it to use the "
        "embedded broker."
    )
    said = (f"{', '.join(brokers)}: {complaint}" for complaint, brokers in complaints.items())
    return Check("Kafka", "fail", "; ".join(said), remedy)


def _with_permissions(detail: str, servers: BootstrapServers, refused: dict[str, list[str]]) -> Check:
    if not refused:
        return Check("Kafka", "ok", detail)
    user = servers.username or "this client"
    missing = "; ".join(f"{', '.join(operations)} on {name}" for name, operations in refused.items())
    streams = all(operations == ["WRITE"] for operations in refused.values())
    remedy = (
        f"Without that it cannot {'ingest' if streams else 'stream'}. Add ACLs for its principal (kafka-acls.sh, as in "
        "docs/security.md)."
    )
    return Check("Kafka", "warn" if streams else "fail", f"{detail}, but {user} may not use {missing}", remedy)


def _ask(servers: BootstrapServers, host: str, port: int, needs: Needs) -> tuple[int, dict[str, list[str]]]:
    """Return the number of brokers, and by resource the operations that are refused.

    Raises:
        OSError, ValueError: The broker cannot be reached, or does not let this client in.
        CredentialsError: A file cannot be used.
    """
    protocol, mechanism = servers.security_protocol, servers.sasl_mechanism
    if servers.has_tls:
        # Kafka's clients only say that TLS has failed.
        servers.tls.shake_hands(servers.tls.context(), host, port, TIMEOUT_S)
    elif (protocol, mechanism) in (("PLAINTEXT", mechanism), ("SASL_PLAINTEXT", "PLAIN")):
        brokers = count_brokers(host, port, servers.username, servers.password.get_secret_value(), timeout_s=TIMEOUT_S)
        if not brokers:
            return 0, {}
    # Imported here: it takes longer than all other checks.
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = replace(servers, addresses=address).client_options()
    try:
        client = KafkaAdminClient(**options, bootstrap_timeout_ms=int(TIMEOUT_S * 1000), request_timeout_ms=10_000)
        try:
            return len(client.describe_cluster()["brokers"]), _refused(client, needs)
        finally:
            client.close()
    except KafkaError as error:
        # Behind a handshake that went well, a client that cannot log in only says that nobody answered.
        if protocol.startswith("SASL") and "Unable to bootstrap" in str(error):
            raise ValueError(
                f"it does not accept the user {servers.username} with its password by {mechanism} "
                "(kafka.client.username, password, sasl_mechanism)"
            ) from error
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _refused(client: KafkaAdminClient, needs: Needs) -> dict[str, list[str]]:
    """By resource, the operations that the client may not use. Topics that are missing are created in thought only."""
    from kafka.admin import NewTopic
    from kafka.errors import KafkaError

    refused: dict[str, list[str]] = {}
    for name in (needs.records_topic, needs.progress_topic):
        (topic,) = client.describe_topics([name])
        code = topic["error_code"]
        if code == TOPIC_AUTHORIZATION_FAILED:
            refused[f"topic {name}"] = list(STREAM_OPERATIONS.values())
        elif code:
            try:
                client.create_topics([NewTopic(name, 1, 1)], validate_only=True)
            except KafkaError as error:
                if "Authorization" in type(error).__name__ or "Authorization" in str(error):
                    refused[f"topic {name}"] = ["CREATE"]
        else:
            allowed = int(topic.get("topic_authorized_operations", UNKNOWN))
            wanted = {} if allowed == UNKNOWN else STREAM_OPERATIONS | PRODUCER_OPERATIONS
            missing = [operation for bit, operation in wanted.items() if not allowed & 1 << bit]
            refused |= {f"topic {name}": missing} if missing else {}
    return refused

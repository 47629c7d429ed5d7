"""Addresses of Kafka and Redis with their credentials, which their text form never shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import Secret, SecretStr

from conf.redaction import redact, register_secret


class RedisUrl(Secret[str]):
    """A Redis URL; its text form hides user and password. Empty: none is configured."""

    def __init__(self, secret_value: str) -> None:
        super().__init__(secret_value)
        _, at, _ = secret_value.rpartition("@")
        if at:
            userinfo = secret_value.partition("://")[2].rpartition("@")[0]
            register_secret(userinfo.partition(":")[2] or userinfo)

    def __bool__(self) -> bool:
        return bool(self.get_secret_value())

    def __str__(self) -> str:
        return self._display()

    def _display(self) -> str:
        return redact(self.get_secret_value())


@dataclass(frozen=True)
class BootstrapServers:
    """Kafka's bootstrap servers and the credentials of a client; the text form holds the addresses only."""

    addresses: str
    """`host:port,host:port`."""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    username: str = ""
    password: SecretStr = field(default=SecretStr(""))
    ca_file: str = ""
    """PEM file of the certificate authorities that the brokers' certificates are checked with; empty: the system's."""

    def __str__(self) -> str:
        return self.addresses

    def __bool__(self) -> bool:
        return bool(self.addresses)

    def client_options(self) -> dict[str, Any]:
        """Return the arguments of kafka-python's clients."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.addresses.split(","),
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.get_secret_value(),
            }
        if self.security_protocol.endswith("SSL") and self.ca_file:
            options["ssl_cafile"] = self.ca_file
        return options

    def spark_options(self) -> dict[str, str]:
        """Return the options of Spark's Kafka source."""
        options = {
            "kafka.bootstrap.servers": self.addresses,
            "kafka.security.protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            options |= {"kafka.sasl.mechanism": self.sasl_mechanism, "kafka.sasl.jaas.config": self.jaas_config()}
        if self.security_protocol.endswith("SSL") and self.ca_file:
            options |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": self.ca_file}
        return options

    def as_settings(self) -> dict[str, str]:
        """Return the settings that name these servers, password included, for another process's environment."""
        client = {
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "username": self.username,
            "password": self.password.get_secret_value(),
            "ca_file": self.ca_file,
        }
        return {"kafka.bootstrap_servers": self.addresses} | {f"kafka.client.{key}": it for key, it in client.items()}

    def jaas_config(self) -> str:
        """Return the value of Java clients' `sasl.jaas.config`."""
        module = "plain.PlainLoginModule" if self.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        username, password = (_java_quoted(text) for text in (self.username, self.password.get_secret_value()))
        return f"org.apache.kafka.common.security.{module} required username={username} password={password};"


def _java_quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

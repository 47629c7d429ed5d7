"""Addresses of Kafka and Redis with their credentials, which their text form never shows."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Secret, SecretStr

from conf.errors import ExplainedError
from conf.redaction import redact, register_secret

Topology = Literal["single", "sentinel", "cluster"]


class CredentialsError(ExplainedError):
    """A file of a password, certificate or key cannot be used; the message names the setting and the remedy."""


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

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.get_secret_value().startswith("rediss")

    @property
    def topology(self) -> Topology:
        """How the server is found: at the address itself, by Sentinels, or by the nodes of a Redis Cluster."""
        scheme = self.get_secret_value().partition("://")[0]
        found = scheme.partition("+")[2]
        return "sentinel" if found == "sentinel" else "cluster" if found == "cluster" else "single"

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """Host and port of each address (Sentinels, or nodes of a cluster); none for a Unix socket."""
        scheme, _, rest = self.get_secret_value().partition("://")
        if scheme == "unix":
            return []
        usual = 26379 if self.topology == "sentinel" else 6379
        addresses = rest.rpartition("@")[2].partition("/")[0].partition("?")[0]
        return [_host_and_port(address, usual) for address in addresses.split(",")]

    @property
    def path(self) -> list[str]:
        """Parts of the path: the database, or the name of the Sentinels' master and the database."""
        rest = self.get_secret_value().partition("://")[2].rpartition("@")[2]
        return [unquote(part) for part in rest.partition("?")[0].split("/")[1:] if part]

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password, each empty where there is none."""
        userinfo, at, _ = self.get_secret_value().partition("://")[2].rpartition("@")
        user, _, password = userinfo.partition(":") if at else ("", "", "")
        return unquote(user), unquote(password)


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one client; the text form shows their names only.

    Attributes:
        ca_file: Certificate authorities that servers are checked with; empty: the system's.
        certificate_file: This client's certificate and those that lead to its authority; empty: it shows none.
        key_file: The private key of the certificate, unencrypted; empty: it is in `certificate_file`.
        section: The settings that name them, for messages.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    section: str = "kafka.client"

    def check(self) -> None:
        """Raise CredentialsError unless every file can be read and holds what it has to."""
        if self.ca_file:
            self.read_pem("ca_file", "CERTIFICATE")
        if self.certificate_file:
            self.read_pem("certificate_file", "CERTIFICATE")
            # OpenSSL would ask the terminal for the password of an encrypted key.
            key = self.read_pem("key_file" if self.key_file else "certificate_file", "PRIVATE KEY")
            if "ENCRYPTED" in key:
                raise CredentialsError(
                    f"{self.section}.key_file: the key in {self.key_file or self.certificate_file} is encrypted: write "
                    "it unencrypted into a file that only you can read (openssl pkcs8 -topk8 -nocrypt)"
                )

    def read_pem(self, setting: Literal["ca_file", "certificate_file", "key_file"], wanted: str) -> str:
        """Return the text of a file that must hold a PEM block of this kind. Raises CredentialsError."""
        path = getattr(self, setting)
        text = read_text_file(path, f"{self.section}.{setting}")
        if f"{wanted}-----" not in text:
            raise CredentialsError(
                f"{self.section}.{setting}: {path} holds no {wanted.lower()} in PEM form (-----BEGIN …{wanted}-----)"
            )
        return text

    def context(self) -> ssl.SSLContext:
        """Return how to encrypt connections and to check servers. Raises CredentialsError."""
        self.check()
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file or None)
        except ssl.SSLError as error:
            raise CredentialsError(
                f"{self.section}: {self.certificate_file or self.ca_file} is damaged, or its key is another one's "
                f"({error.reason or error})"
            ) from error
        return context

    def shake_hands(self, context: ssl.SSLContext, host: str, port: int, timeout_s: float) -> None:
        """Open a TLS connection and close it again, to learn which certificate is at fault.

        Raises:
            ValueError: TLS fails; the message names the certificate.
            OSError: The server cannot be reached.
        """
        try:
            with (
                socket.create_connection((host, port), timeout=timeout_s) as plain,
                context.wrap_socket(plain, server_hostname=host) as connection,
            ):
                # With TLS 1.3 a server refuses a client's certificate after the handshake; one that accepts it waits.
                connection.settimeout(min(1.0, timeout_s))
                with contextlib.suppress(TimeoutError):
                    connection.recv(1)
        except ssl.SSLError as error:
            raise ValueError(self.explain(str(error))) from error

    def explain(self, text: str) -> str:
        """Return in words of a person what an error of OpenSSL says about certificates."""
        authorities = f"{self.section}.ca_file, {self.ca_file}" if self.ca_file else "the system's"
        shown = f"the certificate of {self.section}.certificate_file, {self.certificate_file}"
        alert = "alert" in text.lower()
        causes = {
            "certificate required": f"it asks for a certificate: set {self.section}.certificate_file",
            "certificate expired": f"it refuses {shown}: expired",
            "certificate unknown": f"it refuses {shown}: expired, or signed by an authority that it does not know",
            "unknown ca": f"it refuses {shown}: signed by an authority that it does not know",
            "bad certificate": f"it refuses {shown}"
            if self.certificate_file
            else f"it asks for a certificate: set {self.section}.certificate_file",
            "certificate has expired": "its certificate has expired",
            "not yet valid": "its certificate is not valid yet (is this machine's clock right?)",
            "local issuer": f"its certificate is not signed by an authority of {authorities}",
            "self-signed": f"its certificate is not signed by an authority of {authorities}",
            "self signed": f"its certificate is not signed by an authority of {authorities}",
            "mismatch": "its certificate is for another host name or address",
            "wrong version number": "what answers there does not speak TLS",
        }
        lowered = text.lower().replace("_", " ")
        found = next((cause for part, cause in causes.items() if part in lowered), "")
        if not found and alert:
            return f"it ended the TLS handshake: {text}"
        return f"{found} ({text})" if found else text


def read_text_file(path: str, setting: str) -> str:
    """Return the text of a file that a setting names. Raises CredentialsError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CredentialsError(f"{setting}: {path} is not text") from None
    except OSError as error:
        raise CredentialsError(f"{setting}: cannot read {path}: {error.strerror or error}") from None


def password_of(setting: str, password: SecretStr, password_file: str) -> SecretStr:
    """Return the password, or the first line of the file that `setting` names, which messages will then mask.

    Raises:
        CredentialsError: The file cannot be read, or holds no password.
    """
    if not password_file:
        return password
    line = read_text_file(password_file, setting).partition("\n")[0].removesuffix("\r")
    if not line or not line.isprintable():
        raise CredentialsError(f"{setting}: {password_file} holds no password in its first line")
    register_secret(line)
    return SecretStr(line)


@dataclass(frozen=True)
class RedisServers:
    """A Redis, and the credentials of a client; the text form holds the addresses only.

    Attributes:
        url: One server, the Sentinels of one, or nodes of a Redis Cluster.
        username: ACL user; empty: the one in `url`, else the default user.
        password: Its password; empty: the one in `url`.
        tls: Files for `rediss://`.
        sentinel_username: User at the Sentinels.
        sentinel_password: Password at the Sentinels.
    """

    url: RedisUrl
    username: str = ""
    password: SecretStr = field(default=SecretStr(""))
    tls: TlsFiles = TlsFiles(section="redis.client")
    sentinel_username: str = ""
    sentinel_password: SecretStr = field(default=SecretStr(""))

    def __str__(self) -> str:
        return str(self.url)

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password of connections to Redis, each empty where there is none."""
        user, password = self.url.credentials
        return self.username or user, self.password.get_secret_value() or password


@dataclass(frozen=True)
class BootstrapServers:
    """Kafka's bootstrap servers and the credentials of a client; the text form holds the addresses only."""

    addresses: str
    """`host:port,host:port`."""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    username: str = ""
    password: SecretStr = field(default=SecretStr(""))
    tls: TlsFiles = TlsFiles()

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
        if self.has_tls:
            self.tls.check()
            options |= {"ssl_cafile": self.tls.ca_file} if self.tls.ca_file else {}
            if self.tls.certificate_file:
                options |= {"ssl_certfile": self.tls.certificate_file, "ssl_keyfile": self.tls.key_file or None}
        return options

    def spark_options(self) -> dict[str, str]:
        """Return the options of Spark's Kafka source.

        They hold certificates and keys themselves: executors on other machines need no files.

        Raises:
            CredentialsError: A file cannot be used.
        """
        options = {
            "kafka.bootstrap.servers": self.addresses,
            "kafka.security.protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            options |= {"kafka.sasl.mechanism": self.sasl_mechanism, "kafka.sasl.jaas.config": self.jaas_config()}
        if self.has_tls:
            self.tls.check()
            if self.tls.ca_file:
                authorities = self.tls.read_pem("ca_file", "CERTIFICATE")
                options |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.certificates": authorities}
            if self.tls.certificate_file:
                chain = self.tls.read_pem("certificate_file", "CERTIFICATE")
                options |= {"kafka.ssl.keystore.type": "PEM", "kafka.ssl.keystore.certificate.chain": chain}
                options["kafka.ssl.keystore.key"] = self._pkcs8_key()
        return options

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    def _pkcs8_key(self) -> str:
        """The private key in the one form that Java reads."""
        setting: Literal["key_file", "certificate_file"] = "key_file" if self.tls.key_file else "certificate_file"
        text = self.tls.read_pem(setting, "PRIVATE KEY")
        if "-----BEGIN PRIVATE KEY-----" not in text:
            path = self.tls.key_file or self.tls.certificate_file
            raise CredentialsError(
                f"kafka.client.{setting}: the key in {path} is not in PKCS #8, the form that Spark's Kafka client "
                f"reads: openssl pkcs8 -topk8 -nocrypt -in {path} -out client-key.pem"
            )
        register_secret(text.strip())
        return text

    def as_settings(self) -> dict[str, str]:
        """Return the settings that name these servers, password included, for another process's environment."""
        client = {
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "username": self.username,
            "password": self.password.get_secret_value(),
            "ca_file": self.tls.ca_file,
            "certificate_file": self.tls.certificate_file,
            "key_file": self.tls.key_file,
        }
        return {"kafka.bootstrap_servers": self.addresses} | {f"kafka.client.{key}": it for key, it in client.items()}

    def jaas_config(self) -> str:
        """Return the value of Java clients' `sasl.jaas.config`."""
        module = "plain.PlainLoginModule" if self.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        username, password = (_java_quoted(text) for text in (self.username, self.password.get_secret_value()))
        return f"org.apache.kafka.common.security.{module} required username={username} password={password};"


def _java_quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _host_and_port(address: str, usual_port: int) -> tuple[str, int]:
    bracketed, end, port = address.rpartition("]")
    if end:
        return bracketed.lstrip("["), int(port.removeprefix(":") or usual_port)
    host, _, port = address.partition(":")
    return unquote(host), int(port or usual_port)

"""The types of settings whose values have a grammar of their own. Each refusal says what to write instead."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, unquote

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr, TypeAdapter, ValidationError

from conf.addresses import RedisUrl
from conf.storage.options import check_option
from conf.storage.urls import is_url, normal_location

MIN_DRIVER_MB: Final = 512
"""Spark refuses to start below 450 MiB."""

_MAX_PORT: Final = 65_535
_MAX_REDIS_DATABASE: Final = 1_000_000
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/|file:|[A-Za-z0-9+.-]+::")
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]|\{)")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_REDIS_OPTIONS: Final = frozenset(
    {"db", "protocol", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
)


def _text(value: str) -> str:
    if any(not letter.isprintable() for letter in value):
        raise ValueError("holds a control character, or one that is not text: remove it")
    return value


def _path(value: Any) -> str:
    """Return a path with ~ expanded; empty text stays empty."""
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError("must be a path, as text in quotes")
    _text(value)
    if value != value.strip():
        raise ValueError("begins or ends with a space: remove it")
    if value.lower().startswith("file:"):
        raise ValueError("is a URL: write the path alone, without file:")
    if _SCHEME.match(value) or "://" in value:
        raise ValueError(
            "is a URL: only a folder of a file system that all processes share can be used, so write its path"
        )
    if _VARIABLE.search(value):
        raise ValueError("names a variable, which is not replaced here: write the path out, or begin it with ~")
    if value.startswith("~"):
        try:
            return str(Path(value).expanduser())
        except RuntimeError:
            user = value.split("/")[0]
            raise ValueError(f"begins with {user}, and there is no such user: write the path out") from None
    return value


def _location(value: Any) -> str:
    """Return a path, or the URL of an object store in its one spelling; empty text stays empty."""
    text = str(value) if isinstance(value, Path) else value
    if not isinstance(text, str) or not is_url(text):
        return _path(value)
    return normal_location(_text(text))


def _folder(value: Any) -> Path:
    path = _path(value)
    if not path:
        raise ValueError("must not be empty: name a folder, or leave the setting out")
    # Not resolved: whoever owns a symbolic link on the way decides where it leads, so links are looked at later.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _profile(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be the name of a profile or the path of one, as text in quotes")
    return _path(value) if any(sign in value for sign in "/$~") else _text(value)


def _topic(value: str) -> str:
    name = value.replace("{pipeline}", "main")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) or name in (".", ".."):
        raise ValueError(
            "must be 1 to 249 of the characters A-Z, a-z, 0-9, dot, underscore and hyphen; {pipeline} stands for the "
            "pipeline's name"
        )
    if name.startswith("__"):
        raise ValueError("begins with __, as Kafka's own topics do: choose another name")
    return value


def _check_host(host: str, where: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError(f"{where} is not the name or address of a host") from None
        if all(label.isdigit() for label in labels):
            raise ValueError(f"{where} is not an IP address of four numbers from 0 to 255") from None


def _check_port(port: str, where: str) -> None:
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _MAX_PORT):
        raise ValueError(f"{where} has no port from 1 to {_MAX_PORT}")


def _kafka_addresses(value: str) -> str:
    if not value:
        return value
    if "://" in value:
        raise ValueError(
            "must be HOST:PORT,HOST:PORT without a scheme; encryption and passwords are set with "
            "kafka.client.security_protocol"
        )
    if "@" in value:
        raise ValueError("must be HOST:PORT,HOST:PORT; user and password belong in kafka.client.username and .password")
    addresses = [address.strip(" ") for address in value.split(",")]
    for address in addresses:
        if not address:
            raise ValueError("has an empty entry: write HOST:PORT,HOST:PORT with one comma between two")
        bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](.*)", address)
        host, colon, port = (bracketed[1], bracketed[2][:1], bracketed[2][1:]) if bracketed else address.rpartition(":")
        if colon != ":":
            raise ValueError(f"{address} has no port: write {address}:9092, or the port that your broker listens on")
        if not bracketed and ":" in host:
            raise ValueError(f"{address}: write an IPv6 address in brackets, as in [::1]:9092")
        _check_host(host, address)
        _check_port(port, address)
    return ",".join(addresses)


def _redis_url(value: Any) -> RedisUrl:
    url = value.get_secret_value() if isinstance(value, RedisUrl) else value
    if not isinstance(url, str):
        raise ValueError("must be a URL, as text in quotes")
    if url:
        _check_redis_url(url)
    return RedisUrl(url)


def _check_redis_url(url: str) -> None:
    # Spelled so that the redaction of messages does not take it for a URL with a password.
    form = "write redis://HOST:PORT/DATABASE, with USER:PASSWORD and @ before HOST if needed (rediss:// with TLS)"
    if any(not letter.isprintable() or letter == " " for letter in url):
        raise ValueError(f"holds a space or a control character; {form}")
    found = re.match(r"(?:unix|rediss?(?:\+(sentinel|cluster))?)://", url)
    if not found:
        raise ValueError(
            f"does not begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; {form}"
        )
    if found[1] == "sentinel":
        form = "write redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DATABASE with the addresses of the Sentinels"
    elif found[1]:
        form = "write redis+cluster://HOST:PORT,HOST:PORT with the addresses of some nodes"
    # A / ? # or @ in a password would end it; what then looks like a host would be wrong without a word.
    if (
        url.count("@") > 1
        or "@" in url.partition("://")[2].partition("/")[2]
        or "#" in url
        or "[" in url.rpartition("@")[0]
    ):
        raise ValueError(f"holds a sign that has to be percent-encoded (in a password: %2F for /, %40 for @); {form}")
    if re.search(r"%(?![0-9A-Fa-f]{2})", url):
        raise ValueError(f"holds a % that is no code: write %25 for it; {form}")
    address, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(options) - _REDIS_OPTIONS):
        raise ValueError(f"its option {unknown[0][:40]} is not known; possible are {', '.join(sorted(_REDIS_OPTIONS))}")
    if found[0] == "unix://":
        if not address.removeprefix("unix://").rpartition("@")[2].startswith("/"):
            raise ValueError(f"names no socket by its whole path; {form}")
        path: list[str] = []
    else:
        host, _, rest = address.removeprefix(found[0]).rpartition("@")[2].partition("/")
        _check_redis_nodes(host, form, several=found[1] is not None)
        path = [part for part in rest.split("/") if part]
    _check_redis_database(path, options, found[1], form)


def _check_redis_nodes(hosts: str, form: str, *, several: bool) -> None:
    addresses = hosts.split(",") if several else [hosts]
    for address in addresses:
        bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", address)
        host, colon, port = (bracketed[1], bracketed[2], bracketed[2]) if bracketed else address.partition(":")
        if not host:
            raise ValueError(f"names no host; {form}")
        if colon and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _MAX_PORT):
            raise ValueError(f"its port is no number from 1 to {_MAX_PORT}; {form}")
        _check_host(unquote(host), "its host")


def _check_redis_database(path: list[str], options: Mapping[str, str], topology: str | None, form: str) -> None:
    if topology == "sentinel":
        if not path:
            raise ValueError(f"names no master; {form}")
        path = path[1:]
    if path and "db" in options:
        raise ValueError("names a database twice: in the path and with db=")
    database = "/".join(path) or options.get("db", "0")
    if not (database.isascii() and database.isdigit() and int(database[:8]) <= _MAX_REDIS_DATABASE):
        raise ValueError(f"its database is no number (databases of Redis have numbers, not names); {form}")
    if topology == "cluster" and int(database):
        raise ValueError(f"names a database, but a Redis Cluster has database 0 only; {form}")


def _token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"(?:[!-~]{16,512})?", value.get_secret_value()):
        raise ValueError("must be 16 to 512 printable ASCII characters without spaces, or empty")
    return value


def _password(value: SecretStr) -> SecretStr:
    _text(value.get_secret_value())
    return value


def _spark_master(value: str) -> str:
    local = re.fullmatch(r"local(?:\[(\*|[1-9]\d{0,3})(?:,[1-9]\d{0,3})?\])?", value)
    if local or value == "yarn" or re.fullmatch(r"k8s://(?:https?://)?[A-Za-z0-9_.-]+(?::\d{1,5})?(?:/\S*)?", value):
        return value
    if value.startswith("spark://"):
        for address in value.removeprefix("spark://").split(","):
            host, _, port = address.rpartition(":")
            _check_host(host, value)
            _check_port(port, value)
        return value
    raise ValueError("must be local[*], local[N], spark://HOST:PORT, yarn or k8s://HOST:PORT")


def _driver_memory(value: str) -> str:
    found = re.fullmatch(r"([1-9]\d{0,6})([mgMG])", value)
    if not found or not MIN_DRIVER_MB <= int(found[1]) * (1024 if found[2] in "gG" else 1) <= 1 << 20:
        raise ValueError(f"must be a number and a unit, as in 2g or 1500m, from {MIN_DRIVER_MB}m to 1024g")
    return value


def _serve_host(value: str) -> str:
    _check_host(value.removeprefix("[").removesuffix("]"), repr(value))
    return value


def _http_url(value: str, *, path: bool) -> None:
    try:
        url = TypeAdapter(HttpUrl).validate_python(value)
    except ValidationError:
        raise ValueError("must be the URL of a server, as in https://host:port") from None
    if url.username is not None or url.password is not None:
        raise ValueError("must not hold a user or a password: they belong in the environment (AWS_ACCESS_KEY_ID, ...)")
    if url.query or url.fragment or (not path and value.count("/") > 2):
        raise ValueError("must end behind host and port, as in https://host:port")


def _s3_endpoint(value: str) -> str:
    if value:
        _http_url(value, path=True)
    return value


def _origins(value: str) -> str:
    for origin in value.split(",") if value and value != "*" else []:
        _http_url(origin.strip(), path=False)
    return value


Text = Annotated[str, AfterValidator(_text)]
PipelineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
HomeFolder = Annotated[Path, BeforeValidator(_folder)]
OptionalPath = Annotated[str, BeforeValidator(_path)]
OptionalLocation = Annotated[str, BeforeValidator(_location)]
ProfileName = Annotated[str, BeforeValidator(_profile)]
TopicName = Annotated[str, AfterValidator(_topic)]
KafkaAddresses = Annotated[str, AfterValidator(_kafka_addresses)]


def _spark_properties(value: Any) -> Any:
    """Flatten tables to Spark's dotted names, with or without the prefix `spark.`, and values to text."""
    if not isinstance(value, Mapping):
        raise ValueError('must be a table of Spark\'s properties, such as "spark.executor.memory" = "4g"')
    properties: dict[str, str] = {}
    pending = [(str(name), item) for name, item in value.items()]
    while pending:
        name, item = pending.pop()
        if isinstance(item, Mapping):
            pending += [(f"{name}.{key}", inner) for key, inner in item.items()]
        elif isinstance(item, bool | int | float | str):
            text = str(item).lower() if isinstance(item, bool) else str(item)
            properties["spark." + name.removeprefix("spark.")] = text
        else:
            raise ValueError(f"{name} must be text, a number or a truth value")
    if "spark.master" in properties:
        raise ValueError("the master is set by stream.master")
    return dict(sorted(properties.items()))


def _store_options(value: Any) -> Any:
    """Return the options of an object store as text, without what must not be set."""
    if not isinstance(value, Mapping):
        raise ValueError('must be a table of options, such as endpoint = "https://host:port"')
    options: dict[str, str] = {}
    for name, item in value.items():
        if not isinstance(item, bool | int | float | str):
            raise ValueError(f"{name} must be text, a number or a truth value")
        text = str(item).lower() if isinstance(item, bool) else _text(str(item))
        check_option(str(name), text)
        if "endpoint" in str(name):
            _http_url(text, path=True)
        options[str(name).lower()] = text
    return dict(sorted(options.items()))


SparkProperties = Annotated[dict[str, str], BeforeValidator(_spark_properties)]
StoreOptions = Annotated[dict[str, str], BeforeValidator(_store_options)]
RedisAddress = Annotated[RedisUrl, BeforeValidator(_redis_url)]
Token = Annotated[SecretStr, AfterValidator(_token)]
Password = Annotated[SecretStr, AfterValidator(_password)]
SparkMaster = Annotated[str, AfterValidator(_spark_master)]
DriverMemory = Annotated[str, AfterValidator(_driver_memory)]
ServeHost = Annotated[str, AfterValidator(_serve_host)]
S3Endpoint = Annotated[str, AfterValidator(_s3_endpoint)]
Origins = Annotated[str, AfterValidator(_origins)]

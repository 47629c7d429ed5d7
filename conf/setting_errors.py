"""Refusals of settings, in one sentence each: the name, the value unless it is secret, the place, the remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, Secret, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from conf.redaction import MASK, redact
from conf.setting_sources import FileSource, SettingsError, Source, find_field, hint, section_of

_SHOWN_CHARS = 120
_FILES = ("ca_file", "certificate_file", "key_file")


def explain(error: ValidationError, model: type[BaseModel], sources: Sequence[Source]) -> str:
    """Return a sentence for each problem; `sources` with the ones that win first."""
    sentences = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path)
        source = next((source for source in sources if source.holds(path)), None)
        place = source.place(path) if source else "the settings"
        field = find_field(model, path)
        if problem["type"] == "extra_forbidden" or field is None:
            sentences.append(f"{redact(name)} (in {place}) is not a setting{hint(name, model)}")
        elif (section := section_of(field)) is not None:
            sentences.append(f"{name} (in {place}) is a section; its settings are {', '.join(section.model_fields)}")
        else:
            sentences.append(
                f"{name} = {_shown(field, problem['input'])} (in {place}): {_demand(field, problem, source)}"
            )
    return "; ".join(sentences)


def _shown(field: FieldInfo, value: Any) -> str:
    kind = field.annotation
    if isinstance(value, dict):
        return "a table"
    if isinstance(kind, type) and issubclass(kind, (Secret, SecretStr)):
        return MASK
    # Where an address is wanted, people also paste one with a password and without a scheme.
    text = re.sub(r"[^\s,'\"]*@", f"{MASK}@", redact(repr(value)))
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _demand(field: FieldInfo, problem: Any, source: Source | None) -> str:
    """Return what the setting allows, in one phrase."""
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    choices = get_args(field.annotation)
    if choices:
        return "allowed are " + ", ".join(repr(choice) for choice in choices)
    if field.annotation is bool:
        return "must be true or false"
    if field.annotation in (int, float):
        number = "a whole number" if field.annotation is int else "a number"
        quoted = " without quotes" if isinstance(problem["input"], str) and isinstance(source, FileSource) else ""
        return f"must be {number}{quoted}{_limits(field)}"
    patterns = [rule.pattern for rule in field.metadata if getattr(rule, "pattern", None)]
    return f"must match {patterns[0]}" if patterns else "must be text, in quotes"


def _limits(field: FieldInfo) -> str:
    limits = {}
    for rule in field.metadata:
        for attribute in ("ge", "le"):
            if getattr(rule, attribute, None) is not None:
                limits[attribute] = getattr(rule, attribute)
    words = {"ge": "from", "le": "to"} if len(limits) == 2 else {"ge": "at least", "le": "at most"}
    return "".join(f" {words[attribute]} {limits[attribute]:,}" for attribute in ("ge", "le") if attribute in limits)


def check_kafka_client(client: Any) -> None:
    """Refuse settings of `kafka.client` that are possible alone but not with each other."""
    _check_credentials("kafka.client", client)
    has_password = bool(client.password.get_secret_value() or client.password_file)
    if client.security_protocol.startswith("SASL") and not (client.username and has_password):
        raise SettingsError(
            f"kafka.client.security_protocol is {client.security_protocol}, which needs kafka.client.username and "
            "kafka.client.password (WETSTREAM_KAFKA_CLIENT_PASSWORD) or kafka.client.password_file"
        )
    if client.username and not client.security_protocol.startswith("SASL"):
        raise SettingsError(
            f"kafka.client.username is set, but kafka.client.security_protocol {client.security_protocol} sends no "
            'user: set it to "SASL_SSL" (or "SASL_PLAINTEXT"), or remove the user'
        )
    files = [name for name in _FILES if getattr(client, name)]
    if files and not client.security_protocol.endswith("SSL"):
        raise SettingsError(
            f"kafka.client.{files[0]} is set, but kafka.client.security_protocol {client.security_protocol} does not "
            'encrypt: set it to "SSL" or "SASL_SSL", or remove the file'
        )


def check_redis_client(redis: Any) -> None:
    """Refuse settings of `redis.client` that are possible alone but not with each other, or with `redis.url`."""
    client, url = redis.client, redis.url
    _check_credentials("redis.client", client)
    if client.sentinel_password.get_secret_value() and client.sentinel_password_file:
        raise SettingsError(
            "redis.client.sentinel_password and redis.client.sentinel_password_file are both set: remove one"
        )
    given = [name for name, value in client if (value.get_secret_value() if isinstance(value, SecretStr) else value)]
    if given and not url:
        raise SettingsError(
            f"redis.client.{given[0]} is set, but redis.url is not: the embedded Redis needs no redis.client, so name "
            "a Redis of yours, or remove it"
        )
    if client.username and not (client.password.get_secret_value() or client.password_file):
        raise SettingsError(
            "redis.client.username is set without redis.client.password (WETSTREAM_REDIS_CLIENT_PASSWORD) or "
            "redis.client.password_file"
        )
    files = [name for name in _FILES if getattr(client, name)]
    if files and not url.has_tls:
        raise SettingsError(
            f"redis.client.{files[0]} is set, but redis.url does not encrypt: begin it with rediss, or remove the file"
        )
    sentinel = [name for name in given if name.startswith("sentinel")]
    if sentinel and url.topology != "sentinel":
        raise SettingsError(f"redis.client.{sentinel[0]} is set, but redis.url names no Sentinels (redis+sentinel://)")


def _check_credentials(section: str, client: Any) -> None:
    if client.password.get_secret_value() and client.password_file:
        raise SettingsError(f"{section}.password and {section}.password_file are both set: remove one")
    if client.key_file and not client.certificate_file:
        raise SettingsError(f"{section}.key_file is set without {section}.certificate_file: name its certificate")

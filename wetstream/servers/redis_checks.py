"""Checks of a Redis: whether it lets us in, does what the pipeline needs, and keeps what is written."""

from __future__ import annotations

from typing import Any, cast

from conf.addresses import CredentialsError, RedisServers
from conf.redaction import redact
from wetstream.servers.check import Check, Needs

TIMEOUT_S = 3.0
NOTICE_SHARE = 0.8


def check_redis_server(servers: RedisServers, needs: Needs, *, outside: bool) -> Check:
    """Check one Redis with the rights of a stream; nothing that is written stays.

    Args:
        servers: Redis.
        needs: What the pipeline needs.
        outside: Whether it is the user's own, and not the embedded one.
    """
    # Imported here: it takes longer than all other checks.
    from redis import RedisError

    from sinks.redis_clients.clients import Patience, open_client
    from sinks.redis_clients.permissions import acl_rule, denied
    from sinks.redis_clients.refusals import explain_refusal

    pipeline = needs.pipeline
    patience = Patience(answer_s=TIMEOUT_S, connect_s=TIMEOUT_S, retries=0)
    try:
        with open_client(servers, pipeline, patience) as client:
            client.ping()
            refused = denied(client, servers, pipeline)
            info = {} if "info" in refused.commands else cast("dict[str, Any]", client.info())
    except CredentialsError as error:
        return Check("Redis", "fail", str(error), "Correct redis.client.")
    except (RedisError, OSError, ValueError) as error:
        cause = explain_refusal(error, servers) if isinstance(error, RedisError) else ""
        if cause:
            return Check("Redis", "fail", redact(f"{servers}: {cause}"), "Correct redis.client, or that Redis.")
        detail = f"the server of redis.url does not answer: {redact(str(error))}"
        return Check(
            "Redis", "fail", detail, "Start that Redis, correct redis.url (redis://HOST:PORT/DB), or unset it."
        )
    user = servers.credentials[0] or "default"
    if refused.commands or refused.keys:
        may_not = [f"run {', '.join(refused.commands)}"] if refused.commands else []
        may_not += [f"use the keys ws:{{{pipeline}}}:*"] if refused.keys else []
        detail = f"the ACL of its user {user} does not let wetstream {' nor '.join(may_not)}"
        return Check("Redis", "fail", detail, f"ACL SETUSER {user} {acl_rule(servers, pipeline)}")
    return _state(info, outside=outside, max_memory_mb=needs.max_memory_mb)


def _state(info: dict[str, Any], *, outside: bool, max_memory_mb: int) -> Check:
    """Check what a Redis says of itself."""
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info.get('redis_version', '?')}"
    policy, append_only = info.get("maxmemory_policy", "?"), bool(info.get("aof_enabled"))
    limits = [limit for limit in (int(info.get("maxmemory", 0)), max_memory_mb << 20) if limit]
    used, limit = int(info.get("used_memory", 0)), min(limits, default=0)
    detail = f"{name}, maxmemory-policy {policy}, append-only file {'on' if append_only else 'off'}"
    if limit:
        detail += f", {used >> 20:,} of {limit >> 20:,} MB used"
    if policy != "noeviction":
        remedy = (
            "Counts would be thrown out to make room: CONFIG SET maxmemory-policy noeviction (and in its redis.conf)."
        )
        return Check("Redis", "fail", detail, remedy)
    if limit and used >= NOTICE_SHARE * limit:
        remedy = "At its limit the stream waits: raise maxmemory or redis.max_memory_mb, or use a larger server."
        return Check("Redis", "warn", detail, remedy)
    if outside and not append_only:
        remedy = "It loses its data when it ends; they are then made anew from the documents. CONFIG SET appendonly yes"
        return Check("Redis", "warn", detail, remedy)
    return Check("Redis", "ok", detail)

"""Why a connection to Redis was refused, in words that name the certificate, the login or the permission at fault."""

from __future__ import annotations

from redis import RedisError
from redis.exceptions import AuthenticationError, NoPermissionError

from conf.addresses import RedisServers
from sinks.redis_clients.clients import tls_files


def explain_refusal(error: RedisError, servers: RedisServers) -> str:
    """Return what is wrong with certificates, login or permissions; empty if it is something else."""
    text = str(error)
    if "SSL" in text or "certificate" in text:
        return tls_files(servers).explain(text)
    user = servers.credentials[0] or "default"
    if isinstance(error, AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        given = "does not accept the password" if servers.credentials[1] else "asks for a password, and none is set"
        return f"it {given} of the user {user} (redis.client.username, redis.client.password)"
    if isinstance(error, NoPermissionError):
        return f"its ACL does not let the user {user} do this: {text}"
    return ""

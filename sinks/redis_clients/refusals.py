"""Why a connection to Redis was refused, in words that name the certificate, the login or the permission at fault."""

from __future__ import annotations

from redis import RedisError
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError, TimeoutError

from conf.addresses import RedisServers
from sinks.redis_clients.clients import tls_context, tls_files

PROBE_TIMEOUT_S = 3.0


def explain_refusal(error: RedisError, servers: RedisServers) -> str:
    """Return what is wrong with certificates, login or permissions; empty if it is something else."""
    text = str(error)
    if isinstance(error, ConnectionError | TimeoutError) and not isinstance(error, AuthenticationError):
        return _explain_tls(text, servers)
    user = servers.credentials[0] or "default"
    if isinstance(error, AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        given = "does not accept the password" if servers.credentials[1] else "asks for a password, and none is set"
        return f"it {given} of the user {user} (redis.client.username, redis.client.password)"
    if isinstance(error, NoPermissionError):
        return f"its ACL does not let the user {user} do this: {text}"
    return ""


def _explain_tls(text: str, servers: RedisServers) -> str:
    tls, context = tls_files(servers), tls_context(servers)
    if context is not None and servers.url.topology == "single":
        # A server that refuses a certificate closes the connection, and its reason is easily lost with it.
        try:
            tls.shake_hands(context, *servers.url.nodes[0], PROBE_TIMEOUT_S)
        except ValueError as error:
            return str(error)
        except OSError:
            return ""
    return tls.explain(text) if "SSL" in text else ""

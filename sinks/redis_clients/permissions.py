"""What a pipeline needs of Redis: its commands and keys, as an ACL rule and as a probe that tries each of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from conf.addresses import RedisServers
from sinks.keys import pipeline_pattern, probe_key, shards_pattern

# Each with arguments for a probe, in this order; `S`, `N`, `H`, `T`, `Z` and `L` stand for keys of the probe's own.
COMMANDS = (
    "SET S 1 PX 10000",
    "GET S",
    "EXISTS S",
    "TYPE S",
    "EXPIRE S 10",
    "INCRBY N 1",
    "HSET H a 1",
    "HGET H a",
    "HMGET H a b",
    "HGETALL H",
    "HSCAN H 0",
    "HINCRBY H b 1",
    "HINCRBYFLOAT H c 1",
    "HDEL H a",
    "SADD T a",
    "SMEMBERS T",
    "SREM T a",
    "ZADD Z 1 a",
    "ZRANGE Z 0 -1",
    "ZRANK Z a",
    "ZREM Z b",
    "ZREMRANGEBYRANK Z 5 -1",
    "RPUSH L a b c d e",
    "LPUSH L a",
    "LRANGE L 0 -1",
    "LINDEX L 0",
    "LTRIM L 0 9",
    "LPOP L",
    "RPOP L",
    "BLPOP L 1",
    "RENAME N N2",
    "EVAL return 1 S",
    "WATCH S",
    "UNWATCH",
    "MULTI",
    "EXEC",
    "PING",
    "INFO memory",
)
OF_TOPOLOGY = {"single": (), "sentinel": ("ROLE",), "cluster": ("CLUSTER SLOTS",)}


@dataclass(frozen=True, slots=True)
class Denied:
    """What the ACL of a user does not allow.

    Attributes:
        commands: Names of commands, in lower case.
        keys: Whether the pipeline's keys are closed to the user.
    """

    commands: tuple[str, ...]
    keys: bool


def acl_rule(servers: RedisServers, pipeline: str) -> str:
    """Return the least that a user needs, in the form of `ACL SETUSER`; its password comes in front."""
    names = dict.fromkeys(command.split()[0].lower() for command in (*COMMANDS, "DEL S"))
    parts = [f"+{name}" for name in sorted(names)]
    if servers.url.topology == "sentinel":
        parts.append("+role")
    if servers.url.topology == "cluster":
        parts.append("+cluster|slots")
    database = servers.url.path[-1:] if servers.url.topology != "cluster" else []
    if database and database[0].strip("0").isdigit():
        parts.append("+select")
    return f"resetkeys ~{pipeline_pattern(pipeline)} ~{shards_pattern(pipeline)} -@all {' '.join(parts)}"


def denied(client: Redis, servers: RedisServers, pipeline: str) -> Denied:
    """Try every command on keys of the probe's own, which are deleted again.

    Raises:
        RedisError: Redis refuses something for another reason, or the connection was lost.
    """
    prefix = probe_key(pipeline, uuid.uuid4().hex)
    names = {letter: f"{prefix}:{letter}" for letter in ("S", "N", "N2", "H", "T", "Z", "L")}
    commands: list[str] = []
    keys = False
    connection = client.connection_pool.get_connection()
    try:
        for command in ("DEL S", *COMMANDS, *OF_TOPOLOGY[servers.url.topology]):
            refusal = _refusal(connection, command, names)
            if refusal is None:
                continue
            if "key" in refusal.lower():
                keys = True
            else:
                commands.append(command.split()[0].lower())
            if command == "DEL S":
                break  # nothing could be cleaned up, so nothing is written
        else:
            _send(connection, ["DEL", *names.values()])
    finally:
        client.connection_pool.release(connection)
    return Denied(tuple(commands), keys)


def _refusal(connection: Any, command: str, names: dict[str, str]) -> str | None:
    """How the ACL refuses a command; None if it does not."""
    try:
        _send(connection, _arguments(command, names))
    except NoPermissionError as error:
        return str(error)
    except ResponseError as error:
        # What a refused command would have made is missing for a later one.
        if "no such key" not in str(error) and "without" not in str(error):
            raise
    return None


def _arguments(command: str, names: dict[str, str]) -> list[str]:
    if command.startswith("EVAL"):
        return ["EVAL", "return 1", "1", names["S"]]
    return [names.get(word, word) for word in command.split(" ")]


def _send(connection: Any, arguments: list[str]) -> Any:
    connection.send_command(*arguments)
    return connection.read_response()

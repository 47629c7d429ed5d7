"""Redis with TLS and an ACL: what lets a client in, what is said where it is not, and the rights that are enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from conf.addresses import RedisServers
from conf.redaction import redact
from serving.queries import LiveStatistics
from serving.word_lookup import look_up_words_async
from sinks.documents.generations import Generation
from sinks.keys import Keys, changes_key, lease_key, status_key
from sinks.lease import Lease
from sinks.observations import BatchMetrics, Observer
from sinks.position import Position
from sinks.redis_clients.clients import Patience, open_async_client
from sinks.redis_clients.permissions import acl_rule
from sinks.requests import Request, answer_request, send_request, take_request, wait_for_answer
from sinks.statistics.builds import StatisticsBuilds
from sinks.statistics.sums import negated
from tests.secured.certificates import Authority, Certificate
from tests.secured.conftest import BATCHES, Counted, settings_of
from tests.secured.redis_servers import LOOPBACK, Node, secured_redis, valkey
from tests.secured.redis_tls import tls_in_front
from tests.sinks.batches import sums_of
from wetstream.pipeline.connections import find_redis, open_redis
from wetstream.servers.check import Check, Needs
from wetstream.servers.errors import ServerError
from wetstream.servers.redis_checks import check_redis_server

PASSWORD = "canary/ä word-5d2e"
DOCS = Path(__file__).parents[2] / "docs" / "security.md"


class Secured:
    """A server that lets in one user only, with a client certificate and the rights that docs/security.md names."""

    def __init__(self, node: Node, port: int, authority: Authority, home: Path) -> None:
        self.node, self.port, self.home = node, port, home
        self.client = authority.sign("client")
        (home / "password").write_text(f"{PASSWORD}\n")
        self.flags: dict[str, Any] = {
            "redis__url": f"rediss://{LOOPBACK}:{port}/0",
            "redis__client__username": "wetstream",
            "redis__client__password_file": home / "password",
            "redis__client__ca_file": authority.ca_file,
            "redis__client__certificate_file": self.client.certificate_file,
            "redis__client__key_file": self.client.key_file,
        }

    def servers(self, **changes: Any) -> RedisServers:
        return find_redis(settings_of(self.home, **self.flags | changes))

    def check(self, **changes: Any) -> Check:
        """What `doctor` says of it."""
        return check_redis_server(self.servers(**changes), Needs(), outside=True)

    def refusal(self, **changes: Any) -> str:
        """What a command and `doctor` say to a client that is not let in; both name the same cause."""
        with pytest.raises(ServerError) as refused:
            open_redis(self.servers(**changes), "main", timeout_s=5, retries=0)
        said = str(refused.value.problem)
        check = self.check(**changes)
        assert check.level == "fail"
        for text in (said, check.detail):
            assert PASSWORD not in redact(text) and "not does not" not in text
        return check.detail


@pytest.fixture
def program() -> Path | None:
    """The server; None: the usual one."""
    return None


@pytest.fixture
def secured(tmp_path: Path, authority: Authority, program: Path | None) -> Iterator[Secured]:
    rule = next(line for line in DOCS.read_text().splitlines() if "ACL SETUSER wetstream" in line)
    rights = rule.partition("SETUSER wetstream")[2].replace(">PASSWORD", "").replace("ws:{main}:*", "ws:{main}:*")
    user = f'user wetstream on ">{PASSWORD}" {rights.strip().replace("reset ", "")}'
    options = ("maxmemory-policy noeviction", "appendonly yes", user)
    home = tmp_path / "home"
    home.mkdir()
    certificate = authority.sign("server")
    with secured_redis(tmp_path / "redis", certificate, authority.ca_file, *options, program=program) as (node, port):
        yield Secured(node, port, authority, home)


@pytest.mark.parametrize("program", [None, valkey()], ids=["redis", "valkey"])
def test_the_documented_rights_are_enough_for_everything_and_not_more(secured: Secured, counted: Counted) -> None:
    rule = acl_rule(secured.servers(), "main")
    assert rule in DOCS.read_text(), "docs/security.md states another rule"
    client = open_redis(secured.servers(), "main")
    secured.node("CONFIG", "RESETSTAT")
    use_everything(client, counted)

    async def ask() -> Any:
        async with open_async_client(secured.servers(), "main", Patience(5, 5, 0)) as loop_client:
            prefix = client.get("ws:{main}:live")
            assert isinstance(prefix, bytes)
            return await look_up_words_async(loop_client, "main", ["alpha"], Keys(prefix.decode()))

    assert asyncio.run(ask())["words"][0]["tf"] > 0
    with Redis(port=secured.node.port) as admin:
        used = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")}
    granted = {part[1:] for part in rule.split() if part.startswith("+")}
    # The growth curve goes back when a source is removed from a running stream; every connection begins with a PING.
    assert granted - used <= {"rpop", "ping"}, "granted, but not used"
    assert secured.check().level == "ok", secured.check()
    with Redis(port=secured.node.port) as admin:
        assert list(admin.scan_iter("*doctor*")) == []


def removed(position: Position, removals: int) -> Position:
    return {**position, "removals": removals} if removals else position


def use_everything(client: Redis, counted: Counted) -> None:
    """All that streams, other commands and the API do in Redis."""
    statistics = counted.heal(client)
    for number in (0, 1, 2):
        counted.commit(number, statistics)
    position = counted.documents.position()
    for removals, batches in enumerate(([2], [0, 1])):
        lost = sums_of([row for number in batches for row in BATCHES[number]])
        statistics.commit(negated(lost), removed(position, removals), removed(position, removals + 1))
        statistics.rerank()
    builds = StatisticsBuilds(client, "main", chunk_words=3, top_words=5)
    builds.rebuild(Generation("g1", counted.documents), position)
    counted.check(client)
    lease = Lease(client, lease_key("main"), lease_s=5)
    lease.acquire()
    lease.release()
    request = Request({"a": (0, 1)})
    send_request(client, "main", request)
    assert take_request(client, "main") == request
    answer_request(client, "main", request, 3)
    assert wait_for_answer(client, "main", request, 1) == 3
    assert wait_for_answer(client, "main", request, 0.05) is None
    observer = Observer(client, "main")
    observer.begin(statistics.keys, "g1")
    for number in range(2):
        observer.committed(number, BatchMetrics(1, 1, 1, 1, 1, 1, 0.1, 0.1))
        observer.progress(number, rows=1, rows_per_s=1.0, lag=0, seconds={"addBatch": 0.2})
    observer.alive()
    observer.gone()
    live = LiveStatistics(client, "main")
    _ = live.stats(), live.top(3), live.snapshot(), live.sources(), live.word("alpha"), live.batches()
    client.info("memory")
    client.delete(changes_key("main"), status_key("main"))


def test_a_client_that_is_not_let_in_is_told_why(secured: Secured, tmp_path: Path, authority: Authority) -> None:
    other = Authority(tmp_path / "other", "other-authority")
    (tmp_path / "wrong").write_text("not the password, canary-wrong\n")
    theirs = other.sign("their-client")
    expired = authority.sign("expired-client", days=-1)

    def client(files: Certificate) -> dict[str, Any]:
        return {
            "redis__client__certificate_file": files.certificate_file,
            "redis__client__key_file": files.key_file,
        }

    assert "other-authority.pem" in secured.refusal(redis__client__ca_file=other.ca_file)
    nothing = {"redis__client__certificate_file": "", "redis__client__key_file": ""}
    assert "asks for a certificate: set redis.client.certificate_file" in secured.refusal(**nothing)
    assert "their-client.pem" in secured.refusal(**client(theirs))
    assert "expired-client.pem: expired" in secured.refusal(**client(expired))
    said = secured.refusal(redis__client__password_file=tmp_path / "wrong")
    assert "does not accept the password of the user wetstream" in said
    with tls_in_front(secured.node.port, authority.sign("elsewhere", address="127.0.0.9")) as port:
        assert "for another host name or address" in secured.refusal(redis__url=f"rediss://{LOOPBACK}:{port}/0")
    with tls_in_front(secured.node.port, authority.sign("old", days=-1)) as port:
        assert "its certificate has expired" in secured.refusal(redis__url=f"rediss://{LOOPBACK}:{port}/0")
    plain = {"redis__url": f"rediss://{LOOPBACK}:{secured.node.port}/0"}
    assert secured.refusal(**plain)


def test_doctor_names_commands_and_keys_that_the_acl_refuses(secured: Secured) -> None:
    secured.node("ACL", "SETUSER", "wetstream", "-hscan", "-incrby")
    check = secured.check()
    assert (check.level, check.remedy) == ("fail", f"ACL SETUSER wetstream {acl_rule(secured.servers(), 'main')}")
    assert "user wetstream does not let wetstream run incrby, hscan" in check.detail
    secured.node("ACL", "SETUSER", "wetstream", "+hscan", "+incrby", "resetkeys", "~ws:{other}:*")
    assert "use the keys ws:{main}:*" in secured.check().detail

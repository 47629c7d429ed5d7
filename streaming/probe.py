"""The first task on every executor of a cluster: whether it can do what the tasks of the stream will need.

Each of these failures would otherwise come out of the middle of a micro-batch, in the words of Spark, or after minutes.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from conf.errors import counted
from conf.settings import Settings
from sinks.storage.location import Location
from streaming.connections import Connections
from streaming.errors import OutageError, StreamError
from streaming.failures import ARCHIVE_REMEDY, describe
from streaming.session import is_local

log = logging.getLogger("wetstream")

TOKEN_PREFIX = ".wetstream-probe-"
# An executor that runs several tasks at once would take those of the others too.
TASK_S = 0.2
ROUNDS = 3
POLL_S = 0.5
SAY_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What the tasks will need on an executor; sent to it.

    Attributes:
        table: The pickled place of the documents table. (An executor may lack the module to read it.)
        token: Name of a file that the driver has put there.
        brokers: Addresses of Kafka's brokers, `host:port`; empty without Kafka.
        files: Files that Kafka's Java client reads, such as certificates.
        task_s: How long the task takes at least.
    """

    table: bytes
    token: str
    brokers: tuple[str, ...]
    files: tuple[str, ...]
    task_s: float


def check_executors(settings: Settings, connections: Connections, table: Location, stop: threading.Event) -> None:
    """Run a task on every executor that a cluster has by now. With a local master there is nothing to find.

    Args:
        settings: `stream.retry_s` is how long to wait for the first executor.
        connections: Spark, and the brokers that executors read from.
        table: Place of the documents table, which driver and executors must share.
        stop: Ends the wait.

    Raises:
        StreamError: An executor lacks something, or there is none; the message names it, the host and the remedy.
    """
    if is_local(settings):
        return
    servers = connections.bootstrap_servers
    options = servers.spark_options() if servers else {}
    token = table / f"{TOKEN_PREFIX}{uuid.uuid4().hex}"
    needs = Needs(
        pickle.dumps(table),
        token.name,
        tuple(servers.addresses.split(",")) if servers else (),
        tuple(value for name, value in options.items() if name.endswith(".location")),
        TASK_S,
    )
    token.replace(b"", None)
    try:
        here = _examine(needs)
        reports = _ask_all(settings, connections.spark, needs, stop)
    finally:
        for left in table.files():
            if token.name in left:
                (table / left).delete()
    for report in reports:
        if problem := find_problem(here, report):
            raise StreamError(f"the executor on {report['host']} cannot run tasks: {problem}")
        if report["kernel"] is None:
            log.warning(
                "the executor on %s has no folder for compiled code: each of its Python processes compiles the text "
                "kernel itself, for some seconds; set WETSTREAM_NUMBA_CACHE there",
                report["host"],
            )
    hosts = {report["host"] for report in reports}
    executors = counted(len({_name(report) for report in reports}), "executor")
    log.info("%s on %s can run tasks", executors, ", ".join(sorted(hosts)))


def find_problem(here: dict[str, Any], there: dict[str, Any]) -> str | None:
    """Say what an executor lacks, given the driver's report and its own; None if nothing."""
    if there["missing"]:
        return f"{there['missing']} ({there['python']}, {there['executable']}): {ARCHIVE_REMEDY}"
    for package, version in here["versions"].items():
        if there["versions"].get(package) != version:
            other = there["versions"].get(package)
            return f"it has {package} {other}, and the driver {version}: {ARCHIVE_REMEDY}"
    if there["code"] != here["code"]:
        return (
            "its wetstream is of the same version but not the same code: make the archive anew with `wetstream "
            "package`, or install the same wheel everywhere"
        )
    problem: str | None = there["problem"]
    return problem


def task(needs: Needs) -> Callable[[Iterable[int]], Iterator[dict[str, Any]]]:
    """Return the function that examines an executor.

    It and what it calls are functions in functions, with all their imports inside: Spark sends those as they are, and
    of a module's functions only the names. Nothing of wetstream may be there.
    """
    documents_problem, kafka_problem, code = _documents_check(needs), _kafka_check(needs), _code_hash()
    task_s = needs.task_s

    def examine(_: Iterable[int]) -> Iterator[dict[str, Any]]:
        import importlib
        import os
        import platform
        import socket
        import sys
        import time

        began = time.monotonic()
        report: dict[str, Any] = {"host": socket.gethostname(), "folder": os.getcwd(), "executable": sys.executable}  # noqa: PTH109
        report |= {"python": f"Python {platform.python_version()}", "missing": None, "versions": {}, "kernel": None}
        report |= {"code": None, "problem": None}
        try:
            for name in ("numpy", "pyarrow", "numba", "streaming.tasks.fused", "streaming.tasks.files"):
                module = importlib.import_module(name)
                if version := getattr(module, "__version__", None):
                    report["versions"][name] = version
            report["code"] = code()
            home = importlib.import_module("streaming.text.jit").cache_home()
            report["kernel"] = None if home is None else str(home)
            report["problem"] = documents_problem() or kafka_problem()
        except ModuleNotFoundError as error:
            report["missing"] = f"its Python has no module {error.name}"
        except Exception as error:
            report["missing"] = f"its Python cannot load wetstream: {type(error).__name__}: {error}"
        time.sleep(max(0.0, began + task_s - time.monotonic()))
        yield report

    return examine


def _documents_check(needs: Needs) -> Callable[[], str | None]:
    table, token = needs.table, needs.token

    def documents_problem() -> str | None:
        import os
        import pickle
        import uuid

        location = pickle.loads(table)
        folder = getattr(location, "path", None)
        if folder is not None and not folder.is_dir():
            return (
                f"it does not have the folder {location}, or may not look into it: documents.path has to be on storage "
                "that the driver and all executors share, under one path and user"
            )
        try:
            if location.missing([token]):
                return (
                    f"its {location} is not the driver's: documents.path has to be on storage that the driver and all "
                    "executors share"
                )
            probe = location / f"{token}-{uuid.uuid4().hex}"
            with probe.create() as file:
                file.write(b"wetstream")
            probe.delete()
        except OSError as error:
            return (
                f"it cannot write and delete files in {location} ({error.strerror}): give its user (uid {os.getuid()}) "
                "that right, or run the executors as the driver's user"
            )
        return None

    return documents_problem


def _kafka_check(needs: Needs) -> Callable[[], str | None]:
    brokers, files = needs.brokers, needs.files

    def kafka_problem() -> str | None:
        import os
        import socket

        for file in files:
            if not os.access(file, os.R_OK):
                return f"it cannot read {file}, which Kafka's client needs: put it on every machine under this path"
        said = []
        for broker in brokers:
            host, _, port = broker.strip().rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
                return None
            except OSError as error:
                said.append(f"{broker} ({error.strerror or error})")
        if not said:
            return None
        return (
            f"it reaches no broker of kafka.bootstrap_servers: {', '.join(said)}; name brokers by addresses that all "
            "machines of the cluster reach"
        )

    return kafka_problem


def _code_hash() -> Callable[[], str]:
    def code() -> str:
        import hashlib
        import importlib.util

        digest = hashlib.sha256()
        for package in ("conf", "producers", "sinks", "streaming"):
            found = importlib.util.find_spec(package)
            for folder in (found.submodule_search_locations or []) if found else []:
                for file in sorted(Path(folder).rglob("*.py")):
                    digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()

    return code


def _examine(needs: Needs) -> dict[str, Any]:
    """The driver's own report."""
    (report,) = task(replace(needs, brokers=(), files=(), task_s=0.0))([])
    return report


def _ask_all(settings: Settings, spark: SparkSession, needs: Needs, stop: threading.Event) -> list[dict[str, Any]]:
    """Reports of all executors, in rounds until none is new."""
    reports: dict[str, dict[str, Any]] = {}
    for _ in range(ROUNDS):
        for report in _ask(settings, spark, needs, stop):
            if report["missing"] or report["problem"] or _name(report) not in reports:
                reports[_name(report)] = report
        if len(reports) >= _executors(spark):
            break
    return list(reports.values())


def _ask(settings: Settings, spark: SparkSession, needs: Needs, stop: threading.Event) -> list[dict[str, Any]]:
    context, group = spark.sparkContext, f"wetstream-probe-{uuid.uuid4().hex}"
    began = time.monotonic()
    said = False

    def run() -> list[dict[str, Any]]:
        context.setJobGroup(group, "examining the executors", interruptOnCancel=True)
        tasks = max(context.defaultParallelism, _executors(spark))
        return context.parallelize(range(tasks), tasks).mapPartitions(task(needs)).collect()

    with ThreadPoolExecutor(1, "wetstream-probe") as threads:
        asked: Future[list[dict[str, Any]]] = threads.submit(run)
        try:
            while True:
                try:
                    return asked.result(timeout=POLL_S)
                except StillRunning:
                    waited_s = time.monotonic() - began
                if stop.is_set():
                    raise StreamError("stopped while waiting for the executors. Nothing is lost")
                if waited_s > settings.stream.retry_s:
                    raise OutageError(_no_executor(spark, waited_s))
                if waited_s > SAY_AFTER_S and not said:
                    log.warning("waiting: %s has run no task of this application yet", context.master)
                    said = True
        except (PySparkException, Py4JError) as error:
            raise StreamError(f"the executors cannot run tasks: {describe(error)}") from error
        finally:
            if not asked.done():
                with contextlib.suppress(PySparkException, Py4JError, OSError):
                    context.cancelJobGroup(group)


def _no_executor(spark: SparkSession, waited_s: float) -> str:
    if found := _executors(spark):
        return (
            f"gave up after {waited_s:.0f} s (stream.retry_s): of {found} executors none has finished a task; see "
            "their logs"
        )
    return (
        f"gave up after {waited_s:.0f} s (stream.retry_s): {spark.sparkContext.master} has given this application no "
        "executor. See the master's page: it needs workers with free cores and at least spark.executor.memory free"
    )


def _executors(spark: SparkSession) -> int:
    """Executors that are registered now; the status counts the driver too."""
    scala: Any = spark.sparkContext._jsc.sc()
    return max(0, int(scala.getExecutorMemoryStatus().size()) - 1)


def _name(report: dict[str, Any]) -> str:
    """An executor: each has a working directory of its own, or a host."""
    return f"{report['host']}:{report['folder']}"

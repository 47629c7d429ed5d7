"""A standalone Spark cluster of this machine, whose executors have a bare Python and none of the driver's folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyspark

from streaming.text import jit
from wetstream.servers.java.runtime import find_java
from wetstream.servers.ports import choose_port

SPARK_HOME = Path(pyspark.__file__).parent
# Debian's own Python where there is one: another one than the driver's, of the same version.
BARE_PYTHON = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
START_LIMIT_S = 240


@dataclass
class Standalone:
    """A master and its workers, of one core each."""

    folder: Path
    environment: dict[str, str]
    port: int
    master: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    def start(self, workers: int) -> None:
        self.master = self._run("master.Master", "--host", "127.0.0.1", "--port", str(self.port))
        self._wait_for("master.log", "Started daemon|I have been elected leader|Starting Spark master")
        for _ in range(workers):
            self.start_worker()
        self._wait_until_registered(workers)

    def start_worker(self) -> subprocess.Popen[bytes]:
        number = len(self.workers)
        worker = self._run(
            "worker.Worker",
            *(
                "--host",
                "127.0.0.1",
                "--cores",
                "1",
                "--memory",
                "1g",
                "--work-dir",
                str(self.folder / f"work{number}"),
            ),
            self.url,
            log=f"worker{number}.log",
        )
        self.workers.append(worker)
        return worker

    def kill_worker(self, number: int) -> None:
        """With SIGKILL, and its executors with it, as when a machine is lost."""
        worker = psutil.Process(self.workers[number].pid)
        for process in [worker, *worker.children(recursive=True)]:
            process.send_signal(signal.SIGKILL)
        self.workers[number].wait()

    def executors_of_the_last_application(self) -> int:
        folders = list(self.folder.glob("work*/app-*/*/"))
        last = max(folder.parent.name for folder in folders)
        return sum(folder.parent.name == last for folder in folders)

    def executor_logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("work*/app-*/*/stderr"))

    def end(self) -> None:
        for process in [*self.workers, *([self.master] if self.master else [])]:
            if process.poll() is None:
                children = psutil.Process(process.pid).children(recursive=True)
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                for child in children:
                    if child.is_running():
                        child.kill()

    def _run(self, name: str, *arguments: str, log: str = "master.log") -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as output:
            return subprocess.Popen(
                [
                    str(SPARK_HOME / "bin" / "spark-class"),
                    f"org.apache.spark.deploy.{name}",
                    *("--webui-port", str(choose_port())),
                    *arguments,
                ],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _wait_for(self, log: str, words: str) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not any(word in (self.folder / log).read_text(errors="replace") for word in words.split("|")):
            assert time.monotonic() < deadline, (self.folder / log).read_text(errors="replace")
            time.sleep(0.1)

    def _wait_until_registered(self, workers: int) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while (self.folder / "master.log").read_text(errors="replace").count("Registering worker") < workers:
            assert time.monotonic() < deadline, (self.folder / "master.log").read_text(errors="replace")
            time.sleep(0.1)


def bare_environment(folder: Path) -> dict[str, str]:
    """What a machine of the cluster has: Java, Spark's jars, a Python without packages, and a home of its own."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    java = find_java(folder)
    python = BARE_PYTHON if BARE_PYTHON.exists() else Path(sys.base_prefix) / "bin" / "python3"
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(home),
        "JAVA_HOME": str(java.java_home),
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_DAEMON_MEMORY": "256m",
        # Applications are submitted by Spark's own protocol; the port of the other one is fixed.
        "SPARK_DAEMON_JAVA_OPTS": "-Dspark.master.rest.enabled=false -XX:TieredStopAtLevel=1",
    }
    found = subprocess.run(
        [str(python), "-c", "import importlib.util as u; print(*map(u.find_spec, ('streaming', 'numba', 'pyarrow')))"],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["None"] * 3, f"{python} is not bare: {found.stdout}"
    # As an image would bring it: compiling takes longer than all else.
    cache = jit.cache_home()
    return environment | ({"WETSTREAM_NUMBA_CACHE": str(cache.parent)} if cache else {})


@contextmanager
def standalone(folder: Path, *, workers: int, environment: Mapping[str, str] | None = None) -> Iterator[Standalone]:
    """A running cluster, which is ended by pid; `environment` is added to that of its processes."""
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    cluster = Standalone(folder, bare_environment(folder) | dict(environment or {}), choose_port())
    try:
        cluster.start(workers)
        yield cluster
    finally:
        cluster.end()


def settings(cluster: Standalone, archive: Path) -> dict[str, str]:
    """Environment variables that send the `wetstream` command to the cluster."""
    return {
        "WETSTREAM_STREAM_MASTER": cluster.url,
        "WETSTREAM_STREAM_ARCHIVE": str(archive),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }

"""spark-submit, and what a cluster can lack: each cause is named at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.standalone import SPARK_HOME, Standalone
from tests.harness import Command
from wetstream import submit
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
P21 = ("--profile", "p21")
MEMORY = ("--set", "spark.executor.memory=700m")


def spark_submit(
    on_cluster: Command, cluster: Standalone, archive: Path, tmp_path: Path, *arguments: str, jars: list[Path]
) -> subprocess.CompletedProcess[str]:
    java = find_java(tmp_path)
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", cluster.url, "--archives", f"{archive}#wetstream"]
    for name, value in (
        ("spark.pyspark.python", "./wetstream/bin/python"),
        ("spark.pyspark.driver.python", sys.executable),
        ("spark.executor.memory", "700m"),
    ):
        command += ["--conf", f"{name}={value}"]
    command += ["--jars", ",".join(map(str, jars))] if jars else []
    environment = {n: v for n, v in on_cluster.environment.items() if not n.startswith("WETSTREAM_STREAM_")}
    return subprocess.run(
        [*command, str(submit.__file__), *arguments],
        env=environment | {"JAVA_HOME": str(java.java_home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_spark_submit_in_client_mode(
    on_cluster: Command, cluster: Standalone, archive: Path, sample: Path, tmp_path: Path
) -> None:
    # spark-submit passes on to its stdout whatever the application prints, errors too.
    on_cluster("ingest", sample)
    without = spark_submit(on_cluster, cluster, archive, tmp_path, "stream", "--once", *P21, jars=[])
    assert without.returncode == 1, without.stdout + without.stderr
    assert "error: Spark has no Kafka connector" in without.stdout and "--packages org.apache.spark" in without.stdout
    jars = obtain_jars(default_cache(), find_java(tmp_path), lambda line: None).connector
    done = spark_submit(on_cluster, cluster, archive, tmp_path, "stream", "--once", *P21, jars=jars)
    assert done.returncode == 0, done.stdout + done.stderr
    result = on_cluster.json("verify")
    assert result["ok"] and result["records"] == 301


def test_what_the_executors_lack_is_named_at_once(on_cluster: Command, sample: Path) -> None:
    on_cluster("ingest", sample)
    bare = Command(on_cluster.environment | {"WETSTREAM_STREAM_ARCHIVE": ""}, on_cluster.timeout_s)
    no_packages = bare("stream", "--once", *P21, *MEMORY, code=1)
    assert "its Python has no module numpy" in no_packages.stderr and "wetstream package" in no_packages.stderr
    no_python = bare("stream", "--once", *P21, *MEMORY, code=1, PYSPARK_PYTHON="/no/such/python")
    assert "the executors have no Python at /no/such/python" in no_python.stderr, no_python.stderr
    no_archive = on_cluster("stream", "--once", *P21, code=1, WETSTREAM_STREAM_ARCHIVE="/no/archive.tar.gz")
    assert "stream.archive names /no/archive.tar.gz, which is not there" in no_archive.stderr

"""The Spark session: one per process, with what a stream needs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyspark
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from conf.private_folders import write_private
from conf.redaction import is_secret_name
from conf.settings import Settings
from streaming.errors import OutageError, StreamError
from streaming.failures import describe

IDLE_REPORT_MS = 2_000
STOP_TIMEOUT_MS = 20_000
# Where `stream.archive` is unpacked in an executor's working directory, and the Python in it.
ARCHIVE_FOLDER = "wetstream"
ARCHIVE_PYTHON = f"./{ARCHIVE_FOLDER}/bin/python"
CONNECTOR = f"org.apache.spark:spark-sql-kafka-0-10_2.13:{pyspark.__version__}"
CONNECTOR_CLASS = "org.apache.spark.sql.kafka010.KafkaSourceProvider"
# Properties that only a Java process that is yet to start can take.
OF_THE_DRIVER = ("spark.driver.memory", "spark.driver.extraJavaOptions", "spark.jars")


def start_session(settings: Settings, *, java_home: Path | None, jars: list[Path]) -> SparkSession:
    """Start Spark, or use the Spark that `spark-submit` has started this process for.

    PySpark reads some things from the environment only; there they are while it starts, and no longer: another session
    of this process, and commands that it runs, must not find them.

    Args:
        settings: `stream.master`, memory, and properties of Spark; logs go below `home`/spark.
        java_home: The Java to use; None for that of the environment.
        jars: The Kafka connector.

    Raises:
        StreamError: Spark does not start, e.g. because of `stream.master`.
    """
    variables = {} if java_home is None else {"JAVA_HOME": str(java_home)}
    if python := worker_python(settings):
        variables["PYSPARK_PYTHON"] = python
    if is_local(settings):
        variables["SPARK_LOCAL_IP"] = "127.0.0.1"
        _lower_priority(settings.stream.niceness)
    builder = SparkSession.builder.appName(f"wetstream-{settings.pipeline}")
    properties = configuration(settings, jars)
    if is_submitted():
        # Its Java process runs, with the master, the memory and the jars that spark-submit was given.
        properties = {name: value for name, value in properties.items() if name not in OF_THE_DRIVER}
        secrets = {}
    else:
        builder = builder.master(settings.stream.master)
        secrets = {name: value for name, value in properties.items() if is_secret_name(name)}
    for name, value in properties.items():
        if name not in secrets:
            builder = builder.config(name, value)
    if secrets:
        variables["PYSPARK_SUBMIT_ARGS"] = _hand_over(secrets, settings.home / "spark")
    try:
        with environment(variables):
            spark = builder.getOrCreate()
        spread_shuffles(spark, settings)
        return spark
    except (PySparkException, Py4JError) as error:
        raise StreamError(
            f"Spark does not start with stream.master = {settings.stream.master}: {describe(error)}. Use local[*] for "
            "all cores of this machine, or spark://host:port of a master that runs"
        ) from error


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process while inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def is_submitted() -> bool:
    """Whether `spark-submit` has started this process, and with it Spark's Java process."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def is_local(settings: Settings) -> bool:
    """Whether driver and executors are one process of this machine. What spark-submit starts is taken as a cluster."""
    return settings.stream.master.startswith("local") and not is_submitted()


def worker_python(settings: Settings) -> str | None:
    """The Python that runs the tasks, as the executors are to start it; None: PYSPARK_PYTHON, else their `python3`."""
    if given := settings.spark.get("spark.pyspark.python"):
        return given
    if is_local(settings):
        return sys.executable  # else the workers would be whatever `python3` is on PATH
    return ARCHIVE_PYTHON if settings.stream.archive else None


def task_slots(spark: SparkSession, settings: Settings) -> int:
    """How many tasks a micro-batch is cut into at least: one a core of all executors, if not set."""
    return settings.stream.min_partitions or spark.sparkContext.defaultParallelism


def spread_shuffles(spark: SparkSession, settings: Settings) -> None:
    """Have Spark add up partial rows on all cores, also of executors that have joined since the session started."""
    spark.conf.set("spark.sql.shuffle.partitions", str(task_slots(spark, settings)))


def check_connector(spark: SparkSession) -> None:
    """Raise StreamError if Spark's driver does not have the Kafka connector."""
    jvm: Any = spark.sparkContext._jvm
    try:
        jvm.java.lang.Class.forName(CONNECTOR_CLASS, True, jvm.java.lang.Thread.currentThread().getContextClassLoader())
    except Py4JError as error:
        raise StreamError(
            f"Spark has no Kafka connector ({CONNECTOR_CLASS}): add `--packages {CONNECTOR}` to spark-submit, or the "
            "jars that `wetstream package` names to its --jars"
        ) from error


def check_java(spark: SparkSession, settings: Settings) -> None:
    """Raise OutageError if Spark's Java process has ended: no restart of a query brings it back."""
    process = getattr(spark.sparkContext._gateway, "proc", None)
    if process is not None and process.poll() is not None:
        raise OutageError(
            f"Spark's Java process has ended (signal or exit code {abs(process.returncode)}); "
            f"{settings.home / 'spark'} holds its logs. Nothing is lost: start the stream again, with more "
            "stream.driver_memory if it ran out of memory"
        )


def configuration(settings: Settings, jars: list[Path]) -> dict[str, str]:
    """Return the properties of the session: ours, and over them those of the settings."""
    java_options = [f"-Dlog4j2.configurationFile={_write_log_configuration(settings.home / 'spark')}"]
    configuration = {
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.driver.memory": settings.stream.driver_memory,
        # The UI shows everything and asks nobody: whoever sets it up in [spark] decides who may see it.
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # The sums are small, and their number of partitions is known: adapting would cost a job a micro-batch.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(settings.stream.arrow_batch_records),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(settings.stream.arrow_batch_bytes),
        "spark.sql.streaming.noDataProgressEventInterval": str(IDLE_REPORT_MS),
        "spark.sql.streaming.stopTimeout": str(STOP_TIMEOUT_MS),
        "spark.sql.streaming.forceDeleteTempCheckpointLocation": "true",
        "spark.sql.warehouse.dir": (settings.home / "spark" / "warehouse").as_uri(),
    }
    if is_local(settings):
        # The work is done in Python, beside the JVM: on the same cores, its second compiler takes more than it gives
        # back, even after gigabytes (CPU of the JVM per CPU of the Python workers: 0.85 against 0.90, 1.3 at first).
        java_options.append("-XX:TieredStopAtLevel=1")
        configuration |= {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            # Other users of this machine reach the driver's ports; Spark makes the secret itself.
            "spark.authenticate": "true",
        }
    elif settings.stream.archive:
        configuration["spark.archives"] = f"{_archive(settings.stream.archive)}#{ARCHIVE_FOLDER}"
    configuration["spark.driver.extraJavaOptions"] = " ".join(java_options)
    given = dict(settings.spark)
    # Lists are added to ours: there would be no connector without these, and Spark would log to the terminal.
    for name, separator in (("spark.jars", ","), ("spark.archives", ","), ("spark.driver.extraJavaOptions", " ")):
        if more := given.pop(name, ""):
            configuration[name] = separator.join(filter(None, (configuration.get(name), more)))
    return configuration | given


def _archive(location: str) -> str:
    """The archive of `stream.archive`: a URL as it is, a path as an absolute one. Raises StreamError."""
    if "://" in location:
        return location
    path = Path(location).expanduser().absolute()
    if not path.is_file():
        raise StreamError(f"stream.archive names {path}, which is not there: make it with `wetstream package`")
    return path.as_uri()


def _hand_over(secrets: Mapping[str, str], folder: Path) -> str:
    """Write the secrets into a file of mode 0600: what a builder is given becomes an argument of a process.

    Returns:
        PYSPARK_SUBMIT_ARGS with that file.
    """
    file = folder / "secrets.properties"
    escaped = {name: value.replace("\\", "\\\\").replace("\n", "\\n") for name, value in secrets.items()}
    write_private(file, "".join(f"{name}={value}\n" for name, value in escaped.items()))
    given = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    return f"--load-spark-defaults --properties-file {shlex.quote(str(file))} {given}"


def _lower_priority(niceness: int) -> None:
    """Let queries go first on the cores of this machine: lowers this process and all that it starts later.

    With two busy cores, half of the API's answers took 9 ms, and with niceness 5 ms: as long as on an idle machine.
    """
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))


def _write_log_configuration(folder: Path) -> str:
    """Send Spark's log to a file of its own, to keep the terminal for people. Returns the URI of the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "log4j2.properties"
    log_file = folder / "spark.log"
    configuration.write_text(
        f"""rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log_file}
appender.file.filePattern = {log_file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
""",
        encoding="utf-8",
    )
    return configuration.as_uri()

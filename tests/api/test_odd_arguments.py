"""Odd names, options and URLs given to `read_wet`: the right records, or one explained error."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from conf.errors import ExplainedError
from conf.settings import SettingsError, load_settings
from wetstream import Pipeline, read_wet

ODD_NAMES = [
    "a b",
    "a%20b",
    "é日本",
    ".",
    "#",
    "?",
    "*",
    "[x]",
    "a\nb",
    "\x1b[31m",
    "-x",
    "~x",
    "$HOME",
    "a:b",
    "http:x",
    "\udcff",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_of_any_name_is_read(name: str, sample: Path, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.wet.gz"
    file.write_bytes(sample.read_bytes())
    records = list(read_wet(file))
    assert len(records) == 301 and records == list(read_wet(str(file))) == list(read_wet(tmp_path))


@pytest.mark.parametrize(
    "options",
    [{"match": 5}, {"base": 5}, {"limit": "1_0"}, {"limit": 1.5}, {"limit": True}, {"offset": None}, {"limt": 1}],
)
def test_odd_options_are_refused_by_name(options: dict[str, Any], sample: Path) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        read_wet(sample, **options)


def test_base_may_be_a_path(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "wet.paths").write_text(f"{sample.name}\n")
    assert len(list(read_wet(tmp_path / "wet.paths", base=sample.parent))) == 301


@pytest.mark.parametrize(
    "sources", [(None,), (5,), ("",), (b"x",), ([],), ("a\0b",), ("a\ud800",), ("x" * 5_000,), ("/dev/zero",)]
)
def test_what_names_no_file_is_one_explained_error(sources: tuple[Any, ...]) -> None:
    with pytest.raises(ExplainedError) as refused:
        list(read_wet(*sources))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://[",
        "http://\ud800/x.wet",
        "http://h/\udcff.wet",
        "http://127.0.0.1:99999/x.wet",
        "foo://bar/x.wet",
        "zip://a.wet::/no/file.zip",
        "tar://a.wet::{here}/no-archive.wet",
        "zip://a.wet::{here}/no-archive.wet",
        "tar://b.wet::{here}/archive.tar",
        "s3:///",
        "reference://x::/a",
        "memory://x.wet",
    ],
)
def test_a_url_that_cannot_be_opened_is_one_explained_error(url: str, tmp_path: Path) -> None:
    (tmp_path / "no-archive.wet").write_bytes(b"not an archive" * 100)
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a.wet"), io.BytesIO())
    with pytest.raises((ExplainedError, OSError)) as refused:
        list(read_wet(url.replace("{here}", str(tmp_path)), source_retry_s=1, source_timeout_s=1))
    assert str(refused.value)


@pytest.mark.parametrize("flags", [{"kafka_partitions": 3}, {"nope": 1}, {"home": 5}, {"kafka__partitions": "1_6"}])
def test_a_wrong_setting_of_a_pipeline_is_refused_by_name(flags: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(flags)).replace("__", r"\.")):
        Pipeline("main", **flags)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"settings": 5}, "settings must be a Settings of load_settings, not int"),
        ({"settings": {"pipeline": "main"}}, "settings must be a Settings of load_settings, not dict"),
        ({"config": 5}, "config must be the path of a settings file, not int"),
        ({"on_event": 5}, "on_event must be a function of one event, not int"),
        ({"settings": load_settings(environ={}), "name": "other"}, "leave out name, config and single settings"),
        ({"settings": load_settings(environ={}), "kafka__partitions": 2}, "leave out name, config and single settings"),
    ],
)
def test_odd_arguments_of_a_pipeline_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        Pipeline(**given)

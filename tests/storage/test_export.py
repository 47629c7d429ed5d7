"""An export to an object store: the bytes of one to a folder, complete or seen to be incomplete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conf.settings import load_settings
from serving.export.export import export
from serving.export.folder import FolderError
from sinks.storage.locate import LocationError, locate, locate_given
from sinks.storage.location import Location
from tests.object_stores import client, keys, options
from tests.storage.documents import commit_rows


@pytest.mark.parametrize("form", ["p21", "parquet"])
def test_an_export_to_a_bucket_has_the_bytes_of_one_to_a_folder(
    form: str, s3: str, bucket: str, tmp_path: Path
) -> None:
    documents = commit_rows(locate(f"{bucket}/d", options(s3)))
    target = locate(f"{bucket}/out/{form}", options(s3))
    assert export(form, target, documents) == export(form, tmp_path / "out", documents)
    name = bucket.removeprefix("s3://")
    found = {key.rpartition("/")[2]: key for key in keys(s3, name, "out/")}
    assert found.keys() == {path.name for path in (tmp_path / "out").iterdir()}
    for file, key in found.items():
        assert client(s3).get_object(Bucket=name, Key=key)["Body"].read() == (tmp_path / "out" / file).read_bytes()


def test_what_is_there_is_not_overwritten_unless_asked_for(s3: str, bucket: str, tmp_path: Path) -> None:
    documents = commit_rows(locate(f"{bucket}/d", options(s3)))
    target: Location = locate(f"{bucket}/out", options(s3))
    export("p21", target, documents)
    with pytest.raises(FolderError, match=rf"{bucket}/out holds corpus already: .*--overwrite"):
        export("ldac", target, documents)
    export("ldac", target, documents, overwrite=True)
    assert set(target.files()) == {"vocab.txt", "frequency", "documents.parquet", "meta.json", "corpus.ldac"}
    (target / "notes.txt").replace(b"mine", None)
    with pytest.raises(FolderError, match=r"holds notes\.txt, which was not written by this command"):
        export("ldac", target, documents, overwrite=True)


def test_an_export_that_was_cut_off_has_no_meta_and_is_named(
    s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = commit_rows(locate(f"{bucket}/d", options(s3)))
    target = locate(f"{bucket}/out", options(s3))

    def cut_off(point: str) -> None:
        monkeypatch.setattr("serving.export.prefix._release", lambda *_: None)  # a killed process releases nothing
        raise KeyboardInterrupt

    monkeypatch.setattr("serving.export.prefix.crash_point", cut_off)
    with pytest.raises(KeyboardInterrupt):
        export("p21", target, documents)
    monkeypatch.undo()
    assert "meta.json" not in set(target.files()) and "corpus" in set(target.files())
    with pytest.raises(FolderError, match=r"--overwrite"):
        export("p21", target, documents)
    export("p21", target, documents, overwrite=True)
    assert json.loads((target / "meta.json").read().data)["format"] == "p21"
    assert ".wetstream-export" not in set(target.files())


def test_a_target_is_a_path_or_the_url_of_a_store(tmp_path: Path) -> None:
    settings = load_settings(flags={"home": str(tmp_path)}, environ={})
    assert locate_given("s3a://bucket//x/", settings).uri == "s3://bucket/x"
    assert locate_given(f"file://{tmp_path}/x", settings) == locate_given(tmp_path / "x", settings)
    with pytest.raises(LocationError, match=r"hdfs:// cannot hold documents"):
        locate_given("hdfs://host/x", settings)

"""A place keeps the same promises whether it is a folder or a prefix of an object store."""

from __future__ import annotations

import pickle
import threading

import pytest

from sinks.storage.location import ConflictError, Location


def test_files_and_folders_of_a_place(location: Location) -> None:
    assert not list(location.files()) and not list(location.folders()) and not location.holds("")
    location.make()
    (location / "live.json").replace(b"1", None)
    table = location / "g1"
    table.make()
    with (table / "a.parquet").create() as file:
        file.write(b"some bytes")
        assert file.tell() == 10
    assert set(location.files()) - {".live.json.lock"} == {"live.json"} and list(location.folders()) == ["g1"]
    assert list(table.files()) == ["a.parquet"] and table.holds("a") and not table.holds("b")
    assert table.missing(["a.parquet", "b.parquet"]) == ["b.parquet"]
    with (table / "a.parquet").open() as opened:
        assert opened.size() == 10 and opened.read(4) == b"some"
    assert (table / "a.parquet").name == "a.parquet" and (location / "g1") == table
    (table / "a.parquet").delete()
    (table / "a.parquet").delete()
    with pytest.raises(FileNotFoundError):
        (table / "a.parquet").open()
    location.remove()
    location.remove()
    assert not list(location.folders())
    with pytest.raises(FileNotFoundError):
        (location / "live.json").read()


def test_a_file_that_is_not_finished_is_not_there(location: Location) -> None:
    location.make()
    with pytest.raises(KeyboardInterrupt), (location / "a").create() as file:
        file.write(b"1")
        raise KeyboardInterrupt
    # A folder keeps what was begun: its name is used once, and nothing refers to it.
    assert location.missing(["a"]) == ["a"] or (location / "a").read().data == b"1"


def test_a_file_is_replaced_only_at_the_version_that_was_read(location: Location) -> None:
    location.make()
    pointer = location / "live.json"
    pointer.replace(b"g1", None)
    with pytest.raises(ConflictError):
        pointer.replace(b"g2", None)
    first = pointer.read()
    pointer.replace(b"g2", first.version)
    with pytest.raises(ConflictError):
        pointer.replace(b"g3", first.version)
    assert pointer.read().data == b"g2" and pointer.read().version != first.version


@pytest.mark.parametrize("first", [True, False], ids=["create", "replace"])
def test_of_two_writers_exactly_one_wins(first: bool, location: Location) -> None:
    location.make()
    pointer = location / "live.json"
    if not first:
        pointer.replace(b"0", None)
    version = None if first else pointer.read().version
    won: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        try:
            pointer.replace(b"writer %d" % number, version)
            won.append(number)
        except ConflictError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and pointer.read().data == b"writer %d" % won[0]


def test_a_place_travels_to_other_processes_and_shows_no_secret(location: Location) -> None:
    location.make()
    copy = pickle.loads(pickle.dumps(location))
    assert copy == location and copy.uri == location.uri
    copy.check_writable()
    shown = f"{location} {location!r} {copy / 'x'!r} {vars(location)}"
    assert "secret" not in shown, shown

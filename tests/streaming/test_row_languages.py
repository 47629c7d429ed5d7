"""The language of a documents row against values known beforehand, not against the function that finds it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow.parquet as pq

from conf.profiles import load_profile
from sinks.storage.folder import Folder
from streaming.tasks.fused import TaskConfig
from tests.streaming.tasks import messages, result, run

TEXTS = {
    "eng": "The harbour was quiet when the fishing boats came home in the evening, and nobody asked about the catch.",
    "deu": "Der Hafen war still, als die Fischerboote am Abend nach Hause kamen, und niemand fragte nach ihrem Fang.",
    "fra": "Le port était calme quand les bateaux de pêche rentrèrent le soir, et personne ne demanda rien.",
    "spa": "El puerto estaba tranquilo cuando los barcos de pesca volvieron por la tarde, y nadie preguntó nada.",
    "rus": "В гавани было тихо, когда вечером вернулись рыбацкие лодки, и никто не спросил, что они поймали в море.",
    "jpn": "夕方に漁船が帰ってきたとき、港は静かで、何が獲れたのかを尋ねる人は誰もいませんでした。",
}
UNKNOWN = "7 8 9 10 11 12 13"
CASES = [
    *[(text, None, code, "detect") for code, text in TEXTS.items()],
    (TEXTS["deu"], "eng", "eng", "header"),  # the header counts, whatever the text is in
    (TEXTS["eng"], "fra,eng", "fra", "header"),
    (TEXTS["spa"], "", "spa", "detect"),
    (UNKNOWN, None, None, None),
    (UNKNOWN, "zho", "zho", "header"),
]


def page(number: int, text: str, header: str | None) -> bytes:
    body = (text + "\n").encode() * 3
    lines = ["WARC/1.0", "WARC-Type: conversion", f"WARC-Target-URI: http://example.org/{number}"]
    lines += [] if header is None else [f"WARC-Identified-Content-Language: {header}"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body + b"\r\n\r\n"


def test_rows_have_the_language_of_the_page(tmp_path: Path) -> None:
    file = tmp_path / "pages.warc.wet.gz"
    file.write_bytes(b"".join(gzip.compress(page(n, text, head)) for n, (text, head, _, _) in enumerate(CASES)))
    batch = result(run(TaskConfig(load_profile("english"), Folder(tmp_path), 1), messages(file)))
    rows = pq.read_table(tmp_path / batch.files[0].path).to_pylist()
    assert [(row["language"], row["language_method"]) for row in rows] == [case[2:] for case in CASES]
    english = [number for number, case in enumerate(CASES) if case[2] == "eng"]
    assert [number for number, row in enumerate(rows) if row["reason"] is None] == english
    counted = {code: (pages.pages, pages.documents) for code, pages in batch.counts.languages.items()}
    assert counted == {
        "eng": (2, 2), "deu": (1, 0), "fra": (2, 0), "spa": (2, 0), "rus": (1, 0), "jpn": (1, 0), "zho": (1, 0),
        "unknown": (1, 0),
    }  # fmt: skip

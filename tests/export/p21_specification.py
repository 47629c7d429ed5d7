"""P2.1 as the course's contract tells it, in plain Python: with warcio, and nothing of wetstream."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

TOKEN = re.compile(rb"^[-'\"]*[a-zA-Z\-']+[-'\"]*$")
PERCENTILES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
STOP_WORDS = Path(__file__).resolve().parents[2] / "conf" / "words" / "english_stop_words.txt"


def payloads(path: Path) -> Iterable[bytes]:
    """Of the conversion records; a record that cannot be read, and all behind it, are left out."""
    with path.open("rb") as file:
        try:
            for record in ArchiveIterator(file):
                payload = record.content_stream().read()
                if record.rec_type == "conversion" and len(payload) == record.length:
                    yield payload
        except ArchiveLoadFailed:
            return


def words_of(payload: bytes) -> list[str]:
    """The valid tokens, in lower case."""
    trimmed = (token.strip(b"-'\"") for token in re.split(rb"[ \t\n\r\v\f]+", payload) if TOKEN.match(token))
    return [token.decode().lower() for token in trimmed if token]


def p21(files: Iterable[Path], threshold: int, max_df: float = 0.9, stop_words: Path = STOP_WORDS) -> dict[str, str]:
    """What the four files of the output hold, of these WET files in this order."""
    stops = set(stop_words.read_text().split())
    bags = []
    for path in files:
        for payload in payloads(path):
            words = words_of(payload)
            if len(words) > 10:
                bags.append(Counter(word for word in words if word not in stops))
    tf: Counter[str] = Counter()
    df: Counter[str] = Counter()
    for bag in bags:
        tf.update(bag)
        df.update(bag.keys())
    kept = sorted(word for word in df if threshold <= df[word] < max_df * len(bags))
    ids = {word: number for number, word in enumerate(kept)}
    numbered = [sorted((ids[word], n) for word, n in bag.items() if word in ids) for bag in bags]
    numbered = [bag for bag in numbered if bag]
    return {
        "dictionary": "".join(f"{word}\t{ids[word]}\n" for word in kept),
        "frequency": "".join(f"{word}\t{tf[word]}\t{df[word]}\n" for word in kept),
        "statistics": statistics(len(kept), sorted(sum(n for _, n in bag) for bag in numbered)),
        "corpus": "".join(",".join(f"{word}:{n}" for word, n in bag) + "\n" for bag in numbered),
    }


def statistics(words: int, lengths: list[int]) -> str:
    n = len(lengths)
    lines = [
        f"Number of Words: {words}",
        f"Number of Documents: {n}",
        f"Number of Tokens: {sum(lengths)}",
        f"Maximum Document Length: {max(lengths, default=0)}",
        f"Minimum Document Length: {min(lengths, default=0)}",
        f"Average Document Length: {int(sum(lengths) / n) if n else 0}",
    ]
    lines += [f"Document Length {round(p * 100)}th percentile: {lengths[int(p * n)] if n else 0}" for p in PERCENTILES]
    return "".join(f"{line}\n" for line in lines)


def read(folder: Path) -> dict[str, str]:
    """The four files of an output."""
    return {name: (folder / name).read_bytes().decode() for name in ("dictionary", "frequency", "statistics", "corpus")}

"""Topic models on a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from conf.errors import counted
from wetstream import Event, Note, Status, TopicProgress
from wetstream.commands.terminal.output import Terminal, table

if TYPE_CHECKING:
    import pyarrow as pa

    from wetstream import PageTopics, TopicModel

LINE_EVERY_S = 5.0
WORDS_OF_A_LINE = 8
Order = Literal["relevance", "probability"]


class TrainingDisplay:
    """Shows how far a training is: a line that is drawn anew, or one every few seconds where there is no terminal."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._status = console.status("topics") if console.animated else None
        self._last = 0.0

    def __enter__(self) -> TrainingDisplay:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Note):
            self._console.line(event.text, "yellow")
        elif not self._console.shows_progress:
            return
        elif isinstance(event, TopicProgress):
            self._say(_progress(event), always=False)
        elif isinstance(event, Status):
            self._say(event.text, always=True)

    def _say(self, text: str, *, always: bool) -> None:
        if self._status is not None:
            self._status.update(text)
        elif always or time.monotonic() - self._last > LINE_EVERY_S:
            self._last = time.monotonic()
            self._console.line(text, "dim")


def _progress(event: TopicProgress) -> str:
    share = event.documents / event.total_documents if event.total_documents else 1.0
    where = f"pass {event.passed} of {event.passes}" if event.phase == "train" else "survey of all documents"
    bound = "" if event.bound_per_word is None else f", bound per word {event.bound_per_word:.3f}"
    return f"{where}: {event.documents:,} of {counted(event.total_documents, 'document')} ({share:.0%}){bound}"


def answer(model: TopicModel, words: int, *, by: Order = "relevance") -> dict[str, Any]:
    """Return a model as JSON has it: its topics with their top words, largest first."""
    shares = model.topic_shares()
    coherence = model.info.get("coherence")
    topics = [
        {
            "topic": int(topic),
            "share": float(shares[topic]),
            "coherence": None if coherence is None else coherence[topic],
            "words": model.top_words(int(topic), words, by=by)["word"].to_pylist(),
        }
        for topic in (-shares).argsort(kind="stable")
    ]
    left_out = {"format", "tokens", "coherence", "sources", "files", "topics", "position", "sources_from_files"}
    left_out |= {"too_frequent"}
    info = {name: value for name, value in model.info.items() if name not in left_out}
    return {"name": model.name, **info, "topics": topics}


def topic_answer(model: TopicModel, topic: int, words: int, *, by: Order) -> dict[str, Any]:
    """Return one topic as JSON has it: words with their measures, and the documents that show it best."""
    top = model.top_words(topic, words, by=by).to_pylist()
    documents = [
        {"share": row["share"], "url": row["url"], "source": row["source"], "record_offset": row["record_offset"]}
        for row in model.documents.to_pylist()
        if row["topic"] == topic
    ]
    coherence = model.info.get("coherence")
    return {
        "topic": topic,
        "share": float(model.topic_shares()[topic]),
        "coherence": None if coherence is None else coherence[topic],
        "words": top,
        "documents": documents,
    }


def show_model(console: Terminal, told: Mapping[str, Any]) -> None:
    """Show the topics of a model, a line each."""
    rows = told["topics"]
    shown = table("topic", "words", wrapped=1, right=("share", "NPMI"))
    for row in rows:
        coherence = "" if row["coherence"] is None else f"{row['coherence']:+.2f}"
        shown.add_row(f"{row['topic']}", ", ".join(row["words"][:WORDS_OF_A_LINE]), f"{row['share']:.1%}", coherence)
    console.print(shown)
    sizes = f"{counted(len(rows), 'topic')} over {counted(told['words'], 'word')}"
    bound = f"bound per word {told['bound_per_word']:.3f}"
    version = f"version {told['table_version']} of the documents"
    console.line(f"{told['name']}: {sizes}, of {counted(told['documents'], 'document')}; {bound}; {version}", "dim")
    removed = told["removed_sources"]
    if removed:
        console.line(
            f"holds documents of {counted(len(removed), 'source')} removed since ({', '.join(removed[:3])}"
            f"{', …' if len(removed) > 3 else ''}): train it again with --overwrite to leave them out",
            "yellow",
        )


def show_topic(console: Terminal, told: Mapping[str, Any]) -> None:
    """Show the words and documents of one topic."""
    coherence = "" if told["coherence"] is None else f", coherence {told['coherence']:+.3f}"
    console.line(f"topic {told['topic']}: {told['share']:.2%} of all tokens{coherence}", "bold")
    words = table("word", right=("probability", "lift", "relevance"))
    for row in told["words"]:
        words.add_row(row["word"], f"{row['probability']:.4%}", f"{row['lift']:,.1f}", f"{row['relevance']:.2f}")
    console.print(words)
    documents = table("document", right=("share",))
    for row in told["documents"]:
        documents.add_row(row["url"] or f"{row['source']}@{row['record_offset']}", f"{row['share']:.1%}")
    console.print(documents)


def show_models(console: Terminal, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show the models of a pipeline."""
    if not rows:
        console.line("no topic models yet: make one with `wetstream topics train`")
        return
    shown = table("model", "state", right=("topics", "words", "documents", "table version"))
    for row in rows:
        numbers = [
            f"{row[name]:,}" if name in row else "" for name in ("topics", "words", "documents", "table_version")
        ]
        shown.add_row(row["name"], row["state"], *numbers)
    console.print(shown)


def show_pages(console: Terminal, model: TopicModel, pages: Sequence[PageTopics]) -> None:
    """Show the topics of pages."""
    for page in pages:
        console.line(f"{page.page}: {counted(page.tokens, 'token')} in the model's words", "bold")
        if not page.tokens:
            continue
        shown = table("topic", "words", wrapped=1, right=("share",))
        for topic, share in page.topics:
            words = model.top_words(topic, WORDS_OF_A_LINE)["word"].to_pylist()
            shown.add_row(f"{topic}", ", ".join(words), f"{share:.1%}")
        console.print(shown)


def share_rows(shares: pa.Table, topic: int | None) -> list[dict[str, Any]]:
    """Return the rows of a topic, or of all, by descending share."""
    rows: list[dict[str, Any]] = shares.to_pylist()
    return sorted((row for row in rows if topic is None or row["topic"] == topic), key=lambda row: -row["share"])


def show_shares(console: Terminal, by: str, model: TopicModel, rows: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Show the largest shares."""
    shown = table(by, "topic", "words", wrapped=2, right=("tokens", "share"))
    for row in rows[:limit]:
        words = ", ".join(model.top_words(row["topic"], 5)["word"].to_pylist())
        shown.add_row(row["value"], f"{row['topic']}", words, f"{row['tokens']:,.0f}", f"{row['share']:.1%}")
    console.print(shown)
    if len(rows) > limit:
        console.line(f"… and {len(rows) - limit:,} more (-n shows more)", "dim")

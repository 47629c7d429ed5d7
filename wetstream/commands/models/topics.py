"""Commands about topic models: `topics train`, `update`, `list`, `show`, `assign`, `shares`, `drop`."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import click

from wetstream import Pipeline
from wetstream.commands.options import (
    MAX_COUNT,
    NAME,
    PATH_OR_URL,
    Count,
    Number,
    command,
    json_option,
    limit_option,
)
from wetstream.commands.statistics import slice_options
from wetstream.commands.terminal import topics as terminal
from wetstream.commands.terminal.output import err, out

commands = click.Group()

name_option = click.option(
    "--name", type=NAME, default="main", show_default=True, metavar="NAME", help="Name of the model."
)


@commands.group(name="topics")
def topics_group() -> None:
    """Train topic models of the documents, and look at them.

    Latent Dirichlet allocation by online variational Bayes, from the documents table alone. A training that is
    interrupted goes on when the same command is repeated, and gives the same model.
    """


@command(topics_group, name="train")
@name_option
@click.option("--topics", type=Count(2, 10_000), default=100, show_default=True, help="Number of topics.")
@click.option(
    "--passes", type=Count(1, 1_000_000), default=5, show_default=True, help="How often to go through the documents."
)
@click.option(
    "--min-df",
    type=Count(1, MAX_COUNT),
    default=5,
    show_default=True,
    metavar="N",
    help="Only words in at least N documents.",
)
@click.option(
    "--max-df",
    type=Number(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Only words in less than this share of the documents.",
)
@click.option(
    "--vocabulary-size",
    type=Count(1, 1_000_000_000),
    default=100_000,
    show_default=True,
    help="At most so many words, those in most documents.",
)
@click.option(
    "--batch-size",
    type=Count(1, 1_000_000_000),
    help="Documents in a mini-batch (default: a twentieth of them, 64 to 1,024).",
)
@click.option("--seed", type=Count(0, MAX_COUNT), default=1, show_default=True, help="Of the first, random weights.")
@slice_options
@click.option("--overwrite", is_flag=True, help="Replace a model of this name, or a training with other options.")
@json_option
def train_command(pipeline: Pipeline, name: str, as_json: bool, **options: Any) -> None:
    """Train a model."""
    with terminal.TrainingDisplay(err) as display:
        pipeline.on_event = display.show
        model = pipeline.topics.train(name, **options)
    if as_json:
        out.json(terminal.answer(model, 10))
    else:
        terminal.show_model(out, terminal.answer(model, 10))


@command(topics_group, name="update")
@name_option
@click.option(
    "--passes", type=Count(1, 1_000_000), default=1, show_default=True, help="How often to go through new documents."
)
@json_option
def update_command(pipeline: Pipeline, name: str, passes: int, as_json: bool) -> None:
    """Train a model with the documents that came since.

    Each counts once a pass. New words enter with the prior's weight. Documents of sources that were removed stay in the
    model, which then names them.
    """
    with terminal.TrainingDisplay(err) as display:
        pipeline.on_event = display.show
        model = pipeline.topics.update(name, passes=passes)
    if as_json:
        out.json(terminal.answer(model, 10))
    else:
        terminal.show_model(out, terminal.answer(model, 10))


@command(topics_group, name="list")
@json_option
def list_command(pipeline: Pipeline, as_json: bool) -> None:
    """List the models."""
    rows = pipeline.topics.models()
    if as_json:
        out.json(rows)
    else:
        terminal.show_models(out, rows)


@command(topics_group, name="show")
@click.argument("topic", type=Count(0, MAX_COUNT), required=False)
@name_option
@limit_option("words of each topic", 10_000)
@click.option(
    "--by",
    type=click.Choice(["relevance", "probability"]),
    default="relevance",
    show_default=True,
    help="Order of the words.",
)
@json_option
def show_command(
    pipeline: Pipeline,
    topic: int | None,
    name: str,
    limit: int,
    by: Literal["relevance", "probability"],
    as_json: bool,
) -> None:
    """Show the topics of a model, or one TOPIC with its documents.

    Relevance weighs the probability of a word in the topic (0.6) against its lift, the probability by its share of all
    tokens (Sievert and Shirley 2014). Coherence is the mean NPMI of the ten most probable words over documents.
    """
    model = pipeline.topics.open(name)
    if topic is None:
        answer = terminal.answer(model, limit, by=by)
        if as_json:
            out.json(answer)
        else:
            terminal.show_model(out, answer)
        return
    one = terminal.topic_answer(model, topic, limit, by=by)
    if as_json:
        out.json(one)
    else:
        terminal.show_topic(out, one)


@command(topics_group, name="assign")
@click.argument("targets", nargs=-1, required=True, type=PATH_OR_URL, metavar="URL|FILE|TEXT...")
@name_option
@click.option(
    "--min-share", type=Number(0, 1), default=0.05, show_default=True, help="Leave out topics with a smaller share."
)
@json_option
def assign_command(pipeline: Pipeline, targets: tuple[str, ...], name: str, min_share: float, as_json: bool) -> None:
    """Show the topics of pages.

    A page is a URL of the documents, a WET or text file, or text.
    """
    model = pipeline.topics.open(name)
    pages = pipeline.topics.assign(*targets, name=name, min_share=min_share)
    if as_json:
        out.json([dataclasses.asdict(page) for page in pages])
    else:
        terminal.show_pages(out, model, pages)


@command(topics_group, name="shares")
@click.argument("by", type=click.Choice(["segment", "crawl", "source", "language", "day"]))
@name_option
@click.option("--topic", type=Count(0, MAX_COUNT), help="Only this topic.")
@limit_option("lines")
@json_option
def shares_command(
    pipeline: Pipeline,
    by: Literal["segment", "crawl", "source", "language", "day"],
    name: str,
    topic: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the shares of topics in parts of the corpus.

    Parts are segments, crawls, sources, languages or days; the largest shares come first.
    """
    rows = terminal.share_rows(pipeline.topics.shares(by, name), topic)
    if as_json:
        out.json(rows)
    else:
        terminal.show_shares(out, by, pipeline.topics.open(name), rows, limit)


@command(topics_group, name="drop")
@click.argument("name", type=NAME)
def drop_command(pipeline: Pipeline, name: str) -> None:
    """Delete the model NAME, or its training that has not ended."""
    pipeline.topics.drop(name)
    out.line(f"topic model {name} is deleted")

"""The code of the documentation, as the tests run it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wetstream.commands.main import cli

ROOT = Path(__file__).resolve().parents[1]


def snippets(page: str, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a page in one language: the line where each begins, and its text."""
    text = (ROOT / page).read_text()
    blocks = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return [(text.count("\n", 0, block.start(1)) + 1, block[1]) for block in blocks]


def command_lines(page: str) -> list[str]:
    """The lines of a page's blocks for a shell, without comments: fenced as `sh` or in no language, or indented."""
    text = (ROOT / page).read_text()
    fenced = re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.M | re.S)
    # What is fenced in another language is no indented block.
    indented = re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    lines = [line for block in fenced for line in block.replace("\\\n", " ").splitlines()]
    shell = (re.split(r"\s#|\s\||\s>|\s&&|\s&$", line)[0].strip() for line in [*lines, *indented])
    return [line for line in shell if re.match(r"(wetstream|make|source|pip|uv|WETSTREAM_\w+=\S* wetstream) ", line)]


def parse_command(line: str) -> None:
    """Have the command line's own parser read a line. Raises click.UsageError for what it does not know."""
    words = shlex.split(line)
    while "=" in words[0]:
        words.pop(0)
    group: click.Command = cli
    context = cli.make_context("wetstream", words[1:])
    while isinstance(group, click.Group):
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        context = command.make_context(name, list(rest), parent=context)
        group = command


def run_snippets(page: str, namespace: dict[str, Any], replaced: Mapping[str, str] | None = None) -> str:
    """Run the Python of a page as one session; errors name its lines.

    Args:
        page: Path of the page.
        namespace: Names that are there before, and all of them afterwards.
        replaced: Texts that are others in this test.

    Returns:
        All the code.
    """
    found = snippets(page, "python")
    assert found
    for line, code in found:
        # The servers of the tests are everybody's: each session has a pipeline of its own.
        pipeline = os.environ["WETSTREAM_PIPELINE"]
        code = code.replace('"main"', f'"{pipeline}"').replace("/main/", f"/{pipeline}/")
        for old, new in (replaced or {}).items():
            code = code.replace(old, new)
        # Blank lines before it give each line the number that it has in the page.
        exec(compile("\n" * (line - 1) + code, str(ROOT / page), "exec"), namespace)
    return "".join(code for _, code in found)

"""Pages of the site that are made from the code, and therefore true: settings, commands, HTTP, Redis keys, Python."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def settings_page() -> str:
    """conf/default.toml, as it is."""
    text = (ROOT / "conf" / "default.toml").read_text("utf-8")
    return f"# All settings\n\nconf/default.toml, with every setting and its default.\n\n```toml\n{text}```\n"


def commands_page() -> str:
    """The help texts of all commands."""
    from wetstream.commands.main import cli

    parts = ["# Commands\n", inspect.cleandoc(cli.help or "") + "\n"]
    for path, command in _commands(cli, []):
        context = click.Context(command, info_name=" ".join(["wetstream", *path]), max_content_width=100)
        title = " ".join(path)
        parts.append(f"## {title}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(group: click.Group, path: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, [*path, name])
        else:
            yield [*path, name], command


def redis_page() -> str:
    """The keys, from the comments of sinks/keys.py."""
    from sinks import keys

    source = inspect.getsource(keys)
    rows = re.findall(r'^    "(\w+)",  # (\w+)\s+(.*)$', source, re.M)
    assert [name for name, _, _ in rows] == list(keys.STATISTICS)
    doc = inspect.getdoc(keys) or ""
    table = "\n".join(f"| `{name}` | {kind} | {_cell(what)} |" for name, kind, what in rows)
    return f"# Redis keys\n\n{doc}\n\n| key, behind the prefix | type | holds |\n|---|---|---|\n{table}\n"


def http_page() -> str:
    """The operations of the HTTP API, from its OpenAPI description."""
    from conf.settings import load_settings
    from serving.api.app import make_app
    from serving.api.poller import StatisticsPoller
    from wetstream.pipeline.serve import WatchedSources

    def no_redis() -> Any:
        raise AssertionError("nothing is asked: the application is not started")

    api: dict[str, Any] = make_app(StatisticsPoller(no_redis, "main", WatchedSources(load_settings()))).openapi()
    rows = []
    for path, operations in sorted(api["paths"].items()):
        for method, operation in operations.items():
            parameters = ", ".join(f"`{parameter['name']}`" for parameter in operation.get("parameters", []))
            what = _cell(operation.get("description") or operation.get("summary", ""))
            rows.append(f"| `{method.upper()} {path}` | {parameters} | {what} |")
    table = "\n".join(rows)
    return (
        "# HTTP API\n\nWhat a server answers is at `/api/v1/openapi.json`; see [Serving](../serving.md) for errors, "
        f"ETags and access.\n\n| operation | parameters | answer |\n|---|---|---|\n{table}\n"
    )


def python_page() -> str:
    """Every public name, with its docstring."""
    import wetstream

    names = sorted(wetstream.__all__, key=lambda name: (name[0].isupper(), name))
    where = wetstream._WHERE
    parts = [f"::: {where[name]}.{name}\n" for name in names if name != "Event"]
    return (
        "# Python API\n\nThe public names of `import wetstream`. [Examples](../python.md) shows them at work.\n\n"
        + "\n".join(parts)
    )


def notebook_page() -> str:
    """The example notebook, without outputs."""
    cells = json.loads((ROOT / "examples" / "vocabulary.ipynb").read_text("utf-8"))["cells"]
    source = {"markdown": "{}\n", "code": "```python\n{}\n```\n"}
    parts = [source[cell["cell_type"]].format("".join(cell["source"])) for cell in cells]
    title, *rest = parts
    return "\n".join([title, "To run it, open `examples/vocabulary.ipynb` in Jupyter or VS Code.\n", *rest])


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


PAGES: dict[str, Callable[[], str]] = {
    "notebook.md": notebook_page,
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/redis-keys.md": redis_page,
    "reference/http.md": http_page,
    "reference/python.md": python_page,
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation what is not there."""
    config.nav = _present(config.nav, Path(config.docs_dir))
    return config


def _present(nav: Any, docs: Path) -> Any:
    if isinstance(nav, str):
        return nav if nav in PAGES or (docs / nav).is_file() else None
    if isinstance(nav, dict):
        kept = {title: _present(part, docs) for title, part in nav.items()}
        return {title: part for title, part in kept.items() if part} or None
    return [part for part in (_present(part, docs) for part in nav) if part]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages made from the code."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links into the repository to the pages made from it."""
    return markdown.replace("](../conf/default.toml)", "](reference/settings.md)")

"""Limits on the size of folders, modules and functions. (The direction of imports is checked by pyproject.toml.)"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    file
    for folder in ("bench", "conf", "producers", "serving", "sinks", "streaming", "topicmodels", "wetstream")
    for file in (ROOT / folder).rglob("*.py")
)
MODULES_IN_A_FOLDER = 15
LINES_OF_A_MODULE = 350
LINES_OF_A_FUNCTION = 60
COMPILED = {"compiled", "inlined", "shared", "vectorized"}
"""Decorators of the kernels (`streaming.text.jit`): their size is decided by speed."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_structure_check_finds_modules() -> None:
    assert len(SOURCES) > 150


def test_folders_hold_at_most_15_modules() -> None:
    modules = Counter(file.parent for file in SOURCES if file.name != "__init__.py")
    assert {name(folder): n for folder, n in modules.items() if n > MODULES_IN_A_FOLDER} == {}


def test_modules_have_at_most_350_lines() -> None:
    lengths = {file: len(file.read_text("utf-8").splitlines()) for file in SOURCES}
    assert {name(file): n for file, n in lengths.items() if n > LINES_OF_A_MODULE} == {}


def test_functions_have_at_most_60_lines() -> None:
    too_long = {}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_compiled(node):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    too_long[f"{name(file)}:{node.name}"] = lines
    assert too_long == {}


def test_packages_do_nothing_when_imported() -> None:
    """Importing the text rules must load neither Spark nor Kafka."""
    doing = [file for file in SOURCES if file.name == "__init__.py" and file.parent.name != "wetstream"]
    assert [name(file) for file in doing if file.read_text("utf-8").strip()] == []


def test_no_test_imports_another() -> None:
    found = []
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            modules = []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            found += [f"{name(file)} imports {module}" for module in modules if ".test_" in module]
    assert found == []


def _is_compiled(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id in COMPILED for decorator in node.decorator_list)

"""Mutants of a module: its functions, each with one small change.

Left out by rule: docstrings, annotations, decorators and default values; errors' and logs' texts, and the log calls
themselves; `crash_point` calls, which are hooks of the tests; `strict=` of zip; the names of threads; assertions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Pow: ast.Mult,
}
CONTEXT_CHARS = 60
NOTE = "_note_call_of_function"
BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
IGNORED_CALLS = ("log.", "crash_point(")
IGNORED_KEYWORDS = ("strict", "thread_name_prefix")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change in one function.

    Attributes:
        function: Qualified name of the outermost function, such as `Splitter.feed`.
        first_line: Of that function, decorators included.
        line: Of the change.
        change: The statement before and after.
        code: The function's code with the change.
    """

    function: str
    first_line: int
    line: int
    change: str
    code: CodeType

    @property
    def name(self) -> str:
        return f"{self.function}: {self.change}"


@dataclass(frozen=True, slots=True)
class _Edit:
    """Another value for a field of a node, or for an element of a list in that field."""

    holder: ast.AST
    field: str
    index: int | None
    new: Any

    def swap(self) -> _Edit:
        """Apply it; return the edit that undoes it."""
        if self.index is None:
            old = getattr(self.holder, self.field)
            setattr(self.holder, self.field, self.new)
        else:
            values = getattr(self.holder, self.field)
            old, values[self.index] = values[self.index], self.new
        return _Edit(self.holder, self.field, self.index, old)


def mutants_of(path: Path) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(path.read_bytes(), str(path))
    made = []
    for name, function in _functions(tree):
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        for holder in ast.walk(function):
            for field in ("body", "orelse", "finalbody"):
                statements = getattr(holder, field, None)
                for index in range(len(statements) if isinstance(statements, list) else 0):
                    made += [
                        Mutant(name, first, line, change, code)
                        for line, change, edit in _changes(holder, field, index)
                        if (code := _compiled(tree, path, edit, name, first)) is not None
                    ]
    return sorted(made, key=lambda mutant: mutant.line)


def noting_code(path: Path) -> dict[tuple[str, int], CodeType]:
    """The code of all functions of a module, each of which first calls `NOTE` with its name."""
    tree = ast.parse(path.read_bytes(), str(path))
    names = {}
    for name, function in _functions(tree):
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        names[name, first] = function
        call = ast.parse(f"{NOTE}({name!r})").body[0]
        for node in ast.walk(call):
            ast.copy_location(node, function.body[0])
        function.body.insert(0, call)
    module = compile(tree, str(path), "exec")
    return {key: code for key in names if (code := code_named(module, *key)) is not None}


def code_named(module: CodeType, name: str, first_line: int) -> CodeType | None:
    """The code of a function in a module's code."""
    for constant in module.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name and constant.co_firstlineno == first_line:
                return constant
            if name.startswith(f"{constant.co_qualname}."):
                found = code_named(constant, name, first_line)
                if found is not None:
                    return found
    return None


def _compiled(tree: ast.Module, path: Path, edit: _Edit, name: str, first: int) -> CodeType | None:
    undo = edit.swap()
    try:
        return code_named(compile(tree, str(path), "exec"), name, first)
    except SyntaxError:
        return None
    finally:
        undo.swap()


def _functions(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for node in tree.body:
        if isinstance(node, Function):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")


def _changes(holder: ast.AST, field: str, index: int) -> Iterator[tuple[int, str, _Edit]]:
    """The changes of a statement, without those of the statements inside it."""
    statement = getattr(holder, field)[index]
    if not isinstance(statement, ast.stmt) or _is_ignored(statement):
        return
    before = _head(statement)
    for new in _replacements(statement):
        ast.copy_location(new, statement)
        ast.fix_missing_locations(new)
        yield statement.lineno, _difference(before, _head(new)), _Edit(holder, field, index, new)
    if isinstance(statement, ast.Raise):
        return
    for line, edit in _expression_edits(statement):
        undo = edit.swap()
        after = _head(statement)
        undo.swap()
        yield line, _difference(before, after), edit


def _difference(before: str, after: str) -> str:
    """Both texts, of long ones only where they differ."""
    begin = _common(before, after)
    end = _common(before[begin:][::-1], after[begin:][::-1])
    begin, end = max(0, begin - CONTEXT_CHARS), max(0, end - CONTEXT_CHARS)
    return f"`{before[begin : len(before) - end]}` -> `{after[begin : len(after) - end]}`"


def _common(before: str, after: str) -> int:
    """Number of characters at the beginning that are the same."""
    return next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )


def _is_ignored(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert | ast.Pass | ast.Import | ast.ImportFrom | Function | ast.ClassDef):
        return True
    if isinstance(statement, ast.Expr):
        if isinstance(statement.value, ast.Constant):
            return True
        return ast.unparse(statement).startswith(IGNORED_CALLS)
    return False


def _replacements(statement: ast.stmt) -> Iterator[ast.stmt]:
    match statement:
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            return
        case ast.Expr() | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Assign(value=value) if not _is_none(value):
            yield ast.Assign(statement.targets, ast.Constant(None))
        case ast.AnnAssign(value=ast.expr() as value) if not _is_none(value):
            yield ast.AnnAssign(statement.target, statement.annotation, ast.Constant(None), statement.simple)
        case ast.AugAssign():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _is_none(node: ast.expr) -> bool:
    """Whether None in its place would be the same, or nearly."""
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)


def _expression_edits(node: ast.AST) -> Iterator[tuple[int, _Edit]]:
    """Edits of a node and of the expressions below it."""
    line = getattr(node, "lineno", 0)
    match node:
        case ast.JoinedStr():
            return  # a text
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield test.lineno, _Edit(node, "test", None, _negated(test))
        case ast.comprehension():
            for index, test in enumerate(node.ifs):
                yield test.lineno, _Edit(node, "ifs", index, _negated(test))
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                for kind in COMPARISONS[type(operator)]:
                    yield line, _Edit(node, "ops", index, kind())
        case ast.BoolOp():
            yield line, _Edit(node, "op", None, ast.And() if isinstance(node.op, ast.Or) else ast.Or())
            for index, value in enumerate(node.values):
                yield value.lineno, _Edit(node, "values", index, _negated(value))
        case ast.BinOp() | ast.AugAssign() if type(node.op) in OPERATORS:
            yield line, _Edit(node, "op", None, OPERATORS[type(node.op)]())
        case ast.UnaryOp(op=ast.USub()):
            yield line, _Edit(node, "op", None, ast.UAdd())
        case ast.Constant(value=value) if (new := _other_constant(value)) is not None:
            yield line, _Edit(node, "value", None, new)
        case ast.Call():
            for keyword in node.keywords:
                if keyword.arg is not None and keyword.arg not in IGNORED_KEYWORDS:
                    rest = [other for other in node.keywords if other is not keyword]
                    yield keyword.value.lineno, _Edit(node, "keywords", None, rest)
    for field, value in ast.iter_fields(node):
        if field in BODIES or field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.keyword):
                child = child.value if child.arg not in IGNORED_KEYWORDS else None
            if isinstance(child, ast.AST) and not isinstance(child, ast.stmt | ast.expr_context):
                yield from _expression_edits(child)


def _negated(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    negated = ast.UnaryOp(ast.Not(), test)
    return ast.copy_location(negated, test)


def _other_constant(value: object) -> object:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str() if value:
            return f"X{value}"
        case bytes() if value:
            return b"X" + value
    return None


def _head(statement: ast.stmt) -> str:
    """The statement as text on one line, without the statements inside it."""
    shown = type(statement)(**{name: value for name, value in ast.iter_fields(statement) if name not in BODIES})
    for name in ("orelse", "finalbody", "handlers", "cases"):
        if hasattr(statement, name):
            setattr(shown, name, [])
    if hasattr(statement, "body"):
        shown.body = [ast.Expr(ast.Constant(...))]  # type: ignore[attr-defined]
    if isinstance(statement, ast.Try | ast.Match):
        return type(statement).__name__.lower()
    ast.copy_location(shown, statement)
    return ast.unparse(shown).removesuffix("\n    ...").removesuffix(":")

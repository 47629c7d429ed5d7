"""Runs the tests of a module against its mutants: everything is imported and collected once, then a fork for each.

The parent process only collects. A first fork runs all tests and notes which of them call which function; each mutant
then gets a fork that puts the changed code into the function, and runs the tests that call it, quickest first, up to
the first failure. Code that a test runs in another process than its own is not changed there.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import hypothesis
import pytest

from tests.mutants.mutations import NOTE, Mutant, code_named, mutants_of, noting_code

# A mutant whose tests take longer than this many times what they took before is killed. One that loops is by processor
# time, so that it ends soon however busy the machine is; one that waits is by the clock.
SLOWDOWN, EXTRA_S, EXTRA_CPU_S = 5, 10.0, 2.0
EXAMPLES = 20


@dataclass
class Baseline:
    """What the tests did without any change, by id: seconds by the clock and of the processor, functions called."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the tests judged a mutant: `killer` is the test that failed, `timeout`, or empty for a survivor."""

    mutant: Mutant
    killer: str
    tests: int


class MutantRunner:
    """A pytest plugin that replaces the loop over the tests.

    Args:
        path: The module to change.
        known: Names of mutants to leave out, because they are equivalent.
        lines: The lines whose mutants are tried.
        report: Called with each outcome.
    """

    def __init__(self, path: Path, known: frozenset[str], lines: range, report: Callable[[Outcome], None]) -> None:
        self._path = path
        self._known = known
        self._lines = lines
        self._report = report
        self._failed: list[str] = []
        self.error = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        items = {item.nodeid: item for item in session.items}
        for item in session.items:
            _with_few_examples(item)
        answer = _in_fork(lambda: self._baseline(session.items), 600)
        if answer is None:
            self.error = "the tests did not end without any change"
            return True
        baseline = Baseline(**answer)
        if baseline.failed:
            self.error = f"fails without any change: {', '.join(baseline.failed)}"
            return True
        functions = _functions_of(self._path)
        for mutant in mutants_of(self._path):
            if mutant.name in self._known or mutant.line not in self._lines:
                continue
            chosen = sorted(
                (test for test, called in baseline.calls.items() if mutant.function in called),
                key=lambda test: baseline.seconds[test],
            )
            killer = ""
            target = functions.get((mutant.function, mutant.first_line))
            if chosen and target is not None:
                limit = EXTRA_S + SLOWDOWN * sum(baseline.seconds[test] for test in chosen)
                tests = [(items[test], EXTRA_CPU_S + SLOWDOWN * baseline.cpu_s[test]) for test in chosen]
                found = _in_fork(functools.partial(self._try, mutant, target, tests), limit)
                killer = "timeout" if found is None else found
            self._report(Outcome(mutant, killer, len(chosen)))
            for left in base.iterdir():
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
        return True

    def _baseline(self, items: Sequence[pytest.Item]) -> dict[str, Any]:
        baseline = Baseline()
        called: set[str] = set()
        noting = noting_code(self._path)
        for key, functions in _functions_of(self._path).items():
            for function in functions:
                function.__globals__[NOTE] = called.add
                if key in noting:
                    function.__code__ = noting[key]
        for item, following in zip(items, [*items[1:], None], strict=True):
            called.clear()
            began, used = time.monotonic(), time.process_time()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            baseline.seconds[item.nodeid] = time.monotonic() - began
            baseline.cpu_s[item.nodeid] = time.process_time() - used
            baseline.calls[item.nodeid] = sorted(called)
        return dataclasses.asdict(baseline) | {"failed": self._failed}

    def _try(self, mutant: Mutant, target: Sequence[FunctionType], tests: Sequence[tuple[pytest.Item, float]]) -> str:
        """Run the tests, each within its processor seconds: SIGPROF ends the process."""
        for function in target:
            try:
                function.__code__ = mutant.code
            except ValueError as error:  # other free variables
                return f"not applied: {error}"
        for (item, cpu_s), following in zip(tests, [*(item for item, _ in tests[1:]), None], strict=True):
            signal.setitimer(signal.ITIMER_PROF, cpu_s)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return self._failed[0]
        return ""


def _with_few_examples(item: pytest.Item) -> None:
    """Of a property, run a few examples without a deadline; the first failure is enough."""
    attribute = "_hypothesis_internal_use_settings"
    test = getattr(item, "obj", None)
    given = getattr(test, attribute, None)
    if given is not None:
        few = min(given.max_examples, EXAMPLES)
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        setattr(test, attribute, hypothesis.settings(given, max_examples=few, deadline=None, phases=phases))


def _functions_of(path: Path) -> dict[tuple[str, int], list[FunctionType]]:
    """The live functions of a module, however they are wrapped."""
    module = compile(path.read_bytes(), str(path.resolve()), "exec")
    found: dict[tuple[str, int], list[FunctionType]] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename == str(path.resolve()):
            code: CodeType = thing.__code__
            if code_named(module, code.co_qualname, code.co_firstlineno) is not None:
                found.setdefault((code.co_qualname, code.co_firstlineno), []).append(thing)
    return found


def _in_fork(run: Callable[[], Any], limit_s: float) -> Any:
    """What `run` returns, by way of JSON; None if it does not end within the limit, or its process dies."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        try:
            answer = json.dumps(run()).encode()
            while answer:
                answer = answer[os.write(writer, answer) :]
        finally:
            os._exit(0)
    os.close(writer)
    deadline, received = time.monotonic() + limit_s, b""
    try:
        while (left := deadline - time.monotonic()) > 0 and select.select([reader], [], [], left)[0]:
            data = os.read(reader, 1 << 16)
            if not data:
                break
            received += data
    finally:
        os.close(reader)
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    try:
        return json.loads(received)
    except ValueError:
        return None

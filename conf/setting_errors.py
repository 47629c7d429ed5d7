"""Refusals of settings, in one sentence each: the name, the value unless it is secret, the place, the remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, Secret, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from conf.redaction import MASK, redact
from conf.setting_sources import FileSource, Source, find_field, hint, section_of

_SHOWN_CHARS = 120


def explain(error: ValidationError, model: type[BaseModel], sources: Sequence[Source]) -> str:
    """Return a sentence for each problem; `sources` with the ones that win first."""
    sentences = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path)
        source = next((source for source in sources if source.holds(path)), None)
        place = source.place(path) if source else "the settings"
        field = find_field(model, path)
        if problem["type"] == "extra_forbidden" or field is None:
            sentences.append(f"{redact(name)} (in {place}) is not a setting{hint(name, model)}")
        elif (section := section_of(field)) is not None:
            sentences.append(f"{name} (in {place}) is a section; its settings are {', '.join(section.model_fields)}")
        else:
            sentences.append(
                f"{name} = {_shown(field, problem['input'])} (in {place}): {_demand(field, problem, source)}"
            )
    return "; ".join(sentences)


def _shown(field: FieldInfo, value: Any) -> str:
    kind = field.annotation
    if isinstance(value, dict):
        return "a table"
    if isinstance(kind, type) and issubclass(kind, (Secret, SecretStr)):
        return MASK
    # Where an address is wanted, people also paste one with a password and without a scheme.
    text = re.sub(r"[^\s,'\"]*@", f"{MASK}@", redact(repr(value)))
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _demand(field: FieldInfo, problem: Any, source: Source | None) -> str:
    """Return what the setting allows, in one phrase."""
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    choices = get_args(field.annotation)
    if choices:
        return "allowed are " + ", ".join(repr(choice) for choice in choices)
    if field.annotation is bool:
        return "must be true or false"
    if field.annotation in (int, float):
        number = "a whole number" if field.annotation is int else "a number"
        quoted = " without quotes" if isinstance(problem["input"], str) and isinstance(source, FileSource) else ""
        return f"must be {number}{quoted}{_limits(field)}"
    patterns = [rule.pattern for rule in field.metadata if getattr(rule, "pattern", None)]
    return f"must match {patterns[0]}" if patterns else "must be text, in quotes"


def _limits(field: FieldInfo) -> str:
    limits = {}
    for rule in field.metadata:
        for attribute in ("ge", "le"):
            if getattr(rule, attribute, None) is not None:
                limits[attribute] = getattr(rule, attribute)
    words = {"ge": "from", "le": "to"} if len(limits) == 2 else {"ge": "at least", "le": "at most"}
    return "".join(f" {words[attribute]} {limits[attribute]:,}" for attribute in ("ge", "le") if attribute in limits)

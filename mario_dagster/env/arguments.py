"""What clients send, read by pydantic models, and what is wrong with it in words.

In: a mapping, as JSON or a caller in process has it. Out: a model's instance, or `BadRequest` that names the field,
what was sent and what would be right. OpenAPI describes requests from the same models. A validation error never leaves
this file: over `/ws` it would cost an OpenEnv client its session.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from mario_dagster.core.errors import did_you_mean

from .errors import BadRequest

Finding = Mapping[str, Any]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Says:
    """What a field must be, in words: `a whole number from 0 to 19`."""

    text: str


@dataclass(frozen=True)
class OneOf:
    """A field whose choices are known once packages are looked up: how it is read, and how OpenAPI lists them.

    Args:
        parse: what is meant by a name; raises `PlayError` for one that there is not.
        choices: asked when a description is made, not when this is imported.
    """

    parse: Callable[[Any], Any]
    choices: Callable[[], Iterable[str | int]]
    description: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        listed = {"enum": list(self.choices()), "description": self.description}
        return {"anyOf": [listed, {"type": "null"}]}


class Arguments(BaseModel):
    """Arguments by name and no others. Null is as good as left out; numbers and text are not taken for one another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if value is not None or name not in cls.model_fields}


def read(model: type[Model], given: object, what: str, noun: str = "argument", where: str = "") -> Model:
    """What was sent, as a model.

    Args:
        what: what it is to be, for a refusal: `a plan`.
        noun: what a field of it is called: `argument`.
        where: what to put before a sentence about a field: `step 3: `.

    Raises:
        BadRequest: it is not that.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise BadRequest(_refusal(model, error, what, noun, where)) from None


_STRANGERS = ("extra_forbidden", "invalid_key", "string_unicode")


def _refusal(model: type[BaseModel], error: ValidationError, what: str, noun: str, where: str) -> str:
    """One sentence; a field that there is not comes first, since it may be why another is missing."""
    findings = sorted(error.errors(include_url=False), key=lambda finding: finding["type"] not in _STRANGERS)
    finding: Finding = findings[0]
    kind, place, names = finding["type"], finding["loc"], tuple(model.model_fields)
    if kind in _STRANGERS and (not place or place[0] not in names):
        return where + unknown(noun, place[0] if place else finding["input"], names)
    if not place:
        return f"{what} must be a mapping with {', '.join(names)}, not {type(finding['input']).__name__}"
    name, field = place[0], model.model_fields[place[0]]
    if kind == "missing":
        return f"{what} needs {', '.join((name, *_says(field)))}"
    return where + (str(finding["ctx"]["error"]) if kind == "value_error" else _of_field(name, field, finding))


def _says(field: FieldInfo) -> list[str]:
    return [each.text for each in field.metadata if isinstance(each, Says)]


def _of_field(name: str, field: FieldInfo, finding: Finding) -> str:
    if says := _says(field):
        return f"{name} must be {says[0]}, not {quoted(finding['input'])}"
    choices = _choices(field.annotation)
    return unknown(name, finding["input"], choices) if choices else in_words([finding])


def _choices(annotation: Any) -> tuple[str, ...]:
    """The values of a `Literal`, be it in a union."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))


def in_words(findings: Any) -> str:
    """A validation error's findings on one line, without the values that were sent."""
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in list(findings)[:5])


def integer(value: Any) -> Any:
    """NumPy's integers as Python's; what is no integer as it is, for a strict type to refuse."""
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return value


def unknown(noun: str, value: object, choices: Sequence[str]) -> str:
    """A refusal with every choice, the likeliest pointed out."""
    return f"no {noun} {quoted(value)}: choose one of {', '.join(choices)}{likeliest(value, choices)}"


def likeliest(value: object, choices: Sequence[str]) -> str:
    """What to add to a refusal where one choice is much like what was sent."""
    hint = did_you_mean(quoted(value).strip("'"), choices)
    return f"; {hint}" if hint else ""


def quoted(value: object) -> str:
    """A client's value as it was sent, short enough to say back."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError):
        # Nothing that JSON has; or an integer of thousands of digits, which has no decimal spelling in Python.
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."

"""All that a GraphQL schema lets one ask without knowing an argument: one query a field, as deep as is asked.

In: a schema. Out: queries. Where a type leads back to itself the walk stops, and where a field needs an argument that
only a reader of another answer could know.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

Composite = (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)


def roots(schema: GraphQLSchema) -> tuple[str, ...]:
    """Names of the root's fields that can be asked for as they are."""
    assert schema.query_type is not None
    return tuple(name for name, field in schema.query_type.fields.items() if _free(field))


def query(schema: GraphQLSchema, name: str, depth: int, without: Container[str] = ()) -> str | None:
    """All of one field of the root, but for fields of these names; None where nothing is left to be asked."""
    assert schema.query_type is not None
    selected = _selection(schema, schema.query_type.fields[name], depth, (), without)
    return None if selected is None else f"{{ {name} {selected} }}"


def fields_of(schema: GraphQLSchema, type_name: str, depth: int, without: Container[str] = ()) -> str:
    """The selection of all that a type of that name can be asked for."""
    found = schema.type_map[type_name]
    assert isinstance(found, GraphQLObjectType)
    return _fields(schema, found, depth, (), without)


def failing(errors: Iterable[Mapping[str, Any]]) -> set[str]:
    """The fields that could not be answered: Dagster has some that no page asks for, and that do not work."""
    ends = (next(part for part in reversed(error.get("path") or [""]) if isinstance(part, str)) for error in errors)
    return {end.rpartition("__")[2] for end in ends}


def _free(field: GraphQLField) -> bool:
    return not any(is_required_argument(argument) for argument in field.args.values())


def _selection(
    schema: GraphQLSchema, field: GraphQLField, depth: int, path: tuple[str, ...], without: Container[str]
) -> str | None:
    """What to select of a field: nothing of a leaf; None where it is not to be asked for."""
    kind = get_named_type(field.type)
    if is_leaf_type(kind):
        return ""
    if not isinstance(kind, Composite) or depth == 0 or kind.name in path:
        return None
    path = (*path, kind.name)
    if isinstance(kind, GraphQLObjectType):
        return f"{{ {_fields(schema, kind, depth - 1, path, without)} }}"
    parts = [
        f"... on {each.name} {{ {_fields(schema, each, depth - 1, (*path, each.name), without, alias=each.name)} }}"
        for each in schema.get_possible_types(kind)
    ]
    return f"{{ __typename {' '.join(parts)} }}"


def _fields(
    schema: GraphQLSchema,
    kind: GraphQLObjectType,
    depth: int,
    path: tuple[str, ...],
    without: Container[str],
    alias: str = "",
) -> str:
    """The fields of an object, under names of their own where types of a union would differ in them."""
    selected = ["__typename"]
    for name, field in kind.fields.items():
        askable = _free(field) and name not in without
        found = _selection(schema, field, depth, path, without) if askable else None
        if found is not None:
            selected.append(f"{f'{alias}__{name}: ' if alias else ''}{name} {found}".strip())
    return " ".join(selected)

"""Pages of the documentation that are made from the code: commands, HTTP routes, fields, and the architecture page.

In: the Typer app, the OpenAPI schema, the pydantic models. Out: pages that exist only while the site is built, so that
none can be out of date. `mkdocs.yml` names this file as a hook.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

REPO = Path(__file__).resolve().parent.parent
# What `mkdocs.yml` calls the style sheet of coloured code.
COLOURS = "colours.css"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs asks for this once it knows the files on disk."""
    from mkdocs.structure.files import File
    from pygments.formatters import HtmlFormatter

    # The checkout that the site is of, also where another one is installed.
    sys.path.insert(0, str(REPO))
    pages = {
        "reference/cli.md": commands,
        "reference/http.md": routes,
        "reference/fields.md": fields,
        "explanation/architecture.md": architecture,
    }
    for name, page in pages.items():
        files.append(File.generated(config, name, content="\n".join(page()) + "\n"))
    files.append(File.generated(config, COLOURS, content=HtmlFormatter(style="default").get_style_defs(".highlight")))
    return files


def commands() -> Iterator[str]:
    """`mario` and its commands, as `--help` tells them."""
    import typer

    from mario_dagster.cli.app import app

    yield "# The mario command\n\nGenerated from the code; `mario COMMAND --help` says the same.\n"
    yield from _command(typer.main.get_command(app), "mario", None)


def _command(command: Any, name: str, parent: Any) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n"
    for below, child in getattr(command, "commands", {}).items():
        yield from _command(child, below, context)


def routes() -> Iterator[str]:
    """Every HTTP route by tag, with what it takes."""
    from mario_dagster.server.app import app

    schema = app.openapi()
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            by_tag.setdefault((route.get("tags") or ["Other"])[0], []).append((method.upper(), path, route))
    yield "# HTTP routes\n\nGenerated from `/openapi.json`, which has every type. Each route is there under `/api` too."
    yield "Beside them there is the WebSocket `/ws`: [how to play over it](../how-to/serve.md).\n"
    for tag, found in by_tag.items():
        yield f"## {tag}\n\n| route | takes | what it does |\n| --- | --- | --- |"
        for method, path, route in found:
            said = (route.get("description") or route.get("summary") or "").split("\n\n")[0]
            takes = ", ".join(f"`{name}`" for name in _taken(route, schema))
            yield f"| `{method} {path}` | {takes} | {_cell(said)} |"
        yield ""


def _taken(route: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """Names of parameters and of the body's fields."""
    yield from (each["name"] for each in route.get("parameters", ()) if each["in"] != "path")
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        body = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    yield from body.get("properties", ())


def fields() -> Iterator[str]:
    """The table of actions, and every field that goes over the wire."""
    from mario_dagster.checks.reasons import REASONS
    from mario_dagster.env.models import MarioAction, MarioObservation, MarioState
    from mario_dagster.server.cards import benchmark_metadata

    yield "# Actions, observation, state\n\nGenerated from the models.\n\n## Actions\n"
    yield "| id | name | what it does | needs | minutes on call |\n| --- | --- | --- | --- | --- |"
    for action in benchmark_metadata()["actions"]:
        needs = ", ".join(f"`{need}`" for need in action["needs"])
        cells = (action["id"], f"`{action['name']}`", action["summary"], needs, action["minutes"])
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    for title, model in (("Action", MarioAction), ("Observation", MarioObservation), ("State", MarioState)):
        yield f"\n## {title}\n\n| field | type | unless given | what it says |\n| --- | --- | --- | --- |"
        for name, value in model.model_json_schema()["properties"].items():
            said = "see the table above" if name == "action_id" else value.get("description", "")
            default = f"`{value['default']!r}`" if "default" in value else ""
            yield f"| `{name}` | {_type(value)} | {default} | {_cell(said)} |"
    yield "\n## Reasons\n\nWhat `check_failures` names as `reason`; an audit's is the name of the expectation.\n"
    yield "| reason | what is counted |\n| --- | --- |"
    yield from (f"| `{reason}` | {_cell(counted)} |" for reason, counted in REASONS.items())


def _type(value: Mapping[str, Any]) -> str:
    """A JSON schema in a word or two."""
    if "anyOf" in value:
        return " or ".join(_type(each) for each in value["anyOf"])
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2]
    kind = str(value.get("type", "any"))
    if kind == "array":
        return f"list of {_type(value.get('items', {}))}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"map to {_type(value['additionalProperties'])}"
    return kind


def _cell(value: object) -> str:
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")


def architecture() -> Iterator[str]:
    """ARCHITECTURE.md, whose links are written for the top of the repository."""
    yield (REPO / "ARCHITECTURE.md").read_text(encoding="utf-8").replace("](docs/", "](../")

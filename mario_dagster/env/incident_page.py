"""The incident as a page for people, and as numbers that can be plotted: what the player sees, and no more.

In: an observation, and why checks fail. Out: Markdown with links into the Dagster UI, and metadata. Everything on it is
a field of the observation or of the signals that made it, so that a page tells nothing of which a player may not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mario_dagster.core.action import REPAIRS, Action, ActionId
from mario_dagster.core.task import Task

if TYPE_CHECKING:
    from mario_dagster.engine.snapshot import Snapshot

NUMBERS = {
    "score": "current_score",
    "backlog rows": "backlog_rows",
    "pending batches": "pending_batches",
    "workers": "resource_level",
    "lag minutes": "freshness_lag_minutes",
    "step": "steps_taken",
}
SUGGESTED = 4


def metadata(task: Task, seen: Mapping[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """What the incident's asset tells, as metadata: the page, and numbers."""
    from dagster import MetadataValue

    from mario_dagster.assets.incident import PAGE
    from mario_dagster.checks.offenders import rows_at_fault

    signals = snapshot.signals
    failing = [name for name, outcome in signals.check_outcomes.items() if not outcome.passed]
    return {
        **{name: seen[field] for name, field in NUMBERS.items()},
        "failing checks": len(failing),
        "rows at fault": sum(rows_at_fault(report) for report in signals.reports.values()),
        "what fails": ", ".join(failing) or "nothing",
        PAGE: MetadataValue.md(page(task, seen, snapshot)),
    }


def page(task: Task, seen: Mapping[str, Any], snapshot: Snapshot) -> str:
    """The page, in Markdown."""
    return "\n\n".join(
        part
        for part in (
            f"## {task.name}: {_status(seen)}",
            str(seen["incident_summary"]),
            "\n".join(_facts(task, seen, snapshot)),
            "### What fails",
            "\n".join(_failing(task, snapshot)) or "No check fails.",
            _others(task, seen),
            f"### Before publishing\n\n{_bullets(seen['recovery_requirements'])}",
            f"Never publish when: {'; '.join(seen['unsafe_commit_conditions'])}." if not seen["done"] else "",
        )
        if part
    )


def _status(seen: Mapping[str, Any]) -> str:
    if seen["done"]:
        return f"over ({str(seen['done_reason']).replace('_', ' ')})"
    return f"open, {seen['time_budget_remaining']} steps left"


def _facts(task: Task, seen: Mapping[str, Any], snapshot: Snapshot) -> Iterator[str]:
    score = f"{seen['current_score']:.3f}, {task.threshold:.2f} are needed"
    yield "| | |\n| --- | --- |"
    yield f"| score | {score}{'' if seen['done'] or 'health' not in seen['objective_breakdown'] else ' (by checks)'} |"
    now = f"{snapshot.backlog.manifest.now:%Y-%m-%d %H:%M} UTC"
    yield f"| incident's clock | {now}; ages below are by it, times of runs by this machine |"
    if task.pool:
        waiting = f"{seen['pending_batches']} batches, {seen['backlog_rows']} rows"
        yield f"| backlog | {waiting}, the oldest {seen['queue_backlog_age_minutes']:g} minutes old |"
        pool = f"[pool {task.pool}](/deployment/concurrency/{task.pool})"
        yield f"| {pool} | {seen['resource_level']} slots; loading takes {seen['required_resource_level']} |"
    if task.derived_tables:
        stale = ", ".join(snapshot.signals.stale_tables) or "none"
        lag = f"{seen['freshness_lag_minutes']:g} minutes behind ({seen['sla_severity']})"
        yield f"| freshness | {lag}; stale: {stale} |"
    if seen["steps_taken"]:
        yield f"| step {seen['steps_taken']} | {_inline(seen['action_result'])} |"


def _failing(task: Task, snapshot: Snapshot) -> Iterator[str]:
    """A bullet a failing check, with what could be done."""
    from mario_dagster.checks.facts import checks_for

    signals = snapshot.signals
    tables = {check.name: check.table for check in checks_for(task)}
    for name, outcome in signals.check_outcomes.items():
        if not outcome.passed:
            table = tables[name]
            asset = f"/assets/{task.slug}/{table}?view=checks&checkDetail={quote(name)}"
            yield f"- **[{name}]({asset})** on {table}: {_inline(outcome.detail)}"
            could = list(_links(task, _suggested(task, name, snapshot), signals.pending_batches))
            if could:
                yield f"    - could be done: {', '.join(could[:SUGGESTED])}"


def _suggested(task: Task, check: str, snapshot: Snapshot) -> Iterator[Action]:
    from mario_dagster.checks.suggestions import suggestions

    signals = snapshot.signals
    for failure in signals.check_failures:
        if failure.check == check:
            report = signals.reports.get(failure.table)
            stored = report.observed_columns if report else ()
            hints = signals.alias_hints.get(failure.table, {})
            yield from suggestions(task, failure.table, failure.column, failure.reason, hints, stored)


def _links(task: Task, actions: Iterable[Action], pending: tuple[str, ...]) -> Iterator[str]:
    """Each action once, as a link to the launchpad that it fills in."""
    for action in dict.fromkeys(actions):
        arguments = ", ".join(
            str(value) for name, value in action.to_config().items() if name not in ("action", "column_order")
        )
        batch = pending[0] if pending and action.id is ActionId.REPLAY_PRIORITY_BATCH else ""
        shown = arguments or batch
        yield f"[{action.name}{f' {shown}' if shown else ''}]({launchpad(task.slug, action, batch)})"


@lru_cache(maxsize=1024)
def launchpad(slug: str, action: Action, partition: str = "") -> str:
    """Where in the UI an action is launched, its config, or the partition that it is for, filled in."""
    import yaml

    from mario_dagster.runtime.location import MODULE, REPOSITORY

    jobs = {ActionId.REPLAY_PRIORITY_BATCH: "replay", ActionId.REFRESH_DOWNSTREAM_ASSETS: "refresh"}
    where = f"/locations/{REPOSITORY}@{MODULE}/jobs/{slug}_"
    if action.id not in REPAIRS:
        batch = f"/setup?tags[0][key]=dagster/partition&tags[0][value]={quote(partition)}" if partition else ""
        return f"{where}{jobs.get(action.id, 'commit')}/playground{batch}"
    config = {"ops": {f"{slug}__{action.table}": {"config": action.to_config()}}}
    text = quote(yaml.safe_dump(config, sort_keys=False), safe="")
    return f"{where}repair_{action.table}/playground/setup?config={text}"


def _others(task: Task, seen: Mapping[str, Any]) -> str:
    """What else there is to be done."""
    alerts = _bullets(seen["orchestration_alerts"])
    commit = f"[{task.slug}_commit]({launchpad(task.slug, Action(ActionId.COMMIT_CHANGES))})"
    ready = f"Every blocking check passes: publish with {commit}." if seen["commit_ready"] and not seen["done"] else ""
    return "\n\n".join(part for part in (f"### Alerts\n\n{alerts}" if alerts else "", ready) if part)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _inline(text: object) -> str:
    """Text from tables, so that none of it is Markdown: in one line, nothing in it a mark."""
    plain = " ".join(str(text).split())
    return "".join(f"\\{mark}" if mark in "\\`*_{}[]<>()#+!|~" else mark for mark in plain) or "nothing yet"

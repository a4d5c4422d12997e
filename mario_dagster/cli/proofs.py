"""`mario check`: every incident proven on real sandboxes, as a table of profiles and properties.

In: which incidents. Out: how many of each profile's cases hold in each property, what does not and why, and status 1
when anything does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING

from .console import CommandError, out, print_json, print_table, tracked, working

if TYPE_CHECKING:
    from mario_dagster.bench.proofs import Proof

# A property's name is a sentence; a table has room for a word or two of it.
HEADS = {
    "the_clean_history_is_green": "history",
    "the_clean_data_are_clean": "history",
    "the_manifest_is_the_exact_difference": "damage",
    "the_books_are_complete": "damage",
    "a_drift_is_in_every_batch_alike": "damage",
    "few_values_are_lost": "damage",
    "what_landed_is_the_compiled_damage": "damage",
    "the_damage_shows": "shows",
    "a_blocking_check_fails": "shows",
    "doing_nothing_publishes_nothing": "no-op",
    "the_repairs_undo_the_damage": "solution",
    "the_solution_recovers_it": "solution",
    "every_repair_is_needed": "needed",
    "every_gold_repair_is_needed": "needed",
    "deleting_rows_is_no_repair": "emptied",
    "an_emptied_table_is_never_published": "emptied",
    "another_order_recovers_it": "order",
    "the_right_decision_alone_succeeds": "decision",
    "the_truth_commits_at_one": "truth",
}


def run_check(
    *, task: str | None, profile: str | None, seeds: int, first_seed: int, solution_only: bool, as_json: bool
) -> int:
    """Prove them; status 0 when every property holds of every case."""
    begun = perf_counter()
    with working("Listing incidents"):
        from mario_dagster.bench.proofs import cases, prove_all
        from mario_dagster.incidents.damage import FaultError

        try:
            wanted = cases(task, profile, seeds, first_seed)
        except FaultError as error:
            raise CommandError(str(error)) from None
    if not wanted:
        raise CommandError("there is no incident to prove; --seeds takes 1 or more")
    done = tracked("Proving incidents", prove_all(wanted, solution_only), len(wanted))
    proofs = sorted(done, key=lambda each: str(each.case))
    broken = [proof for proof in proofs if not proof.holds]
    if as_json:
        print_json([{**asdict(proof.case), "holds": proof.holds, **_plain(proof)} for proof in proofs])
    else:
        _print_report(proofs, perf_counter() - begun)
    return 1 if broken else 0


def _plain(proof: Proof) -> Mapping[str, object]:
    found = {name: asdict(each) for name, each in proof.findings.items()}
    return {"seconds": proof.seconds, "properties": found}


def _head(name: str) -> str:
    """The column that a property is counted in."""
    return HEADS.get(name, name)


def _print_report(proofs: Sequence[Proof], seconds: float) -> None:
    from rich.text import Text

    heads = list(dict.fromkeys(_head(name) for proof in proofs for name in proof.findings))
    groups: dict[tuple[str, str, str], list[Proof]] = {}
    for proof in proofs:
        groups.setdefault((proof.case.task, proof.case.profile, proof.case.split), []).append(proof)

    def cell(group: list[Proof], head: str) -> Text:
        found = [[each.state for name, each in proof.findings.items() if _head(name) == head] for proof in group]
        judged = [states for states in found if set(states) - {"not applicable"}]
        held = sum("fails" not in states for states in judged)
        return Text(f"{held}/{len(judged)}" if judged else "-", style="red" if held < len(judged) else "")

    print_table(
        ("task", "profile", "split", *heads),
        ((*key, *(cell(group, head) for head in heads)) for key, group in groups.items()),
        right=heads,
    )
    for proof in proofs:
        for name, found in proof.findings.items():
            if found.state == "fails":
                out().print(f"{proof.case}: {name} fails: {found.why}", markup=False, soft_wrap=True)
    judged = sum(found.state != "not applicable" for proof in proofs for found in proof.findings.values())
    held = sum(found.state == "holds" for proof in proofs for found in proof.findings.values())
    out().print(f"{held} of {judged} properties of {len(proofs)} incidents hold ({seconds:.0f} s)", markup=False)

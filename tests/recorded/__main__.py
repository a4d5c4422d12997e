"""Compare every recorded episode with how it goes now, or record them anew."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from mario_dagster.sandbox.home import Home

from .episodes import RECORD, Case, Hashes, cases, play


def _played(case: Case) -> tuple[str, Hashes]:
    with tempfile.TemporaryDirectory() as folder:
        return case.name, play(case, Home(Path(folder)))


def main() -> int:
    with ProcessPoolExecutor(2) as pool:
        now = dict(pool.map(_played, cases()))
    if "--write" in sys.argv:
        RECORD.write_text(json.dumps(now, indent=0, sort_keys=True) + "\n")
        print(f"recorded {len(now)} episodes")
        return 0
    then: dict[str, Hashes] = json.loads(RECORD.read_text())
    changed = Counter(
        field
        for name in then.keys() | now.keys()
        for field in then.get(name, {}).keys() | now.get(name, {}).keys()
        if then.get(name, {}).get(field) != now.get(name, {}).get(field)
    )
    for field, count in changed.most_common():
        print(f"{field} differs in {count} episodes")
    print(f"{len(now)} episodes, {len(changed)} fields differ")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m mario_dagster.cli`: the command without its script, as the demo starts its server."""

from __future__ import annotations

from . import main

main()

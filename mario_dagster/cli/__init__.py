"""The `mario` command.

In: a command line. Out: tables for people, `--json` for scripts, and an exit status: 0 when what was asked happened.
"""

from __future__ import annotations


def main() -> None:
    """What the `mario` script runs."""
    import warnings

    from .app import app

    # Dagster says this of parameters that this package pins it for.
    warnings.filterwarnings("ignore", message=".*is currently in (beta|preview)")
    app(prog_name="mario")

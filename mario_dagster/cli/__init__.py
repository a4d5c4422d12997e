"""The `mario` command.

In: a command line. Out: tables for people, `--json` for scripts, and an exit status: 0 when what was asked happened.
"""

from __future__ import annotations


def main() -> None:
    """What the `mario` script runs."""
    from .app import app

    app(prog_name="mario")

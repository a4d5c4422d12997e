"""`mario postmortem`: what came of an episode, as a document.

In: an episode's id. Out: Markdown or a page of HTML, printed or written to a file.
"""

from __future__ import annotations

from pathlib import Path

from .console import CommandError, err, working
from .sandboxes import locate


def write_postmortem(reference: str, format: str, output: Path | None) -> None:
    """Print an episode's postmortem, or write it to a file."""
    with working("Opening the sandbox"):
        info, _ = locate(reference)
        from mario_dagster.env.episode import Episode
        from mario_dagster.postmortem.gather import postmortem_of
        from mario_dagster.postmortem.render import to_html, to_markdown

        episode = Episode.resume(info.id)
        try:
            found = postmortem_of(episode)
        finally:
            episode.close()
    text = to_html(found) if format == "html" else to_markdown(found)
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None
    err().print(f"the postmortem of {info.id} is in {output}", markup=False)

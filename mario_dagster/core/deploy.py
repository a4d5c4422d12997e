"""A release of a derived table's transform, and what it does to the table that it should not.

In: nothing. Out: `Deploy`, as data: incidents write it, a sandbox installs it, the derived asset applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Deploy:
    """One release of a derived table's transform.

    Args:
        rename: contract column -> the name it is written under. Stays live: every refresh writes it again.
        texts: column -> template of its numbers (`"{cents} cents"`), or `strftime` pattern of its moments. Stays live.
        scale: column -> factor its numbers are multiplied by. Rolled back soon: it is in what was written meanwhile,
            and a refresh is free of it.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"rename": dict(self.rename), "texts": dict(self.texts), "scale": dict(self.scale)}

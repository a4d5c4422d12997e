"""Random streams: every draw in the project comes from a generator named by what it is for.

In: a seed and names. Out: a `numpy.random.Generator` of its own, the same on any machine, in any process and whatever
else was drawn before. Nothing uses a global generator, so adding a draw in one place moves nothing in another.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: object, salt: str = "") -> np.random.Generator:
    """A generator for one purpose.

    Args:
        seed: any integer.
        names: what the stream is for, outermost first: task, profile, fault. Order and number matter.
        salt: a secret that a sealed evaluation mixes in; without it the stream cannot be foretold.
    """
    # Each part with its length: ("ab", "c") and ("a", "bc") are different streams.
    parts = [str(int(seed)), salt, *map(str, names)]
    body = "".join(f"{len(part)}:{part}" for part in parts)
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(body.encode()).digest(), "big")))

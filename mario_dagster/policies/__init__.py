"""Players: whatever turns observations into moves. `mario_dagster.env.players.player("heuristic")` makes one.

They are found by the entry points of the group `mario_dagster.policies`, this package's own too, so that a policy of
another package is played just the same.
"""

"""Whole episodes, recorded: what every field of every observation, state and grade said, as hashes.

In: a case (task, profile, split, who plays). Out: field -> hash of all that it said, from the reset to the end. A
change that is meant to change nothing is checked against the record; one that is meant to change something names the
fields, and records anew:

    python -m tests.recorded            compare, and print what differs
    python -m tests.recorded --write    record anew
"""

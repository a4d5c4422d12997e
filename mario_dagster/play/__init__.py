"""Incidents for people, in the terminal: `mario play` and `mario drill`.

In: the public episode, as every other player has it. Out: screens, and a history of drills. What a screen says is made
of observations by pure functions (`view.py`, `actions.py`); before an episode is over nothing here looks behind them.
"""

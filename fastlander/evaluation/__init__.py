"""Greedy episodes and what follows from them: scores, candidates, whether a run is solved."""

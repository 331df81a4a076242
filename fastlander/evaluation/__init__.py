"""Greedy episodes and what follows from them: scores, candidates, whether a run is solved."""

from fastlander.evaluation.evaluation import Evaluation

__all__ = ["Evaluation"]

"""Named random streams. The one seed of a run spawns them, and everything random in the run is drawn from them."""

from typing import NamedTuple

import numpy as np

BYTES_PER_SEED = 40
"""Memory that a seed in a list takes, at least."""


class Streams(NamedTuple):
    """The random streams of one run. They are independent: what is drawn from one does not change another."""

    environment: np.random.SeedSequence  # seeds of the training episodes
    exploration: np.random.SeedSequence  # epsilon-greedy coins and random actions
    sampling: np.random.SeedSequence  # rows of the replay buffer
    network: np.random.SeedSequence  # initial weights
    evaluation: np.random.SeedSequence  # seeds of the greedy episodes


def spawn_streams(seed: int) -> Streams:
    """The random streams of a run with this seed (numpy.random.SeedSequence.spawn)."""
    return Streams(*np.random.SeedSequence(seed).spawn(len(Streams._fields)))


def draw_seeds(rng: np.random.Generator, count: int) -> list[int]:
    """`count` seeds for Gymnasium environments: Python ints in [0, 2**31)."""
    return rng.integers(2**31, size=count).tolist()

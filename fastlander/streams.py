"""Named random streams: everything random in a run is drawn from streams that its one seed spawns."""

from typing import NamedTuple

import numpy as np


class Streams(NamedTuple):
    """Independent random streams of one run; nothing a stream is used for changes what another gives."""

    environment: np.random.SeedSequence
    exploration: np.random.SeedSequence
    sampling: np.random.SeedSequence
    network: np.random.SeedSequence
    evaluation: np.random.SeedSequence


def spawn_streams(seed: int) -> Streams:
    """The named streams of a run with this seed (numpy.random.SeedSequence.spawn)."""
    return Streams(*np.random.SeedSequence(seed).spawn(len(Streams._fields)))


def draw_seeds(rng: np.random.Generator, count: int) -> list[int]:
    """`count` seeds for environments, as Gymnasium takes them: Python ints in [0, 2**31)."""
    return rng.integers(2**31, size=count).tolist()

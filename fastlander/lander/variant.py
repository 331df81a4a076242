"""The variant of LunarLander that is played: the arguments of Gymnasium's `LunarLander`, as kernels take them."""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined


class Variant(NamedTuple):
    """The arguments of Gymnasium's `LunarLander` and of its time limit."""

    continuous: bool
    gravity: np.float32  # m/s^2, negative
    enable_wind: bool
    wind_power: float
    turbulence_power: float
    max_episode_steps: int


def pack_variant(variant: Variant) -> np.ndarray:
    """A Variant as float64[6]: kernels take it as one array."""
    return np.array(variant, np.float64)


@inlined
def unpack_variant(packed):
    """The Variant that `pack_variant` packed."""
    return Variant(
        continuous=packed[0] != 0,
        gravity=np.float32(packed[1]),
        enable_wind=packed[2] != 0,
        wind_power=packed[3],
        turbulence_power=packed[4],
        max_episode_steps=np.int64(packed[5]),
    )

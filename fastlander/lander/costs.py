"""What a flight costs beside its outcome: fuel, and the distance from the middle of the pad.

Gymnasium's rewards have both. A learner may weigh them more than the game does (`CostWeights`).
"""

from typing import NamedTuple

import numpy as np

from fastlander.kernels.jit import inlined

MAIN_FUEL, SIDE_FUEL = 0.30, 0.03  # points for a step with the main engine, or with a side engine, at full power
DISTANCE = 100.0  # points for each unit of x, half the width of the picture
FUEL = (0.0, SIDE_FUEL, MAIN_FUEL, SIDE_FUEL)  # by action


class CostWeights(NamedTuple):
    """How much each cost counts in the rewards that are learned from (`Config.fuel_weight` and `distance_weight`)."""

    fuel: float = 1.0
    distance: float = 1.0


GAME = CostWeights()
"""The game's own weights."""


@inlined
def weighed_reward(reward, action, x, next_x, weights):
    """`weighed_rewards` of one lander. weights: two numbers, in the order of CostWeights."""
    fuel, distance = weights
    away = abs(np.float64(next_x)) - abs(np.float64(x))
    return reward - (fuel - 1) * FUEL[action] - (distance - 1) * DISTANCE * away


def weighed_rewards(
    reward: np.ndarray,
    action: np.ndarray,
    obs: np.ndarray,
    next_obs: np.ndarray,
    weights: CostWeights,
) -> np.ndarray:
    """Rewards as they are learned from: float64[N].

    The distance is a potential (Ng et al. 1999): over an episode its share adds up to what the last distance costs,
    less what the first one does.

    Args:
        reward: float64[N], the game's.
        action: int64[N].
        obs, next_obs: float32[N, 8], before and after the step.
        weights: of the costs.
    """
    away = np.abs(next_obs[:, 0].astype(np.float64)) - np.abs(obs[:, 0].astype(np.float64))
    return reward - (weights.fuel - 1) * np.array(FUEL)[action] - (weights.distance - 1) * DISTANCE * away

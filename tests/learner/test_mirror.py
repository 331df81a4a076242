import numpy as np
import pytest
import torch

import fastlander
from fastlander.lander.symmetry import MIRROR_ACTIONS
from fastlander.learner.mirror import mirror
from fastlander.learner.parameters import Parameters, both_ways


def test_the_mirror_is_its_own_inverse_and_swaps_what_it_should():
    obs = torch.arange(1.0, 9.0).unsqueeze(0)
    action = torch.tensor([1])
    mirrored, swapped, _ = mirror(obs, action, obs)
    assert mirrored.tolist() == [[-1, 2, -3, 4, -5, -6, 8, 7]]
    assert swapped.tolist() == [3]
    back, action_back, _ = mirror(mirrored, swapped, mirrored)
    assert torch.equal(back, obs)
    assert torch.equal(action_back, action)
    assert sorted(MIRROR_ACTIONS) == [0, 1, 2, 3]


@pytest.mark.parametrize("hidden_sizes", [(128, 64, 32), (7,), (5, 9)])
def test_a_network_that_looks_both_ways(hidden_sizes):
    torch.manual_seed(0)
    network = fastlander.QNetwork(hidden_sizes=hidden_sizes)
    wide = fastlander.QNetwork.of(both_ways(Parameters(network.sizes, network.flat.numpy())))
    assert wide.sizes == (8, *(2 * size for size in hidden_sizes), 4)
    obs, action = torch.randn(50, 8), torch.zeros(50, dtype=torch.int64)
    mirrored, _, _ = mirror(obs, action, obs)
    expected = (network(obs) + network(mirrored)[:, list(MIRROR_ACTIONS)]) / 2
    torch.testing.assert_close(wide(obs), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(wide(mirrored)[:, list(MIRROR_ACTIONS)], wide(obs), rtol=1e-5, atol=1e-6)


def test_the_mirror_is_true_to_the_physics():
    """Flown from a mirrored start with mirrored actions, a lander's observations are nearly the mirrored ones."""
    import gymnasium as gym

    env = gym.make("LunarLander-v3").unwrapped
    flights = []
    for sign, actions in ((1, (1, 1, 2, 3, 0, 1)), (-1, (3, 3, 2, 1, 0, 3))):
        env.reset(seed=0)
        for body in (env.lander, *env.legs):
            body.position = (10 + sign * (body.position.x - 10), body.position.y)
        env.lander.linearVelocity = (sign * 2.0, -1.0)
        env.lander.angularVelocity = 0.0
        flights.append([env.step(action)[0] for action in actions for _ in range(5)])
    env.close()
    one, other = (torch.tensor(np.array(flight)) for flight in flights)
    mirrored, _, _ = mirror(other, torch.zeros(len(other), dtype=torch.int64), other)
    assert (one[:, :6] - mirrored[:, :6]).abs().max() < 0.15  # engines have a random spread, so not closer than that
    assert (one[-1, [0, 2, 4]].abs() > 0.05).all()

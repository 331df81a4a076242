"""Choosing actions for 16 landers."""

import numpy as np
import torch

from fastlander import DQN, Config
from tests.twins import lecture_network

OBS = np.random.default_rng(0).standard_normal((16, 8)).astype(np.float32)


def test_one_by_one(measure):
    """As the lecture acts, once per lander."""
    network = lecture_network()

    def act():
        return [
            np.random.randint(4) if np.random.rand() < 0.1 else network(torch.tensor(obs)).argmax().item()
            for obs in OBS
        ]

    measure(act, group="act", name="the lecture's, one lander after the other", items=16, unit="actions", peer=True)


def test_batched_module(measure):
    network = lecture_network()
    rng = np.random.default_rng(0)

    @torch.no_grad()
    def act():
        greedy = network(torch.from_numpy(OBS)).argmax(1).numpy()
        return np.where(rng.random(16) < 0.1, rng.integers(4, size=16), greedy)

    measure(act, group="act", name="torch eager, one batch", items=16, unit="actions")


def test_dqn(measure):
    dqn, epsilon = DQN(Config()), np.full(16, 0.1)
    measure(lambda: dqn.act(OBS, epsilon), group="act", name="DQN.act", items=16, unit="actions")

"""Storing and sampling transitions."""

import collections

import numpy as np
import pytest

from fastlander import ReplayBuffer
from fastlander.experience.n_step import NStep
from fastlander.experience.transition import Transition

SIZE, BATCH = 5_000, 64
OBS = np.ones(8, np.float32)


def deques():
    names = ("state", "action", "reward", "next_state", "terminated")
    return {name: collections.deque(maxlen=SIZE) for name in names}


def filled_deques():
    fields = deques()
    for _ in range(SIZE):
        for field, value in zip(fields.values(), (OBS, 1, 0.5, OBS, False), strict=True):
            field.append(value)
    return fields


def filled_ring(size=SIZE):
    ring = ReplayBuffer(size, seed=0)
    n = 1000
    rows = Transition(np.ones((n, 8)), np.ones(n, int), np.ones(n), np.ones((n, 8)), np.ones(n))
    for _ in range(size // n):
        ring.extend(**rows._asdict())
    return ring


def test_sample_deques(measure):
    import torch

    fields = filled_deques()

    def sample():
        chosen = np.random.randint(0, SIZE, size=BATCH)
        return [torch.tensor(np.array(field))[chosen] for field in fields.values()]

    measure(sample, group="sample 64 of 5,000", name="the lecture's five deques", items=1, unit="batches", peer=True)


def test_sample_ring(measure):
    ring = filled_ring()
    measure(lambda: ring.sample(BATCH), group="sample 64 of 5,000", name="ReplayBuffer", unit="batches")


def test_sample_stable_baselines3(measure):
    measure(sb3_buffer(SIZE), group="sample 64 of 5,000", name="Stable-Baselines3", unit="batches")


def test_sample_large_ring(measure):
    ring = filled_ring(1_000_000)
    measure(lambda: ring.sample(BATCH), group="sample 64 of 1,000,000", name="ReplayBuffer", unit="batches")


def test_sample_large_stable_baselines3(measure):
    sample = sb3_buffer(1_000_000)
    measure(sample, group="sample 64 of 1,000,000", name="Stable-Baselines3", unit="batches", peer=True)


def sb3_buffer(size):
    buffers = pytest.importorskip("stable_baselines3.common.buffers")
    import gymnasium as gym

    box = gym.spaces.Box(-np.inf, np.inf, (8,), np.float32)
    buffer = buffers.ReplayBuffer(size, box, gym.spaces.Discrete(4), device="cpu")
    for _ in range(min(size, 5_000)):
        buffer.add(OBS, OBS, np.array([1]), np.array([0.5]), np.array([False]), [{}])
    buffer.full, buffer.pos = True, 0
    return lambda: buffer.sample(BATCH)


def test_append_16_deques(measure):
    fields = filled_deques()
    states = np.ones((16, 8), np.float32)

    def append():
        for i in range(16):
            for field, value in zip(fields.values(), (states[i], 1, 0.5, states[i], False), strict=True):
                field.append(value)

    measure(append, group="store 16", name="the lecture's five deques", items=16, unit="transitions", peer=True)


def test_append_16_ring(measure):
    ring = filled_ring()
    obs, action = np.ones((16, 8), np.float32), np.ones(16, np.int64)
    number = np.ones(16, np.float32)

    def append():
        ring.extend(obs=obs, action=action, reward=number, next_obs=obs, discount=number)

    measure(append, group="store 16", name="ReplayBuffer.extend", items=16, unit="transitions")


def test_append_16_with_five_step_returns(measure):
    ring, fold = filled_ring(), NStep(16, 5, 0.99, 8)
    obs, action, number = np.ones((16, 8), np.float32), np.ones(16, np.int64), np.ones(16)
    no = np.zeros(16, bool)

    def append():
        ring.extend(**fold.fold(obs, action, number, obs, no, no)._asdict())

    measure(append, group="store 16", name="5-step returns, then extend", items=16, unit="transitions")

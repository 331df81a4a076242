"""The learner on a CUDA GPU beside the fused kernels on the CPU: updates with their samples, and actions."""

import numpy as np
import pytest
import torch

from fastlander import DQN, Config
from tests.twins import filled_buffer

pytestmark = pytest.mark.cuda

DEVICES = ("cpu", "cuda")
SIZES = [((128, 64, 32), 64), ((128, 64, 32), 512), ((256, 256), 64), ((256, 256), 256), ((512, 512), 256)]
UPDATES = 10


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("hidden", "batch"), SIZES)
def test_learn(measure, device, hidden, batch):
    dqn = DQN(Config(hidden_sizes=hidden, batch_size=batch, device=device))
    buffer = filled_buffer()

    def learn():
        dqn.learn(buffer, UPDATES)
        wait(device)

    learn()
    name = f"{'-'.join(map(str, hidden))}, batch {batch}"
    measure(learn, group=f"update {name}", name=device, items=UPDATES, unit="updates", peer=device == "cpu", rounds=20)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("landers", [16, 256, 1024])
def test_act(measure, device, landers):
    dqn, epsilon = DQN(Config(device=device)), np.full(landers, 0.1)
    obs = np.random.default_rng(0).standard_normal((landers, 8)).astype(np.float32)
    measure(
        lambda: dqn.act(obs, epsilon),
        group=f"act for {landers} landers",
        name=device,
        items=landers,
        unit="actions",
        peer=device == "cpu",
    )


@pytest.mark.parametrize("device", DEVICES)
def test_stable_baselines3(measure, device):
    sb3 = pytest.importorskip("stable_baselines3")
    net = {"net_arch": [128, 64, 32]}
    model = sb3.DQN("MlpPolicy", "LunarLander-v3", policy_kwargs=net, learning_starts=0, device=device)
    model.learn(500)

    def learn():
        model.train(UPDATES, batch_size=64)
        wait(device)

    measure(
        learn, group="update 128-64-32, batch 64", name=f"Stable-Baselines3, {device}", items=UPDATES, unit="updates"
    )

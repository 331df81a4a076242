"""A trained policy in the lecture's plain network, without fastlander: `python plain_sequential.py DIR`."""

import sys
from pathlib import Path

import gymnasium as gym
import torch
from safetensors.torch import load_file

network = torch.nn.Sequential(
    torch.nn.Linear(8, 128), torch.nn.ReLU(), torch.nn.Linear(128, 64), torch.nn.ReLU(),
    torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4),
)  # fmt: skip
network.load_state_dict(load_file(Path(sys.argv[1]) / "model.safetensors"))

env = gym.make("LunarLander-v3")
obs, _ = env.reset(seed=0)
score, over = 0.0, False
while not over:
    with torch.no_grad():
        action = network(torch.from_numpy(obs)).argmax().item()
    obs, reward, terminated, truncated, _ = env.step(action)
    score, over = score + reward, terminated or truncated
print(f"return {score:.1f}")

"""A trained policy as a plain torch.nn.Sequential, without fastlander: `python plain_sequential.py DIR`.

One that was trained with the default settings is the lecture's network, 8-128-64-32-4. One of `best` acts on both sides
and is twice as wide, so the widths are read from the weights.
"""

import sys
from pathlib import Path

import gymnasium as gym
import torch
from safetensors.torch import load_file

weights = load_file(Path(sys.argv[1]) / "model.safetensors")
network = torch.nn.Sequential()
for k in range(0, len(weights), 2):  # "0.weight", "0.bias", "2.weight", ...
    rows, columns = weights[f"{k}.weight"].shape
    network.extend([torch.nn.Linear(columns, rows), torch.nn.ReLU()])
network = network[:-1]
network.load_state_dict(weights)

env = gym.make("LunarLander-v3")
obs, _ = env.reset(seed=0)
score, over = 0.0, False
while not over:
    with torch.no_grad():
        action = network(torch.from_numpy(obs)).argmax().item()
    obs, reward, terminated, truncated, _ = env.step(action)
    score, over = score + reward, terminated or truncated
print(f"return {score:.1f}")

"""A DQN in one file, as CleanRL writes them, on the native lander: `python single_file_dqn.py [TIMESTEPS]`."""

import copy
import sys
import time

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import nn

from fastlander import ReplayBuffer

timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
num_envs, batch_size, gamma, seed = 16, 128, 0.99, 1
rng = np.random.default_rng(seed)
torch.manual_seed(seed)

envs = gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
q_network = nn.Sequential(nn.Linear(8, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 4))
target_network = copy.deepcopy(q_network)
optimizer = torch.optim.Adam(q_network.parameters(), lr=1e-3)
buffer = ReplayBuffer(
    maxlen=50_000,
    fields={
        "obs": (np.float32, (8,)),
        "action": (np.int64, ()),
        "reward": (np.float32, ()),
        "next_obs": (np.float32, (8,)),
        "terminated": (np.float32, ()),
    },
    seed=seed,
)

began, returns, running = time.perf_counter(), [], np.zeros(num_envs)
obs, _ = envs.reset(seed=seed)
for step in range(0, timesteps, num_envs):
    epsilon = max(0.05, 1 - step / (0.3 * timesteps))
    with torch.no_grad():
        action = q_network(torch.from_numpy(obs)).argmax(dim=1).numpy()
    explore = rng.random(num_envs) < epsilon
    action[explore] = rng.integers(4, size=explore.sum())

    next_obs, reward, terminated, truncated, infos = envs.step(action)
    final_obs = next_obs.copy()  # where an episode ended, next_obs is already the next one's first
    for i in np.flatnonzero(terminated | truncated):
        final_obs[i] = infos["final_obs"][i]
    buffer.extend(obs=obs, action=action, reward=reward, next_obs=final_obs, terminated=terminated)
    obs = next_obs

    running += reward
    returns += running[terminated | truncated].tolist()
    running[terminated | truncated] = 0

    if len(buffer) >= 5_000:
        for _ in range(num_envs // 8):
            batch = {name: torch.from_numpy(column) for name, column in buffer.sample(batch_size)._asdict().items()}
            with torch.no_grad():
                future = target_network(batch["next_obs"]).amax(dim=1)
                td_target = batch["reward"] + gamma * future * (1 - batch["terminated"])
            value = q_network(batch["obs"]).gather(1, batch["action"][:, None])[:, 0]
            loss = nn.functional.mse_loss(value, td_target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            for target, online in zip(target_network.parameters(), q_network.parameters(), strict=True):
                target.lerp_(online, 0.01)
    if step // 20_000 != (step + num_envs) // 20_000:
        rate = (step + num_envs) / (time.perf_counter() - began)
        mean = np.mean(returns[-100:])
        print(f"{step + num_envs:,} steps, mean return of the last 100 episodes {mean:.1f}, {rate:,.0f} steps/s")

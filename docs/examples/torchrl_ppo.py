"""torchrl's PPO on the native lander, by its `GymWrapper`: `python torchrl_ppo.py [TIMESTEPS]`."""

import sys
import time

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from tensordict.nn import TensorDictModule as Module
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper
from torchrl.modules import OneHotCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
num_envs, frames = 32, 2_048
torch.manual_seed(0)

# torchrl takes the modes SAME_STEP and DISABLED. SAME_STEP resets inside the step.
env = GymWrapper(
    gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
)
env.set_seed(0)


def network(outputs):
    return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


policy = ProbabilisticActor(
    Module(network(4), in_keys=["observation"], out_keys=["logits"]),
    in_keys=["logits"], distribution_class=OneHotCategorical, return_log_prob=True, spec=env.action_spec,
)  # fmt: skip
value = ValueOperator(network(1), in_keys=["observation"])
advantage = GAE(gamma=0.999, lmbda=0.95, value_network=value)
loss = ClipPPOLoss(policy, value, entropy_coeff=0.01)
optimizer = torch.optim.Adam(loss.parameters(), lr=5e-4)

returns, running, done_steps = [], torch.zeros(num_envs), 0
collector = Collector(env, policy, frames_per_batch=frames, total_frames=timesteps)
began = time.perf_counter()
for data in collector:  # tensors of [num_envs, frames / num_envs]
    for reward, done in zip(data["next", "reward"].unbind(1), data["next", "done"].unbind(1), strict=True):
        running += reward[:, 0]
        returns += running[done[:, 0]].tolist()
        running[done[:, 0]] = 0
    for _ in range(4):
        with torch.no_grad():
            advantage(data)
        for batch in data.reshape(-1)[torch.randperm(frames)].split(256):
            terms = loss(batch)
            optimizer.zero_grad()
            (terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]).backward()
            nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
            optimizer.step()
    done_steps += data.numel()
rate = done_steps / (time.perf_counter() - began)
print(f"mean return of the last 100 episodes {sum(returns[-100:]) / len(returns[-100:]):.1f}")
print(f"{done_steps:,} steps, {rate:,.0f} steps/s")
collector.shutdown()

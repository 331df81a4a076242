"""skrl's DQN on the native lander, by its `wrap_env`: `python skrl_dqn.py [TIMESTEPS]`."""

import sys
import time

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from skrl.agents.torch.dqn import DQN, DQN_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn

timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
num_envs = 32
set_seed(0)

# SAME_STEP: in the mode NEXT_STEP, skrl would learn from the steps that only reset a lander.
env = wrap_env(
    gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
)


class Values(DeterministicMixin, Model):
    def __init__(self):
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
        DeterministicMixin.__init__(self)
        self.layers = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 4))

    def compute(self, inputs, role):
        return self.layers(inputs["observations"]), {}


agent = DQN(
    models={"q_network": Values(), "target_q_network": Values()},
    memory=RandomMemory(memory_size=50_000 // num_envs, num_envs=num_envs, device="cpu"),
    observation_space=env.observation_space, action_space=env.action_space, device="cpu",
    cfg=DQN_CFG(
        batch_size=128, gradient_steps=4, learning_starts=200,
        exploration_scheduler=lambda step, steps: max(0.05, 1 - 2 * step / steps),
        experiment={"write_interval": 0, "checkpoint_interval": 0},
    ),
)  # fmt: skip
steps = timesteps // num_envs
trainer = SequentialTrainer(
    env=env, agents=agent, cfg={"timesteps": steps, "headless": True, "disable_progressbar": True}
)
began = time.perf_counter()
trainer.train()
rate = steps * num_envs / (time.perf_counter() - began)

# One episode of each of 100 landers by the greedy policy.
env = gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=100, autoreset_mode=AutoresetMode.SAME_STEP)
obs, _ = env.reset(seed=1_000)
returns, flying = 0.0, torch.ones(100, dtype=bool).numpy()
while flying.any():
    with torch.no_grad():
        values, _ = agent.q_network.act({"observations": torch.from_numpy(obs)})
    obs, reward, terminated, truncated, _ = env.step(values.argmax(dim=1).numpy())
    returns, flying = returns + reward * flying, flying & ~(terminated | truncated)
print(f"mean return of 100 episodes {returns.mean():.1f}")
print(f"{steps * num_envs:,} steps, {rate:,.0f} steps/s")

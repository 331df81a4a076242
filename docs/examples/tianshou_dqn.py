"""Tianshou 2's DQN on the native lander, behind a class for its vector environments: `python tianshou_dqn.py [TIMESTEPS]`."""

import sys
import time

import numpy as np
import torch
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import BaseVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

from fastlander import LunarLanderVectorEnv


class NativeVectorEnv(BaseVectorEnv):
    """Landers of which Tianshou steps and resets those that it names."""

    def __init__(self, num_envs, **settings):
        self.landers = LunarLanderVectorEnv(num_envs, autoreset_mode="Disabled", **settings)
        self.env_num, self.workers = num_envs, []
        self.is_async, self.is_closed = False, False
        self.seeds = None

    def mask(self, ids):
        return np.isin(np.arange(self.env_num), self._wrap_id(ids))

    def reset(self, env_id=None, *, seed=None, options=None):
        mask = self.mask(env_id)
        obs, _ = self.landers.reset(seed=self.seeds if seed is None else seed, options={"reset_mask": mask})
        self.seeds = None
        return obs[self._wrap_id(env_id)], np.array([{} for _ in range(mask.sum())])

    def step(self, action, id=None):
        ids = self._wrap_id(id)
        actions = np.zeros((self.env_num, *self.landers.single_action_space.shape), self.landers.action_space.dtype)
        actions[ids] = action
        *results, _ = self.landers.step_some(actions, self.mask(ids))
        return *(column[ids] for column in results), np.array([{"env_id": i} for i in ids])

    def get_env_attr(self, key, id=None):
        return [self.landers.get_attr(key)[i] for i in self._wrap_id(id)]

    def set_env_attr(self, key, value, id=None):
        values, mask = self.landers.get_attr(key), self.mask(id)
        self.landers.set_attr(key, [value if mask[i] else values[i] for i in range(self.env_num)])

    def seed(self, seed=None):
        self.seeds = [seed + i for i in range(self.env_num)] if isinstance(seed, int) else seed
        return [[s] for s in self.seeds or [None] * self.env_num]

    def render(self, **kwargs):
        return list(self.landers.call("render"))

    def close(self):
        self.landers.close()
        self.is_closed = True


if __name__ == "__main__":
    timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    torch.manual_seed(0)
    train_envs, test_envs = NativeVectorEnv(32), NativeVectorEnv(100)
    train_envs.seed(0)
    test_envs.seed(1_000)
    policy = DiscreteQLearningPolicy(
        model=Net(state_shape=(8,), action_shape=4, hidden_sizes=[128, 64]),
        action_space=train_envs.action_space[0], observation_space=train_envs.observation_space[0], eps_training=0.1,
    )  # fmt: skip
    algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), target_update_freq=500)
    params = OffPolicyTrainerParams(
        training_collector=Collector(algorithm, train_envs, VectorReplayBuffer(50_000, 32)),
        test_collector=Collector(algorithm, test_envs),
        max_epochs=1, epoch_num_steps=timesteps, collection_step_num_env_steps=320, test_step_num_episodes=100,
        batch_size=128, update_step_num_gradient_steps_per_sample=0.1, verbose=False, show_progress=False,
    )  # fmt: skip
    began = time.perf_counter()
    stats = algorithm.run_training(params)
    rate = stats.train_step / (stats.timing.total_time - stats.timing.test_time)
    print(f"mean return of 100 episodes {stats.best_reward:.1f}")
    print(f"{stats.train_step:,} steps, {rate:,.0f} steps/s")

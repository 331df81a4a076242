"""Tianshou 2's DQN on the native lander, behind a class of its own: `python tianshou_dqn.py [TIMESTEPS]`."""

import sys
import time

import numpy as np
import torch
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import BaseVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.torch_utils import policy_within_training_step

from fastlander import LunarLanderVectorEnv


class NativeVectorEnv(BaseVectorEnv):
    """Landers of which Tianshou steps and resets those that it names."""

    def __init__(self, num_envs, **settings):
        self.landers = LunarLanderVectorEnv(num_envs, autoreset_mode="Disabled", **settings)
        self.env_num, self.workers = num_envs, []
        self.is_async, self.is_closed = False, False

    def mask(self, ids):
        return np.isin(np.arange(self.env_num), self._wrap_id(ids))

    def reset(self, env_id=None, *, seed=None, options=None):
        mask = self.mask(env_id)
        obs, _ = self.landers.reset(seed=seed, options={"reset_mask": mask})
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
        self.landers.reset(seed=seed)
        return [[s] for s in self.landers.np_random_seed]

    def render(self, **kwargs):
        return list(self.landers.call("render"))

    def close(self):
        self.landers.close()
        self.is_closed = True


if __name__ == "__main__":
    timesteps = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    torch.manual_seed(0)
    envs = NativeVectorEnv(32)
    envs.seed(0)
    policy = DiscreteQLearningPolicy(
        model=Net(state_shape=(8,), action_shape=4, hidden_sizes=[128, 64]),
        action_space=envs.action_space[0], observation_space=envs.observation_space[0], eps_training=0.1,
    )  # fmt: skip
    algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), target_update_freq=250)
    collector = Collector(algorithm, envs, VectorReplayBuffer(50_000, buffer_num=32))
    collector.reset()
    began, returns = time.perf_counter(), []
    while collector.collect_step < timesteps:
        with policy_within_training_step(policy):
            returns += collector.collect(n_step=320).returns.tolist()
            for _ in range(20):
                algorithm.update(collector.buffer, sample_size=128)
    rate = collector.collect_step / (time.perf_counter() - began)
    print(f"mean return of the last 100 episodes {np.mean(returns[-100:]):.1f}")
    print(f"{collector.collect_step:,} steps, {rate:,.0f} steps/s")

"""Peers that are scripts and not libraries, in the form that a benchmark can call."""

import numpy as np
import torch

from tests.twins import lecture_network


class ScriptedDQN:
    """DQN as CleanRL's dqn.py does it: Stable-Baselines3's replay buffer, autograd, torch.optim.Adam, MSE, no double.

    Args:
        spaces: an environment, for its `single_observation_space` and `single_action_space`.
        num_envs: transitions per `add`.
    """

    def __init__(self, spaces, num_envs=1, buffer_size=30_000, batch_size=128):
        from stable_baselines3.common.buffers import ReplayBuffer

        self.online, self.target = lecture_network(), lecture_network()
        self.target.load_state_dict(self.online.state_dict())
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=1e-3)
        self.buffer = ReplayBuffer(
            buffer_size,
            spaces.single_observation_space,
            spaces.single_action_space,
            "cpu",
            n_envs=num_envs,
            handle_timeout_termination=False,
        )
        self.num_actions, self.batch_size = int(spaces.single_action_space.n), batch_size
        self.rng, self.updates = np.random.default_rng(0), 0

    def act(self, obs, epsilon):
        """Epsilon-greedy actions from one forward pass."""
        with torch.no_grad():
            greedy = self.online(torch.from_numpy(obs)).argmax(1).numpy()
        explores = self.rng.random(len(obs)) < epsilon
        return np.where(explores, self.rng.integers(self.num_actions, size=len(obs)), greedy)

    def add(self, obs, next_obs, action, reward, terminated):
        """Store a transition of every environment."""
        self.buffer.add(obs, next_obs, action[:, None], reward, terminated, [{}] * len(obs))

    def update(self):
        """Sample and make one gradient step; copy the target network every 100."""
        batch = self.buffer.sample(self.batch_size)
        with torch.no_grad():
            future = self.target(batch.next_observations).amax(1)
            wanted = batch.rewards.squeeze(1) + 0.99 * future * (1 - batch.dones.squeeze(1))
        value = self.online(batch.observations).gather(1, batch.actions).squeeze(1)
        loss = torch.nn.functional.mse_loss(value, wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        if self.updates % 100 == 0:
            self.target.load_state_dict(self.online.state_dict())

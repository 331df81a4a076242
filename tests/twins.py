"""The slow twins: the lecture's agent on deques and autograd, a DQN in plain torch, and data for both sides."""

import collections
import copy

import numpy as np
import torch
import torch.nn.functional as F

from fastlander import ReplayBuffer
from fastlander.experience.transition import Transition, transition_fields


def lecture_network() -> torch.nn.Sequential:
    sizes = (8, 128, 64, 32, 4)
    layers: list[torch.nn.Module] = []
    for i in range(4):
        layers += [torch.nn.Linear(sizes[i], sizes[i + 1]), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class LectureAgent:
    """One network, five deques, Adam 1e-4, mean squared error against r + 0.99 max Q(s')."""

    def __init__(self, env):
        self.eps, self.score = 0, 0
        self.n_experiences, self.n_episode = 0, 0
        self.scores, self.playtimes = [], []
        self.batch_size, self.buffer_size = 64, 5000
        self.action_space = env.action_space
        self.q_net = lecture_network()
        self.optimizer = torch.optim.Adam(self.q_net.parameters(), lr=1e-4)
        for name in ("current_states", "actions", "rewards", "next_states", "terminations"):
            setattr(self, name, collections.deque(maxlen=self.buffer_size))

    def act(self):
        if np.random.rand() < self.eps:
            self.action = self.action_space.sample()
        else:
            self.action = self.q_net(torch.tensor(self.current_state)).argmax().item()

    def save_experience(self):
        for name in ("current_state", "action", "reward", "next_state"):
            getattr(self, name + "s").append(getattr(self, name))
        self.terminations.append(self.terminated)
        self.n_experiences += 1
        self.score += self.reward

    def get_batch(self):
        chosen = np.random.randint(0, self.buffer_size, size=self.batch_size)

        def pick(items):
            return torch.tensor(np.array(items))[chosen]

        self.current_states_batch = pick(self.current_states).float()
        self.actions_batch = pick(self.actions).reshape(-1, 1)
        self.rewards_batch = pick(self.rewards).reshape(-1, 1).float()
        self.next_states_batch = pick(self.next_states).float()
        self.terminations_batch = pick(self.terminations).reshape(-1, 1)

    def learn(self):
        if self.n_experiences < self.buffer_size:
            return
        self.get_batch()
        estimated = self.q_net(self.current_states_batch).gather(1, self.actions_batch)
        future = self.q_net(self.next_states_batch).detach().max(1)[0].reshape(-1, 1)
        realistic = self.rewards_batch + 0.99 * future * (~self.terminations_batch)
        torch.nn.functional.mse_loss(estimated, realistic).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def lecture_loop(env, agent, max_experiences, episodes=2000):
    """The lecture's loop: act, step, save, learn; epsilon decays by the episode; a line every ten episodes."""
    agent.eps = 1.0
    for _ in range(episodes):
        agent.current_state, _ = env.reset()
        agent.terminated = False
        agent.score = 0
        for t in range(500):  # noqa: B007 (read after the loop)
            agent.act()
            agent.next_state, agent.reward, agent.terminated, _, _ = env.step(agent.action)
            agent.save_experience()
            agent.learn()
            agent.current_state = agent.next_state
            if agent.terminated:
                break
        agent.scores.append(agent.score)
        agent.playtimes.append(t + 1)
        agent.n_episode = agent.n_episode + 1
        agent.eps = agent.eps * 0.995
        if (agent.n_episode % 10) == 0:
            print(
                f"Episode {agent.n_episode}\tScore: {np.mean(agent.scores[-100:]): .2f}\t"
                f"Playtime: {np.mean(agent.playtimes[-100:]): .2f}\tn_eps: {agent.eps}\t"
                f"n_experiences: {agent.n_experiences}"
            )
        if np.mean(agent.scores[-100:]) >= 200.0 or agent.n_experiences >= max_experiences:
            break


def random_batch(rows=32, obs_size=8, actions=4, seed=0):
    rng = np.random.default_rng(seed)
    return Transition(
        obs=rng.standard_normal((rows, obs_size), dtype=np.float32),
        action=rng.integers(actions, size=rows),
        reward=3 * rng.standard_normal(rows, dtype=np.float32),
        next_obs=rng.standard_normal((rows, obs_size), dtype=np.float32),
        discount=np.where(rng.random(rows) < 0.3, 0, 0.95).astype(np.float32),
    )


class SlowDQN:
    """The twin: a plain Sequential, autograd, torch's losses, clipping and Adam, a deep copy as target."""

    def __init__(self, dqn):
        self.config = dqn.config
        self.online = torch.nn.Sequential(*(copy.deepcopy(module) for module in dqn.q_network))
        self.target = copy.deepcopy(self.online)
        self.optimizer = torch.optim.Adam(
            self.online.parameters(), lr=self.config.learning_rate, betas=self.config.adam_betas
        )
        self.updates = 0

    def update(self, batch):
        config = self.config
        obs, action, reward, next_obs, discount = (torch.from_numpy(array.copy()) for array in batch)
        if config.mirrors:
            for i in range(len(obs) // 2):
                for state in (obs, next_obs):
                    x, y, vx, vy, angle, spin, left, right = state[i].tolist()
                    state[i] = torch.tensor([-x, y, -vx, vy, -angle, -spin, right, left])
                action[i] = {0: 0, 1: 3, 2: 2, 3: 1}[int(action[i])]
        with torch.no_grad():
            future = self.target(next_obs)
            best = (self.online(next_obs) if config.double_dqn else future).argmax(1)
            wanted = config.reward_scale * reward + discount * future[torch.arange(len(best)), best]
        loss_of = F.smooth_l1_loss if config.loss == "huber" else F.mse_loss
        self.loss = loss_of(self.online(obs)[torch.arange(len(action)), action], wanted)
        self.optimizer.zero_grad()
        self.loss.backward()
        if config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.online.parameters(), config.max_grad_norm)
        self.gradient = torch.cat([parameter.grad.reshape(-1) for parameter in self.online.parameters()])
        self.optimizer.step()
        self.updates += 1
        if self.updates % config.target_update_freq == 0:
            for target, online in zip(self.target.parameters(), self.online.parameters(), strict=True):
                target.data = (1 - config.tau) * target.data + config.tau * online.data

    def vector(self, network):
        return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


def filled_buffer(rows=3000, obs_size=8, actions=4, seed=3):
    buffer = ReplayBuffer(5000, transition_fields(obs_size), seed)
    buffer.extend(**random_batch(rows, obs_size, actions)._asdict())
    return buffer


def plain_twin(network):
    twin = torch.nn.Sequential(*(copy.deepcopy(module) for module in network))
    twin.load_state_dict(network.state_dict())
    return twin

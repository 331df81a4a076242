"""The slow twin: the lecture's agent as its description in the docs has it, on deques and torch autograd."""

import collections

import numpy as np
import torch


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

"""Parts of Rainbow (Hessel et al. 2018) that were tried and are not in the product, in plain torch.

Each learns with autograd and leaves its weights in the form of the plain network, which acts and is judged as ever.
"""

import contextlib

import numpy as np
import torch
from torch import nn

from fastlander.learner.dqn import DQN
from fastlander.learner.mirror import mirror_first
from fastlander.learner.q_network import QNetwork


class DuelingNetwork(nn.Module):
    """Two streams from half of the last hidden units each: Q = V + A - mean A (Wang et al. 2016)."""

    def __init__(self, plain: QNetwork):
        super().__init__()
        *trunk, before, _, last = plain
        self.trunk = nn.Sequential(
            *(type(m)(m.in_features, m.out_features) if hasattr(m, "weight") else m for m in trunk)
        )
        self.half = before.out_features // 2
        self.hidden = nn.Linear(before.in_features, before.out_features)
        self.value = nn.Linear(self.half, 1)
        self.advantage = nn.Linear(before.out_features - self.half, last.out_features)
        with torch.no_grad():
            self.hidden.weight.copy_(before.weight)
            self.hidden.bias.copy_(before.bias)
            self.advantage.weight.copy_(last.weight[:, self.half :])
            self.advantage.bias.copy_(last.bias)
            self.value.weight.copy_(last.weight[:1, : self.half])
            self.value.bias.zero_()

    def forward(self, obs):
        hidden = torch.relu(self.hidden(self.trunk(obs)))
        advantage = self.advantage(hidden[:, self.half :])
        return self.value(hidden[:, : self.half]) + advantage - advantage.mean(1, keepdim=True)

    def write_to(self, plain):
        """The same function as a plain Sequential: the mean of the advantages is linear in the last hidden units."""
        *_, before, _, last = plain
        for theirs, ours in zip([*plain[:-3][::2], before], [*self.trunk[::2], self.hidden], strict=True):
            theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.bias)
        weight, bias = self.advantage.weight, self.advantage.bias
        last.weight[:, : self.half] = self.value.weight
        last.weight[:, self.half :] = weight - weight.mean(0)
        last.bias.copy_(self.value.bias + bias - bias.mean())


class PlainNetwork(nn.Sequential):
    """A copy of the plain network that autograd learns."""

    def __init__(self, plain):
        super().__init__(
            *(type(m)(m.in_features, m.out_features) if hasattr(m, "weight") else type(m)() for m in plain)
        )
        self.load_state_dict(plain.state_dict())

    def write_to(self, plain):
        for theirs, ours in zip(plain.parameters(), self.parameters(), strict=True):
            theirs.copy_(ours)


class TorchVariant(DQN):
    """`DQN` with a learner of its own."""

    dueling = prioritized = False
    alpha, beta, smallest = 0.6, 0.4, 1e-3

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        network = DuelingNetwork if self.dueling else PlainNetwork
        self.online, self.old = network(self.q_network), network(self.q_network)
        self.adam = torch.optim.Adam(self.online.parameters(), config.learning_rate, config.adam_betas, fused=True)
        self.rng = np.random.default_rng([config.seed, 77])
        self.priority = np.zeros(config.buffer_size)
        self.seen = 0

    @contextlib.contextmanager
    def learning(self, buffer, updates):
        self.learn(buffer, updates)
        yield

    def learn(self, buffer, updates):
        for _ in range(updates):
            self._learn_once(buffer)
        if updates:
            with torch.no_grad():
                self.online.write_to(self.q_network)

    def _sample(self, buffer):
        """Rows and their importance weights: uniform, or proportional to priority**alpha (Schaul et al. 2016)."""
        rows = self.config.batch_size
        if not self.prioritized:
            return self.rng.integers(len(buffer), size=rows), torch.ones(rows)
        new = np.arange(max(self.seen, buffer._added - buffer.maxlen), buffer._added) % buffer.maxlen
        self.priority[new] = max(1.0, self.priority.max())
        self.seen = buffer._added
        sums = np.cumsum(self.priority[: len(buffer)])
        slots = np.searchsorted(sums, self.rng.random(rows) * sums[-1], side="right")
        weights = (self.priority[slots] / sums[-1] * len(buffer)) ** -self.beta
        return slots, torch.from_numpy((weights / weights.max()).astype(np.float32))

    def _learn_once(self, buffer):
        config = self.config
        slots, weights = self._sample(buffer)
        obs, action, reward, next_obs, discount = (torch.from_numpy(a[slots]) for a in buffer.arrays.values())
        if config.mirrors:
            obs, action, next_obs = mirror_first(config.batch_size // 2, obs, action, next_obs)
        with torch.no_grad():
            future = self.old(next_obs)
            best = (self.online(next_obs) if config.double_dqn else future).argmax(1, keepdim=True)
            wanted = config.reward_scale * reward + discount * future.gather(1, best).squeeze(1)
        value = self.online(obs).gather(1, action.unsqueeze(1)).squeeze(1)
        loss_of = nn.functional.smooth_l1_loss if config.loss == "huber" else nn.functional.mse_loss
        loss = (weights * loss_of(value, wanted, reduction="none")).mean()
        self.adam.zero_grad()
        loss.backward()
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.online.parameters(), config.max_grad_norm)
        self.adam.param_groups[0]["lr"] = self.learning_rate
        self.adam.step()
        with torch.no_grad():
            for old, new in zip(self.old.parameters(), self.online.parameters(), strict=True):
                old.lerp_(new, config.tau)
        if self.prioritized:
            error = (value.detach() - wanted).abs().numpy()
            self.priority[slots] = (error + self.smallest) ** self.alpha
        self.loss, self.updates = loss.detach(), self.updates + 1


class Dueling(TorchVariant):
    """With a dueling network."""

    dueling = True


class Prioritized(TorchVariant):
    """With prioritized replay."""

    prioritized = True


class Both(TorchVariant):
    """With both."""

    dueling = prioritized = True

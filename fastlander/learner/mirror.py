"""Left and right exchanged: mirrored transitions, and networks that see the lander and its mirror image."""

import functools

import torch
from torch import Tensor

from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_ORDER, MIRROR_SIGNS
from fastlander.learner.q_network import QNetwork


def mirror(obs: Tensor, action: Tensor, next_obs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The transitions with left and right exchanged: [B, 8], [B], [B, 8] -> [B, 8], [B], [B, 8]."""
    signs, order, actions = _mirror_constants(obs.device, obs.dtype)
    return obs[:, order] * signs, actions[action], next_obs[:, order] * signs


@functools.cache
def _mirror_constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The constants of `symmetry` as tensors, made once per device: a CUDA graph captures no copy from the host."""
    signs = torch.tensor(MIRROR_SIGNS, dtype=dtype, device=device)
    return signs, torch.tensor(MIRROR_ORDER, device=device), torch.tensor(MIRROR_ACTIONS, device=device)


def mirror_first(rows: int, *transitions: Tensor) -> tuple[Tensor, ...]:
    """Mirror the first `rows` of (obs, action, next_obs). They are a random subset: rows are drawn independently."""
    mirrored = mirror(*(tensor[:rows] for tensor in transitions))
    return tuple(torch.cat((new, old[rows:])) for new, old in zip(mirrored, transitions, strict=True))


@torch.no_grad()
def both_ways(q_network: QNetwork) -> QNetwork:
    """A plain network, twice as wide, whose values are the mean of Q(s) and the mirrored Q(mirror(s)).

    Each half of its hidden units is the given network: one half sees the lander, the other half its mirror image. The
    last layer takes the mean of their values.
    """
    obs_size, *hidden_sizes, num_actions = q_network.sizes
    wide = QNetwork.blank([obs_size, *(2 * size for size in hidden_sizes), num_actions])
    wide.flat.zero_()
    signs, order, actions = _mirror_constants(torch.device("cpu"), torch.float32)
    pairs = list(zip(q_network.layers(q_network.flat.cpu()), wide.layers(), strict=True))
    for k, ((weight, bias), (wide_weight, wide_bias)) in enumerate(pairs):
        rows, columns = weight.shape
        if k == len(pairs) - 1:
            wide_weight[:, :columns], wide_weight[:, columns:] = weight / 2, weight[actions] / 2
            wide_bias.copy_((bias + bias[actions]) / 2)
            continue
        wide_bias[:rows], wide_bias[rows:] = bias, bias
        wide_weight[:rows, :columns] = weight
        if k == 0:
            wide_weight[rows:] = (weight * signs)[:, order]  # the order is its own inverse
        else:
            wide_weight[rows:, columns:] = weight
    return wide

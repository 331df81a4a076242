"""Left and right exchanged in transitions, as tensors."""

import functools

import torch
from torch import Tensor

from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_ORDER, MIRROR_SIGNS


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

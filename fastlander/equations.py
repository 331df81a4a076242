"""The equations of deep Q-learning, and the lander's mirror, as pure functions of tensors."""

import functools

import torch
from torch import Tensor


def td_target(reward: Tensor, discount: Tensor, next_values: Tensor, chooser: Tensor) -> Tensor:
    """r + discount * Q_target(s', argmax_a chooser(s', a)): [B], [B], [B, A], [B, A] -> [B].

    With the online network's values as chooser this is double DQN (van Hasselt et al. 2016); with the target's own
    it is max_a Q_target(s', a) (Mnih et al. 2015). `discount` is gamma**k, 0 where the episode terminated.
    """
    best = chooser.argmax(dim=1, keepdim=True)
    return torch.addcmul(reward, discount, next_values.gather(1, best).squeeze(1))


def huber(td_error: Tensor) -> tuple[Tensor, Tensor]:
    """Mean Huber loss with its corner at 1 (Huber 1964), and its derivative: [B] -> [], [B]."""
    size = td_error.abs()
    capped = size.clamp(max=1)
    return (capped * (size - 0.5 * capped)).mean(), td_error.clamp(-1, 1) / len(td_error)


def mse(td_error: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error and its derivative: [B] -> [], [B]."""
    return td_error.square().mean(), td_error * (2 / len(td_error))


LOSSES = {"huber": huber, "mse": mse}


def clip_norm(grad: Tensor, max_norm: float) -> None:
    """Scale `grad` down in place to an L2 norm of at most `max_norm` (Pascanu et al. 2013)."""
    grad.mul_((max_norm / (grad.norm() + 1e-6)).clamp(max=1))


MIRROR_SIGNS = (-1, 1, -1, 1, -1, -1, 1, 1)  # x, vx, angle and angular velocity change sign
MIRROR_ORDER = (0, 1, 2, 3, 4, 5, 7, 6)  # the legs change places
MIRROR_ACTIONS = (0, 3, 2, 1)  # and so do the side engines


def mirror(obs: Tensor, action: Tensor, next_obs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same transitions of a lander seen in a mirror, left and right exchanged: [B, 8], [B], [B, 8] -> the same."""
    signs, order, actions = _mirror_constants(obs.device, obs.dtype)
    return obs[:, order] * signs, actions[action], next_obs[:, order] * signs


@functools.cache
def _mirror_constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Made once for each device: a CUDA graph cannot capture a copy from the host."""
    signs = torch.tensor(MIRROR_SIGNS, dtype=dtype, device=device)
    return signs, torch.tensor(MIRROR_ORDER, device=device), torch.tensor(MIRROR_ACTIONS, device=device)


def mirror_first(rows: int, *transitions: Tensor) -> tuple[Tensor, ...]:
    """Mirror the first `rows` of (obs, action, next_obs): a random subset, as the rows were drawn independently."""
    mirrored = mirror(*(tensor[:rows] for tensor in transitions))
    return tuple(torch.cat((new, old[rows:])) for new, old in zip(mirrored, transitions, strict=True))

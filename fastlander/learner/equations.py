"""The equations of deep Q-learning as pure functions of tensors."""

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

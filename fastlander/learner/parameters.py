"""The parameters of a Q-network as NumPy arrays: to begin with, to average, to judge and to save without torch.

torch takes longer to import than most runs take to solve the lander. Only `QNetwork` and what is built on it need it.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_ORDER, MIRROR_SIGNS
from fastlander.memory import check_memory
from fastlander.states import Form, Weights, Whole

_ONE = np.float32(1)


class Parameters(NamedTuple):
    """The parameters of one network, as `QNetwork` has them."""

    sizes: tuple[int, ...]
    """Numbers per observation, widths of the hidden layers, number of actions."""
    flat: np.ndarray
    """float32[P]: for each layer the weight [out, in], row by row, then the bias [out]."""

    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(weight, bias) of each layer: views of `flat`."""
        layers, end = [], 0
        for size_in, size_out in itertools.pairwise(self.sizes):
            first, middle, end = end, end + size_in * size_out, end + (size_in + 1) * size_out
            layers.append((self.flat[first:middle].reshape(size_out, size_in), self.flat[middle:end]))
        return layers

    def state_dict(self) -> dict[str, np.ndarray]:
        """The weights and biases by the names that the lecture's torch.nn.Sequential gives them."""
        named = {}
        for k, (weight, bias) in enumerate(self.layers()):
            named[f"{2 * k}.weight"], named[f"{2 * k}.bias"] = weight, bias
        return named

    @classmethod
    def blank(cls, sizes: Sequence[int]) -> Self:
        """Room for the parameters of a network of these sizes: zeros."""
        return cls(tuple(sizes), np.zeros(count_parameters(sizes), np.float32))


def count_parameters(sizes: Sequence[int]) -> int:
    """How many weights and biases a network of these sizes has."""
    return sum((size_in + 1) * size_out for size_in, size_out in itertools.pairwise(sizes))


def check_size(sizes: Sequence[int]) -> None:
    """ValueError if a network of these sizes, with a gradient for each parameter, does not fit in memory."""
    check_memory("hidden_sizes", tuple(sizes[1:-1]), 2 * 4 * count_parameters(sizes))


def initial_parameters(sizes: Sequence[int], seed: int) -> Parameters:
    """The parameters with which `QNetwork(generator=torch.Generator().manual_seed(seed))` begins, to the bit.

    torch.nn.Linear's own initialisation (He et al. 2015, a = sqrt 5), drawn as torch draws it: by a Mersenne Twister,
    24 bits for each number.

    Args:
        sizes: numbers per observation, widths of the hidden layers, number of actions.
        seed: in [0, 2**32).
    """
    check_size(sizes)
    network, stream = Parameters.blank(sizes), np.random.RandomState(seed)
    for weight, bias in network.layers():
        fan_in = weight.shape[1]
        gain = math.sqrt(2 / (1 + math.sqrt(5) ** 2))
        for array, bound in ((weight, math.sqrt(3) * (gain / math.sqrt(fan_in))), (bias, 1 / math.sqrt(fan_in))):
            low, high = np.float32(-bound), np.float32(bound)
            words = stream.randint(0, 2**32, size=array.shape, dtype=np.uint32)
            shares = (words & np.uint32(2**24 - 1)) * 2.0**-24
            array[...] = shares * np.float64(high - low) + np.float64(
                low
            )  # in float64 nothing is rounded before the end
    return network


def follow(average: np.ndarray, new: np.ndarray, share: float) -> None:
    """Move `average` the `share` of the way to `new`, in place, as torch.Tensor.lerp_ does: float32[P] each.

    The product and the sum are rounded once, as by a fused multiply-add.
    """
    weight, way = np.float32(share), new - average
    weight, start = (weight, average) if weight < 0.5 else (weight - _ONE, new)
    average[...] = np.float64(weight) * way.astype(np.float64) + start


def both_ways(network: Parameters) -> Parameters:
    """A network, twice as wide, whose values are the mean of Q(s) and the mirrored Q(mirror(s)).

    Each half of its hidden units is the given network: one half sees the lander, the other half its mirror image. The
    last layer takes the mean of their values.
    """
    obs_size, *hidden_sizes, num_actions = network.sizes
    wide = Parameters.blank((obs_size, *(2 * size for size in hidden_sizes), num_actions))
    signs, order, actions = np.array(MIRROR_SIGNS, np.float32), list(MIRROR_ORDER), list(MIRROR_ACTIONS)
    pairs = list(zip(network.layers(), wide.layers(), strict=True))
    for k, ((weight, bias), (wide_weight, wide_bias)) in enumerate(pairs):
        rows, columns = weight.shape
        if k == len(pairs) - 1:
            wide_weight[:, :columns], wide_weight[:, columns:] = weight / 2, weight[actions] / 2
            wide_bias[:] = (bias + bias[actions]) / 2
            continue
        wide_bias[:rows], wide_bias[rows:] = bias, bias
        wide_weight[:rows, :columns] = weight
        if k == 0:
            wide_weight[rows:] = (weight * signs)[:, order]  # the order is its own inverse
        else:
            wide_weight[rows:, columns:] = weight
    return wide


def as_array(parameters: Any) -> np.ndarray:
    """Parameters as a NumPy array, in the same memory if it is the CPU's. A tensor of torch is taken too."""
    return parameters if isinstance(parameters, np.ndarray) else parameters.detach().cpu().numpy()


class Vectors(NamedTuple):
    """What a network learns in: float32[P] each, but for the counts of Adam's steps."""

    flat: np.ndarray
    """The parameters, as of `Parameters`."""
    gradient: np.ndarray
    exp_avg: np.ndarray
    """Adam's first moment."""
    exp_avg_sq: np.ndarray
    """Adam's second moment."""
    target: np.ndarray
    """The target network's parameters; `flat` itself where there is no separate target network."""
    steps: np.ndarray
    """float32[2 L] for L layers: steps made, for each weight and bias, as torch counts them."""


def make_vectors(network: Parameters, separate_target: bool) -> Vectors:
    """Vectors for a network that begins to learn; its `flat` is theirs."""
    flat = network.flat
    target = flat.copy() if separate_target else flat
    steps = np.zeros(2 * (len(network.sizes) - 1), np.float32)
    return Vectors(flat, *(np.zeros_like(flat) for _ in range(3)), target, steps)


def adam_form(count: int) -> Form:
    """What a saved state has of Adam for so many parameters."""
    moment = Weights(count)
    return {"exp_avg": moment, "exp_avg_sq": moment, "steps": Whole(high=2**24)}  # torch counts them in a float32

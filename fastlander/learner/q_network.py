"""`QNetwork`: the lecture's torch.nn.Sequential, with all parameters in one flat tensor."""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from fastlander.learner.parameters import Parameters, check_size


class QNetwork(nn.Sequential):
    """Linear and ReLU layers from an observation to one value per action.

    An ordinary Sequential (its state_dict has the lecture's keys, "0.weight", "0.bias", "2.weight", ...), except that
    every parameter is a view of `flat` and every gradient from `backward_pass` a view of `flat_grad`. An optimizer, a
    target network or a kernel can so treat the whole network as one vector.

    Args:
        obs_size: numbers per observation.
        num_actions: values given.
        hidden_sizes: widths of the hidden layers.
        generator: random stream of the initial weights, which have torch.nn.Linear's own distribution. None is torch's
            global stream: after `torch.manual_seed` the weights are those of the lecture's Sequential.

    Raises:
        ValueError: so many weights do not fit in memory.
    """

    def __init__(
        self,
        obs_size: int = 8,
        num_actions: int = 4,
        hidden_sizes: Sequence[int] = (128, 64, 32),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = (obs_size, *hidden_sizes, num_actions)
        check_size(sizes)
        for i, (size_in, size_out) in enumerate(itertools.pairwise(sizes)):
            if i:
                self.append(nn.ReLU())
            self.append(_linear(size_in, size_out, generator))
        self.flatten()

    def flatten(self, flat: Tensor | None = None, flat_grad: Tensor | None = None) -> None:
        """Move the parameters into one new flat tensor, of the dtype and device they have now.

        flat, flat_grad: memory to take in its place, and parameters with it.
        """
        parameters = list(self.parameters())
        self.flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters]) if flat is None else flat
        self.flat_grad = torch.zeros_like(self.flat) if flat_grad is None else flat_grad
        for parameter, view in zip(parameters, self.views(self.flat), strict=True):
            parameter.data = view
        self._modules_in_order = tuple(self._modules.values())
        self._parameters_in_order = parameters
        self._addresses = [parameter.data_ptr() for parameter in parameters]
        self._layers = _pairs([parameter.detach() for parameter in parameters])
        self.grads = self.views(self.flat_grad)

    def views(self, flat: Tensor) -> list[Tensor]:
        """`flat` (as long as `self.flat`) cut into tensors of the parameters' shapes, in their order."""
        shapes = [parameter.shape for parameter in self.parameters()]
        pieces = flat.split([shape.numel() for shape in shapes])
        return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def layers(self, flat: Tensor | None = None) -> list[tuple[Tensor, Tensor]]:
        """(weight, bias) of each linear layer, detached: views of `flat`, or of the network's own parameters."""
        return self._layers if flat is None else _pairs(self.views(flat))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers per observation, widths of the hidden layers, number of actions."""
        linears = self._modules_in_order[::2]
        return (linears[0].in_features, *(linear.out_features for linear in linears))

    @classmethod
    def blank(cls, sizes: Sequence[int]) -> Self:
        """A network of these `sizes` for weights that come later. No global random stream is drawn from."""
        return cls(sizes[0], sizes[-1], sizes[1:-1], generator=torch.Generator())

    @classmethod
    def of(cls, network: Parameters, gradient: np.ndarray | None = None) -> Self:
        """The network of these parameters, in their memory; gradient: float32[P], the memory of `flat_grad`."""
        module = cls.blank(network.sizes)
        grad = None if gradient is None else torch.from_numpy(gradient)
        module.flatten(torch.from_numpy(network.flat), grad)
        return module

    @staticmethod
    def tensor(array: np.ndarray) -> Tensor:
        """A tensor in the memory of an array."""
        return torch.from_numpy(np.asarray(array))

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        """The action of the highest value for each observation: float32[N, obs_size] -> int64[N]."""
        with torch.no_grad():
            values = forward_pass(self._layers, torch.from_numpy(obs).to(self.flat.device))[-1]
            return values.argmax(dim=1).cpu().numpy()

    def backward_pass(self, activations: list[Tensor], grad_values: Tensor) -> None:
        """Write the gradients of all parameters into `flat_grad` (and point each parameter's `grad` at its part).

        Args:
            activations: of `forward_pass`.
            grad_values: [B, num_actions], the derivative of the loss by the network's output.
        """
        backward_pass(self._layers, activations, grad_values, _pairs(self.grads))
        self.show_gradients()

    def show_gradients(self) -> None:
        """Point each parameter's `grad` at its part of `flat_grad`."""
        for parameter, grad in zip(self._parameters_in_order, self.grads, strict=True):
            parameter.grad = grad

    def is_plain(self) -> bool:
        """Whether the hand-written passes compute the same as a call of the module.

        They do not after somebody has replaced a layer or a parameter's storage, frozen a parameter, added a hook, or
        left a gradient in place, to which autograd would add.
        """
        modules = tuple(self._modules.values())
        if modules != self._modules_in_order:
            return False
        for module in (self, *modules):
            if module._forward_hooks or module._forward_pre_hooks:
                return False
        now = [parameter for linear in modules[::2] for parameter in linear._parameters.values()]
        for a, b, address in zip(now, self._parameters_in_order, self._addresses, strict=True):
            if a is not b or not a.requires_grad or a.grad is not None or a.data_ptr() != address:
                return False
        return True

    def __getitem__(self, index: Any) -> nn.Module:
        """A layer, or for a slice a plain Sequential of these layers."""
        return nn.Sequential(*list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Module.to and Module.double replace the parameters one by one.
        super()._apply(fn, recurse)
        self.flatten()
        return self

    def __copy__(self) -> Self:
        """A copy with its own memory, as of a deep copy: two networks cannot share one flat vector."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in _DERIVED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.flatten()


_DERIVED = frozenset(
    ["flat", "flat_grad", "grads", "_modules_in_order", "_parameters_in_order", "_addresses", "_layers", "_arrays"]
)
"""Attributes of a QNetwork that `flatten` makes; copies and pickles leave them out."""


class _Parameter(nn.Parameter):
    """A parameter that pickles its own numbers only. A plain one pickles the whole vector that it is a view of."""

    def __reduce_ex__(self, protocol: int) -> tuple[Any, ...]:
        return _Parameter, (self.detach().clone(), self.requires_grad)


def forward_pass(layers: Sequence[tuple[Tensor, Tensor]], obs: Tensor) -> list[Tensor]:
    """The input of every layer, then the action values: [B, obs_size] -> [B, obs_size], ..., [B, num_actions]."""
    activations = [obs]
    for i, (weight, bias) in enumerate(layers):
        values = torch.addmm(bias, activations[-1], weight.t())
        activations.append(values.relu_() if i + 1 < len(layers) else values)
    return activations


def backward_pass(
    layers: Sequence[tuple[Tensor, Tensor]],
    activations: Sequence[Tensor],
    grad_values: Tensor,
    grads: Sequence[tuple[Tensor, Tensor]],
) -> None:
    """Backpropagation through `forward_pass` (Rumelhart et al. 1986), written into `grads`, shaped as `layers`."""
    grad = grad_values
    for i in reversed(range(len(layers))):
        torch.mm(grad.t(), activations[i], out=grads[i][0])
        torch.sum(grad, 0, out=grads[i][1])
        if i:
            # threshold_backward is ReLU's derivative: it passes the gradient where the activation is above 0.
            grad = torch.ops.aten.threshold_backward(grad @ layers[i][0], activations[i], 0)


def _linear(size_in: int, size_out: int, generator: torch.Generator | None) -> nn.Linear:
    """A torch.nn.Linear with torch's own initialisation (He et al. 2015, a = sqrt 5), drawn from `generator`."""
    # On the meta device nothing is drawn from torch's global stream. (skip_init would import sympy, which takes 0.3 s.)
    linear = nn.Linear(size_in, size_out, device="meta")
    # The kernels take float32 on the CPU, whatever torch's default type and device are.
    linear.weight = _Parameter(torch.empty(size_out, size_in, dtype=torch.float32, device="cpu"))
    linear.bias = _Parameter(torch.empty(size_out, dtype=torch.float32, device="cpu"))
    nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(size_in)
    nn.init.uniform_(linear.bias, -bound, bound, generator=generator)
    return linear


def _pairs(tensors: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(tensors[::2], tensors[1::2], strict=True))

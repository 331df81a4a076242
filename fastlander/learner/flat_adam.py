"""`FlatAdam`: torch.optim.Adam for a QNetwork, by one kernel over the flat parameters where the result is the same."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from fastlander.learner.adam import flat_adam_step
from fastlander.learner.parameters import Vectors, adam_form
from fastlander.learner.q_network import QNetwork
from fastlander.states import Form, check_state, vector

_GLOBAL_HOOKS = (_global_optimizer_pre_hooks, _global_optimizer_post_hooks)
_PLAIN = {"weight_decay": 0, "amsgrad": False, "maximize": False, "differentiable": False}


class FlatAdam(torch.optim.Adam):
    """Adam (Kingma and Ba 2015) on the parameters of one QNetwork.

    It is used as torch.optim.Adam is: learning rate and betas are read from `param_groups` at every step, and the state
    holds "step", "exp_avg" and "exp_avg_sq" for each parameter. These are views of whole vectors. Where all gradients
    are the network's own `flat_grad`, a step is one pass over memory. In all other cases (another device, gradients of
    autograd, options beyond plain Adam, a loaded state) torch's own step runs on the same state.

    Args:
        q_network: whose parameters to move.
        lr: step size.
        betas: decay rates of the two moments.
        memory: where the moments and the steps are, if they are somewhere already. None makes new ones.
    """

    def __init__(
        self,
        q_network: QNetwork,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        memory: Vectors | None = None,
    ) -> None:
        # On a GPU a CUDA graph captures the step, which needs lr as a tensor.
        on_gpu = q_network.flat.device.type == "cuda"
        rate = torch.tensor(lr, device=q_network.flat.device) if on_gpu else lr
        super().__init__(q_network.parameters(), lr=rate, betas=betas, fused=True, capturable=on_gpu)
        self._plain = {**_PLAIN, "capturable": on_gpu}
        self._q_network: QNetwork | None = q_network  # None once the state is no longer one vector
        self._parameters = self.param_groups[0]["params"]
        self._gradients = q_network.grads
        # torch counts the steps of each parameter, as a float32 number on the parameter's device.
        if memory is None:
            kept = [torch.zeros_like(q_network.flat) for _ in range(2)]
            self._steps = torch.zeros(len(self._parameters), dtype=torch.float32, device=q_network.flat.device)
        else:
            kept = [torch.from_numpy(moment) for moment in (memory.exp_avg, memory.exp_avg_sq)]
            self._steps = torch.from_numpy(memory.steps)
        vectors = [q_network.flat, q_network.flat_grad, *kept]
        moments = zip(q_network.views(vectors[2]), q_network.views(vectors[3]), strict=True)
        for parameter, step, (exp_avg, exp_avg_sq) in zip(self._parameters, self._steps, moments, strict=True):
            self.state[parameter].update(step=step, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq)
        self._vectors: list[torch.Tensor] | None = vectors
        self._arrays, self._step_array = None, None
        if q_network.flat.device.type == "cpu" and q_network.flat.dtype == torch.float32:
            self._arrays, self._step_array = [vector.numpy() for vector in vectors], self._steps.numpy()
        self._addresses = [parameter.data_ptr() for parameter in self._parameters]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch.optim.Optimizer. Its wrapper is left out: it would import torch's compiler, which takes a second."""
        inspect.unwrap(torch.optim.Optimizer.add_param_group)(self, param_group)

    def set_learning_rate(self, lr: float) -> None:
        """Set the step size, also for a step that a CUDA graph has captured."""
        for group in self.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    @property
    def vectors(self) -> list[np.ndarray] | None:
        """Parameters, gradient and both moments as float32[P], for a kernel that makes the steps itself, or None."""
        return self._arrays

    @property
    def steps(self) -> int:
        """Steps made so far."""
        if self._step_array is not None:
            return int(self._step_array[0])
        return int(self.state[self._parameters[0]]["step"])

    def get_state(self) -> dict[str, Any]:
        """Both moments, float32[P], and the steps made, for `set_state`: a copy."""
        moments = ([self.state[p][name] for p in self._parameters] for name in ("exp_avg", "exp_avg_sq"))
        exp_avg, exp_avg_sq = (vector(torch.cat([m.reshape(-1) for m in each]).cpu().numpy()) for each in moments)
        return {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq, "steps": self.steps}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` of an optimizer of the same sizes gave.

        Raises:
            ValueError: another state; nothing is changed then.
        """
        check_state("optimizer", state, self.state_form())
        for parameter in self._parameters:
            self.state[parameter]["step"].fill_(state["steps"])
        for name in ("exp_avg", "exp_avg_sq"):
            pieces = torch.tensor(state[name]).split([p.numel() for p in self._parameters])
            for parameter, piece in zip(self._parameters, pieces, strict=True):
                self.state[parameter][name].copy_(piece.view(parameter.shape))

    def state_form(self) -> Form:
        """What `set_state` takes."""
        return adam_form(sum(p.numel() for p in self._parameters))

    def count_steps(self, steps: int) -> None:
        """Note that a kernel has made `steps` steps on `vectors`."""
        self._step_array += steps

    def begin_step(self) -> tuple[np.float32, ...]:
        """Count a step that a kernel is about to make on `vectors`; its numbers, as `flat_adam_step` takes them."""
        group = self.param_groups[0]
        beta1, beta2 = group["betas"]
        self.count_steps(1)
        count = self._step_array[0].item()
        step_size = group["lr"] / (1 - beta1**count)
        numbers = (step_size, beta1, beta2, 1 / (1 - beta2**count) ** 0.5, group["eps"])
        return tuple(map(np.float32, numbers))

    def flat_step(self) -> bool:
        """Make one step by the flat kernel where its result is that of `step`; whether it was made."""
        if self._arrays is None or not self._is_flat():
            return False
        flat_adam_step(*self._arrays, *self.begin_step())
        return True

    @torch.no_grad()
    def _torch_step(self) -> bool:
        """Make one step by torch's kernel over whole vectors where that is what `step` does; whether it was made.

        `torch.optim.Adam.step` would import torch's compiler first, which takes five seconds, and on CUDA it would
        launch a kernel for each few parameters.
        """
        if self._vectors is None or not self._is_flat():
            return False
        group = self.param_groups[0]
        beta1, beta2 = group["betas"]
        parameters, gradients, exp_avg, exp_avg_sq = self._vectors
        self._steps.add_(1)
        torch._fused_adam_(
            [parameters],
            [gradients],
            [exp_avg],
            [exp_avg_sq],
            [],
            [self._steps[0]],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
        return True

    def is_plain_for(self, q_network: QNetwork) -> bool:
        """Whether `step` does nothing but a step of plain Adam on `vectors`, and these are of that network.

        It does more where somebody, as a learning rate scheduler does, has put another function in its place, or hooks.
        The network has to be plain itself (`QNetwork.is_plain`).
        """
        if self._q_network is not q_network or self._arrays is None or "step" in self.__dict__:
            return False
        if self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or any(_GLOBAL_HOOKS):
            return False
        return self._has_plain_options()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step from the parameters' gradients, as torch.optim.Adam makes it."""
        if closure is None and (self.flat_step() or self._torch_step()):
            return None
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, as torch.optim.Optimizer does."""
        if not set_to_none or len(self.param_groups) > 1:
            super().zero_grad(set_to_none)
            return
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch.optim.Optimizer. The loaded state is no longer one vector, so torch's own step runs from then on."""
        super().load_state_dict(state_dict)
        self._leave_the_vectors()

    def __getstate__(self) -> dict[str, Any]:
        if self._q_network is None or not self._is_plain():
            return super().__getstate__()
        options = {name: value for name, value in self.param_groups[0].items() if name != "params"}
        return {"q_network": self._q_network, "options": options, **self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "q_network" not in state:
            super().__setstate__(state)
            self._leave_the_vectors()
            return
        options = state["options"]
        self.__init__(state["q_network"], float(options["lr"]), options["betas"])  # type: ignore[misc]
        self.param_groups[0].update(options)
        self.set_state({name: state[name] for name in ("exp_avg", "exp_avg_sq", "steps")})

    def _leave_the_vectors(self) -> None:
        """Note that the state lies in other memory now: torch's own step goes on with it."""
        self._q_network = self._vectors = self._arrays = self._step_array = None
        self._parameters = [p for group in self.param_groups for p in group["params"]]

    def _is_flat(self) -> bool:
        """Whether a step of the flat kernel has the result of torch's own."""
        gradients = zip(self._parameters, self._gradients, strict=True)
        return self._is_plain() and all(p.grad is gradient for p, gradient in gradients)

    def _is_plain(self) -> bool:
        """Whether this is plain Adam on the memory that it was made for."""
        return self._has_plain_options() and [p.data_ptr() for p in self._parameters] == self._addresses

    def _has_plain_options(self) -> bool:
        return len(self.param_groups) == 1 and self._plain.items() <= self.param_groups[0].items()

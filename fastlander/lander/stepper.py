"""`Stepper`: the memory of N landers and the threads that step them."""

from typing import Any

import numpy as np

from fastlander.kernels.addresses import array_address
from fastlander.kernels.array_types import WORDS
from fastlander.kernels.arrays import kernel_array
from fastlander.kernels.threads import KernelThreads, ask, run_here
from fastlander.lander.compiled import ADDRESSES, MISSING, start_helpers
from fastlander.lander.errors import WrongAction, WrongType
from fastlander.lander.exchange import exchange_size, unpack_exchange
from fastlander.lander.settings import LanderSettings
from fastlander.lander.step import STEP_ARGUMENTS, serve_steps, workspace_size
from fastlander.lander.step_all import STEP_ALL_ARGUMENTS, load_actions, step_all
from fastlander.lander.variant import Variant, pack_variant
from fastlander.physics.state import memory_size, unpack
from fastlander.validation import InputError


class Stepper:
    """N landers of one variant, stepped by one thread or more.

    Args:
        num_envs: N.
        num_threads: threads that share a step, including the thread that calls `step`.
        variant: the arguments of the game.
        solvers: int64[NUM_LANE_SOLVERS], the addresses of the solvers to use.
    """

    def __init__(self, num_envs: int, num_threads: int, variant: Variant, solvers: np.ndarray = ADDRESSES) -> None:
        self.num_envs, self.variant = num_envs, variant
        self.memory = np.zeros(memory_size(num_envs), np.uint8)
        """Everything that is kept from one step to the next."""
        self.state = unpack(self.memory, num_envs)
        """The fields of `memory`, as views."""
        block = np.zeros(exchange_size(num_envs), np.uint8)
        self.exchange = unpack_exchange(block, num_envs)
        """The inputs and outputs of a step. The next step overwrites them."""
        self.settings: LanderSettings | None = None
        """Settings of single landers; None while all have those of `variant`."""
        self._packed = pack_variant(variant)
        size = -(-num_envs // (16 * num_threads)) * 16  # landers of a thread: full vectors, except for the last thread
        ranges = [(first, min(first + size, num_envs)) for first in range(0, num_envs, size)]
        self.own, *shares = [
            (
                *(self.memory, block, self._packed, np.zeros(workspace_size(last - first), np.uint8)),
                *(solvers, num_envs, first, last),
            )
            for first, last in ranges
        ]
        """What `step_once` takes from the thread that calls `step`."""
        self.whole = self.own
        """What it takes from a thread that steps all landers."""
        if shares:
            memory = np.zeros(workspace_size(num_envs), np.uint8)
            self.whole = (*self.own[:3], memory, *self.own[4:6], 0, num_envs)
        self.threads = KernelThreads(serve_steps, shares)
        self.can_step_all = not shares and not variant.continuous
        """Whether `step_all` can step them while none has settings of its own."""
        self._address, self._here = 0, np.zeros(4, np.int64)

    def load(self, actions: Any) -> None:
        """Check the actions and put them into the exchange.

        Raises:
            ValueError: actions of another shape or type or out of range, or nan.
        """
        actions, n = np.asarray(actions), self.num_envs
        if self.variant.continuous:
            if actions.shape != (n, 2) or actions.dtype.kind not in "fiu":
                raise _wrong_array(f"float[{n}, 2]", (n, 2), actions)
            if np.isnan(actions).any():
                raise WrongAction("actions must be numbers, got nan")
            np.clip(actions, -1.0, 1.0, out=self.exchange.action)
            return
        wrong = load_actions(self._discrete(actions), self.exchange.action)
        if wrong >= 0:
            raise _no_action(actions, wrong)

    def step_all(self, actions: Any, ended: np.ndarray, resets: bool) -> int:
        """`load` and `step` in one call, for all landers: how many episodes ended.

        Args:
            actions: as for `load`.
            ended: bool[N], whose episode the last step ended; then whose this one has ended.
            resets: whether those are reset.

        Raises:
            ValueError: as `load`.
        """
        self.look()
        if not self._address:
            self._address = array_address(serve_steps, STEP_ARGUMENTS)
        numbers = self._discrete(actions)
        count = step_all(self._address, self._here, numbers, ended, resets, *self.whole)
        if count < 0:
            raise _no_action(actions, -1 - count)
        return count

    def _discrete(self, actions: Any) -> np.ndarray:
        """Discrete actions as int64[N]. Which numbers they are is not checked."""
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise _wrong_array(f"int[{self.num_envs}]", (self.num_envs,), actions)
        return kernel_array(actions, np.int64)

    def step(self, todo: np.ndarray, fresh: np.ndarray) -> None:
        """Step the landers in `todo` by their loaded actions. Those that are also in `fresh` are reset instead.

        Landers with settings of their own are stepped group by group, a group for each combination of settings.

        todo, fresh: bool[N].
        """
        if self.settings is None:
            self._step(todo, fresh)
            return
        self.settings.begin(todo & fresh)
        exchange = self.exchange
        results = exchange.reward, exchange.terminated, exchange.truncated
        whole = [np.zeros_like(array) for array in results]
        for packed, members in self.settings.groups(todo):
            self._packed[:] = packed
            self._step(members, members & fresh)
            for kept, array in zip(whole, results, strict=True):
                kept[members] = array[members]
        for kept, array in zip(whole, results, strict=True):
            array[:] = kept

    def use(self, settings: LanderSettings | None) -> None:
        """Give the landers settings of their own, or all of them those of the variant."""
        self.settings = settings
        self._packed[:] = pack_variant(self.variant)

    def settings_now(self, gravity: float) -> LanderSettings:
        """A copy of the landers' settings. gravity: of the variant, not rounded."""
        settings = LanderSettings(self.variant, gravity, self.num_envs)
        if self.settings is not None:
            settings.table = self.settings.table.copy()
        return settings

    def look(self) -> None:
        """Have the kernels, and those solvers that were compiled since the last step."""
        if not serve_steps.overloads:
            self._compile()
        if MISSING.places:
            MISSING.look()

    def _step(self, todo: np.ndarray, fresh: np.ndarray) -> None:
        """`step` for landers that have the same settings."""
        self.look()
        self.exchange.todo[:], self.exchange.fresh[:] = todo, fresh
        if not self.threads:
            run_here(serve_steps, *self.own)
            return
        self.threads.start()
        try:
            run_here(serve_steps, *self.own)
        finally:
            self.threads.wait()

    def results(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Copies of what the last step gave: obs, reward, terminated, truncated (see `Exchange`)."""
        exchange = self.exchange
        return exchange.obs.copy(), exchange.reward.copy(), exchange.terminated.copy(), exchange.truncated.copy()

    def close(self) -> None:
        """End the threads."""
        self.threads.close()

    def _compile(self) -> None:
        """Compile the kernels, or load what an earlier process compiled, by a step of no landers."""
        start_helpers("lanes", "learner")
        load_actions(np.zeros(1, np.int64), np.zeros((1, 2)))
        step_all.compile(STEP_ALL_ARGUMENTS)
        ask.compile((WORDS,))  # wakes threads, which not every run has to
        run_here(serve_steps, *self.own[:-2], 0, 0)
        MISSING.load()


def _no_action(actions: Any, i: int) -> InputError:
    """The error for the action of lander i, which is none."""
    return WrongAction(f"actions must be 0, 1, 2 or 3, got {np.asarray(actions)[i]} for lander {i}")


def _wrong_array(wanted: str, shape: tuple[int, ...], actions: np.ndarray) -> InputError:
    """The error for actions of another shape or type, of the kind that SyncVectorEnv raises."""
    kind = WrongType if actions.ndim == 0 else WrongAction if actions.shape == shape else InputError
    return kind(f"actions must be {wanted}, got {actions.dtype}{list(actions.shape)}")

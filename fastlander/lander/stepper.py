"""`Stepper`: the memory of N landers and the threads that step them."""

import numpy as np

from fastlander.kernels.compile_notice import CompileNotice
from fastlander.kernels.threads import KernelThreads, run_here
from fastlander.lander.exchange import exchange_size, unpack_exchange
from fastlander.lander.step import load_actions, serve_steps, workspace_size
from fastlander.lander.variant import Variant, pack_variant
from fastlander.physics.state import memory_size, unpack


class Stepper:
    """N landers of one variant, stepped by one thread or more.

    Args:
        num_envs: N.
        num_threads: threads that share a step, the caller's included.
        variant: of the game.
    """

    def __init__(self, num_envs: int, num_threads: int, variant: Variant) -> None:
        self.memory = np.zeros(memory_size(num_envs), np.uint8)
        """All that is kept from one step to the next."""
        self.state = unpack(self.memory, num_envs)
        """The fields of `memory`, as views."""
        block = np.zeros(exchange_size(num_envs), np.uint8)
        self.exchange = unpack_exchange(block, num_envs)
        """What goes into a step and comes out of it."""
        packed = pack_variant(variant)
        # Full vectors for each thread but the last one.
        size = -(-num_envs // (16 * num_threads)) * 16
        self._own, *shares = [
            (self.memory, block, packed, np.zeros(workspace_size(last - first), np.uint8), num_envs, first, last)
            for first, last in ((first, min(first + size, num_envs)) for first in range(0, num_envs, size))
        ]
        self._threads = KernelThreads(serve_steps, shares)

    def step(self) -> None:
        """Step and reset the landers as the exchange says. Its results are there afterwards."""
        if not serve_steps.overloads:
            self._compile()
        if not self._threads:
            run_here(serve_steps, *self._own)
            return
        self._threads.start()
        run_here(serve_steps, *self._own)
        self._threads.wait()

    def load(self, actions: np.ndarray) -> int:
        """Put discrete actions, int64[N], into the exchange. Returns the index of a wrong one, or -1."""
        return load_actions(actions, self.exchange.action)

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    def _compile(self) -> None:
        """Compile the kernels, or load what an earlier process compiled, by a step of no landers."""
        with CompileNotice():
            load_actions(np.zeros(1, np.int64), np.zeros((1, 2)))
            run_here(serve_steps, *self._own[:-2], 0, 0)

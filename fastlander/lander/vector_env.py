"""`LunarLanderVectorEnv`: Gymnasium's LunarLander-v3, bit for bit, N at once."""

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fastlander.kernels.compile_notice import CompileNotice
from fastlander.kernels.threads import KernelThreads, run_here
from fastlander.lander.frames import FrameRenderer
from fastlander.lander.game import FPS, OBSERVATION_SIZE
from fastlander.lander.interface import (
    action_space,
    checked_autoreset_mode,
    final_infos,
    observation_space,
    seed_list,
)
from fastlander.lander.pcg64 import generator, start_stream
from fastlander.lander.step import load_actions, serve_steps, workspace_size
from fastlander.memory import check_memory
from fastlander.physics.state import memory_size, unpack
from fastlander.validation import Count, InputError, StepLimit, check

MAX_EPISODE_STEPS = 1000
_NO_LIMIT = 2**31 - 2


class LunarLanderVectorEnv(VectorEnv):
    """N LunarLander-v3 environments that step together, with the bits of Gymnasium's own.

    What `gym.make_vec("LunarLander-v3", num_envs=N, vectorization_mode="sync")` gives, this gives: observations,
    rewards, flags and infos, in all three autoreset modes, seed for seed. The physics is Box2D's, rewritten as Numba
    kernels that step sixteen and more landers in one vector register (`fastlander.physics`);
    `python -m fastlander.verify` compares the two.

    Examples:
        >>> import gymnasium as gym
        >>> env = gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=16)
        >>> obs, info = env.reset(seed=0)
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_threads: int = 1,
        continuous: bool = False,
        gravity: float = -10.0,
        enable_wind: bool = False,
        wind_power: float = 15.0,
        turbulence_power: float = 1.5,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Make N landers; `reset` them before the first step.

        Args:
            num_envs: N, at least 1.
            autoreset_mode: NEXT_STEP, SAME_STEP or DISABLED, as Gymnasium defines them.
            num_threads: threads that share a step, awake for a tenth of a millisecond after it; they change no result.
            continuous: actions are two floats (main engine, side engines) instead of four choices.
            gravity: m/s^2, in (-12, 0).
            enable_wind: as in Gymnasium.
            wind_power: as in Gymnasium.
            turbulence_power: as in Gymnasium.
            max_episode_steps: truncate episodes there; None is Gymnasium's 1,000, -1 is never.
            render_mode: None or "rgb_array".

        Raises:
            ValueError: a setting out of range, or more landers than fit in memory.
        """
        self.num_envs = check("num_envs", Count, num_envs)
        check_memory("num_envs", self.num_envs, memory_size(self.num_envs))
        self.num_threads = min(check("num_threads", Count, num_threads), self.num_envs)
        self.autoreset_mode = checked_autoreset_mode(autoreset_mode)
        if not -12.0 < gravity < 0.0:
            raise InputError(f"gravity must be between -12 and 0, got {gravity}")
        for name, power, high in (("wind_power", wind_power, 20.0), ("turbulence_power", turbulence_power, 2.0)):
            if not np.isfinite(power):
                raise InputError(f"{name} must be a finite number, got {power}")
            if not 0.0 <= power <= high:
                gym.logger.warn(f"{name} value is recommended to be between 0.0 and {high}, (current value: {power})")
        if render_mode not in (None, "rgb_array"):
            raise InputError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
        limit = MAX_EPISODE_STEPS if max_episode_steps is None else max_episode_steps
        limit = _NO_LIMIT if limit == -1 else check("max_episode_steps", StepLimit, limit)
        self.continuous, self.render_mode = bool(continuous), render_mode
        self._arguments = {
            "num_envs": self.num_envs,
            "autoreset_mode": self.autoreset_mode,
            "num_threads": num_threads,
            "continuous": self.continuous,
            "gravity": float(gravity),
            "enable_wind": bool(enable_wind),
            "wind_power": float(wind_power),
            "turbulence_power": float(turbulence_power),
            "max_episode_steps": max_episode_steps,
            "render_mode": render_mode,
        }
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space()
        self.single_action_space = action_space(self.continuous)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        self._numbers = np.array(
            [self.continuous, gravity, enable_wind, wind_power, turbulence_power, limit], np.float64
        )
        self._memory = np.zeros(memory_size(self.num_envs), np.uint8)
        self._actions = np.zeros((self.num_envs, 2))
        self._all, self._none = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        self._ended = np.zeros(self.num_envs, bool)
        self._obs = np.zeros((self.num_envs, OBSERVATION_SIZE), np.float32)
        self._seeds: list[int] | None = None
        self._ready = False
        self._renderer: FrameRenderer | None = None
        self._share()

    def _share(self) -> None:
        """Split the landers among the threads, in whole vectors."""
        n = self.num_envs
        size = -(-n // (16 * self.num_threads)) * 16
        bounds = [(first, min(first + size, n)) for first in range(0, n, size)]
        self._workspace = np.zeros(workspace_size(size), np.uint8)
        # The arrays that the threads know, whose addresses stay: todo, fresh, obs, reward, terminated, truncated.
        flags = [np.zeros(n, bool) for _ in range(4)]
        self._shared = (*flags[:2], np.zeros((n, OBSERVATION_SIZE), np.float32), np.zeros(n), *flags[2:])
        self._own = self._arguments_of(0, bounds[0][1], self._workspace, *self._shared)
        shares = [
            self._arguments_of(a, b, np.zeros(workspace_size(b - a), np.uint8), *self._shared) for a, b in bounds[1:]
        ]
        self._threads = KernelThreads(serve_steps, shares)

    @property
    def np_random_seed(self) -> tuple[int, ...]:
        """The seed each lander's random stream was started from."""
        self._check_open()
        if self._seeds is None:
            self._seed([None] * self.num_envs, self._all)
        return tuple(self._seeds)

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """Each lander's random stream as it stands: copies, drawing from them changes nothing here."""
        self.np_random_seed  # noqa: B018
        return tuple(generator(unpack(self._memory, self.num_envs).stream[:, i]) for i in range(self.num_envs))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes: (float32[N, 8], {}).

        Args:
            seed: lander i is seeded seed + i, or seed[i]; where None its random stream goes on.
            options: {"reset_mask": bool[N]} resets only those landers.

        Raises:
            ValueError: a seed that is no natural number, not one per lander, a mask of another shape or without a True.
        """
        self._check_open()
        seeds = seed_list(seed, self.num_envs)
        mask = (
            self._all
            if not options or "reset_mask" not in options
            else self._check_mask("options['reset_mask']", options["reset_mask"])
        )
        self._seed(seeds, mask)
        self._ready = True
        self._ended = self._ended & ~mask
        obs = self._obs.copy()
        self._run(mask, mask, obs, np.zeros(self.num_envs), self._none.copy(), self._none.copy())
        self._obs = obs
        return obs.copy(), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every lander: (obs float32[N, 8], reward float64[N], terminated bool[N], truncated bool[N], infos).

        Args:
            actions: int[N] in {0, 1, 2, 3} (nothing, left, main, right engine), or float[N, 2] if continuous.

        Raises:
            ValueError: actions of another shape or type or out of range, not yet reset, or closed.
            AssertionError: autoreset is DISABLED and an episode that ended was not reset.
        """
        if not self._ready:
            self._check_open()
            raise InputError("reset must be called before step")
        self._load(actions)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            assert not self._ended.any(), f"episodes ended and were not reset: {np.flatnonzero(self._ended).tolist()}"
        fresh = self._ended if self.autoreset_mode is AutoresetMode.NEXT_STEP else self._none
        obs, reward = np.empty((self.num_envs, OBSERVATION_SIZE), np.float32), np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        self._run(self._all, fresh, obs, reward, terminated, truncated)
        self._ended = terminated | truncated
        infos: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._ended.any():
            infos = final_infos(obs, self._ended)
            self._run(self._ended, self._ended, obs, reward, terminated, truncated)
            self._ended = self._none
        self._obs = obs.copy()  # what reset gives for landers that it leaves alone
        return obs, reward, terminated, truncated, infos

    def step_some(
        self, actions: Any, mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """`step` for the landers in `mask`, bool[N], alone; the others stand still and cost nothing.

        Their rows are the observation they had, reward 0 and False. Gymnasium's environments cannot do this: it lets
        an evaluation finish its last episodes without flying those landers on whose episodes are over.

        Raises:
            ValueError: as `step`; a mask of another shape or without a True, or autoreset that is not DISABLED.
            AssertionError: the mask has a lander whose episode ended and that was not reset.
        """
        if not self._ready or self.autoreset_mode is not AutoresetMode.DISABLED:
            self._check_open()
            raise InputError("step_some must be called after reset, with autoreset_mode DISABLED")
        mask = self._check_mask("mask", mask)
        self._load(actions)
        assert not (self._ended & mask).any(), (
            f"episodes ended and were not reset: {np.flatnonzero(self._ended & mask)}"
        )
        obs, reward = self._obs.copy(), np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        self._run(mask, self._none, obs, reward, terminated, truncated)
        self._ended = self._ended | terminated | truncated
        self._obs = obs.copy()
        return obs, reward, terminated, truncated, {}

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Gymnasium's frame of each lander's state, uint8[400, 600, 3], without the engines' particles."""
        self._check_open()
        if self.render_mode is None:
            gym.logger.warn("You are calling render method without specifying any render mode.")
            return None
        if not self._ready:
            raise InputError("reset must be called before render")
        if self._renderer is None:
            self._renderer = FrameRenderer()
        state = unpack(self._memory, self.num_envs)
        return tuple(self._renderer.frame(state, i) for i in range(self.num_envs))

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that decides what the landers do next, as arrays that `numpy.savez` takes: a copy."""
        self._check_open()
        return {
            "memory": self._memory.copy(),
            "obs": self._obs.copy(),
            "ended": self._ended.copy(),
            "ready": np.array(self._ready),
            "seeds": np.array([str(s) for s in self._seeds or []], dtype=np.str_),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `get_state` gave, here or in an environment made with the same settings.

        Raises:
            ValueError: not such a state, or one of another number of landers.
        """
        self._check_open()
        now = self.get_state()
        for name, value in now.items():
            if name not in state:
                raise InputError(f"state must have {', '.join(now)}, got {', '.join(map(str, state))}")
            got = np.asarray(state[name])
            if name != "seeds" and (got.shape != value.shape or got.dtype != value.dtype):
                raise InputError(
                    f"state[{name!r}] must be {value.dtype}{list(value.shape)} (num_envs {self.num_envs}), "
                    f"got {got.dtype}{list(got.shape)}"
                )
        self._memory[:] = state["memory"]
        self._obs, self._ended = np.array(state["obs"]), np.array(state["ended"])
        self._ready = bool(state["ready"])
        self._seeds = [int(s) for s in state["seeds"]] or None

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self._arguments, "state": self.get_state(), "spec": self.spec}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self.__init__(**pickled["arguments"])  # type: ignore[misc]
        self.set_state(pickled["state"])
        self.spec = pickled["spec"]

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads and the renderer."""
        self._ready = False
        self._threads.close()
        if self._renderer is not None:
            self._renderer.close()

    def _run(self, *arrays: np.ndarray) -> None:
        """One step of the landers in `todo`: todo, fresh, obs, reward, terminated, truncated."""
        self._compile()
        if not self._threads:
            run_here(serve_steps, *self._arguments_of(0, self.num_envs, self._workspace, *arrays))
            return
        for shared, given in zip(self._shared, arrays, strict=True):
            if given is not arrays[2] or arrays[0] is not self._all:  # observations, where all are written anew
                shared[:] = given
        self._threads.start()
        run_here(serve_steps, *self._own)
        self._threads.wait()
        for given, shared in zip(arrays[2:], self._shared[2:], strict=True):
            given[:] = shared

    def _compile(self) -> None:
        """The first call in this process compiles the kernels, or loads what an earlier one compiled."""
        if not serve_steps.overloads:
            with CompileNotice():
                load_actions(np.zeros(1, np.int64), np.zeros((1, 2)))
                run_here(serve_steps, *self._arguments_of(0, 0, self._workspace, *self._shared))

    def _arguments_of(
        self, first: int, last: int, workspace: np.ndarray, todo: np.ndarray, fresh: np.ndarray, *outputs: np.ndarray
    ) -> tuple[Any, ...]:
        """What `step_once` takes to step the landers in [first, last)."""
        return (
            self._memory,
            self.num_envs,
            self._numbers,
            first,
            last,
            self._actions,
            todo,
            fresh,
            workspace,
            *outputs,
        )

    def _load(self, actions: Any) -> None:
        """Check the actions and put them where the kernels read them."""
        actions = np.asarray(actions)
        if self.continuous:
            if actions.shape != (self.num_envs, 2) or actions.dtype.kind not in "fiu":
                raise InputError(f"actions must be float[{self.num_envs}, 2], got {actions.dtype}{list(actions.shape)}")
            if np.isnan(actions).any():
                raise InputError("actions must be numbers, got nan")
            np.clip(actions, -1.0, 1.0, out=self._actions)
            return
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise InputError(f"actions must be int[{self.num_envs}], got {actions.dtype}{list(actions.shape)}")
        wrong = load_actions(actions.astype(np.int64, copy=False), self._actions)
        if wrong >= 0:
            raise InputError(f"actions must be 0, 1, 2 or 3, got {actions[wrong]} for lander {wrong}")

    def _check_mask(self, name: str, mask: Any) -> np.ndarray:
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            got = f"{mask.dtype}{list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
            raise InputError(f"{name} must be a bool[{self.num_envs}] array, got {got}")
        if not mask.any():
            raise InputError(f"{name} must have a True, got none")
        if not self._ready and not mask.all():
            raise InputError("reset must be called for all landers before it is called with a reset_mask")
        return mask

    def _seed(self, seeds: list[int | None], mask: np.ndarray) -> None:
        """Start the random streams of the landers in `mask` that got a seed, or that never had one."""
        stream = unpack(self._memory, self.num_envs).stream
        known = self._seeds
        if known is None:
            self._seeds = [0] * self.num_envs
        for i in np.flatnonzero(mask):
            if seeds[i] is None and known is not None:
                continue
            self._seeds[i] = start_stream(stream[:, i], seeds[i])

    def _check_open(self) -> None:
        if self.closed:
            raise InputError("this environment is closed")

"""`LunarLanderEnv`: Gymnasium's LunarLander-v3 as a single environment: the same bits, several times as fast."""

import threading
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode

import fastlander.kernels.compile_notice  # noqa: F401 - a kernel that compiles says so
from fastlander.lander.attributes import METADATA
from fastlander.lander.frames import FrameRenderer
from fastlander.lander.interface import BUSY, action_space, alone, checked_variant, natural, observation_space
from fastlander.lander.pcg64 import generator, write_stream
from fastlander.lander.pictures import Window
from fastlander.lander.saved_state import checked_state, settings_of
from fastlander.lander.step_one import BLOCK_SIZE, MEMORY_SIZE, step_one, unpack_one
from fastlander.lander.variant import pack_variant
from fastlander.validation import InputError

_NUMBERS = {action: float(action) for action in range(4)}
_QUICK = frozenset((int, np.int64))  # types of discrete actions that are known without a call of `contains`
_NO_LIMIT = -1  # Gymnasium's TimeLimit counts the steps, around this environment


class LunarLanderEnv(gym.Env):
    """LunarLander-v3 that gives the same bits as Gymnasium's own. `gym.make` makes it.

    For the same seeds and actions, observations, rewards, flags and infos are those of `gym.make("LunarLander-v3")`
    with the same arguments, episode after episode, and also in steps after an episode's end. `np_random` is the random
    stream of the lander as in Gymnasium: what is drawn from it, the lander does not draw.

    It has no Box2D world, so there is no `world`, `lander` or `legs`. Its pictures are Gymnasium's without the engines'
    particles. It may be pickled and copied at any time; a copy goes on as the original does.

    The first step on a machine compiles its kernel, which takes about half a minute. One thread uses an
    environment at a time. A method that is called while another thread is in one raises RuntimeError.

    Examples:
        >>> import gymnasium as gym
        >>> env = gym.make("fastlander:fastlander/LunarLander-v3", render_mode="rgb_array")
        >>> obs, info = env.reset(seed=0)
    """

    metadata: ClassVar[dict[str, Any]] = METADATA

    def __init__(
        self,
        render_mode: str | None = None,
        continuous: bool = False,
        gravity: float = -10.0,
        enable_wind: bool = False,
        wind_power: float = 15.0,
        turbulence_power: float = 1.5,
    ) -> None:
        """Make a lander; `reset` it before the first step.

        Args:
            render_mode: None, "rgb_array" or "human", which shows every step in a window. `gym.make` also takes
                "rgb_array_list".
            continuous: an action is two numbers (main engine, side engines) instead of one of four choices.
            gravity: m/s^2, in (-12, 0).
            enable_wind: as in Gymnasium.
            wind_power: as in Gymnasium.
            turbulence_power: as in Gymnasium.

        Raises:
            AssertionError: gravity out of range, as in Gymnasium.
            ValueError: another render_mode, or a wind or turbulence power that is no finite number.
        """
        assert -12.0 < gravity < 0.0, f"gravity (current value: {gravity}) must be between -12 and 0"
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"render_mode must be None, 'human' or 'rgb_array', got {render_mode!r}")
        self._variant = checked_variant(continuous, gravity, enable_wind, wind_power, turbulence_power, _NO_LIMIT)
        self._arguments = {
            "render_mode": render_mode,
            "continuous": bool(continuous),
            "gravity": float(gravity),
            "enable_wind": bool(enable_wind),
            "wind_power": float(wind_power),
            "turbulence_power": float(turbulence_power),
        }
        self.render_mode, self._continuous = render_mode, bool(continuous)
        self.observation_space = observation_space()
        self.action_space = action_space(self._continuous)

        self._block = np.zeros(BLOCK_SIZE, np.uint8)
        self._lander = unpack_one(self._block)
        self._lander.variant[:] = pack_variant(self._variant)
        self._obs = self._lander.exchange.obs[0]
        self._stream = self._lander.state.stream[:, 0]
        self._generator: np.random.Generator | None = None  # the stream as `np_random`, once it was asked for
        self._ready = False
        self._renderer: FrameRenderer | None = None
        self._window = Window()
        self._free = threading.Lock()

    @property
    def continuous(self) -> bool:
        """Whether an action is two numbers."""
        return self._continuous

    @property
    def gravity(self) -> float:
        """The vertical acceleration, m/s^2."""
        return self._arguments["gravity"]

    @property
    def enable_wind(self) -> bool:
        """Whether there is wind."""
        return self._arguments["enable_wind"]

    @property
    def wind_power(self) -> float:
        """The greatest force of the wind."""
        return self._arguments["wind_power"]

    @property
    def turbulence_power(self) -> float:
        """The greatest torque of the wind."""
        return self._arguments["turbulence_power"]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode: (float32[8], {}).

        Args:
            seed: starts the random stream anew. With None it goes on.
            options: are not used, as in Gymnasium.

        Raises:
            gymnasium.error.Error: the seed is no natural number.
            ValueError: it has more than 1,000 digits.
        """
        with alone(self._free):
            if seed is not None or self._np_random_seed is None:
                self._seed(seed)
            fresh = self._lander.exchange.fresh
            fresh[0] = True
            try:
                self._run(0.0, 0.0)
            finally:
                fresh[0] = False
            self._ready = True
            obs = self._obs.copy()
        if self.render_mode == "human":
            self.render()
        return obs, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step the lander: (obs float32[8], reward, terminated, False, {}). `gym.make` adds the time limit.

        Args:
            action: 0, 1, 2 or 3 (no engine, left, main, right engine), or float[2] if continuous.

        Raises:
            AssertionError: the action is none of the four, or there was no reset.
        """
        assert self._ready, "You forgot to call reset()"
        if self._continuous:
            first, second = float(action[0]), float(action[1])
        else:
            first, second = _NUMBERS.get(action) if type(action) in _QUICK else None, 0.0
            if first is None:
                assert self.action_space.contains(action), f"{action!r} ({type(action)}) invalid "
                first = float(action)
        if not self._free.acquire(False):
            raise RuntimeError(BUSY)
        try:
            if self._generator is None:
                reward, terminated = step_one(self._block, first, second)
            else:
                reward, terminated = self._run(first, second)
            obs = self._obs.copy()
        finally:
            self._free.release()
        if self.render_mode == "human":
            self.render()
        return obs, reward, terminated, False, {}

    def render(self) -> np.ndarray | None:
        """A picture of the lander, uint8[400, 600, 3], if render_mode is "rgb_array"; a window if it is "human".

        Raises:
            ValueError: there was no reset.
            gymnasium.error.DependencyNotInstalled: pygame is missing.
        """
        if self.render_mode is None:
            gym.logger.warn(
                "You are calling render method without specifying any render mode. You can specify the render_mode at "
                'initialization, e.g. gym.make("fastlander/LunarLander-v3", render_mode="rgb_array")'
            )
            return None
        if not self._ready:
            raise InputError("reset must be called before render")
        with alone(self._free):
            if self._renderer is None:
                self._renderer = FrameRenderer()
            frame = self._renderer.frame(self._lander.state, 0)
            if self.render_mode == "rgb_array":
                return frame
            self._window.show([frame])
            return None

    def close(self) -> None:
        """Close the window, if there is one."""
        self._window.close()

    def get_state(self) -> dict[str, np.ndarray]:
        """A copy of everything that decides what the lander does next, as arrays that `numpy.savez` takes.

        They are those of `LunarLanderVectorEnv(1, autoreset_mode="Disabled", max_episode_steps=-1)`. The steps that
        Gymnasium's TimeLimit has counted are not among them.
        """
        with alone(self._free):
            self._read_generator()
            seed = self._np_random_seed
            return {
                "memory": self._block[:MEMORY_SIZE].copy(),
                "obs": self._lander.exchange.obs.copy(),
                "ended": self._lander.exchange.terminated.copy(),
                "ready": np.array(self._ready),
                "seeds": np.array([] if seed is None else [str(seed)], dtype=np.str_),
                **settings_of(self._variant, AutoresetMode.DISABLED, None),
            }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state that `get_state` gave, here or in an environment made with the same arguments.

        `np_random` is then another generator.

        Raises:
            ValueError: it is not such a state, or it is of other arguments. Then nothing changes.
        """
        saved = checked_state(state, 1, self._variant, AutoresetMode.DISABLED, unknown_seeds=True)
        if saved.settings is not None:
            raise InputError("the state must be of an environment without set_attr, got one with settings of its own")
        with alone(self._free):
            self._block[:MEMORY_SIZE], self._lander.exchange.obs[:] = saved.memory, saved.obs
            self._lander.exchange.terminated[:], self._ready = saved.ended, saved.ready
            self._np_random_seed = saved.seeds[0] if saved.seeds else None
            self._generator = None

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self._arguments, "state": self.get_state(), "spec": self.spec}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self.__init__(**pickled["arguments"])  # type: ignore[misc]
        self.set_state(pickled["state"])
        self.spec = pickled["spec"]

    # `gym.Env` reads and writes this name, for its properties `np_random` and `np_random_seed` too. A generator that
    # somebody holds and the kernel's stream are kept alike: it is read before a step and written after it.
    @property
    def _np_random(self) -> np.random.Generator | None:
        if self._np_random_seed is not None and self._generator is None:
            self._generator = generator(self._stream)
        return self._generator

    @_np_random.setter
    def _np_random(self, value: np.random.Generator) -> None:
        if not isinstance(value, np.random.Generator) or type(value.bit_generator) is not np.random.PCG64:
            raise InputError(f"np_random must be a numpy.random.Generator of PCG64, got {value!r}")
        with alone(self._free):
            self._generator = value
            self._read_generator()

    def _seed(self, seed: int | None) -> None:
        started, entropy = seeding.np_random(seed)
        self._np_random_seed = natural(entropy)
        self._generator = None
        write_stream(self._stream, started.bit_generator)

    def _read_generator(self) -> None:
        if self._generator is not None:
            write_stream(self._stream, self._generator.bit_generator)

    def _run(self, first: float, second: float) -> tuple[float, bool]:
        """A step or a reset by the kernel, and `np_random` kept alike if somebody may hold it."""
        self._read_generator()
        results = step_one(self._block, first, second)
        if self._generator is not None:
            self._generator.bit_generator.state = generator(self._stream).bit_generator.state
        return results

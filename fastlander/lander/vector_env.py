"""`LunarLanderVectorEnv`: N of Gymnasium's LunarLander-v3 at once, with the same bits."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fastlander.lander.attributes import METADATA, OF_ENVIRONMENT, READABLE, attribute, not_readable, not_settable
from fastlander.lander.errors import Closed, NotReset
from fastlander.lander.interface import (
    BUSY,
    action_space,
    alone,
    checked_autoreset_mode,
    checked_mask,
    checked_variant,
    final_infos,
    observation_space,
    plain_spec,
    seed_list,
    vector_spaces,
)
from fastlander.lander.pcg64 import generator, start_streams
from fastlander.lander.pictures import RENDER_MODES, Pictures
from fastlander.lander.saved_state import checked_state, settings_of
from fastlander.lander.settings import NAMES, LanderSettings, as_list
from fastlander.lander.stepper import Stepper
from fastlander.memory import check_memory
from fastlander.physics.state import memory_size
from fastlander.validation import Count, InputError, check, shown

_NEXT_STEP, _SAME_STEP, _DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


class LunarLanderVectorEnv(VectorEnv):
    """N LunarLander-v3 environments that step together and give the same bits as Gymnasium's own.

    For the same seeds and actions, observations, rewards, flags and infos are those of
    `gym.make_vec("LunarLander-v3", num_envs=N, vectorization_mode="sync")`, in all three autoreset modes. The physics
    is Box2D's, rewritten as Numba kernels that step sixteen or more landers in one vector register
    (`fastlander.physics`). `python -m fastlander.verify` compares the two landers.

    One thread uses an environment at a time. A method that is called while another thread is in one raises
    RuntimeError.

    Examples:
        >>> import gymnasium as gym
        >>> env = gym.make_vec("fastlander:fastlander/LunarLander-v3", num_envs=16)
        >>> obs, info = env.reset(seed=0)
    """

    metadata: ClassVar[dict[str, Any]] = METADATA
    closed = True  # until `__init__` has made it: Gymnasium 1.2 closes what was refused, too
    _spec: EnvSpec | None = None

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
        copy: bool = True,
        observation_mode: Any = "same",
    ) -> None:
        """Make N landers; `reset` them before the first step.

        Args:
            num_envs: N, at least 1.
            autoreset_mode: NEXT_STEP, SAME_STEP or DISABLED, as Gymnasium defines them.
            num_threads: threads that share a step. They do not change results. They stay awake for 0.1 ms after a step.
            continuous: an action is two numbers (main engine, side engines) instead of one of four choices.
            gravity: m/s^2, in (-12, 0).
            enable_wind: as in Gymnasium.
            wind_power: as in Gymnasium.
            turbulence_power: as in Gymnasium.
            max_episode_steps: episodes are truncated after so many steps. None means 1,000, as in Gymnasium; -1 means
                never.
            render_mode: None, "rgb_array", "rgb_array_list" or "human" (one window with all landers), see `render`.
            copy: False returns observations in memory that the next step overwrites, as in Gymnasium.
            observation_mode: "same", "different" or two spaces, as in Gymnasium.

        Raises:
            ValueError: an argument out of range, or more landers than fit in memory.
            TypeError: a setting of the game of another type. It is a ValueError too.
        """
        self.num_envs = check("num_envs", Count, num_envs)
        check_memory("num_envs", self.num_envs, memory_size(self.num_envs))
        self.num_threads = min(check("num_threads", Count, num_threads), self.num_envs)
        self.autoreset_mode = checked_autoreset_mode(autoreset_mode)
        variant = checked_variant(continuous, gravity, enable_wind, wind_power, turbulence_power, max_episode_steps)
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise InputError(f"render_mode must be None or one of {', '.join(RENDER_MODES)}, got {shown(render_mode)}")
        self.continuous, self.render_mode, self.copy = variant.continuous, render_mode, bool(copy)
        self._arguments = {"num_envs": self.num_envs, "autoreset_mode": self.autoreset_mode, "num_threads": num_threads}
        self._arguments |= {**variant._asdict(), "gravity": float(gravity), "max_episode_steps": max_episode_steps}
        self._arguments |= {"render_mode": render_mode, "copy": self.copy, "observation_mode": observation_mode}
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.observation_space, self.single_observation_space = vector_spaces(
            observation_mode, observation_space(), self.num_envs
        )
        self.single_action_space = action_space(self.continuous)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        self._stepper = Stepper(self.num_envs, self.num_threads, variant)
        self._all, self._none = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        self._ended = np.zeros(self.num_envs, bool)
        self._seeds: list[int] | None = None
        self._ready = False
        self._pictures = None if render_mode is None else Pictures(render_mode, self.num_envs)
        self._steps_all = self._stepper.can_step_all and self._pictures is None and self.autoreset_mode is not _DISABLED
        self._free = threading.Lock()
        self.closed = False

    @property
    def spec(self) -> EnvSpec | None:
        """The spec with which `gymnasium.make_vec` made this environment, in a form that goes to JSON and back."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = plain_spec(spec)

    @property
    def np_random_seed(self) -> tuple[int, ...]:
        """For each lander the seed that its random stream was started with."""
        self._check_open()
        if self._seeds is None:
            with alone(self._free):
                self._seeds = start_streams(self._stepper.state.stream, [None] * self.num_envs, self._all, None)
        return tuple(self._seeds)

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """Copies of the landers' random streams as they are now. Drawing from them does not change the environment."""
        self.np_random_seed  # noqa: B018 - this starts the streams if they were not started before
        return tuple(generator(self._stepper.state.stream[:, i]) for i in range(self.num_envs))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes: (float32[N, 8], {}).

        Args:
            seed: lander i gets the seed `seed + i`, or `seed[i]`. With None its random stream goes on.
            options: {"reset_mask": bool[N]} resets only those landers. The others keep their state, and their rows are
                the observations they had.

        Raises:
            ValueError: a seed that is no natural number, not one seed per lander, a mask of another shape or type or
                without a True, a mask before the first reset, or the environment is closed.
        """
        self._check_open()
        seeds = seed_list(seed, self.num_envs)
        mask = self._all
        if options and "reset_mask" in options:
            mask = checked_mask("options['reset_mask']", options["reset_mask"], self.num_envs)
            if not self._ready and not mask.all():
                raise InputError("reset must be called for all landers before it is called with a reset_mask")
        with alone(self._free):
            self._seeds = start_streams(self._stepper.state.stream, seeds, mask, self._seeds)
            self._step(mask, mask)
            self._ready = True
            self._ended[mask] = False
            return self._obs(), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every lander: (obs float32[N, 8], reward float64[N], terminated bool[N], truncated bool[N], infos).

        Args:
            actions: int[N], each 0, 1, 2 or 3 (no engine, left, main, right engine), or float[N, 2] if continuous.

        Raises:
            ValueError: actions of another shape or type or out of range, no reset before, or the environment is closed.
            AssertionError: the mode is DISABLED, and an episode ended and was not reset.
        """
        if not self._ready:
            self._check_open()
            raise NotReset("reset must be called before step")
        if not self._free.acquire(False):
            raise RuntimeError(BUSY)
        try:
            mode, stepper = self.autoreset_mode, self._stepper
            if stepper.settings is None and self._steps_all:
                ended = stepper.step_all(actions, self._ended, mode is _NEXT_STEP)
            else:
                stepper.load(actions)
                assert mode is not _DISABLED or not np.count_nonzero(self._ended), (
                    f"episodes ended and were not reset: {np.flatnonzero(self._ended).tolist()}"
                )
                self._step(self._all, self._ended if mode is _NEXT_STEP else self._none)
                self._ended[:] = stepper.exchange.terminated | stepper.exchange.truncated
                ended = np.count_nonzero(self._ended)
            obs, reward, terminated, truncated = stepper.results()
            infos: dict[str, Any] = {}
            if ended and mode is _SAME_STEP:
                infos = final_infos(obs, self._ended)
                self._step(self._ended, self._ended)
                obs = self._obs()
                self._ended[:] = False
            elif not self.copy:
                obs = self._obs()
            return obs, reward, terminated, truncated, infos
        finally:
            self._free.release()

    def step_some(
        self, actions: Any, mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step only the landers in `mask`, bool[N]. The others stand still and cost no time.

        A lander that stands still has the observation it had, reward 0 and False for both flags. Gymnasium's
        environments have no such method. An evaluation needs it for its last episodes, when most landers are done.

        Raises:
            ValueError: as in `step`, a mask of another shape or type or without a True, or a mode other than DISABLED.
            AssertionError: the episode of a lander in the mask ended and was not reset.
        """
        if not self._ready or self.autoreset_mode is not AutoresetMode.DISABLED:
            self._check_open()
            raise InputError("step_some must be called after reset, with autoreset_mode DISABLED")
        mask = checked_mask("mask", mask, self.num_envs)
        with alone(self._free):
            self._stepper.load(actions)
            assert not np.count_nonzero(self._ended & mask), (
                f"episodes ended and were not reset: {np.flatnonzero(self._ended & mask)}"
            )
            self._step(mask, self._none)
            obs, reward, terminated, truncated = self._stepper.results()
            self._ended |= terminated | truncated
            return obs, reward, terminated, truncated, {}

    @property
    def is_plain(self) -> bool:
        """Whether `lent` may be used: they were reset, actions are discrete, and none is shown or set by itself."""
        shown_or_set = self._pictures is not None or self._stepper.settings is not None
        return self._ready and not self.continuous and not shown_or_set

    @contextlib.contextmanager
    def lent(self) -> Iterator[Stepper]:
        """For a kernel that steps these landers, and resets them as their autoreset mode says."""
        with alone(self._free):
            self._stepper.look()
            yield self._stepper
            if self.autoreset_mode is AutoresetMode.DISABLED:
                self._ended |= self._stepper.exchange.terminated | self._stepper.exchange.truncated

    def render(self) -> tuple[Any, ...] | None:
        """For each lander what its `render_mode` gives, by Gymnasium's renderer and without the engines' particles.

        "rgb_array": a picture, uint8[400, 600, 3]. "rgb_array_list": the pictures after each step since the last call,
        or since its last reset. "human": None, as the window shows the landers by itself after every step.

        Raises:
            ValueError: no reset before, or the environment is closed.
        """
        self._check_open()
        if self._pictures is None:
            gym.logger.warn("You are calling render method without specifying any render mode.")
            return None
        if not self._ready:
            raise NotReset("reset must be called before render")
        with alone(self._free):
            return self._pictures.render(self._stepper.state)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """For each lander what the method `name` gives, or its attribute of that name.

        The methods are `render`, `has_wrapper_attr`, `get_wrapper_attr` and `set_wrapper_attr`. The attributes
        are those of Gymnasium's lander, except Box2D's objects (`fastlander.lander.attributes.READABLE`).

        Raises:
            AttributeError: landers have no such method or attribute. It is a ValueError too.
        """
        self._check_open()
        if name == "render":
            frames = self.render(*args, **kwargs)
            return (None,) * self.num_envs if frames is None else frames
        if name == "has_wrapper_attr":
            return tuple([args[0] in READABLE] * self.num_envs)
        if name == "get_wrapper_attr":
            return self.get_attr(*args, **kwargs)
        if name == "set_wrapper_attr":
            self.set_attr(*args, **kwargs)
            return (True,) * self.num_envs
        return self.get_attr(name)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of each lander, such as `gravity`.

        Raises:
            AttributeError: landers have no such attribute. It is a ValueError too.
        """
        self._check_open()
        if name in ("np_random", "np_random_seed"):
            return getattr(self, name)
        if name in OF_ENVIRONMENT:
            return (getattr(self, OF_ENVIRONMENT[name]),) * self.num_envs
        return attribute(name, self._stepper.state, self._settings())

    def set_attr(self, name: str, values: Any) -> None:
        """Give each lander its own setting.

        It acts when it would in Gymnasium: gravity from a lander's next reset on, wind that it never had too, all else
        at once. Landers of different settings are stepped one group after another, a group for each combination.

        Args:
            name: gravity, enable_wind, wind_power, turbulence_power or _max_episode_steps (of Gymnasium's `TimeLimit`).
            values: a list or tuple with a value for each lander, or one value for all.

        Raises:
            AttributeError: landers have no such setting. It is a ValueError too.
            ValueError: a value out of range, or not as many values as landers. Nothing changes then.
        """
        self._check_open()
        if name not in NAMES:
            raise not_settable(name) if name in READABLE else not_readable(name)
        settings = self._settings()
        settings.set(name, as_list(values, self.num_envs))
        with alone(self._free):
            self._stepper.use(settings)

    def get_state(self) -> dict[str, np.ndarray]:
        """A copy of everything that decides what the landers do next, as arrays that `numpy.savez` takes."""
        self._check_open()
        with alone(self._free):
            return {
                "memory": self._stepper.memory.copy(),
                "obs": self._stepper.exchange.obs.copy(),
                "ended": self._ended.copy(),
                "ready": np.array(self._ready),
                "seeds": np.array([str(s) for s in self._seeds or []], dtype=np.str_),
                **settings_of(self._stepper.variant, self.autoreset_mode, self._stepper.settings),
            }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state that `get_state` gave, here or in an environment made with the same arguments.

        Raises:
            ValueError: it is not such a state, or it is of other settings or another number of landers. Then nothing
                changes.
        """
        self._check_open()
        saved = checked_state(state, self.num_envs, self._stepper.variant, self.autoreset_mode)
        with alone(self._free):
            self._stepper.use(saved.settings)
            self._stepper.memory[:], self._stepper.exchange.obs[:] = saved.memory, saved.obs
            self._ended[:], self._ready, self._seeds = saved.ended, saved.ready, saved.seeds

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self._arguments, "state": self.get_state(), "spec": self.spec}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self.__init__(**pickled["arguments"])  # type: ignore[misc]
        self.set_state(pickled["state"])
        self.spec = pickled["spec"]

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads, and close the window and the renderer."""
        self._ready = False
        self._stepper.close()
        if self._pictures is not None:
            self._pictures.close()

    def _step(self, todo: np.ndarray, fresh: np.ndarray) -> None:
        """Step or reset landers, and show them if they are shown after every step."""
        self._stepper.step(todo, fresh)
        if self._pictures is not None:
            self._pictures.follow(self._stepper.state, todo, fresh)

    def _obs(self) -> np.ndarray:
        """The observations of all landers as the caller gets them."""
        return self._stepper.exchange.obs.copy() if self.copy else self._stepper.exchange.obs

    def _settings(self) -> LanderSettings:
        """A copy of the landers' settings, to be read or changed."""
        return self._stepper.settings_now(self._arguments["gravity"])

    def _check_open(self) -> None:
        if self.closed:
            raise Closed("this environment is closed")

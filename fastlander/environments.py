"""`make_vec_env`: environments that step together, on the backend asked for, if their spaces can be learned from."""

import contextlib
import importlib
import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from fastlander.config import LANDER_ID, TRAINING_LIMIT, Config, current_env_id, is_lander
from fastlander.lander.symmetry import MIRROR_ACTIONS, MIRROR_SIGNS
from fastlander.memory import check_memory
from fastlander.terminal import SIGNALS, signals_blocked
from fastlander.validation import Count, InputError, StepLimit, check, quoted, shown

BACKENDS = ("native", "sync", "async")
OWN_MODULE = "fastlander"
"""The module that any file may name in its env_id, as it is imported already."""
PLACE_MARKS = "/\\:~."
"""Marks in a text that an environment could take for a file or a module."""
BYTES_PER_ENV = {"native": 4_000, "sync": 3_000, "async": 5_000_000}
"""Memory that one environment takes, at least: a native lander, CartPole, and a process with CartPole."""
GRACE = 5  # s, see `_leave_signals_to_parent`


def make_vec_env(
    env_id: str = "LunarLander-v3",
    num_envs: int = 16,
    *,
    backend: Literal["native", "sync", "async"] | None = None,
    autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
    max_episode_steps: int | None = None,
    **env_settings: Any,
) -> VectorEnv:
    """N environments that step together: the native lander, or any other environment by Gymnasium's `make_vec`.

    Args:
        env_id: an id known to Gymnasium. LunarLander-v2 gives LunarLander-v3 and a warning.
        num_envs: N, at least 1.
        backend: "native" is the lander of this package (the same steps to the bit, many at once). "sync" steps
            Gymnasium's environments one after the other, "async" steps each in a process of its own. None is native
            for LunarLander and sync for others.
        autoreset_mode: SAME_STEP starts the next episode in the step that ended one and puts the true last observation
            in `info["final_obs"]`. So every row of a step is a transition, and none comes from a reset.
        max_episode_steps: steps after which an episode is cut (truncated). None keeps the environment's own limit.
        **env_settings: for the environment itself, such as `gravity=-5.0`.

    Raises:
        ValueError: the id or backend is unknown, native is asked for another environment than LunarLander, the
            environment does not take the settings, the observations are no flat Box, the actions are not Discrete, or
            that many do not fit in memory.
    """
    own = dict(env_settings)
    num_envs = check("num_envs", Count, num_envs)
    if backend is not None and backend not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)}, got {shown(backend)}")
    if max_episode_steps is not None:
        env_settings["max_episode_steps"] = check("max_episode_steps", StepLimit, max_episode_steps)
    env_id = current_env_id(env_id, stacklevel=3)
    find_spec(env_id)
    check_memory("num_envs", num_envs, num_envs * bytes_per_env(env_id, backend))
    if backend is None:
        backend = "native" if is_lander(env_id) else "sync"
    if backend == "native":
        if not is_lander(env_id):
            raise InputError(f"backend must be sync or async for env_id {env_id!r}, got 'native'")
        # Imported here, because the other backends need none of its kernels, which take long to load.
        from fastlander.lander.vector_env import LunarLanderVectorEnv

        with refusing(env_id, own):
            return LunarLanderVectorEnv(num_envs, autoreset_mode=autoreset_mode, **env_settings)
    if is_lander(env_id):
        check_box2d(f"backend {backend}")
    is_async = backend == "async"
    made_id = LANDER_ID if is_lander(env_id) else env_id  # this package's ids would give its own single environment
    with refusing(env_id, own), signals_blocked() if is_async else contextlib.nullcontext():
        env = gym.make_vec(
            made_id,
            num_envs=num_envs,
            vectorization_mode=backend,
            vector_kwargs={"autoreset_mode": autoreset_mode},
            wrappers=[_leave_signals_to_parent] if is_async else None,
            **env_settings,
        )
    try:
        check_spaces(env_id, env.single_observation_space, env.single_action_space)
    except InputError:
        env.close()
        raise
    return env


@contextlib.contextmanager
def refusing(env_id: str, env_kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Around the code that makes an environment: if it cannot be made, a ValueError of one line says why.

    An environment may refuse its own settings with any exception. Without settings, only those of Gymnasium and of
    imports are taken for a refusal.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except (gym.error.Error, ImportError) as error:
        raise _refused(env_id, error) from error
    except Exception as error:
        # The operating system names a file that it refuses. Other errors of it are the machine's.
        if not env_kwargs or (isinstance(error, OSError) and error.filename is None):
            raise
        settings = " ".join(f"{name}={value!r}" for name, value in env_kwargs.items())
        reason = quoted(error) or type(error).__name__
        got = f"{quoted(settings)} ({reason})"
        raise InputError(f"env_kwargs must be settings that {env_id!r} takes, got {got}") from error


def check_box2d(what: str) -> None:
    """ValueError that names `what` if Box2D, which only Gymnasium's own lander needs, cannot be imported."""
    try:
        import Box2D  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{what} needs Gymnasium's own lander, and so Box2D, which cannot be imported ({quoted(error)}); "
            "where there is a wheel, pip install box2d==2.3.10 gets it"
        ) from None


def bytes_per_env(env_id: str, backend: str | None) -> int:
    """Memory that one environment takes, at least, on this backend of `make_vec_env`."""
    return BYTES_PER_ENV[backend or ("native" if is_lander(env_id) else "sync")]


def make_training_env(config: Config) -> VectorEnv:
    """The environments that a run of these settings trains on. ValueError as for `make_vec_env`."""
    limit = training_limit(config)
    return make_vec_env(
        config.env_id, config.num_envs, backend=config.backend, max_episode_steps=limit, **config.env_kwargs
    )


def solved_score(config: Config) -> float | None:
    """The mean return that counts as solved: the setting or the environment's own. None if there is none."""
    return find_spec(config.env_id).reward_threshold if config.solved_score is None else config.solved_score


def training_limit(config: Config) -> int | None:
    """`max_episode_steps` of a run's training episodes; None where the environment has its own limit, which stays."""
    if config.max_episode_steps is not None:
        return config.max_episode_steps
    return TRAINING_LIMIT if config.is_lander or not find_spec(config.env_id).max_episode_steps else None


def find_spec(env_id: str) -> gym.envs.registration.EnvSpec:
    """Gymnasium's registration of an id; "module:id" imports the module first. ValueError if there is none."""
    module, _, name = env_id.rpartition(":")
    if module and not _is_module_name(module):
        raise InputError(f"env_id must have a Python module before its colon, got {quoted(repr(env_id))}")
    try:
        if module:
            importlib.import_module(module)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        raise _refused(env_id, error) from None


def import_module(name: str) -> None:
    """Import a module that the user named. ValueError if there is none, or if one that it needs is missing."""
    if not _is_module_name(name):
        raise InputError(f"a module to import must have the name of a Python module, got {quoted(repr(name))}")
    try:
        importlib.import_module(name)
    except ImportError as error:
        hint = "; for a file of your own, PYTHONPATH has to name its folder" if error.name == name else ""
        raise InputError(f"a module to import must be installed, got {name!r} ({quoted(error)}{hint})") from None


def allow_imports(config: Config, imports: Sequence[str], source: Path) -> None:
    """Import the modules that the user named, if the environment of a file needs no other.

    A run directory is data. The module in its "module:id" would run as a program, so it is imported only if the user
    says so, on the command line or as an argument. The same holds for texts in its env_kwargs that an environment could
    take for a module or a file.

    Args:
        config: that the file holds.
        imports: modules that the user named.
        source: the file.

    Raises:
        ValueError: the environment needs a module that the user did not name, or one of `imports` cannot be imported.
    """
    env_id = config.env_id
    module = env_id.rpartition(":")[0]
    if module and not _is_module_name(module):
        raise InputError(f"{source} must have a Python module before the colon of env_id, got {quoted(repr(env_id))}")
    if module and module != OWN_MODULE and module not in imports:
        raise InputError(
            f"{source} must not make fastlander import a module that was not allowed, got env_id {env_id!r}; if you "
            f"trust {module!r}, which would run, --import {module} allows it (in Python imports=[{module!r}])"
        )
    places = [text for text in _texts(config.env_kwargs) if any(mark in text for mark in PLACE_MARKS)]
    if places and not imports:
        raise InputError(
            f"{source} must not name a file or a module that was not allowed, got {shown(places[0])} in env_kwargs; if "
            f"you trust it, --import with the module of the environment allows it ({OWN_MODULE} where Gymnasium has it)"
        )
    for name in imports:
        import_module(name)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a plain value, names of dicts too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _texts(inner)


def module_of(env_id: str) -> list[str]:
    """The module of a run that this process itself has made or checked, as `allow_imports` takes it.

    It is the module before the colon of a "module:id", and for a plain id this package, which is imported already.
    """
    return [env_id.rpartition(":")[0] or OWN_MODULE]


def space_sizes(config: Config) -> tuple[int, int]:
    """Numbers per observation and number of actions of an environment. One is made for it, but for LunarLander.

    Raises:
        ValueError: as for `make_vec_env`.
    """
    if config.is_lander:
        return len(MIRROR_SIGNS), len(MIRROR_ACTIONS)
    with closing(make_vec_env(config.env_id, 1, **config.env_kwargs)) as env:
        return env.single_observation_space.shape[0], int(env.single_action_space.n)


def _is_module_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def check_spaces(env_id: str, observation_space: gym.Space, action_space: gym.Space) -> None:
    """ValueError unless observations are a flat Box of numbers and actions Discrete from 0."""
    if not (isinstance(observation_space, gym.spaces.Box) and len(observation_space.shape) == 1):
        raise InputError(f"env_id must have flat Box observations, got {env_id!r} with {observation_space}")
    if not (isinstance(action_space, gym.spaces.Discrete) and action_space.start == 0):
        raise InputError(f"env_id must have Discrete actions that start at 0, got {env_id!r} with {action_space}")


def final_observations(next_obs: np.ndarray, infos: dict[str, Any]) -> np.ndarray:
    """The observations that the actions led to, before any SAME_STEP autoreset: float32[N, obs_size].

    Args:
        next_obs: [N, obs_size], from the environments' `step`. Rows that ended an episode begin the next one.
        infos: from the same `step`, with the last observation of each episode that ended.
    """
    final = np.asarray(next_obs, np.float32)
    if "final_obs" in infos:
        final = final.copy()
        for i in np.flatnonzero(infos["_final_obs"]):
            final[i] = infos["final_obs"][i]
    return final


def _refused(env_id: str, error: Exception) -> InputError:
    """The one-line error for an environment that Gymnasium cannot make, with Gymnasium's reason."""
    return InputError(f"env_id must be an environment that Gymnasium can make, got {env_id!r} ({quoted(error)})")


def _leave_signals_to_parent(env: gym.Env) -> gym.Env:
    """In a worker process, leave Ctrl-C and SIGTERM to the parent process, which closes its workers when it stops.

    Both may be sent to the whole group of processes. A worker that ended at once would be missed in the parent's last
    step. After SIGTERM, with which the parent also ends workers that do not answer, it ends a few seconds later.
    """
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, "alarm"):
            signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return env

"""Gymnasium's own tests of vector environments, run against the native lander.

`python -m benchmarks.gymnasium_contract CHECKOUT`: CHECKOUT is Gymnasium's repository at the version installed. Its
tests are copied to a temporary folder, with the lander's ids in place of those of Gymnasium's small environments and
the numbers that belong to these. Those of vector environments and of their wrappers run, where `SyncVectorEnv` and
`make_vec` give the native environment. Where a test compares two vector environments, or wraps single ones, the other
one is Gymnasium's own. What asks for an environment, a space or a process of its own is skipped, with the reason.
"""

import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.box2d.lunar_lander import LunarLander
from gymnasium.vector.utils import batch_space

FOLDERS = ("vector", "wrappers/vector")
SMALL, SMOOTH = "LunarLander-v3", "LunarLanderContinuous-v3"
REPLACED = {
    "CartPole-v1": SMALL,
    "FrozenLake-v1": SMALL,
    "BipedalWalker-v3": SMOOTH,
    "MountainCarContinuous-v0": SMOOTH,
    "assert gravity[i] == 9.8": "assert gravity[i] == -10.0",
    "[9.81, 3.72, 8.87, 1.62]": "[-9.81, -3.72, -8.87, -1.62]",
    "(9.81, 3.72, 8.87, 1.62)": "(-9.81, -3.72, -8.87, -1.62)",
    "[20.0, 20.0, 20.0]": "[-2.0, -2.0, -2.0]",
    "lambda x: x in [1, 4]": "lambda x: x in [1, 2]",
    "video-prefix-episode-4.mp4": "video-prefix-episode-2.mp4",
    "range(150)": "range(400)",
    "x == 0 or x == 3": "x == 0 or x == 1",
    "isinstance(env.observation_space, MultiDiscrete)": "isinstance(env.observation_space, Box)",
    "np.array([0, -np.inf, 0, -np.inf])": "np.zeros(8, np.float32)",
    "np.array([1, np.inf, 1, np.inf])": "np.ones(8, np.float32)",
}
"""What differs between a test of Gymnasium's small environments and the same test of the lander."""
SKIPPED = {
    "test_async_vector_env.py": "is about processes and shared memory",
    "vector/utils/": "is about functions without an environment",
    "CarRacing": "wraps pictures as observations, which landers do not have",
    "-Ant-v": "is about Ant",
    "test_metadata_sync_vector_env": "looks at the single environments inside SyncVectorEnv",
    "test_check_spaces_sync_vector_env": "puts environments with different spaces together",
    "test_vectorize_dict_to_box_obs": "wraps single environments in processes",
    "test_render_modes": "needs arrays for rgb_array_list, where SyncVectorEnv gives lists and fails here too",
    "DictObsEnv": "wraps dictionaries as observations, which landers do not have",
}
"""Parts of a test's name, and why it cannot apply."""

make_vec, SyncVectorEnv, AsyncVectorEnv = gym.make_vec, gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv


def native_of(env_fns: Sequence[Callable[[], gym.Env]], **options: Any) -> gym.vector.VectorEnv:
    """Stands for `SyncVectorEnv`: native landers with the render mode, the seeds and the space of these single ones."""
    envs = [make() for make in env_fns]
    if not all(isinstance(env.unwrapped, LunarLander) for env in envs):
        pytest.skip("needs environments of its own, with other spaces or steps")
    first = envs[0]
    native = make_vec(
        f"fastlander:fastlander/{SMOOTH if first.unwrapped.continuous else SMALL}",
        num_envs=len(envs),
        render_mode=first.render_mode,
        **options,
    )
    if all(env.unwrapped._np_random_seed is not None for env in envs):
        native.reset(seed=[env.unwrapped.np_random_seed for env in envs])
    native.single_action_space = first.action_space
    native.action_space = batch_space(first.action_space, len(envs))
    return native


def native_or_sync(
    id: str,
    num_envs: int = 1,
    vectorization_mode: Any = None,
    vector_kwargs: Any = None,
    wrappers: Any = None,
    **kwargs: Any,
) -> gym.vector.VectorEnv:
    """Stands for `make_vec`: native landers, except where single environments are to be wrapped."""
    if id not in (SMALL, SMOOTH) or wrappers:
        gym.vector.SyncVectorEnv = SyncVectorEnv  # which make_vec looks up there
        try:
            return make_vec(id, num_envs, vectorization_mode, vector_kwargs, wrappers, **kwargs)
        finally:
            gym.vector.SyncVectorEnv = native_of
    return make_vec(f"fastlander:fastlander/{id}", num_envs, **(vector_kwargs or {}), **kwargs)


class Plugin:
    """Skips tests that cannot apply, and says why."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip what `SKIPPED` names, and cases of processes unless they are compared with the native landers."""
        for item in items:
            reason = next((why for part, why in SKIPPED.items() if part in item.nodeid), None)
            values = getattr(getattr(item, "callspec", None), "params", {}).values()
            makers = [value.func if isinstance(value, functools.partial) else value for value in values]
            if AsyncVectorEnv in makers or gym.VectorizeMode.ASYNC in makers:
                reason = reason or "is the case of processes"
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reason of each skipped test."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")


def copy_tests(checkout: Path, target: Path) -> None:
    """Gymnasium's tests with `REPLACED`, in `target`/tests."""
    shutil.copytree(checkout / "tests", target / "tests")
    for folder in FOLDERS:
        for path in (target / "tests" / folder).rglob("test_*.py"):
            text = path.read_text()
            for old, new in REPLACED.items():
                text = text.replace(old, new)
            path.write_text(text)


def main(checkout: str, *options: str) -> int:
    """Run the tests and print why tests were skipped, with their number; pytest's exit status."""
    plugin = Plugin()
    gym.vector.SyncVectorEnv, gym.make_vec = native_of, native_or_sync
    with tempfile.TemporaryDirectory() as folder:
        copy_tests(Path(checkout).absolute(), Path(folder))
        sys.path.insert(0, folder)
        os.chdir(folder)  # where tests of videos write them
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        np.random.seed(0)
        where = [f"{folder}/tests/{name}" for name in FOLDERS]
        status = pytest.main(
            [*where, f"--rootdir={folder}", "-c", "/dev/null", "-q", "-p", "no:cacheprovider", *options],
            plugins=[plugin],
        )
    for reason in sorted(set(plugin.reasons.values())):
        tests = sorted({name for name, why in plugin.reasons.items() if why == reason})
        functions = sorted({name.split("[")[0].removeprefix("tests/") for name in tests})
        print(f"{len(tests)} skipped: {reason}\n    " + "\n    ".join(functions))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

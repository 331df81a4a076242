"""Environments that the tests need and Gymnasium does not have. Tests that need Box2D are skipped without it."""

import os

import gymnasium as gym
import numpy as np
import pytest

from fastlander.lander.parity import box2d_is_contracted


def pytest_configure(config):
    """Hide a GPU from tests that are not about it: their networks are on the CPU, whose results they know."""
    if config.option.markexpr != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


class Corridor(gym.Env):
    """Walk right along a line: quick, deterministic, and with what a test wants to break."""

    def __init__(self, length: int = 5, nan_reward_at: int = 0, nan_obs_at: int = 0, obs_shape=(3,), start: int = 0):
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, obs_shape, np.float32)
        self.action_space = gym.spaces.Discrete(2, start=start)
        self.length, self.nan_reward_at, self.nan_obs_at = length, nan_reward_at, nan_obs_at
        self.steps = 0

    def _obs(self):
        obs = np.full(self.observation_space.shape, self.position, np.float32)
        obs.flat[-1] = self.origin
        return obs

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.origin = 0, self.np_random.integers(1000)
        return self._obs(), {}

    def step(self, action):
        self.steps += 1
        self.position += int(action)
        obs = self._obs()
        if self.steps == self.nan_obs_at:
            obs[0] = np.nan
        reward = float("nan") if self.steps == self.nan_reward_at else float(self.position)
        return obs, reward, self.position >= self.length, False, {}


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels():
    """Every kernel is compiled before the first test: many tests look at stderr, where compiling is announced."""
    from fastlander.kernels.jit import is_compiled
    from fastlander.signatures import every_kernel
    from fastlander.warmup import compile_everything

    if not all(is_compiled(kernel, arguments) for kernel, arguments in every_kernel()):
        compile_everything()


def save_crashing_model(directory, **settings):
    """A new run directory with a model alone, of a policy that crashes soon."""
    import torch

    from fastlander import Config, QNetwork
    from fastlander.storage.model_file import save_model

    directory.mkdir()
    network = QNetwork(8, 4, (24, 9), generator=torch.Generator().manual_seed(1))
    save_model(directory, network, Config(hidden_sizes=(24, 9), **settings))
    return directory


def plain_metadata(metadata):
    """Metadata without the one entry that Gymnasium 1.2 writes into what all environments of a class share."""
    return {key: value for key, value in metadata.items() if key != "autoreset_mode"}


for name, settings in {
    "Corridor-v0": {},
    "NanReward-v0": {"nan_reward_at": 7},
    "LateNanReward-v0": {"nan_reward_at": 200},
    "NanObservation-v0": {"nan_obs_at": 7},
    "Picture-v0": {"obs_shape": (4, 4)},
    "FromOne-v0": {"start": 1},
}.items():
    gym.register(f"tests/{name}", Corridor, kwargs=settings, max_episode_steps=50)
gym.register("tests/Endless-v0", Corridor, kwargs={"length": 10**9})


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """A fresh working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Skip a test that finds Box2D missing: Gymnasium's lander, which it compares with, cannot be made."""
    return (yield from skipping_without_box2d())


PARITY = {"test_physics.py", "test_vector_env.py", "test_env.py", "test_contract.py", "test_verify.py"}
"""Files whose tests compare with Gymnasium's lander to the bit."""


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """With fused multiply-adds in Box2D a comparison is expected to fail: that lander is another one than on x86-64."""
    try:
        return (yield)
    except AssertionError:
        if pyfuncitem.path.name in PARITY and can_import_box2d() and box2d_is_contracted():
            pytest.xfail("this machine's Box2D was compiled with fused multiply-adds (docs/lander.md, Processors)")
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    """Skip a test whose fixture finds Box2D missing."""
    return (yield from skipping_without_box2d())


def can_import_box2d():
    try:
        import Box2D  # noqa: F401
    except ImportError:
        return False
    return True


def skipping_without_box2d():
    try:
        return (yield)
    except Exception as error:
        if "Box2D" in str(error) and not can_import_box2d():
            pytest.skip("needs Box2D")
        raise

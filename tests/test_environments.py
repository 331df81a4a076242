import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from fastlander import Config, LunarLanderVectorEnv, make_vec_env
from fastlander.environments import final_observations


@pytest.mark.parametrize(
    ("backend", "kind"), [("native", LunarLanderVectorEnv), ("sync", SyncVectorEnv), ("async", AsyncVectorEnv)]
)
def test_all_backends_step_the_landers_that_single_environments_do(backend, kind):
    seeds, limit = [3, 1, 4], 60
    env = make_vec_env("LunarLander-v3", 3, backend=backend, max_episode_steps=limit)
    assert isinstance(env, kind)
    singles = [gym.make("LunarLander-v3", max_episode_steps=limit) for _ in seeds]
    obs, _ = env.reset(seed=seeds)
    twins = [single.reset(seed=seed)[0] for single, seed in zip(singles, seeds, strict=True)]
    rng, ends = np.random.default_rng(0), 0
    for _ in range(150):
        assert np.array_equal(obs, np.array(twins))
        actions = rng.integers(4, size=3)
        obs, reward, terminated, truncated, infos = env.step(actions)
        final = final_observations(obs, infos)
        for i, single in enumerate(singles):
            twin, r, end, cut, _ = single.step(actions[i])
            assert (r, end, cut) == (reward[i], terminated[i], truncated[i])
            assert np.array_equal(final[i], twin)
            if end or cut:
                ends += 1
                twin, _ = single.reset()
            twins[i] = twin
    assert ends >= 6
    env.close()


def test_lunar_lander_v2_gives_v3_with_one_warning():
    with pytest.warns(UserWarning, match="using LunarLander-v3") as caught:
        env = make_vec_env("LunarLander-v2", 1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert isinstance(env, LunarLanderVectorEnv)
    env.close()


def test_environment_settings_reach_the_environment():
    env = make_vec_env(num_envs=2, backend="sync", gravity=-5.0)
    assert env.get_attr("gravity") == (-5.0, -5.0)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    env.close()


@pytest.mark.parametrize(
    ("env_id", "line"),
    [
        ("Pendulum-v1", "env_id must have Discrete actions that start at 0, got 'Pendulum-v1' with Box("),
        ("CliffWalking-v1", "env_id must have flat Box observations, got 'CliffWalking-v1' with Discrete(48)"),
        ("Blackjack-v1", "env_id must have flat Box observations, got 'Blackjack-v1' with Tuple("),
        ("tests/Picture-v0", "env_id must have flat Box observations, got 'tests/Picture-v0' with Box("),
        ("tests/FromOne-v0", "env_id must have Discrete actions that start at 0, got 'tests/FromOne-v0'"),
        ("LunarLander-v9", "env_id must be an environment that Gymnasium can make, got 'LunarLander-v9' ("),
        ("LunaLander-v3", "env_id must be an environment that Gymnasium can make, got 'LunaLander-v3' ("),
        ("nowhere:Thing-v0", "env_id must be an environment that Gymnasium can make, got 'nowhere:Thing-v0' ("),
        ("", "env_id must be an environment that Gymnasium can make, got '' ("),
    ],
)
def test_other_environments_get_a_line_that_names_the_reason(env_id, line):
    with pytest.raises(ValueError, match=".") as caught:
        make_vec_env(env_id, 2)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_other_bad_input():
    with pytest.raises(ValueError, match="num_envs must be an integer of at least 1, got 0"):
        make_vec_env(num_envs=0)
    with pytest.raises(ValueError, match="backend must be one of native, sync, async, got 'ray'"):
        make_vec_env(backend="ray")
    with pytest.raises(ValueError, match="backend must be sync or async for env_id 'CartPole-v1', got 'native'"):
        make_vec_env("CartPole-v1", backend="native")
    with pytest.raises(ValueError, match="backend must be sync or async for env_id 'CartPole-v1', got native"):
        Config(env_id="CartPole-v1", backend="native")
    with pytest.raises(
        ValueError, match="max_episode_steps must be an integer of at least 1 and at most 2147483647, got 0"
    ):
        make_vec_env(max_episode_steps=0)


def test_final_observations_where_nothing_ended():
    obs = np.arange(6.0).reshape(2, 3)
    final = final_observations(obs, {})
    assert final.dtype == np.float32
    assert np.array_equal(final, obs)

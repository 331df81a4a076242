import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlander.experience.fold import fold_step
from fastlander.experience.n_step import NStep


def slow_n_step(steps, n, gamma):
    """The slow twin for one environment: (obs, action, reward, next_obs, terminated, truncated) in, rows out."""
    rows, window = [], []
    for obs, action, reward, next_obs, terminated, truncated in steps:
        window.append((obs, action, reward))
        ended = terminated or truncated
        while window and (len(window) == n or ended):
            total = sum(gamma**j * r for j, (_, _, r) in enumerate(window))
            discount = 0.0 if terminated else gamma ** len(window)
            rows.append((window[0][0], window[0][1], total, next_obs, discount))
            del window[0]
    return rows


@settings(deadline=None, max_examples=150)
@given(
    n=st.integers(1, 6),
    num_envs=st.integers(1, 4),
    length=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
    ends=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_each_environment_gets_what_the_slow_twin_gives(n, num_envs, length, seed, ends):
    rng, gamma = np.random.default_rng(seed), 0.9
    fold = NStep(num_envs, n, gamma, obs_size=2)
    steps, rows = [[] for _ in range(num_envs)], [[] for _ in range(num_envs)]
    for _ in range(length):
        obs = rng.standard_normal((num_envs, 2)).astype(np.float32)
        obs[:, 0] = np.arange(num_envs)  # says whose row it is
        next_obs = rng.standard_normal((num_envs, 2)).astype(np.float32)
        action, reward = rng.integers(4, size=num_envs), rng.standard_normal(num_envs)
        terminated, truncated = rng.random(num_envs) < ends, rng.random(num_envs) < ends
        for i in range(num_envs):
            steps[i].append((obs[i], action[i], reward[i], next_obs[i], terminated[i], truncated[i]))
        out = fold.fold(obs, action, reward, next_obs, terminated, truncated)
        for row in zip(*(array.copy() for array in out), strict=True):
            rows[int(row[0][0])].append(row)
    for i in range(num_envs):
        expected = slow_n_step(steps[i], n, gamma)
        assert len(rows[i]) == len(expected)
        for row, twin in zip(rows[i], expected, strict=True):
            assert np.array_equal(row[0], twin[0])
            assert row[1] == twin[1]
            np.testing.assert_allclose(row[2], twin[2], rtol=1e-6, atol=1e-6)
            assert np.array_equal(row[3], twin[3])
            np.testing.assert_allclose(row[4], twin[4], rtol=1e-6)


def one_env(n, rewards, terminated=False, truncated=False):
    """Rows of one environment whose last step ends as told; observations count the steps."""
    fold, rows = NStep(1, n, 0.5, obs_size=1), []
    for t, reward in enumerate(rewards):
        last = t == len(rewards) - 1
        out = fold.fold(
            np.full((1, 1), t, np.float32),
            np.array([t]),
            np.array([reward], float),
            np.full((1, 1), t + 1, np.float32),
            np.array([terminated and last]),
            np.array([truncated and last]),
        )
        rows += [
            (int(o[0]), int(a), float(r), int(x[0]), float(d))
            for o, a, r, x, d in zip(*(array.copy() for array in out), strict=True)
        ]
    return rows


def test_by_hand_an_episode_that_terminates():
    # r0 + r1/2 + r2/4 from state 0; the shorter tails end with the episode, and nothing is bootstrapped.
    assert one_env(3, [1, 2, 4], terminated=True) == [(0, 0, 3.0, 3, 0), (1, 1, 4.0, 3, 0), (2, 2, 4.0, 3, 0)]


def test_by_hand_an_episode_that_is_cut():
    # The same rewards, but the last state has a future: it counts gamma**k, k the rewards that were summed.
    rows = [(0, 0, 3.0, 3, 0.125), (1, 1, 4.0, 3, 0.25), (2, 2, 4.0, 3, 0.5)]
    assert one_env(3, [1, 2, 4], truncated=True) == rows


def test_by_hand_termination_wins_over_a_cut_in_the_same_step():
    assert one_env(2, [1, 2], terminated=True, truncated=True) == [(0, 0, 2.0, 2, 0), (1, 1, 2.0, 2, 0)]


def test_by_hand_an_unfinished_episode_keeps_its_newest_steps_waiting():
    assert one_env(2, [1, 2, 4]) == [(0, 0, 2.0, 2, 0.25), (1, 1, 4.0, 3, 0.25)]


def test_one_step_is_the_plain_transition():
    assert one_env(1, [1, 2]) == [(0, 0, 1.0, 1, 0.5), (1, 1, 2.0, 2, 0.5)]


def test_every_kind_of_array_reaches_the_kernel_as_one_type():
    """Environments of other libraries give float32 rewards, views and integers as flags."""
    rng = np.random.default_rng(0)
    ours, theirs = NStep(4, 3, 0.9, 2), NStep(4, 3, 0.9, 2)
    for _ in range(20):
        obs, next_obs = rng.random((4, 2), np.float32), rng.random((4, 2), np.float32)
        action, reward = rng.integers(4, size=4), np.float32(rng.random(4)).astype(np.float64)
        ended, cut = rng.random(4) < 0.2, rng.random(4) < 0.2
        expected = [a.copy() for a in ours.fold(obs, action, reward, next_obs, ended, cut)]
        wide = np.repeat(ended, 2)
        got = theirs.fold(
            np.asfortranarray(obs), action.astype(np.int32), reward.astype(np.float32), next_obs.astype(np.float64),
            wide[::2], cut.astype(np.uint8),
        )  # fmt: skip
        assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))
    assert len(fold_step.signatures) == 1

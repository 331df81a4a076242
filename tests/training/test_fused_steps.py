"""Vector steps in one kernel beside the same steps in Python, which are their slow twin."""

import contextlib
import time

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from fastlander import Config
from fastlander.environments import make_vec_env
from fastlander.training import trainer
from fastlander.training.fused_steps import MOST_STEPS, FusedSteps
from fastlander.training.run_state import Run

SETTINGS = {
    "num_envs": 5,
    "hidden_sizes": (16, 8),
    "buffer_size": 700,
    "learning_starts": 120,
    "batch_size": 16,
    "train_freq": 8,
    "epsilon_timesteps": 3_000,
    "total_timesteps": 4_000,
    "progress": False,
}


@contextlib.contextmanager
def running(settings, processors=1, at_once=1_000, limit=60):
    config = Config(**{**SETTINGS, **settings})
    with contextlib.closing(make_vec_env(num_envs=config.num_envs, max_episode_steps=limit)) as env:
        run = Run(config, env, processors=processors)
        run.at_once = at_once
        with contextlib.closing(run):
            yield run


def train(run, until, pause=0.0):
    """Take steps as `trainer.train` does, without judging; the timesteps and episodes after each round of them."""
    rounds, steps = [], trainer.steps(run)
    while not rounds or run.timesteps < until:
        finished = next(steps)
        if finished.scores:
            run.count(finished)
        run.follow_schedules()
        rounds.append((run.timesteps, *finished.scores, *finished.playtimes))
        time.sleep(pause)
    return rounds


def in_python(monkeypatch):
    monkeypatch.setattr(trainer, "fused_steps", lambda run: None)


def flat(state, path=""):
    """Every value of a state by its path, arrays as bytes; without the clock."""
    if isinstance(state, dict):
        return {k: v for name, part in state.items() for k, v in flat(part, f"{path}.{name}").items()}
    if path == ".seconds":
        return {}
    if isinstance(state, torch.Tensor):
        state = state.numpy()
    return {path: (state.dtype.str, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else repr(state)}


def same(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_envs": 16, "learning_rate_end": 1e-5, "candidates": 3, "judged_average": 0},
        {"num_envs": 17, "batch_size": 144, "loss": "mse", "double_dqn": False, "n_step": 8, "train_freq": 32},
        {"num_envs": 1, "n_step": 1, "train_freq": 1, "mirror_augmentation": False, "max_grad_norm": None},
        {"num_envs": 40, "buffer_size": 61, "learning_starts": 30, "n_step": 12},  # a vector step may fill the buffer
        {"num_envs": 6, "fuel_weight": 3.5, "distance_weight": 0.25},
        {"train_freq": 1, "target_update_freq": 3, "tau": 1.0},  # five updates in each vector step
        {"epsilon_schedule": "per-episode", "epsilon_decay": 0.9, "epsilon_end": 0.0, "per_env_epsilon": False},
    ],
    ids=str,
)
def test_a_run_is_the_same_to_the_byte(monkeypatch, settings, processors):
    with running(settings, processors) as run:
        rounds = train(run, 3_300)
        state = run.get_state()
        updates = run.dqn.updates
    in_python(monkeypatch)
    with running(settings) as run:
        twin_rounds = train(run, state["timesteps"])
        same(run.get_state(), state)
        assert run.dqn.updates == updates > 50
    assert [row for row in twin_rounds if len(row) > 1] == [row for row in rounds if len(row) > 1]
    assert len(rounds) < 0.9 * len(twin_rounds) or run.env.num_envs == 40


def test_it_makes_no_difference_when_the_learner_s_thread_sleeps(monkeypatch):
    with running({}, processors=2) as run:
        learner, woken = run.dqn.learner, []
        monkeypatch.setattr(learner, "wake", lambda wake=learner.wake: woken.append(1) or wake())
        train(run, 2_000, pause=0.02)
        state = run.get_state()
    assert len(woken) > 10
    in_python(monkeypatch)
    with running({}) as run:
        train(run, state["timesteps"])
        same(run.get_state(), state)


def test_one_step_at_a_time_where_that_is_asked_for():
    with running({}, at_once=1) as run:
        assert [row[0] for row in train(run, 500)] == list(range(5, 501, 5))


def test_an_iteration_shows_every_step(tmp_path):
    config = Config(**SETTINGS, solved_by="never", candidates=0, output_dir=tmp_path / "run")
    steps = [progress.timesteps for progress in trainer.Trainer(config).run_steps()]
    assert steps == list(range(5, 4_001, 5))


@pytest.mark.parametrize("settings", [{}, {"candidates": 3}, {"candidates": 2, "judged_average": 0, "num_envs": 7}])
def test_quiet_steps_end_with_the_first_that_is_due(settings):
    with running({**settings, "total_timesteps": 9_001}) as run:
        n, looked = run.env.num_envs, []
        for part in (run.average, run.candidates):
            part.parameters_before = part.get_state()
        while not run.out_of_budget():
            steps = run.quiet_steps(MOST_STEPS)
            assert 1 <= steps <= MOST_STEPS
            for k in range(steps):
                run.dqn.q_network.flat += 1.0
                before = flat({"a": run.average.get_state(), "c": run.candidates.get_state()})
                run.timesteps += n
                run.follow_schedules()
                after = flat({"a": run.average.get_state(), "c": run.candidates.get_state()})
                changed = before != after
                assert not changed or k == steps - 1
                assert not run.out_of_budget() or k == steps - 1
                looked.append(changed)
        assert 8 <= sum(looked) < len(looked) / 2


def test_landers_that_a_kernel_cannot_step_are_stepped_in_python(monkeypatch):
    def changed(run):
        train(run, 600)
        run.env.set_attr("gravity", [-10.0, -9.0, -8.0, -7.0, -6.0])
        assert not FusedSteps(run).are_ready()
        train(run, 1_200)
        return run.get_state()

    with running({}) as run:
        state = changed(run)
    in_python(monkeypatch)
    with running({}) as run:
        same(changed(run), state)


@pytest.mark.parametrize(
    ("env_id", "settings"),
    [
        ("CartPole-v1", {}),
        ("LunarLander-v3", {"backend": "sync"}),
        ("LunarLander-v3", {"num_threads": 2}),
        ("LunarLander-v3", {"render_mode": "rgb_array"}),
        ("LunarLander-v3", {"autoreset_mode": AutoresetMode.NEXT_STEP}),
    ],
    ids=str,
)
def test_other_environments_are_stepped_in_python(env_id, settings):
    with contextlib.closing(make_vec_env(env_id, 5, **settings)) as env:
        run = Run(Config(**SETTINGS, env_id=env_id), env)
        assert env.reset(seed=1)[0].shape[0] == 5
        assert not (FusedSteps.fits(run) and FusedSteps(run).are_ready())
        run.close()


def test_a_number_that_is_not_finite_is_refused(monkeypatch):
    def broken(run, at):
        train(run, at)
        at = run.timesteps
        run.env._stepper.state.f32[0, 3] = np.nan
        with pytest.raises(ValueError, match="must give finite .*, got .* from environment 3"):
            train(run, 2_000)
        return at, run.dqn.updates, run.timesteps, run.buffer.added

    with running({}, processors=2) as run:
        found = broken(run, 1_000)
    in_python(monkeypatch)
    with running({}) as run:
        assert broken(run, found[0]) == found


def test_after_an_error_in_the_middle_of_a_step_the_learner_can_be_used(monkeypatch):
    with running({}, processors=2) as run:
        train(run, 1_000)
        learner, updates = run.dqn.learner, run.dqn.updates

        def broken_off():
            raise KeyboardInterrupt

        monkeypatch.setattr(learner, "wake", broken_off)
        with pytest.raises(KeyboardInterrupt):
            for _ in range(50):
                train(run, run.timesteps + 5, pause=0.02)
        assert run.dqn.updates > updates
        monkeypatch.undo()
        run.dqn.act(run.collector.obs, 0.0)
        before = run.dqn.q_network.flat.clone()
        run.dqn.learn(run.buffer, 3)
        assert not torch.equal(before, run.dqn.q_network.flat)


def test_the_environment_must_be_free(monkeypatch):
    with running({}) as run:
        train(run, 200)
        with run.env.lent(), pytest.raises(RuntimeError, match="used by one thread at a time"):
            train(run, 400)

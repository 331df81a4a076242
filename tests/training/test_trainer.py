import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import fastlander.training.trainer
from fastlander import Config, Trainer
from fastlander.evaluation.episodes import evaluate, make_eval_env
from fastlander.presets import ENV_DEFAULTS
from fastlander.training.trainer import Diverged
from tests.twins import lecture_network

SHORT = {"num_envs": 4, "total_timesteps": 3_000, "eval_episodes": 4, "learning_starts": 500, "progress": False}
TIMES = ("steps_per_second", "seconds")


def train(directory, **settings):
    return Trainer(Config(**{**SHORT, "output_dir": directory, **settings})).run()


def rows_of(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "short")


def test_a_run_leaves_its_directory(short_run):
    directory = short_run.output_dir
    assert sorted(os.listdir(directory)) == [
        "checkpoint", "config.json", "episodes.csv", "evaluations.csv", "metrics.csv", "model.safetensors",
        "report.html",
    ]  # fmt: skip
    assert json.loads((directory / "config.json").read_text())["num_envs"] == 4
    assert Config.from_json((directory / "config.json").read_text()).seed == 0


def test_the_metrics_say_what_happened(short_run):
    rows = rows_of(short_run.output_dir)
    assert list(rows[0]) == [
        "timesteps", "episodes", "updates", "score_mean_100", "playtime_mean_100", "epsilon", "loss", "eval_mean",
        "steps_per_second", "seconds",
    ]  # fmt: skip
    agent, last = short_run.agent, rows[-1]
    assert int(last["timesteps"]) == short_run.timesteps == 3_000
    assert int(last["episodes"]) == agent.n_episode == len(agent.scores) == len(agent.playtimes)
    assert int(last["updates"]) == short_run.updates
    assert float(last["score_mean_100"]) == pytest.approx(np.mean(agent.scores[-100:]))
    assert float(last["playtime_mean_100"]) == pytest.approx(np.mean(agent.playtimes[-100:]))
    assert float(last["eval_mean"]) == pytest.approx(short_run.evaluation.mean)
    assert [int(row["episodes"]) // 10 for row in rows[:-1]] == list(range(1, len(rows)))
    assert all(float(row["seconds"]) > 0 and float(row["steps_per_second"]) > 0 for row in rows)


def test_updates_come_once_per_train_freq_timesteps_after_the_start(short_run):
    # 500 transitions of the 3-step buffer are there a few steps after timestep 500.
    assert short_run.updates == pytest.approx((3_000 - 500) / 16, abs=3)


def test_the_result_s_agent_carries_what_was_learned(short_run):
    agent = short_run.agent
    assert (agent.n_experiences, agent.eps) == (3_000, pytest.approx(1 - 0.95 * 0.3))
    assert sum(agent.playtimes) <= 3_000
    assert agent.q_net.is_plain()
    agent.eps = 0
    agent.current_state = np.zeros(8, np.float32)
    agent.act()
    assert agent.action in range(4)
    assert "Not solved after 3,000 steps" in short_run.summary()


def test_the_model_loads_into_the_lecture_s_sequential(short_run):
    network = lecture_network()
    network.load_state_dict(load_file(short_run.output_dir / "model.safetensors"))
    obs = torch.randn(5, 8)
    assert torch.equal(network(obs).argmax(1), short_run.agent.q_net(obs).argmax(1))


def comparable(result):
    metrics = [{k: v for k, v in row.items() if k not in TIMES} for row in rows_of(result.output_dir)]
    return (result.output_dir / "model.safetensors").read_bytes(), metrics, result.agent.scores


def without_settings(result):
    weights = load_file(result.output_dir / "model.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in weights.items()}, *comparable(result)[1:]


def test_the_same_seed_gives_the_same_run_and_another_does_not(short_run, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        np.random.seed(5)
        torch.manual_seed(5)
        again = train(tmp_path / "again")
    finally:
        torch.set_num_threads(threads)
    assert comparable(again) == comparable(short_run)
    assert without_settings(train(tmp_path / "other", seed=1)) != without_settings(short_run)


def test_the_async_backend_gives_the_same_run(short_run, tmp_path):
    assert without_settings(train(tmp_path / "async", backend="async")) == without_settings(short_run)


def test_repeated_random_actions_are_the_same_on_every_backend(short_run, tmp_path):
    settings = {"epsilon_zeta": 2.0, "total_timesteps": 1_500}
    native = train(tmp_path / "native", **settings)
    for backend in ("sync", "async"):
        assert without_settings(train(tmp_path / backend, backend=backend, **settings)) == without_settings(native)
    assert native.agent.scores != short_run.agent.scores[: len(native.agent.scores)]


def test_threads_and_processors_of_the_process_do_not_matter(tmp_path):
    script = (
        "import os, sys; from fastlander import Config, Trainer\n"
        "if hasattr(os, 'sched_setaffinity'):\n"
        "    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])\n"
        f"Trainer(Config(**{SHORT!r}, output_dir=sys.argv[1])).run()"
    )
    models = []
    for threads in ("1", "2"):
        out = tmp_path / threads
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
        subprocess.run([sys.executable, "-c", script, str(out), threads], check=True, env=environment, cwd=tmp_path)
        models.append((out / "model.safetensors").read_bytes())
    assert models[0] == models[1]


def test_no_global_state_is_touched(tmp_path):
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    train(tmp_path / "run", total_timesteps=1_000)
    assert np.array_equal(numpy_before, np.random.get_state()[1])
    assert torch.equal(torch_before, torch.get_rng_state())
    assert (torch.get_num_threads(), signal.getsignal(signal.SIGINT)) == (threads, handler)


def test_tensorboard_gets_the_columns_of_the_metrics(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = train(tmp_path / "run", tensorboard=True)
    rows = rows_of(result.output_dir)
    events = accumulator.EventAccumulator(str(result.output_dir / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(rows[0]) - {"timesteps"}
    for name in ("score_mean_100", "updates"):
        got = [(event.step, event.value) for event in events.Scalars(name)]
        assert got == [(int(row["timesteps"]), float(np.float32(row[name]))) for row in rows]


def test_without_tensorboard_installed_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"tensorboard needs a package more: pip install 'fastlander\[tensorboard\]'"):
        train(tmp_path / "run", tensorboard=True)
    assert os.listdir(tmp_path) == []
    code = "import sys, fastlander.training.trainer; print('tensorboard' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_the_default_directory_is_new_each_time(in_tmp):
    first, second = train(None, total_timesteps=100), train(None, total_timesteps=100)
    assert first.output_dir != second.output_dir
    assert first.output_dir.parent.name == "runs"
    assert first.output_dir.name.startswith("LunarLander-v3-seed0-")


def test_an_empty_directory_may_be_given(tmp_path):
    assert train(tmp_path, total_timesteps=100).output_dir == tmp_path


def test_an_episode_limit(tmp_path):
    result = train(tmp_path / "run", max_episodes=5)
    assert 5 <= result.agent.n_episode <= 8
    assert result.timesteps < 3_000


def test_the_best_preset_uses_its_whole_budget_and_keeps_the_best_candidate(tmp_path, capsys):
    config = Config.preset(
        "best", num_envs=4, total_timesteps=16_384, eval_episodes=4, log_episodes=10, output_dir=tmp_path / "run"
    )
    result = Trainer(config).run()
    assert result.timesteps == 16_384
    assert not result.solved
    assert len(result.evaluation.returns) == 8
    out = capsys.readouterr().out
    assert "best of 10 candidates: mean" in out  # eight averages, the mean of the end, the last parameters
    assert float(rows_of(tmp_path / "run")[-1]["eval_mean"]) == pytest.approx(result.evaluation.mean)
    last = train(
        tmp_path / "twin", **{**vars(config), "candidates": 0, "output_dir": tmp_path / "twin", "progress": False}
    )
    assert last.agent.scores == result.agent.scores  # the same run up to the choice


@pytest.mark.parametrize("averaged", [0, 4_096])
def test_what_is_judged_is_what_is_kept_where_it_looks_both_ways(tmp_path, averaged):
    """Without candidates too: the judged episodes are played again by the saved network."""
    result = train(
        tmp_path / "run", mirror_acting=True, judged_average=averaged, eval_gate=-1e9, eval_interval=1_000,
        eval_episodes=8, total_timesteps=4_000, hidden_sizes=(16,),
    )  # fmt: skip
    with contextlib.closing(make_eval_env(result.config, 8)) as env:
        again = evaluate(result.agent.q_net.greedy, env, result.evaluation.seeds.tolist())
    assert again.returns.tolist() == result.evaluation.returns.tolist()
    assert result.agent.q_net.sizes == (8, 32, 4)


def test_a_policy_that_looks_both_ways_is_a_plain_network_twice_as_wide(tmp_path):
    result = train(
        tmp_path / "run", solved_by="never", candidates=2, mirror_acting=True, total_timesteps=2_000, hidden_sizes=(16,)
    )
    weights = load_file(result.output_dir / "model.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {
        "0.weight": (32, 8), "0.bias": (32,), "2.weight": (4, 32), "2.bias": (4,)
    }  # fmt: skip
    from fastlander.evaluate import evaluate_run

    assert evaluate_run(result.output_dir, 3)[1].returns.shape == (3,)
    assert result.agent.q_net.sizes == (8, 32, 4)


def test_the_lecture_preset_runs_by_the_lecture_s_rule(tmp_path):
    config = Config.preset("lecture", num_envs=4, total_timesteps=6_000, output_dir=tmp_path / "run", progress=False)
    result = Trainer(config).run()
    assert result.updates == pytest.approx(1_000, abs=4)  # one per transition from a full buffer on
    assert len(result.evaluation.returns) == 100  # for the report; it decides nothing
    assert result.agent.eps == pytest.approx(0.995**result.agent.n_episode)


def test_solved_by_training_scores(tmp_path):
    # Even a random policy is above -1000, so the rule holds as soon as there are 100 episodes.
    result = train(tmp_path / "run", solved_by="training", solved_score=-1000, total_timesteps=50_000)
    assert result.solved
    assert 100 <= result.agent.n_episode <= 103


def test_solved_by_greedy_episodes_is_confirmed_on_others(tmp_path, capsys):
    easy = {"solved_score": -2000, "solved_landings": 0.0, "eval_interval": 1}
    result = train(tmp_path / "run", total_timesteps=50_000, progress=True, **easy)
    assert result.solved
    assert 50 <= result.agent.n_episode <= 53
    assert len(set(result.evaluation.seeds.tolist())) == len(result.evaluation.returns) == 12  # 4 episodes and 8 others
    out = capsys.readouterr().out
    assert out.index("greedy policy: mean") < out.index("the same on others: mean")
    assert "Episode 10\tScore: " in out


def test_the_best_judged_policy_is_what_is_kept(tmp_path, monkeypatch):
    raw = {"solved_landings": 0.0, "judged_average": 0}
    means, seen = iter([10, 50, *[20] * 100]), []

    def faked(policy, env, seeds):
        from fastlander.evaluation.evaluation import Evaluation

        seen.append(policy.__self__.q_network.flat.clone())
        returns = np.full(len(seeds), float(next(means)))
        return Evaluation(returns, np.ones(len(seeds), int), returns, np.ones(len(seeds), bool), np.array(seeds))

    monkeypatch.setattr("fastlander.evaluation.judge.evaluate", faked)
    often = {"eval_gate": -1e9, "eval_interval": 500, "total_timesteps": 50_000, "max_episodes": 70}
    result = train(tmp_path / "run", **often, **raw)
    assert len(seen) >= 4
    assert result.evaluation.mean == 50
    assert torch.equal(result.agent.q_net.flat, seen[1])
    assert not torch.equal(seen[1], seen[-1])


def test_an_environment_without_a_time_limit_is_still_judged(tmp_path):
    result = train(tmp_path / "run", env_id="tests/Endless-v0", max_episode_steps=20, total_timesteps=500)
    assert set(result.evaluation.playtimes) == {20}
    assert not result.solved


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"env_id": "NoSuchLander-v3"}, "env_id must be an environment that Gymnasium can make, got 'NoSuchLander-v3'"),
        ({"env_id": "Pendulum-v1"}, "env_id must have Discrete actions"),
        ({"env_id": "tests/NanReward-v0"}, "env_id must give finite rewards, got reward nan from environment"),
        ({"env_id": "tests/NanObservation-v0"}, "env_id must give finite observations"),
        ({"device": "cuda"}, "device must be auto or cpu where no CUDA device is available, got 'cuda'"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing_behind(tmp_path, settings, line):
    if settings.get("device") == "cuda" and torch.cuda.is_available():
        settings = {"env_id": "Pendulum-v1"}
        line = "env_id must have Discrete actions"
    with pytest.raises(ValueError, match=".") as caught:
        train(tmp_path / "deep" / "run", **settings)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_nothing_is_left_behind_though_a_checkpoint_was_due_already(tmp_path):
    with pytest.raises(ValueError, match="finite rewards"):
        train(tmp_path / "run", env_id="tests/LateNanReward-v0", checkpoint_interval=1e-9, learning_starts=2_000)
    assert os.listdir(tmp_path) == []


def test_bad_numbers_after_learning_keep_what_was_learned(tmp_path):
    with pytest.raises(ValueError, match="finite rewards"):
        train(tmp_path / "run", env_id="tests/LateNanReward-v0", learning_starts=50, batch_size=16, train_freq=8)
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert all(np.isfinite(t.numpy()).all() for t in load_file(tmp_path / "run" / "model.safetensors").values())


def test_a_used_directory_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="output_dir must be a new or empty directory, got .* which is in use"):
        train(tmp_path)
    assert os.listdir(tmp_path) == ["mine.txt"]
    (tmp_path / "mine.txt").unlink()


@pytest.mark.parametrize("where", ["/dev/null/run", "/proc/run", "a file"])
def test_an_unwritable_directory(tmp_path, where):
    if where == "a file":
        (tmp_path / "file").write_text("precious")
        where = tmp_path / "file"
    with pytest.raises(ValueError, match="output_dir must be writable, got .*"):
        train(where)
    assert all(path.read_text() == "precious" for path in tmp_path.iterdir())


def test_two_runs_cannot_take_one_directory(tmp_path, monkeypatch):
    config = Config(**SHORT, output_dir=tmp_path / "run")
    from fastlander.storage.run_directory import RunDirectory

    with RunDirectory.create(config), pytest.raises(ValueError, match="in use"):
        RunDirectory.create(config)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_weights(tmp_path):
    flats = []

    class Poisoned(fastlander.DQN):
        @contextlib.contextmanager
        def learning(self, buffer, updates):
            with super().learning(buffer, updates):
                yield
            if self.updates > 30:
                self.q_network.flat.fill_(float("nan"))
                self.loss = torch.tensor(float("nan"))
            else:
                flats.append(self.q_network.flat.clone())

    with pytest.raises(Diverged, match="the loss became nan by step [0-9,]+; the last good weights are in"):
        Trainer(Config(**SHORT, log_episodes=1, output_dir=tmp_path / "run"), Poisoned).run()
    kept = torch.cat([tensor.reshape(-1) for tensor in load_file(tmp_path / "run" / "model.safetensors").values()])
    assert torch.isfinite(kept).all()
    names = list(load_file(tmp_path / "run" / "model.safetensors"))
    network = fastlander.QNetwork()
    network.load_state_dict(load_file(tmp_path / "run" / "model.safetensors"))
    assert len(names) == 8
    assert any(torch.equal(network.flat, flat) for flat in flats)


def run_cli(arguments, cwd, **options):
    command = [sys.executable, "-m", "fastlander.train", *arguments]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.parametrize("backend", ["sync", "async"])
def test_ctrl_c_keeps_what_was_learned_and_says_where(tmp_path, backend):
    process = run_cli(["--num-envs", "4", "--backend", backend, "--output-dir", "run"], tmp_path)
    metrics, deadline = tmp_path / "run" / "metrics.csv", time.monotonic() + 100
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert "Interrupted after" in out
    assert "Saved in run" in out
    assert load_file(tmp_path / "run" / "model.safetensors")["0.weight"].shape == (128, 8)
    assert len(rows_of(tmp_path / "run")) >= 3


def test_it_runs_outside_of_the_main_thread(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(train(tmp_path / "run", total_timesteps=200)))
    thread.start()
    thread.join()
    assert results[0].timesteps == 200


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, also where a shell has made the tests ignore it, as its background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_stops_at_once(ctrl_c):
    with pytest.raises(KeyboardInterrupt), fastlander.training.trainer.interrupts() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
        signal.raise_signal(signal.SIGINT)
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sync", "async"])
def test_cart_pole_is_learned(tmp_path, backend):
    result = train(
        tmp_path / "run", env_id="CartPole-v1", backend=backend, num_envs=8, total_timesteps=200_000, eval_episodes=50
    )
    print(result.summary())
    assert result.evaluation.mean >= 400  # a random policy lasts about 22 steps


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ENV_DEFAULTS)
def test_other_environments_are_solved_by_their_own_defaults(tmp_path, env_id):
    result = Trainer(Config.preset(env_id=env_id, seed=20, output_dir=tmp_path / "run", progress=False)).run()
    print(result.summary())
    assert result.solved
    assert result.evaluation.mean >= gym.spec(env_id).reward_threshold


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_lander_is_solved_within_300_000_steps(tmp_path, seed):
    result = Trainer(Config(num_envs=16, seed=seed, output_dir=tmp_path / "run", progress=False)).run()
    print(result.summary())
    assert result.solved
    assert result.timesteps <= 300_000
    assert result.evaluation.mean >= 200

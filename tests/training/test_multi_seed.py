"""Several seeds in worker processes, against each seed alone; what ends, kills or damages them."""

import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from fastlander import DQN, Config, Trainer, train
from fastlander.storage.files import RunFailed
from fastlander.training.multi_seed import resume_seeds, train_seeds

SHORT = {"num_envs": 4, "total_timesteps": 2_000, "eval_episodes": 4, "learning_starts": 500, "progress": False}
RESULT_FILES = ("model.safetensors", "episodes.csv", "evaluations.csv")


def contents(directory):
    return {name: (directory / name).read_bytes() for name in RESULT_FILES}


def rows(directory):
    with open(directory / "seeds.csv", newline="") as file:
        return {int(row["seed"]): row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The files of a seed that is trained alone, by seed."""
    made = {}

    def files(seed):
        if seed not in made:
            directory = tmp_path_factory.mktemp("alone") / "run"
            Trainer(Config(**SHORT, seed=seed, output_dir=directory)).run()
            made[seed] = contents(directory)
        return made[seed]

    return files


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Seeds 3 to 5, and the lines that were shown."""
    lines = []
    directory = tmp_path_factory.mktemp("together") / "all"
    return train_seeds(Config(**SHORT, seed=3, output_dir=directory), 3, lines.append), lines


def test_each_seed_gives_what_it_gives_alone(together, alone):
    seeds, lines = together
    assert sorted(os.listdir(seeds.output_dir)) == ["seed3", "seed4", "seed5", "seeds.csv", "seeds.json"]
    assert list(seeds.rows) == list(rows(seeds.output_dir)) == [3, 4, 5]
    for seed in (3, 4, 5):
        assert contents(seeds.output_dir / f"seed{seed}") == alone(seed)
        assert (seeds.output_dir / f"seed{seed}" / "report.html").exists()
    assert len(lines) == 3
    assert "0 of 3 seeds solved" in seeds.summary()
    assert "IQM  95% interval over seeds" in seeds.summary()


def test_results_are_those_of_a_run(together, tmp_path):
    seeds, _ = together
    result, expected = seeds.results[4], Trainer(Config(**SHORT, seed=4, output_dir=tmp_path / "run")).run()
    assert (result.agent.scores, result.agent.playtimes) == (expected.agent.scores, expected.agent.playtimes)
    assert (result.agent.eps, result.agent.n_experiences) == (expected.agent.eps, expected.agent.n_experiences)
    assert all((a == b).all() for a, b in zip(*(r.agent.q_net.parameters() for r in (result, expected)), strict=True))
    assert vars(result.evaluation).keys() == vars(expected.evaluation).keys()
    assert all((a == b).all() for a, b in zip(*(vars(r.evaluation).values() for r in (result, expected)), strict=True))
    assert (result.solved, result.timesteps, result.updates) == (expected.solved, expected.timesteps, expected.updates)
    assert seeds.rows[4].eval_mean == expected.evaluation.mean
    assert seeds.results[4] is result


def test_what_is_missing_is_done_and_nothing_else(together, alone, tmp_path):
    seeds, _ = together
    copy, lines = tmp_path / "copy", []
    shutil.copytree(seeds.output_dir, copy)
    table = (copy / "seeds.csv").read_bytes()
    before = {seed: (copy / f"seed{seed}" / "metrics.csv").stat().st_mtime_ns for seed in (3, 4, 5)}
    shutil.rmtree(copy / "seed5")
    cut = table.splitlines(keepends=True)
    (copy / "seeds.csv").write_bytes(cut[0] + cut[1] + cut[2][:9])  # as if killed while it wrote the row of seed 4
    resumed = resume_seeds(copy, lines.append, progress=False)
    assert [line[:6] for line in sorted(lines)] == ["seed 4", "seed 5"]
    assert {seed: contents(copy / f"seed{seed}") for seed in (3, 4, 5)} == {seed: alone(seed) for seed in (3, 4, 5)}
    assert (copy / "seed3" / "metrics.csv").stat().st_mtime_ns == before[3]
    assert list(rows(copy)) == list(resumed.rows) == [3, 4, 5]
    assert all(rows(copy)[seed]["eval_mean"] == rows(seeds.output_dir)[seed]["eval_mean"] for seed in (3, 4, 5))
    assert resume_seeds(copy, lines.append).rows.keys() == resumed.rows.keys()  # nothing is left to do
    assert len(lines) == 2


class Faulty:
    """A learner that kills its process for seed 1 once and for seed 2 always, and fails for seed 3."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, config, *args, **kwargs):
        if config.seed == 2 or (config.seed == 1 and not self.mark.exists()):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if config.seed == 3:
            raise RunFailed("the loss became nan")
        return DQN(config, *args, **kwargs)


def test_seeds_that_kill_their_process_or_fail_do_not_stop_the_others(tmp_path, alone, monkeypatch):
    monkeypatch.setattr("fastlander.training.pool.ATTEMPTS", 2)
    lines = []
    config = Config(**SHORT, output_dir=tmp_path / "run")
    seeds = train_seeds(config, 5, lines.append, Faulty(tmp_path / "mark"), compact=True)
    assert list(seeds.rows) == [0, 1, 4]
    assert {seed: str(error) for seed, error in seeds.failed.items()} == {
        2: "its process was killed by signal 9, each of 2 times",
        3: "the loss became nan",
    }
    assert "seed 3 stopped: the loss became nan" in seeds.summary()
    assert sorted(line[:6] for line in lines) == [f"seed {seed}" for seed in range(5)]
    for seed in (0, 1, 4):
        directory = tmp_path / "run" / f"seed{seed}"
        assert contents(directory) == alone(seed)
        assert sorted(os.listdir(directory)) == sorted([*RESULT_FILES, "config.json", "metrics.csv"])


def command(*arguments, **options):
    argv = [sys.executable, "-m", "fastlander.train", *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def children(pid):
    """The processes that a process has started."""
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


LONG = ["--num-envs", 4, "--total-timesteps", 12_000, "--eval-episodes", 4, "--no-progress"]
LONG += ["--checkpoint-interval", 0.2]


@pytest.mark.skipif(not pathlib.Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("number", "resumed"),
    [
        (signal.SIGINT, False),
        pytest.param(signal.SIGKILL, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_all_and_the_rest_is_done_when_resumed(number, resumed, tmp_path):
    run = tmp_path / "run"
    process = command("--seeds", 4, *LONG, "--output-dir", run, start_new_session=True)
    wait_for(lambda: (run / "seeds.csv").exists() and len(rows(run)) >= 1)
    workers = children(process.pid)
    assert workers
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as the terminal does
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert err == ""
    wait_for(lambda: not any(map(is_running, workers)), 10)
    done = rows(run)
    assert 1 <= len(done) < 4
    if not resumed:
        return
    finished = command("--resume", run, "--no-progress")
    out, err = finished.communicate(timeout=200)
    assert (finished.returncode, err) == (0, "")
    assert "0 of 4 seeds solved" in out
    assert list(rows(run)) == list(range(4))
    assert all(rows(run)[seed] == row for seed, row in done.items())
    broken = next(seed for seed in range(4) if seed not in done)
    again = command("--seed", broken, *LONG, "--output-dir", tmp_path / "again")
    assert again.wait(200) == 0
    assert contents(run / f"seed{broken}") == contents(tmp_path / "again")


SCRIPT = """
import gymnasium as gym
from fastlander import Config, DQN
from fastlander.training.multi_seed import train_seeds
from tests.conftest import Corridor

class Longer(Corridor):
    pass

gym.register("Longer-v0", Longer, max_episode_steps=50)
config = Config(
    env_id="Longer-v0", num_envs=2, total_timesteps=300, eval_episodes=2, learning_starts=50, progress=False,
    output_dir="run",
)
seeds = train_seeds(config, 2, make_dqn=lambda *args, **kwargs: DQN(*args, **kwargs))
print(len(seeds.results[1].agent.scores), seeds.results[1].evaluation.mean)
"""


def test_a_script_without_a_guard_and_with_its_own_environment(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    root = str(pathlib.Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    config = Config(
        env_id="tests/Corridor-v0", num_envs=2, total_timesteps=300, eval_episodes=2, learning_starts=50,
        progress=False, seed=1, output_dir=tmp_path / "alone",
    )  # fmt: skip
    expected = Trainer(config).run()
    assert done.stdout.splitlines()[-1] == f"{len(expected.agent.scores)} {expected.evaluation.mean}"


def test_bad_numbers_from_an_environment_are_one_line(tmp_path, capsys):
    argv = ["--seeds", "2", "--env-id", "tests/NanReward-v0", "--output-dir", str(tmp_path / "run")]
    assert train.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("fastlander train: error: env_id must give finite rewards")
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


class Unpicklable:
    def __reduce__(self):
        raise TypeError("never")


def test_what_cannot_be_trained_leaves_nothing_behind(tmp_path):
    config = Config(**SHORT, output_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="env_id must have Discrete actions"):
        train_seeds(Config(**SHORT, env_id="Pendulum-v1", output_dir=tmp_path / "run"), 2)
    with pytest.raises(ValueError, match="seeds must be an integer of at least 1, got 0"):
        train_seeds(config, 0)
    with pytest.raises(ValueError, match="make_dqn must be an object that can be pickled for other processes, got"):
        train_seeds(config, 2, make_dqn=Unpicklable())
    with pytest.raises(ValueError, match="a module to import must be installed, got 'no_such_module'"):
        train_seeds(config, 2, imports=["no_such_module"])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "change", "line"),
    [
        ("seeds.json", lambda s: s[:40], "seeds.json must be as it was written, got another (it is no JSON"),
        (
            "seeds.json",
            lambda s: s.replace('"seeds": 3', '"seeds": 0'),
            "got another (seeds must be an integer of",
        ),
        (
            "seeds.json",
            lambda s: s.replace('"n_step": 3', '"n_step": 4'),
            "must have the settings of seeds.json, got",
        ),
        ("seeds.json", lambda s: s.replace('"seeds": 3', '"seeds": 2'), "seeds.csv must have seeds from 3 to 4, got 5"),
        (
            "seeds.csv",
            lambda s: s.replace("False", "Maybe"),
            "seeds.csv must have the columns seed, solved, times",
        ),
        ("seeds.csv", lambda s: "a,b\r\n" + s, "seeds.csv must have the columns seed, solved, timesteps, updates, sec"),
        (
            "seed4/config.json",
            lambda s: s.replace("128,", "127,"),
            "config.json must have the settings of seeds.json",
        ),
    ],
)
def test_a_damaged_directory_is_refused_and_stays(together, tmp_path, capsys, file, change, line):
    copy = tmp_path / "copy"
    shutil.copytree(together[0].output_dir, copy)
    (copy / file).write_text(change((copy / file).read_text()))
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert train.main(["--resume", str(copy)]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_no_link_is_followed(together, tmp_path, capsys):
    copy, outside = tmp_path / "copy", tmp_path / "outside"
    shutil.copytree(together[0].output_dir, copy)
    (copy / "seed4").rename(outside)
    (copy / "seed4").symlink_to(outside)
    assert train.main(["--resume", str(copy)]) == 2
    assert "it is a link, which is not followed" in capsys.readouterr().err


def test_a_directory_in_use_is_refused(together, tmp_path):
    from fastlander.storage.seeds_directory import SeedsDirectory

    copy = tmp_path / "copy"
    shutil.copytree(together[0].output_dir, copy)
    with SeedsDirectory.reopen(copy), pytest.raises(ValueError, match="must not be written by two processes"):
        resume_seeds(copy)
    assert json.loads((copy / "seeds.json").read_text())["seeds"] == 3


def test_compact_is_for_seeds(capsys):
    assert train.main(["--compact", "True"]) == 2
    assert "compact must be None without --seeds, got True" in capsys.readouterr().err

import csv
import os

import numpy as np
import pytest
from safetensors.torch import load_file

from fastlander import Config, Trainer, train
from fastlander.training.multi_seed import interquartile_mean, train_seeds
from fastlander.training.trainer import Diverged

SHORT = {"num_envs": 4, "total_timesteps": 2_000, "eval_episodes": 4, "learning_starts": 500, "progress": False}


def weights(directory):
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(directory / "model.safetensors").items()}


def test_each_seed_gives_what_it_gives_alone(tmp_path):
    lines = []
    seeds = train_seeds(Config(**SHORT, seed=3, output_dir=tmp_path / "all"), 3, lines.append)
    assert sorted(os.listdir(tmp_path / "all")) == ["seed3", "seed4", "seed5", "seeds.csv"]
    assert list(seeds.results) == [3, 4, 5]
    for seed in (3, 4, 5):
        alone = Trainer(Config(**SHORT, seed=seed, output_dir=tmp_path / str(seed))).run()
        together = seeds.results[seed]
        assert weights(together.output_dir) == weights(alone.output_dir)
        assert together.agent.scores == alone.agent.scores
        assert together.evaluation.returns.tolist() == alone.evaluation.returns.tolist()
    with open(tmp_path / "all" / "seeds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["seed"]) for row in rows] == [3, 4, 5]
    assert [float(row["eval_mean"]) for row in rows] == [run.evaluation.mean for run in seeds.results.values()]
    assert len(lines) == 3
    assert "0 of 3 seeds solved" in seeds.summary()
    assert "IQM  95% interval over seeds" in seeds.summary()


def test_the_interquartile_mean_by_hand():
    values = [1000, 3, 4, 5, 6, 0, -1000, 2]  # the middle half of 8 are 2, 3, 4, 5
    mean, low, high = interquartile_mean(values)
    assert mean == 3.5
    assert low < mean < high
    assert interquartile_mean(values) == (mean, low, high)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        _, low, high = interquartile_mean(rng.normal(5, 1, size=30))
        hits += low <= 5 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_a_seed_that_diverges_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    run = Trainer.run

    def failing(trainer, **options):
        if trainer.config.seed == 1:
            raise Diverged("the loss became nan")
        return run(trainer, **options)

    monkeypatch.setattr(Trainer, "run", failing)
    argv = ["--seeds", "3", "--num-envs", "2", "--total-timesteps", "300", "--eval-episodes", "2"]
    assert train.main([*argv, "--output-dir", str(tmp_path / "run")]) == 1
    out = capsys.readouterr().out
    assert "seed 1 stopped: the loss became nan" in out
    assert "0 of 2 seeds solved" in out
    assert sorted(os.listdir(tmp_path / "run")) == ["seed0", "seed2", "seeds.csv"]


def test_bad_numbers_from_an_environment_are_one_line(tmp_path, capsys):
    argv = ["--seeds", "2", "--env-id", "tests/NanReward-v0", "--output-dir", str(tmp_path / "run")]
    assert train.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("fastlander train: error: env_id must give finite rewards")
    assert err.count("\n") == 1


def test_what_cannot_be_trained_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="env_id must have Discrete actions"):
        train_seeds(Config(**SHORT, env_id="Pendulum-v1", output_dir=tmp_path / "run"), 2)
    with pytest.raises(ValueError, match="seeds must be an integer of at least 1, got 0"):
        train_seeds(Config(**SHORT, output_dir=tmp_path / "run"), 0)
    assert os.listdir(tmp_path) == []

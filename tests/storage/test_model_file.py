"""Model files: equal runs leave equal files, and files of earlier versions and of others are told apart."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fastlander import Config, QNetwork, Trainer, replay
from fastlander.evaluate import evaluate_run
from fastlander.export import export_onnx
from fastlander.record import record
from fastlander.report import write_report
from fastlander.storage.model_file import load_model, save_model

SHORT = {"num_envs": 4, "total_timesteps": 1_500, "eval_episodes": 3, "learning_starts": 500, "hidden_sizes": (16,)}
OLD = pathlib.Path(__file__).parents[1] / "data" / "alone"
"""Of an earlier version, whose metadata holds every setting: data/README.md."""


def metadata_of(directory):
    with safe_open(directory / "model.safetensors", "pt") as file:
        return file.metadata()


def test_equal_runs_leave_equal_files_wherever_and_however_they_are_written(tmp_path, capsys):
    pytest.importorskip("tensorboard")
    here, there = tmp_path / "here", tmp_path / "far" / "away"
    Trainer(Config(**SHORT, output_dir=here, progress=False)).run()
    Trainer(Config(**SHORT, output_dir=there, tensorboard=True, checkpoint_interval=1e-9)).run()
    content = (here / "model.safetensors").read_bytes()
    assert content == (there / "model.safetensors").read_bytes()
    assert str(tmp_path).encode() not in content
    assert b"here" not in content
    for name in ("episodes.csv", "evaluations.csv"):
        assert (here / name).read_bytes() == (there / name).read_bytes()
    assert str(there) in (there / "config.json").read_text()  # which says where the run was written


def test_another_setting_makes_another_file(tmp_path):
    network = QNetwork(8, 4, (16,), generator=torch.Generator().manual_seed(0))
    contents = set()
    for settings in ({}, {"output_dir": "x"}, {"progress": False}, {"seed": 1}, {"gamma": 0.9}, {"backend": "sync"}):
        contents.add(save_model(tmp_path, network, Config(**settings)).read_bytes())
    assert len(contents) == 4


def test_a_network_and_its_settings_come_back(tmp_path):
    network = QNetwork(8, 4, (24, 9), generator=torch.Generator().manual_seed(0))
    config = Config(hidden_sizes=(24, 9), seed=5, eval_gate=-3.5, output_dir="x", progress=False)
    save_model(tmp_path, network, config)
    back, settings = load_model(tmp_path)
    assert back.sizes == (8, 24, 9, 4)
    assert torch.equal(back.flat, network.flat)
    assert settings == Config(hidden_sizes=(24, 9), seed=5, eval_gate=-3.5)
    metadata = metadata_of(tmp_path)
    assert json.loads(metadata["config"]) == config.result_settings()
    assert sorted(metadata) == ["config", "env_id", "fastlander_version", "sha256"]


def test_a_file_of_an_earlier_version_serves_every_command(tmp_path):
    assert json.loads(metadata_of(OLD)["config"])["output_dir"] == "alone"
    shutil.copytree(OLD, tmp_path / "run")
    network, config = load_model(tmp_path / "run")
    assert network.sizes == (8, 16, 8, 4)
    assert (config.seed, config.candidates, config.checkpoint_interval) == (5, 2, 0.05)
    _, evaluation = evaluate_run(tmp_path / "run", episodes=2, seed=1)
    _, returns = record(tmp_path / "run", tmp_path / "flight.gif", episodes=2, seed=1)
    assert returns == pytest.approx(evaluation.returns)
    assert "iframe" in replay(tmp_path / "run").html


def test_a_file_of_an_earlier_version_has_a_report_and_an_onnx_file(tmp_path):
    pytest.importorskip("onnxscript")
    Trainer(Config(**SHORT, output_dir=tmp_path / "run", progress=False)).run()
    shutil.copy(OLD / "model.safetensors", tmp_path / "run")
    assert "<td>[16, 8]</td>" in write_report(tmp_path / "run").read_text()
    assert b"output_dir" not in export_onnx(tmp_path / "run").read_bytes()


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"0.weight": torch.zeros(4)},
        {"0.weight": torch.zeros(4, 8)},
        {"0.weight": torch.zeros(4, 8), "0.bias": torch.zeros(5)},
        {"0.weight": torch.zeros(4, 8), "0.bias": torch.zeros(4), "1.scale": torch.zeros(4)},
        {"layer.weight": torch.zeros(4, 8), "layer.bias": torch.zeros(4)},
    ],
    ids=["nothing", "a vector", "no bias", "another bias", "another layer", "other names"],
)
def test_other_tensors_get_one_line(tmp_path, tensors):
    save_file(tensors, tmp_path / "model.safetensors", {"config": Config().to_json()})
    with pytest.raises(ValueError, match=r"model\.safetensors must hold the layers of a QNetwork, got other tensors"):
        load_model(tmp_path)


def test_other_files_get_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"directory must be a run directory with a model\.safetensors, got"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ValueError, match="must be a safetensors file, got one that cannot be read"):
        load_model(tmp_path)
    save_file({"0.weight": torch.zeros(4, 8)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="must be a model saved by fastlander, got one without its settings"):
        load_model(tmp_path)


def test_the_keys_are_those_of_the_lecture_s_network(tmp_path):
    network = QNetwork(8, 4, generator=torch.Generator().manual_seed(0))
    weights = load_file(save_model(tmp_path, network, Config()))
    assert sorted(weights) == sorted(f"{layer}.{part}" for layer in (0, 2, 4, 6) for part in ("weight", "bias"))
    assert np.array_equal(weights["6.weight"].numpy(), network[6].weight.detach().numpy())

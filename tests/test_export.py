import pathlib
import shutil
import sys

import numpy as np
import pytest
import torch

import fastlander
from fastlander import Config, QNetwork, Trainer, cli
from fastlander.export import export_onnx
from fastlander.storage.model_file import save_model

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    settings = {"num_envs": 4, "total_timesteps": 500, "eval_episodes": 2, "hidden_sizes": (24, 9), "progress": False}
    return Trainer(Config(**settings, output_dir=directory)).run()


def test_onnxruntime_computes_what_torch_does(result, tmp_path):
    path = export_onnx(result.output_dir, tmp_path / "deep" / "policy.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows in (1, 7, 300):
        obs = np.random.default_rng(rows).normal(size=(rows, 8)).astype(np.float32)
        (values,) = session.run(["values"], {"obs": obs})
        with torch.no_grad():
            assert values == pytest.approx(result.agent.q_net(torch.from_numpy(obs)).numpy(), rel=1e-4, abs=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert Config.from_json(metadata["config"]) == Config(
        max_episode_steps=500,
        solved_landings=0.97,
        num_envs=4,
        total_timesteps=500,
        eval_episodes=2,
        hidden_sizes=(24, 9),
    )
    assert (metadata["env_id"], metadata["fastlander_version"]) == ("LunarLander-v3", fastlander.__version__)
    assert [file.name for file in path.parent.iterdir()] == ["policy.onnx"]


def test_the_file_says_nothing_of_where_it_was_made(result, tmp_path):
    shutil.copytree(result.output_dir, tmp_path / "elsewhere")
    contents = [export_onnx(result.output_dir, tmp_path / "a.onnx"), export_onnx(tmp_path / "elsewhere")]
    first, second = (path.read_bytes() for path in contents)
    assert first == second
    for path in (result.output_dir, tmp_path, pathlib.Path(fastlander.__file__).parent, pathlib.Path(torch.__file__)):
        assert str(path.parent).encode() not in first


def test_the_command_says_one_line(result, capfd):
    assert cli.main(["export", str(result.output_dir)]) == 0
    assert capfd.readouterr() == (f"Saved in {result.output_dir}/model.onnx\n", "")
    assert cli.main(["export", str(result.output_dir)]) == 2
    assert "output must be a new file, got" in capfd.readouterr().err


def test_a_file_that_differs_gets_no_name(result, tmp_path, monkeypatch):
    monkeypatch.setattr("fastlander.export.TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="onnxruntime's values differ from torch's"):
        export_onnx(result.output_dir, tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []
    assert cli.main(["export", str(result.output_dir), "--output", str(tmp_path / "policy.onnx")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_too_large_get_one_line(tmp_path, capsys):
    network = QNetwork(8, 4, (24, 9))
    network.flat.mul_(1e30)
    save_model(tmp_path, network, Config())
    assert cli.main(["export", str(tmp_path)]) == 2
    assert "must have a network of finite action values, got too large ones\n" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_what_cannot_be_exported(result, in_tmp, monkeypatch, capsys):
    assert cli.main(["export", "nowhere"]) == 2
    assert "directory must be a run directory with a model.safetensors, got 'nowhere'" in capsys.readouterr().err
    (in_tmp / "file").write_text("precious")
    assert cli.main(["export", str(result.output_dir), "--output", "file/policy.onnx"]) == 2
    assert "output must be writable, got 'file/policy.onnx'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert cli.main(["export", str(result.output_dir), "--output", "policy.onnx"]) == 2
    assert "pip install 'fastlander[onnx]'" in capsys.readouterr().err
    assert [path.name for path in in_tmp.iterdir()] == ["file"]

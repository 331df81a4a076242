"""Model files: equal runs leave equal files, and files of earlier versions and of others are told apart."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fastlander import Config, QNetwork, Trainer, cli, replay
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
    spelled = {"max_episode_steps": 500, "solved_landings": 0.97}
    assert settings == Config(hidden_sizes=(24, 9), seed=5, eval_gate=-3.5, **spelled)
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
    with pytest.raises(ValueError, match="must be of the run whose config.json lies beside it, got seed 5"):
        write_report(tmp_path / "run")
    shutil.copy(OLD.parent / "broken_off" / "config.json", tmp_path / "run")
    assert "<td>[16, 8]</td>" in write_report(tmp_path / "run").read_text()
    assert b"output_dir" not in export_onnx(tmp_path / "run").read_bytes()


def layers(*sizes, **changes):
    """The tensors of a network of these sizes, some of them changed. A change that is None takes the tensor away."""
    tensors = {}
    for k in range(len(sizes) - 1):
        tensors[f"{2 * k}.weight"] = torch.full((sizes[k + 1], sizes[k]), 0.5)
        tensors[f"{2 * k}.bias"] = torch.zeros(sizes[k + 1])
    return {name: tensor for name, tensor in {**tensors, **changes}.items() if tensor is not None}


def write_model(directory, tensors, config=None):
    """A model file as earlier versions wrote it, without a checksum."""
    directory.mkdir(exist_ok=True)
    save_file(tensors, directory / "model.safetensors", {"config": (config or Config()).to_json()})
    return directory


GOOD = layers(8, 6, 4)


@pytest.mark.parametrize(
    ("tensors", "line"),
    [
        (layers(8, 6, 4, **{"0.weight": GOOD["0.weight"].double()}), r"got other tensors \(0.weight float64\[6, 8\]\)"),
        (layers(8, 6, 4, **{"2.bias": GOOD["2.bias"].int()}), r"got other tensors \(2.bias int32\[4\]\)"),
        (layers(8, 6, 4, **{"2.bias": GOOD["2.bias"].bool()}), r"got other tensors \(2.bias bool\[4\]\)"),
        (
            layers(8, 6, 4, **{"0.weight": GOOD["0.weight"].cfloat()}),
            r"other tensors \(0.weight complex64\[6, 8\]\)",
        ),
        (layers(8, 6, 4, **{"0.bias": GOOD["0.bias"].half()}), r"got other tensors \(0.bias float16\[6\]\)"),
        (layers(8, 6, 4, **{"0.weight": GOOD["0.weight"] / 0}), "must have weights that are finite numbers"),
        (layers(8, 6, 4, **{"2.bias": GOOD["2.bias"] * torch.nan}), "must have weights that are finite numbers"),
        (
            layers(8, 6, 4, **{"2.weight": torch.ones(4, 5)}),
            r"do not follow from each other: 0.weight \[6, 8\]",
        ),
        (layers(8, 6, 4, **{"2.bias": torch.ones(3)}), "layers that do not follow from each other"),
        (layers(8, 0, 4), "layers that do not follow from each other"),
        (layers(8, 6, 4, **{"0.weight": torch.ones(48)}), r"got other tensors \(0.weight float32\[48\]\)"),
        (layers(8, 6, 4, **{"0.bias": torch.ones(6, 1)}), r"got other tensors \(0.bias float32\[6, 1\]\)"),
        (layers(8, 6, 4, **{"2.bias": None}), r"got other tensors \(0.bias, 0.weight, 2.weight\)"),
        (layers(8, 6, 4, **{"4.weight": torch.ones(4, 4)}), "got other tensors"),
        (layers(8, 6, 4, **{"1.weight": torch.ones(4, 4), "1.bias": torch.ones(4)}), "got other tensors"),
        (layers(8, 6, 4, **{"x\ny": torch.ones(4)}), "got other tensors"),
        (
            layers(8, 6, 2),
            "to 4 action values, as LunarLander-v3 has them, got one from 8 to 2",
        ),
        (layers(8, 6, 5), "got one from 8 to 5"),
        (layers(4, 6, 4), "got one from 4 to 4"),
        (layers(9, 4), "got one from 9 to 4"),
    ],
)
def test_a_network_that_is_none_or_does_not_fit_is_refused_by_every_command(tmp_path, capsys, tensors, line):
    run = write_model(tmp_path / "run", tensors)
    with pytest.raises(ValueError, match=line) as caught:
        load_model(run)
    assert str(caught.value).startswith(f"{run}/model.safetensors must ")
    with pytest.raises(ValueError, match=line):
        replay(run)
    for command in ("evaluate", "record", "report", "export"):
        assert cli.main([command, str(run)]) == 2
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"fastlander {command}: error: {caught.value}\n")
    assert [path.name for path in run.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("env_id", "sizes", "wanted"),
    [("CartPole-v1", (4, 2), "4 observed numbers to 2"), ("tests/Corridor-v0", (3, 2), "3 observed numbers to 2")],
)
def test_other_environments_have_other_sizes(tmp_path, env_id, sizes, wanted):
    config = Config(env_id=env_id)
    network, _ = load_model(write_model(tmp_path / "good", layers(sizes[0], 7, sizes[1]), config))
    assert network.sizes == (sizes[0], 7, sizes[1])
    for wrong in ((8, 4), (sizes[0] - 1, sizes[1]), (sizes[0], sizes[1] + 1)):
        with pytest.raises(ValueError, match=f"must have a network from {wanted} action values, as {env_id} has them"):
            load_model(write_model(tmp_path / "other", layers(wrong[0], 7, wrong[1]), config))


def test_an_altered_file_is_refused_wherever_it_was_altered(tmp_path):
    network = QNetwork(8, 4, (3,), generator=torch.Generator().manual_seed(0))
    path = save_model(tmp_path, network, Config(seed=12))
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for k in range(0, len(content), 3):
        path.write_bytes(content[:k] + bytes([content[k] ^ (1 << k % 8)]) + content[k + 1 :])
        line = "model.safetensors must be unchanged"
        try:
            back, config = load_model(tmp_path)
        except ValueError as error:
            line = str(error)
        else:  # a blank in JSON that became another, say
            assert k < header
            assert torch.equal(back.flat, network.flat)
            assert config == Config(seed=12, max_episode_steps=500)
        assert "model.safetensors must" in line
        assert "\n" not in line
    for k in (7, 8, header - 1, header, len(content) - 1):
        path.write_bytes(content[:k])
        with pytest.raises(ValueError, match=r"must be a safetensors file, got one that cannot be read"):
            load_model(tmp_path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="it was truncated or extended: its header says another size"):
        load_model(tmp_path)


def test_the_model_of_another_run_is_refused_where_a_run_says_which_it_is(tmp_path):
    network = QNetwork(8, 4, (3,), generator=torch.Generator().manual_seed(0))
    path = save_model(tmp_path, network, Config(seed=12, gamma=0.9))
    for beside, line in (
        (Config(seed=12, gamma=0.8).to_json(), "got gamma 0.9 instead of 0.8"),
        (Config(seed=11, gamma=0.9).to_json(), "got seed 12 instead of 11"),
        (Config(seed=12, gamma=0.9, output_dir="x", progress=False).to_json(), None),
        ("", None),
        ("{", None),
        ('{"wings": 2}', None),
        (None, None),
    ):
        (tmp_path / "config.json").unlink(missing_ok=True)
        if beside is not None:
            (tmp_path / "config.json").write_text(beside)
        if line is None:
            spelled = {"max_episode_steps": 500, "solved_landings": 0.97}
            assert load_model(tmp_path)[1] == Config(seed=12, gamma=0.9, **spelled)
        else:
            with pytest.raises(ValueError, match=f"{path} must be of the run whose config.json lies beside it, {line}"):
                load_model(tmp_path)


def test_a_header_is_read_with_care(tmp_path):
    path = tmp_path / "model.safetensors"
    for start, why in (
        (2**63, "its header is longer than itself"),
        (10**8, "its header is too long"),
        (100_000, "it is nested too deep"),
    ):
        with open(path, "wb") as file:
            file.write(start.to_bytes(8, "little") + b"[" * 100_000)
            file.truncate(max(200_000_000, 100_008) if start == 10**8 else 100_008)
        with pytest.raises(ValueError, match=f"must be a safetensors file, got one that cannot be read .*{why}"):
            load_model(tmp_path)
    with open(path, "wb") as file:
        file.truncate(10**13)
    with pytest.raises(ValueError, match=r"cannot be read \(it has 10,000,000 MB, at most 2,000\)"):
        load_model(tmp_path)


def test_a_version_that_is_no_version_is_quoted_on_one_line(tmp_path):
    metadata = {"config": '{"wings": 2}', "fastlander_version": "9\n\x1b[31m" + "9" * 10_000}
    save_file(GOOD, tmp_path / "model.safetensors", metadata)
    with pytest.raises(ValueError, match="there is no setting named 'wings'") as caught:
        load_model(tmp_path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("become", ["directory", "link", "pipe"])
def test_what_is_no_file_of_the_run_is_not_read(tmp_path, become):
    path = write_model(tmp_path / "run", GOOD) / "model.safetensors"
    path.rename(tmp_path / "elsewhere")
    if become == "directory":
        path.mkdir()
    elif become == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    with pytest.raises(ValueError, match=r"must be a safetensors file, got one that cannot be read \("):
        load_model(tmp_path / "run")


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

"""Models go to a hub and come back. The hub is a stand-in on this machine (`tests/stand_in_hub.py`)."""

import builtins
import hashlib
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import fastlander
from fastlander import Config, QNetwork, cli, replay
from fastlander.card import write_card
from fastlander.evaluate import evaluate_run
from fastlander.push import push
from fastlander.storage.hub import hub_id
from fastlander.storage.model_file import save_model
from tests.conftest import save_crashing_model
from tests.stand_in_hub import TOKEN, running

ID = "somebody/lander"
CARD = ["README.md", "config.json", "model.safetensors", "replay.gif", "results.json"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory with a model and the folder for a hub."""
    directory = save_crashing_model(tmp_path_factory.mktemp("run") / "run")
    write_card(directory, episodes=10, video="gif", onnx=False)
    return directory


@pytest.fixture
def hub(in_tmp, monkeypatch):
    """A hub, to which huggingface_hub of this process talks, and an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    with running() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(in_tmp / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(in_tmp / "no_token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def lines_of(capsys, status, *argv):
    """What a command prints, which is one line: on stdout with status 0, else on stderr."""
    assert cli.main(list(argv)) == status
    out, err = capsys.readouterr()
    text, other = (err, out) if status else (out, err)
    assert other == ""
    assert text.count("\n") == 1
    return text


def no_network(monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_a_model_goes_up_and_comes_back(run, hub, capsys):
    before = {path.name: path.read_bytes() for path in (run / "card").iterdir()}
    assert lines_of(capsys, 0, "push", str(run), "--repo-id", ID) == f"Uploaded to {hub.endpoint}/{ID}\n"
    files = hub.files(ID)
    assert sorted(files) == CARD
    assert not hub.repositories[ID].private
    assert {path.name: path.read_bytes() for path in (run / "card").iterdir()} == before
    readme = before.pop("README.md").decode()
    assert files.pop("README.md").decode() == readme.replace("OWNER/NAME", ID)
    assert files == before
    assert sum("PUT /lfs/" in request for request in hub.requests) == 2

    model = fastlander.load(ID)
    assert model.config == fastlander.load(run).config
    for source in (ID, f"hf://{ID}", f"{ID}@{hub.repositories[ID].newest}", f"hf://{ID}@main"):
        assert evaluate_run(source, 3)[1].returns.tolist() == evaluate_run(run, 3)[1].returns.tolist()
    obs = np.random.default_rng(0).normal(size=(5, 8))
    actions = model.act(obs)
    assert actions.dtype == np.int64
    assert [model.act(row) for row in obs] == actions.tolist()
    assert actions.tolist() == model.q_net(torch.from_numpy(obs).float()).argmax(1).tolist()
    assert replay(model).html == replay(ID).html == replay(run).html
    for wrong in (obs[:, :7], obs[None], 3.0):
        with pytest.raises(ValueError, match=r"obs must be numbers of shape \[8\] or \[N, 8\], got \["):
            model.act(wrong)


def test_every_command_takes_it_and_writes_here(run, hub, capsys, monkeypatch):
    push(run, ID)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert cli.main(["evaluate", ID, "--episodes", "2"]) == 0
    assert cli.main(["record", ID]) == 0
    assert cli.main(["play", ID, "--episodes", "1"]) == 0
    assert cli.main(["card", ID, "--episodes", "10", "--video", "none", "--no-onnx"]) == 0
    capsys.readouterr()
    line = "directory must be a run directory, as a model on a hub has no tables, got 'somebody/lander'"
    assert line in lines_of(capsys, 2, "report", ID)
    assert sorted(os.listdir()) == ["cache", "card", "flight.gif"]


def test_the_card_is_one_for_huggingface_hub(run, hub):
    from huggingface_hub import ModelCard

    push(run, ID)
    (result,) = ModelCard.load(ID).data.eval_results
    assert (result.task_type, result.dataset_name) == ("reinforcement-learning", "LunarLander-v3")
    record = json.loads((run / "card" / "results.json").read_text())
    assert result.metric_value == f"{record['mean_reward']:.2f} +/- {record['std_reward']:.2f}"


def test_a_second_upload_is_a_second_commit(run, hub, capsys):
    push(run, ID)
    shutil.copytree(run / "card", "card")
    pathlib.Path("card", "README.md").write_text((run / "card" / "README.md").read_text() + "\nMore words.\n")
    pathlib.Path("card", "secret.txt").write_text("mine")
    assert cli.main(["push", "card", "--repo-id", ID]) == 0
    assert capsys.readouterr().out.startswith(
        "Not uploaded, as card does not write them: secret.txt\nUploaded to http:"
    )
    first, second = hub.repositories[ID].commits.values()
    assert b"More words." not in first["README.md"]
    assert b"More words." in second["README.md"]
    assert sorted(second) == CARD


def test_a_video_of_an_earlier_upload_is_removed_and_what_is_not_ours_stays(run, hub):
    push(run, ID)
    hub.put(ID, {"LICENSE": b"free", "replay.mp4": b"another policy"})
    shutil.copytree(run / "card", "card")
    os.remove("card/replay.gif")
    push("card", ID)
    names = {"LICENSE", *CARD} - {"replay.gif"}
    assert hub.files(ID).keys() == names


def test_private_is_private(run, hub, capsys, monkeypatch):
    push(run, ID, private=True)
    assert hub.repositories[ID].private
    push(run, ID, private=True)
    assert evaluate_run(ID, 1)
    push(run, "somebody/public")
    commits = list(hub.repositories["somebody/public"].commits)
    line = "repo_id must be of a private repository with --private, got 'somebody/public': it is public"
    assert line in lines_of(capsys, 2, "push", str(run), "--repo-id", "somebody/public", "--private")
    assert list(hub.repositories["somebody/public"].commits) == commits
    monkeypatch.setenv("HF_TOKEN", "")
    assert "the hub has no such model, or it is private and you are not" in lines_of(capsys, 2, "evaluate", ID)


@pytest.mark.parametrize(
    "repo_id", ["lander", "a/b/c", "a b/c", "-a/b", "a/b.", "a--b/c", "a/b..c", "a/b.git", "../x", f"a/{'b' * 97}", ""]
)
def test_an_id_that_is_none_is_refused_before_anything_is_sent(run, hub, capsys, repo_id):
    assert "error: repo_id must be owner/name" in lines_of(capsys, 2, "push", str(run), f"--repo-id={repo_id}")
    assert hub.requests == []
    assert hub_id(repo_id) is None


def damage(folder, name):
    path = pathlib.Path(folder, name)
    if name == "model.safetensors":
        save_model(folder, QNetwork(8, 4, (24, 9), generator=torch.Generator().manual_seed(2)), Config())
    elif name == "README.md":
        path.write_text("# A lander\n")
    elif name == "yaml":
        path = pathlib.Path(folder, "README.md")
        path.write_text(path.read_text().replace("tags:\n", "tags: [\n"))
    elif name == "config.json":
        path.unlink()
    elif name == "link":
        shutil.move(f"{folder}/replay.gif", "elsewhere.gif")
        pathlib.Path(folder, "replay.gif").symlink_to("../elsewhere.gif")
    else:
        path.write_text("{")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("model.safetensors", "results.json must have the results of the model.safetensors beside it, got those of"),
        ("results.json", "results.json must be as `fastlander card` wrote it, got another (it is no JSON"),
        ("README.md", "README.md must have the metadata of a model card, got another (it has no model-index)"),
        ("yaml", "README.md must have the metadata of a model card, got another ("),
        (
            "config.json",
            "directory must be a folder that `fastlander card` wrote, got 'card', which has no config.json",
        ),
        ("link", "card/replay.gif must be a file that can be read, got another (it is a link, which is not followed)"),
    ],
)
def test_a_folder_that_is_no_card_is_not_uploaded(run, hub, capsys, name, line):
    shutil.copytree(run / "card", "card")
    damage("card", name)
    assert line in lines_of(capsys, 2, "push", "card", "--repo-id", ID)
    assert hub.requests == []


@pytest.mark.parametrize("directory", ["nowhere", "empty"])
def test_a_directory_without_a_card_is_not_uploaded(hub, capsys, directory):
    os.mkdir("empty")
    line = f"must be a folder that `fastlander card` wrote, got '{directory}', which has no README.md"
    assert line in lines_of(capsys, 2, "push", directory, "--repo-id", ID)
    assert hub.requests == []


def test_who_is_not_logged_in_is_told_so(run, hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    line = "push needs you to be logged in: `hf auth login`, or a token in HF_TOKEN"
    assert line in lines_of(capsys, 2, "push", str(run), "--repo-id", ID)
    assert hub.requests == []
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    line = f"somebody/lander could not be uploaded to {hub.endpoint} (Client error '401 Unauthorized'"
    assert line in lines_of(capsys, 1, "push", str(run), "--repo-id", ID)
    assert hub.repositories == {}


@pytest.mark.parametrize("where", ["repos/create", "preupload", "PUT /lfs", "commit/main"])
def test_a_hub_that_refuses_gets_one_line(run, hub, capsys, where):
    hub.failing[where] = 403
    before = {path.name: path.read_bytes() for path in (run / "card").iterdir()}
    assert f"could not be uploaded to {hub.endpoint} (" in lines_of(capsys, 1, "push", str(run), "--repo-id", ID)
    assert {path.name: path.read_bytes() for path in (run / "card").iterdir()} == before
    hub.failing.clear()
    push(run, ID)
    assert sorted(hub.files(ID)) == CARD


def test_without_a_network_what_was_fetched_before_serves(run, hub, capsys, monkeypatch):
    push(run, ID)
    returns = evaluate_run(ID, 2)[1].returns.tolist()
    no_network(monkeypatch)
    assert evaluate_run(ID, 2)[1].returns.tolist() == returns
    line = "somebody/other/model.safetensors could not be fetched from http://127.0.0.1:9 ("
    assert line in lines_of(capsys, 1, "evaluate", "somebody/other")
    assert "could not be uploaded to http://127.0.0.1:9 (" in lines_of(capsys, 1, "push", str(run), "--repo-id", ID)
    with pytest.raises(RuntimeError, match="could not be fetched"):
        fastlander.load("somebody/other")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_hub_that_fails_halfway_gets_one_line(run, hub, capsys, name, method):
    push(run, ID)
    hub.failing[f"{method} .*/resolve/.*{name}"] = 403
    line = f"somebody/lander/{name} could not be fetched from {hub.endpoint} ("
    assert line in lines_of(capsys, 1, "evaluate", ID)


def test_a_newer_commit_is_taken_and_an_older_one_stays(run, hub):
    push(run, ID)
    first = hub.repositories[ID].newest
    old = fastlander.load(ID)
    os.mkdir("new")
    save_model("new", QNetwork(8, 4, (5,)), Config(hidden_sizes=(5,)))
    hub.put(ID, {"model.safetensors": pathlib.Path("new", "model.safetensors").read_bytes(), "config.json": b"{}"})
    with pytest.raises(
        ValueError, match=r"somebody/lander/model.safetensors must be of the run whose config.json lies"
    ):
        fastlander.load(ID)
    hub.repositories[ID].commits.popitem()
    hub.put(ID, {"model.safetensors": pathlib.Path("new", "model.safetensors").read_bytes(), "config.json": b"?"})
    assert fastlander.load(ID).q_net.sizes == (8, 5, 4)
    assert torch.equal(fastlander.load(f"{ID}@{first}").q_net.flat, old.q_net.flat)


def test_a_path_comes_before_the_hub(run, hub, capsys):
    push(run, ID)
    assert hub_id(ID) == hub_id(pathlib.Path(f"hf://{ID}")) == (ID, None)
    assert hub_id("a/b@v1.2") == ("a/b", "v1.2")
    for path in ("lander", "./a/b", "/a/b", "a/b/c", "~/b", "a/b/", "", "hf://a", "a/b@"):
        assert hub_id(path) is None
    os.mkdir("somebody")
    line = "directory must be a run directory with a model.safetensors, got 'somebody/lander'"
    assert line in lines_of(capsys, 2, "evaluate", ID)
    shutil.copytree(run, ID)
    hub.requests.clear()
    assert fastlander.load(ID).q_net.sizes == (8, 24, 9, 4)
    assert hub.requests == []
    assert fastlander.load(f"hf://{ID}").q_net.sizes == (8, 24, 9, 4)
    assert hub.requests != []


class Boom:
    def __reduce__(self):
        return (exec, ("import builtins; builtins.exploded = True",))


def tampered(run, kind):
    model = (run / "model.safetensors").read_bytes()
    if kind == "weights":
        return model[:-1] + bytes([model[-1] ^ 1])
    if kind == "pickle":
        return pickle.dumps(Boom())
    if kind == "torch":
        torch.save(Boom(), "bad.pt")
        return pathlib.Path("bad.pt").read_bytes()
    if kind == "short":
        return model[:-8]
    if kind == "env":
        save_model(".", QNetwork(8, 4, (4,)), Config(env_id="antigravity:LunarLander-v3"))
        return pathlib.Path("model.safetensors").read_bytes()
    return b""


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("weights", "must be as it was written, got one that was altered: its checksum is another"),
        ("pickle", "must be a safetensors file, got one that cannot be read ("),
        ("torch", "must be a safetensors file, got one that cannot be read ("),
        ("short", "must be a safetensors file, got one that cannot be read (it was truncated"),
        (
            "env",
            "must not make fastlander import a module that was not allowed, got env_id 'antigravity:LunarLander-v3'",
        ),
        ("nothing", "must be a safetensors file, got one that cannot be read ("),
    ],
)
def test_nothing_from_a_hub_is_believed(run, hub, capsys, kind, line):
    hub.put(ID, {"model.safetensors": tampered(run, kind), "agent.pt": pickle.dumps(Boom())})
    for argv in (["evaluate"], ["record"], ["export"], ["card"]):
        printed = lines_of(capsys, 2, *argv, ID)
        assert f"error: somebody/lander/model.safetensors {line}" in printed
    assert not hasattr(builtins, "exploded")
    assert "antigravity" not in sys.modules
    assert not [request for request in hub.requests if "agent.pt" in request]


def test_a_repository_without_a_model_and_one_that_is_too_large(run, hub, capsys):
    hub.put(ID, {"agent.pt": b"x"})
    line = "got 'somebody/lander' (there is no such directory, and the hub has it without a model.safetensors)"
    assert line in lines_of(capsys, 2, "evaluate", ID)
    push(run, ID)
    assert "the hub has no revision 'v9' of it" in lines_of(capsys, 2, "evaluate", f"{ID}@v9")
    hub.claimed_size = 10**12
    hub.requests.clear()
    line = "must have at most 2,000,000,000 bytes, got one of 1,000,000,000,000 bytes"
    assert line in lines_of(capsys, 2, "evaluate", ID)
    assert not [request for request in hub.requests if request.startswith(f"GET /{ID}")]


def test_a_missing_package_is_named(run, in_tmp, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    line = "push needs a package more: pip install 'fastlander[hub]'"
    assert line in lines_of(capsys, 2, "push", str(run), "--repo-id", ID)
    line = "got 'somebody/lander' (there is no such directory, and a model on a hub needs a package more: pip install"
    assert line in lines_of(capsys, 2, "evaluate", ID)
    assert evaluate_run(run / "card", 1)


def test_as_a_user_does_it_with_hf_endpoint(run, hub, in_tmp):
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(in_tmp / "home"), "HF_TOKEN": TOKEN}
    environment["HF_HUB_DISABLE_XET"] = "1"
    load = f"import fastlander; print(fastlander.load({ID!r}).act([0.0] * 8))"
    for argv in (["-m", "fastlander.push", str(run), "--repo-id", ID], ["-c", load]):
        done = subprocess.run([sys.executable, *argv], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == fastlander.load(run).act(np.zeros(8))
    assert hashlib.sha256(hub.files(ID)["model.safetensors"]).hexdigest() in hub.large

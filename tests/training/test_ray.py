"""Seeds on Ray: the results of a run alone, and what stops an actor, a node or the driver."""

import errno
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from fastlander import Config, Trainer, train
from fastlander.storage.files import RunFailed
from fastlander.storage.reading import read_file
from fastlander.training import ray_actor, ray_cluster
from fastlander.training.ray_pool import RayPool, _checked
from fastlander.training.run_files import check_files, pack, unpack
from fastlander.training.worker import training_job
from tests.training.test_multi_seed import LONG, contents, is_running, rows, wait_for

ROOT = pathlib.Path(__file__).parents[2]
QUICK = ["--num-envs", 4, "--total-timesteps", 2_000, "--eval-episodes", 4, "--learning-starts", 500, "--no-progress"]


def command(*arguments, cwd=None, package=ROOT, module="train"):
    path = os.pathsep.join([str(package), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", f"fastlander.{module}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def alone(directory, seeds, settings):
    """The result of each run, trained alone, by its seed."""
    made = {}
    for seed in seeds:
        config = Config(**settings, seed=seed, output_dir=directory / f"alone{seed}", progress=False)
        Trainer(config).run()
        made[seed] = contents(directory / f"alone{seed}")
    return made


SHORT = {"num_envs": 4, "total_timesteps": 2_000, "eval_episodes": 4, "learning_starts": 500}
LONGER = {"num_envs": 4, "total_timesteps": 12_000, "eval_episodes": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "seed0"
    Trainer(Config(**SHORT, output_dir=directory, progress=False)).run()
    return directory


def test_files_are_the_same_at_the_other_side(run, tmp_path):
    config, files = Config(**SHORT, output_dir=run, progress=False), pack(run)
    check_files(files, config, ended=True)
    unpack(files, tmp_path / "not" / "there" / "copy")
    assert pack(tmp_path / "not" / "there" / "copy") == files
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "old").touch()
    unpack(files, tmp_path / "copy")
    names = {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
    assert names == {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert all((run / name).read_bytes() == (tmp_path / "copy" / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"../evil": b""}, "a file is named '../evil'"),
        ({"checkpoint/../../evil": b""}, "a file is named"),
        ({"/tmp/evil": b""}, "a file is named"),
        ({"metrics.csv\n": b""}, "a file is named"),
        ({"model.safetensors": "text"}, "too large|no bytes"),
        ({"episodes.csv": b"a,b\r\n"}, "episodes.csv has other columns"),
        ({"model.safetensors": b"\xff" * 50}, "it is no text in UTF-8"),
        ({"model.safetensors": b"\2" + bytes(7) + b"{}"}, "its header is another"),
        ({"model.safetensors": b""}, "it is no JSON"),
        ({"model.safetensors": None}, "there is no model.safetensors"),
    ],
)
def test_what_is_no_run_is_not_written(run, change, why):
    files = {name: content for name, content in {**pack(run), **change}.items() if content is not None}
    with pytest.raises(ValueError, match=why):
        check_files(files, Config(**SHORT), ended=True)


def test_a_model_that_is_cut_or_of_other_settings_is_not_written(run):
    files = pack(run)
    with pytest.raises(ValueError, match="not as long as it says"):
        check_files({**files, "model.safetensors": files["model.safetensors"][:-1]}, Config(**SHORT), ended=True)
    with pytest.raises(ValueError, match="is of other settings"):
        check_files(files, Config(**SHORT, seed=1), ended=True)


def test_a_row_of_another_seed_or_without_numbers_is_refused(run):
    config = Config(**SHORT, output_dir=run, progress=False)
    reply = {"files": pack(run), "line": "Solved.", "row": [0, True, 2000, 10, 1.5, 3.0]}
    assert _checked(7, config, reply)[0] == {"id": 7, "row": [0, True, 2000, 10, 1.5, 3.0], "line": "Solved."}
    for place, value in [(0, 1), (1, 1), (2, -1), (3, 1.5), (4, float("nan")), (5, float("inf")), (5, "text")]:
        wrong = list(reply["row"])
        wrong[place] = value
        with pytest.raises((ValueError, TypeError)):
            _checked(7, config, {**reply, "row": wrong})


def test_a_full_disk_is_one_line(run, tmp_path, monkeypatch):
    def full(files, directory):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fastlander.training.ray_pool.unpack", full)
    job = {**training_job(0, Config(**SHORT, output_dir=tmp_path / "seed0"), True), "files": {}}
    reply = {"files": pack(run), "line": "Solved.", "row": [0, True, 2000, 10, 1.5, 3.0], "said": ""}
    with pytest.raises(
        RunFailed, match=r"seed0 could not be written \(No space left on device\); what is finished stays"
    ):
        RayPool._take(None, job, reply)
    assert os.listdir(tmp_path) == []


def lines_of(capsys, *arguments):
    assert train.main([str(one) for one in arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_a_wrong_engine_or_address_is_one_line(capsys, in_tmp, monkeypatch):
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.2)
    seeds = ["--seeds", 2, "--output-dir", "run"]
    assert "engine must be local without --seeds, got ray" in lines_of(capsys, "--engine", "ray")
    assert "must be None without the engine ray" in lines_of(capsys, *seeds, "--ray-address", "auto")
    assert "engine" in lines_of(capsys, *seeds, "--engine", "slurm")
    for address in ("ray://head:10001", "head", "head:99999", "--", "a b:1"):
        line = lines_of(capsys, *seeds, "--engine", "ray", f"--ray-address={address}")
        assert "ray_address must be auto or host:port" in line
    with socket.create_server(("127.0.0.1", 0)) as server:  # it takes connections and says nothing
        silent = server.getsockname()[1]
        assert "(no answer)" in lines_of(capsys, *seeds, "--engine", "ray", "--ray-address", f"127.0.0.1:{silent}")
    line = lines_of(capsys, *seeds, "--engine", "ray", "--ray-address", f"127.0.0.1:{silent}")
    assert "must be that of a running Ray cluster, got 127.0.0.1:" in line
    assert "(Connection refused)" in line
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'fastlander[ray]'" in lines_of(capsys, *seeds, "--engine", "ray")
    assert os.listdir() == []


def test_an_actor_says_what_is_another_version_there(monkeypatch):
    monkeypatch.setattr(ray_actor, "_ray_ids", lambda: ("node", "actor"))
    actor = ray_actor.Actor({}, {**ray_actor.identity(), "numba": "0.1"}, {}, [])
    assert actor.hello()["other"] == ("numba", ray_actor.identity()["numba"])


def listening(session):
    """The addresses at which processes of a session listen."""
    found = set()
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    for line in lines:
        for part in line.split("pid=")[1:]:
            pid = int(part.split(",")[0])
            with_session = pathlib.Path(f"/proc/{pid}/stat")
            if with_session.exists() and int(with_session.read_text().rpartition(")")[2].split()[3]) in session:
                found.add(line.split()[3].rpartition(":")[0])
    return found


def members(session):
    """The processes of a session, but for its zombies."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(own) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def test_a_cluster_of_its_own_gives_the_same_and_is_gone_afterwards(tmp_path):
    pytest.importorskip("ray")
    directory = tmp_path / "run"
    process = command("--seeds", 2, "--seed", 3, *QUICK, "--compact", "True", "--output-dir", directory,
                      "--engine", "ray")  # fmt: skip
    addresses = set()
    if shutil.which("ss") is not None:
        wait_for(lambda: addresses.update(listening({process.pid})) or (directory / "seeds.csv").exists())
        assert addresses <= {"127.0.0.1", "[::ffff:127.0.0.1]"}
        assert addresses
    out, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (0, "")
    assert "0 of 2 seeds solved" in out
    expected = alone(tmp_path, (3, 4), SHORT)
    assert list(rows(directory)) == [3, 4]
    for seed in (3, 4):
        assert contents(directory / f"seed{seed}") == expected[seed]
        names = ["config.json", "episodes.csv", "evaluations.csv", "metrics.csv", "model.safetensors"]
        assert sorted(os.listdir(directory / f"seed{seed}")) == names
        assert Config.from_json(read_file(directory / f"seed{seed}" / "config.json", 10**6).decode()) == Config(
            **SHORT, seed=seed, output_dir=str(directory / f"seed{seed}"), progress=False
        )
    wait_for(lambda: not members(process.pid), 10)


@pytest.fixture
def two_nodes():
    """A cluster of two nodes with a CPU each, on this machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield cluster
    cluster.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def actors(node):
    """The processes of actors on a node."""
    (raylet,) = node.all_processes["raylet"]
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet.process.pid and (path / "cmdline").read_bytes().startswith(b"ray::Actor"):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def kill_a_worker(cluster, driver):
    os.kill(actors(cluster.worker_nodes.copy().pop())[0], signal.SIGKILL)


def kill_a_node(cluster, driver):
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)


def kill_the_driver(cluster, driver):
    driver.send_signal(signal.SIGKILL)


def interrupt_the_driver(cluster, driver):
    os.killpg(driver.pid, signal.SIGINT)  # as the terminal does


def terminate_the_driver(cluster, driver):
    driver.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return alone(tmp_path_factory.mktemp("alone"), range(8), LONGER)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strike", "status", "compact"),
    [
        (kill_a_worker, 0, False),
        (kill_a_node, 0, True),
        (kill_the_driver, -9, True),
        (interrupt_the_driver, 130, False),
        (terminate_the_driver, 143, True),
    ],
)
def test_no_seed_is_lost_or_done_differently(two_nodes, tmp_path, expected, strike, status, compact):
    directory = tmp_path / "run"
    where = ["--engine", "ray", "--ray-address", two_nodes.address]
    driver = command("--seeds", 8, *LONG, "--compact", compact, "--output-dir", directory, *where)
    wait_for(lambda: (directory / "seeds.csv").exists() and len(rows(directory)) >= 2)
    workers = [pid for node in two_nodes.list_all_nodes() for pid in actors(node)]
    assert len(workers) == 2
    strike(two_nodes, driver)
    _, err = driver.communicate(timeout=200)
    assert (driver.returncode, err) == (status, "")
    done = rows(directory)
    if status:
        assert 2 <= len(done) < 8
        wait_for(lambda: not any(map(is_running, workers)), 30)
        driver = command("--resume", directory, "--no-progress", *where)
        _, err = driver.communicate(timeout=300)
        assert (driver.returncode, err) == (0, "")
    assert list(rows(directory)) == list(range(8))
    assert all(rows(directory)[seed] == row for seed, row in done.items())
    assert {seed: contents(directory / f"seed{seed}") for seed in range(8)} == expected
    assert (directory / "seed7" / "report.html").exists() != compact


@pytest.mark.slow
def test_a_cluster_with_another_version_is_refused(two_nodes, tmp_path):
    shutil.copytree(ROOT / "fastlander", tmp_path / "other" / "fastlander")
    (tmp_path / "other" / "fastlander" / "terminal.py").open("a").write("\n# another\n")
    driver = command("--seeds", 2, *QUICK, "--output-dir", tmp_path / "run", "--engine", "ray", "--ray-address",
                     two_nodes.address, cwd=tmp_path, package=tmp_path / "other")  # fmt: skip
    _, err = driver.communicate(timeout=200)
    assert driver.returncode == 2
    assert "every node of the Ray cluster must have sources of fastlander with digest" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_sweep_finds_there_what_it_finds_here(two_nodes, tmp_path):
    pytest.importorskip("optuna")
    search = ["--search", "learning_rate=log:1e-3..1e-2", "n_step=1..3", "--objective", "return", "--trials", 4,
              "--batch", 2, "--rounds", 1, 2, "--judge-seeds", 2]  # fmt: skip
    where = {"local": [], "ray": ["--engine", "ray", "--ray-address", two_nodes.address]}
    found = {}
    for name, engine in where.items():
        directory = tmp_path / name
        process = command(*search, *QUICK, "--output-dir", directory, *engine, module="sweep")
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert err.replace("waiting for a CPU of the Ray cluster\n", "") == ""
        trials = (directory / "trials.csv").read_text().splitlines()
        rows_of = sorted([cell for k, cell in enumerate(line.split(",")) if k != 5] for line in trials)
        found[name] = rows_of, (directory / "best.toml").read_text()
        assert trials[0].split(",")[5] == "seconds"
        assert len(trials) == 1 + 4 + 2  # two batches of two trials, of which one goes on
    assert found["ray"] == found["local"]

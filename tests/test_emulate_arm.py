import json
import sys

import numba
import pytest
from numba.core import event

from tests import digests, emulate_arm


@pytest.mark.parametrize(
    ("ours", "theirs", "status"),
    [
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, 0),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, 1),
        ({"a": "1", "b": "2"}, {"a": "1"}, 1),
        ({"a": "1"}, {"a": "1", "b": "2"}, 1),
        ({}, {}, 1),
    ],
)
def test_another_digest_and_a_missing_one_fail(ours, theirs, status, capsys):
    assert emulate_arm.report(ours, theirs) == status
    assert ("DIFFERS: b: " in capsys.readouterr().out) == (len(ours | theirs) > 1 and status == 1)


def test_what_fails_under_the_emulator_is_no_result(tmp_path):
    lines = "print('{}'); print('[\"a\", \"1\"]')"
    assert emulate_arm.digests([sys.executable, "-c", lines], tmp_path, None) == ({}, {"a": "1"})
    with pytest.raises(RuntimeError, match="exit status 1"):
        emulate_arm.digests([sys.executable, "-c", f"{lines}; raise SystemExit(1)"], tmp_path, None)


def test_versions_are_those_that_compile():
    versions = dict(line.split("==") for line in emulate_arm.dependencies())
    import llvmlite
    import numba
    import numpy

    compilers = {module.__name__: module.__version__ for module in (numba, llvmlite, numpy)}
    assert compilers.items() <= versions.items()
    assert versions["torch"] == emulate_arm.TORCH
    assert not {"box2d", "fastlander"} & versions.keys()


def test_digests_of_two_runs_are_the_same_and_kernels_that_were_compiled_here_are_no_shipped_ones(monkeypatch, capsys):
    for name in ("SINGLE", "LEARNERS", "RUNS"):
        monkeypatch.setattr(digests, name, {})
    landers = {"three": {"num_envs": 3}, "on two threads": {"num_envs": 3, "num_threads": 2}}
    monkeypatch.setattr(digests, "LANDERS", landers)
    monkeypatch.setattr(digests, "STEPS", 20)
    monkeypatch.setattr(digests, "usable_level", lambda: None)
    assert [digests.main(arguments) for arguments in ([], ["--shipped"])] == [0, 1]
    first, *lines = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["numba"]
    assert len(lines) == 7
    assert lines[:3] == lines[4:]
    assert lines[0][1] == lines[1][1] != lines[2][1]


def test_what_numba_compiles_is_noticed():
    function = numba.njit(lambda x: x + 1)
    for noticed in (True, False):
        compiling = digests.Compiling()
        with event.install_listener("numba:compile", compiling):
            assert function(1) == 2
        assert bool(compiling.begun) == noticed

import numpy as np
import pytest

from fastlander.lander import parity
from fastlander.lander.parity import GROUPS, compare
from fastlander.verify import main
from tests.conftest import can_import_box2d

needs_box2d = pytest.mark.skipif(not can_import_box2d(), reason="needs Box2D")


def test_every_group_agrees():
    for name, group in GROUPS.items():
        got = compare(group, range(3), 2)
        assert (name, got.episodes, got.mismatches, got.first) == (name, 3, 0, "")
        assert got.steps >= 3 * 20


@needs_box2d
def test_a_difference_is_found_and_named(monkeypatch, capsys):
    native_step = parity.LunarLanderVectorEnv.step

    def wrong_step(self, actions):
        obs, *rest = native_step(self, actions)
        wrong_step.calls += 1
        if wrong_step.calls == 5:
            obs[0, 3] = np.nextafter(obs[0, 3], np.float32(1))
        return obs, *rest

    wrong_step.calls = 0
    monkeypatch.setattr(parity.LunarLanderVectorEnv, "step", wrong_step)
    monkeypatch.setattr(parity, "GROUPS", {"random": GROUPS["random"]})
    assert main(["--episodes", "2", "--num-envs", "1", "--seed", "7"]) == 1
    out = capsys.readouterr().out
    assert "first: seed 7, step 5" in out
    assert "The two landers differ" in out


@needs_box2d
def test_the_certificate(monkeypatch, capsys):
    monkeypatch.setattr(parity, "GROUPS", {"random": GROUPS["random"]})
    assert main(["--episodes", "3"]) == 0
    out = capsys.readouterr().out
    assert "gymnasium" in out
    assert "glibc" in out or "C library" in out
    assert "are the same, byte for byte" in out


def test_bad_input(capsys):
    assert main(["--episodes", "0"]) == 2
    assert capsys.readouterr().err.startswith("fastlander verify: error: episodes must be an integer of at least 1")

import platform

import numpy as np
import pytest

from fastlander.lander import parity
from fastlander.lander.parity import GROUPS, compare, compare_single
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


def test_the_single_lander_agrees():
    for name, group in GROUPS.items():
        got = compare_single(group, range(2))
        assert (name, got.episodes, got.mismatches, got.first) == (name, 2, 0, "")
        assert got.steps >= 2 * 20


@needs_box2d
def test_a_difference_of_the_single_lander_is_found(monkeypatch):
    native_step = parity.LunarLanderEnv.step
    monkeypatch.setattr(
        parity.LunarLanderEnv, "step", lambda self, action: (*native_step(self, action)[:2], True, False, {})
    )
    assert compare_single(GROUPS["random"], [7]) == parity.Parity(1, 1, 1, "seed 7, step 1")


@needs_box2d
def test_fused_multiply_adds_in_box2d_are_named(monkeypatch, capsys):
    """A vector that rounds once stands for a Box2D that was compiled so."""
    import Box2D

    class Fused:
        def __init__(self, x, y):
            self.lengthSquared = np.float32(x * x + y * y)  # in float64, where both products are exact

    assert platform.machine() not in ("x86_64", "AMD64") or not parity.box2d_is_contracted()
    monkeypatch.setattr(Box2D, "b2Vec2", Fused)
    assert parity.box2d_is_contracted()
    monkeypatch.setattr(parity, "GROUPS", {"random": GROUPS["random"]})
    native_step = parity.LunarLanderEnv.step
    monkeypatch.setattr(
        parity.LunarLanderEnv, "step", lambda self, action: (*native_step(self, action)[:2], True, False, {})
    )
    assert main(["--episodes", "1"]) == 1
    out = capsys.readouterr().out
    assert "The two landers differ" in out
    assert "-ffp-contract=off" in out


def test_another_c_library_is_named(monkeypatch):
    monkeypatch.setattr(parity, "box2d_is_contracted", lambda: False)
    monkeypatch.setattr(parity.platform, "system", lambda: "Windows")
    assert "sine and cosine" in parity.causes_of_difference()


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

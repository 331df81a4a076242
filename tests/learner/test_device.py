"""Where a network is: torch is asked for a GPU only where there may be one."""

import sys
from types import SimpleNamespace

import pytest

from fastlander.learner import device


@pytest.fixture
def asked(monkeypatch):
    """The names that torch was asked with; it has a GPU. torch is not imported yet, and the system is Linux."""
    names = []

    def pick(name):
        names.append(name)
        return SimpleNamespace(type="cpu" if name == "cpu" else "cuda")

    monkeypatch.setattr(device, "pick_device", pick)
    monkeypatch.setattr(device, "sys", SimpleNamespace(modules={}, platform="linux"))
    monkeypatch.setattr(device, "_GPU_FILES", ())
    return names


def test_without_a_gpu_s_file_torch_is_not_asked(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_GPU_FILES", (str(tmp_path / "nvidia*"), str(tmp_path / "kfd")))
    assert not device.is_on_gpu("auto")
    assert not device.is_on_gpu("cpu")
    assert asked == []
    (tmp_path / "nvidia0").touch()
    assert device.is_on_gpu("auto")
    assert not device.is_on_gpu("cpu")
    assert asked == ["auto"]


def test_who_wants_cuda_gets_torch_s_answer(asked):
    assert device.is_on_gpu("cuda")
    assert asked == ["cuda"]


@pytest.mark.parametrize(
    ("modules", "platform", "asks"),
    [({"torch": None}, "linux", True), ({}, "win32", True), ({}, "darwin", False), ({}, "linux", False)],
)
def test_where_it_costs_nothing_or_cannot_be_seen_torch_is_asked(asked, monkeypatch, modules, platform, asks):
    monkeypatch.setattr(device, "sys", SimpleNamespace(modules=modules, platform=platform))
    assert device.is_on_gpu("auto") == asks == bool(asked)


def test_a_gpu_that_is_not_there_is_refused():
    if sys.modules.get("torch") and __import__("torch").cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device must be auto or cpu where no CUDA device is available, got 'cuda'"):
        device.is_on_gpu("cuda")

"""Where a network is: on the CPU, or on a GPU. torch is asked only where there may be a GPU."""

import glob
import sys
from typing import TYPE_CHECKING

from fastlander.validation import InputError

if TYPE_CHECKING:
    import torch

_GPU_FILES = ("/dev/nvidia*", "/dev/nvhost-ctrl*", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
"""What Linux shows where torch can have a GPU: NVIDIA's driver, a Jetson's, that of WSL, and AMD's."""


def pick_device(name: str) -> "torch.device":
    """The device called auto, cpu or cuda. auto is CUDA where there is one; ValueError for cuda where there is none."""
    import torch  # here, as a run on the CPU needs no torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device must be auto or cpu where no CUDA device is available, got 'cuda'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def is_on_gpu(name: str) -> bool:
    """Whether `pick_device` gives a GPU. torch is imported only where that is not known without it."""
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return False
    return pick_device(name).type == "cuda"


def _may_have_gpu() -> bool:
    if "torch" in sys.modules or not sys.platform.startswith(("linux", "darwin")):
        return True
    return any(glob.glob(pattern) for pattern in _GPU_FILES)

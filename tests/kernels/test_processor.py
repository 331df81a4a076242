import os

import pytest

from fastlander.kernels.processor import available_processors


@pytest.mark.parametrize(("counted", "expected"), [(3, 3), (None, 1)])
def test_python_s_own_count_is_used_where_there_is_one(monkeypatch, counted, expected):
    monkeypatch.setattr(os, "process_cpu_count", lambda: counted, raising=False)
    assert available_processors() == expected


def test_earlier_pythons_ask_the_system(monkeypatch):
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5}, raising=False)
    assert available_processors() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    for counted, expected in ((7, 7), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda counted=counted: counted)
        assert available_processors() == expected

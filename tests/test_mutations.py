"""A sample of the mutations, and whether the tool that makes them sees what it is there to see."""

import functools
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time

import pytest

from tests import mutations
from tests.mutations import Outcome, Worker, examine, examine_all, expected, judge, make_runs
from tests.mutators import BYTES, TEXT, mutate


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    make_runs(path)
    return path


@pytest.fixture(scope="module")
def wanted(base):
    return expected(base)


def faults(findings):
    return [finding for finding in findings if finding.verdict not in mutations.GOOD]


def test_twenty_five_mutations(base, wanted):
    results = examine_all(functools.partial(examine, base, wanted, 0), 25, workers=0)
    assert {k: (what, faults(findings)) for k, (what, findings) in results.items() if faults(findings)} == {}
    verdicts = {finding.verdict for _, findings in results.values() for finding in findings}
    assert {"same", "refused"} <= verdicts


def test_a_check_that_is_missing_is_seen(base, wanted, monkeypatch):
    """Without the checksum of a model, another network is played, and nobody is told."""
    monkeypatch.setattr(mutations, "RUNS", {"finished": 1})
    altered = [k for k in range(150) if what_is_mutated(base, k) == MODEL_BIT]
    monkeypatch.setattr("fastlander.storage.model_file._digest", lambda metadata, _: metadata.get("sha256", "0"))
    seen = [faults(examine(base, wanted, 5, k)[1]) for k in altered]
    assert {finding.verdict for findings in seen for finding in findings} == {"other result"}


MODEL_BIT = ("model.safetensors", "model.safetensors: flip_a_bit")


def what_is_mutated(base, k):
    """What mutation number `k` of seed 5 is on the finished run."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(base / "finished", pathlib.Path(place, "run"))
        return mutate(random.Random(f"5 {k} mutate"), pathlib.Path(place), base / "others" / "finished")


NOTHING = {"run/a": b"1", "victim": b"precious"}
FINE = Outcome(0, "out", "", "digest")
LINE = "fastlander evaluate: error: run/a must be b, got c\n"


@pytest.mark.parametrize(
    ("got", "after", "verdict"),
    [
        (FINE, NOTHING, "same"),
        (Outcome(2, "", LINE, ""), NOTHING, "refused"),
        (Outcome(0, "other", "", "digest"), NOTHING, "other result"),
        (Outcome(0, "out", "", "other"), NOTHING, "other result"),
        (Outcome(0, "out", "a warning", "digest"), NOTHING, "no clear line"),
        (Outcome(2, "", LINE + LINE, ""), NOTHING, "no clear line"),
        (Outcome(2, "", "what?\n", ""), NOTHING, "no clear line"),
        (Outcome(2, "out", LINE, ""), NOTHING, "no clear line"),
        (Outcome(1, "", LINE, ""), NOTHING, "no clear line"),
        (Outcome(2, "", LINE[:-1] + "x" * 2_000 + "\n", ""), NOTHING, "no clear line"),
        (Outcome("traceback", "", "", ""), NOTHING, "traceback"),
        (Outcome(2, "", LINE, ""), {**NOTHING, "run/b": b""}, "changed though refused"),
        (Outcome(2, "", LINE, ""), {"victim": b"precious"}, "changed though refused"),
        (FINE, {**NOTHING, "run/b": b""}, "same"),
        (FINE, {**NOTHING, "victim": b""}, "wrote elsewhere"),
        (FINE, {**NOTHING, "nowhere": b""}, "wrote elsewhere"),
    ],
)
def test_a_verdict_by_hand(got, after, verdict):
    assert judge("evaluate", "model.safetensors", FINE, got, NOTHING, after).verdict == verdict


def test_a_report_shows_its_tables_as_they_are():
    other = Outcome(0, "out", "", "other")
    assert judge("report", "episodes.csv", FINE, other, NOTHING, NOTHING).verdict == "shown"
    assert judge("report", "config.json", FINE, other, NOTHING, NOTHING).verdict == "other result"
    assert judge("resume", "episodes.csv", FINE, other, NOTHING, NOTHING).verdict == "other result"


def test_the_same_seed_makes_the_same_mutation(base):
    assert len({what_is_mutated(base, 3) for _ in range(3)}) == 1
    assert len({what_is_mutated(base, k) for k in range(20)}) > 10


@pytest.mark.parametrize("kind", [*BYTES, *TEXT], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "content", [b"", b"1", b'{"a": 12.5, "b": [1, 2]}\n{}\n'], ids=["empty", "a byte", "two lines"]
)
def test_every_kind_of_damage_changes_something_sooner_or_later(kind, content):
    changed = [kind(random.Random(k), content if kind in BYTES else content.decode()) for k in range(20)]
    assert all(isinstance(one, bytes if kind in BYTES else str) for one in changed)
    if len(content) > 1:
        assert any(one != (content if kind in BYTES else content.decode()) for one in changed)


def work(k):
    """Of a worker: 0 crashes, 1 hangs, others come back."""
    if k == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    if k == 1:
        time.sleep(1_000)
    return k


@pytest.mark.slow
def test_a_process_that_crashes_or_hangs_is_replaced():
    worker, results = Worker(work, limit=1.0), []
    try:
        for k in (5, 0, 1, 6):
            worker.give(k)
            while (result := worker.take()) is None:
                time.sleep(0.01)
            results.append(result)
    finally:
        worker.end()
    assert results == [5, "crash", "hang", 6]

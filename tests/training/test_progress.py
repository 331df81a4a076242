import io
import subprocess
import sys
import types

import pytest
from rich.console import Console

from fastlander import Config, Trainer
from fastlander.storage.tables import MetricsRow
from fastlander.training.clock import Clock
from fastlander.training.progress import LectureLines, LiveBar, LiveCurve, ProgressDisplay, progress_display


def row(timesteps, eval_mean=None):
    return MetricsRow(timesteps, 10, 5, -120.0, 90.0, 0.5, 0.1, eval_mean, 1e5, 0.3)


def test_it_suits_the_place(monkeypatch):
    assert type(progress_display(Config(progress=False))) is ProgressDisplay
    assert type(progress_display(Config())) is LectureLines
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert type(progress_display(Config())) is LiveBar


def test_the_lecture_s_line(capsys):
    with LectureLines() as display:
        display.show(row(900))
        display.say("and a word")
    assert capsys.readouterr().out == (
        "Episode 10\tScore: -120.00\tPlaytime: 90.00\tn_eps: 0.5\tn_experiences: 900\nand a word\n"
    )


def test_the_bar_of_a_run_that_was_solved_early_ends_full():
    console = Console(width=80, force_terminal=True, color_system=None, file=io.StringIO())
    display = LiveBar(Config(total_timesteps=1_000_000), console)
    display.show(row(120_000))

    def bar():
        with console.capture() as capture:
            console.print(display._line.line)
        return capture.get()

    part = bar()
    display.finish()
    full = bar()
    assert "120,000 steps" in full
    assert len(full.rstrip("\n")) <= 80
    assert full.count("━") > 6 * part.count("━") > 0


def test_the_speed_is_that_of_training_without_the_judging(monkeypatch):
    now = [10.0]
    monkeypatch.setattr("fastlander.training.clock.time.perf_counter", lambda: now[0])
    clock = Clock()
    now[0] += 2
    with clock.aside():
        now[0] += 50
    assert clock.rate(3_000) == clock.mean_rate(3_000) == 1_500
    now[0] += 4
    assert clock.rate(5_000) == 500
    assert clock.mean_rate(5_000) == pytest.approx(5_000 / 6)
    assert clock.seconds() == 56
    resumed = Clock()
    resumed.go_on(56, 5_000)
    now[0] += 1
    assert resumed.mean_rate(5_800) == resumed.rate(5_800) == 800
    assert resumed.seconds() == 57


def test_silence_still_warns(capsys):
    with progress_display(Config(progress=False)) as display:
        display.show(row(900))
        display.say("a word")
        display.warn("the disk is full")
    assert capsys.readouterr() == ("", "fastlander: the disk is full\n")


@pytest.fixture
def jupyter(monkeypatch):
    """A kernel, as far as the display asks for one: the pictures that its one output cell has shown."""
    pictures = []
    display = types.ModuleType("IPython.display")
    display.Image = lambda data, format, alt: data if "score" in alt else b"no alternative text"
    display.display = lambda picture, display_id: (
        pictures.append(picture) or types.SimpleNamespace(update=pictures.append)
    )
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = display
    ipython.version_info = (9, 0, 0)  # matplotlib asks for it
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return pictures


def test_in_jupyter_a_run_shows_its_curve(jupyter, tmp_path, capsys):
    Trainer(Config(num_envs=4, total_timesteps=2_000, eval_episodes=2, output_dir=tmp_path / "run")).run()
    assert jupyter
    assert all(picture.startswith(b"\x89PNG") for picture in jupyter)
    assert "Episode" not in capsys.readouterr().out


def test_drawing_takes_a_small_share_of_the_time(jupyter, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("fastlander.training.progress.time.perf_counter", lambda: now[0])
    display = LiveCurve(Config())

    def slow(*_):
        now[0] += 0.2
        return b"\x89PNG"

    monkeypatch.setattr(display, "_picture", slow)
    with display:
        for k in range(1_000):
            now[0] += 0.01
            display.show(row(k))
    assert (
        1 + 10 / 2.2 <= len(jupyter) <= 3 + 12 / 2.2
    )  # ten seconds of work; two tenths now and then, and one at the end


def test_nothing_is_shown_where_nothing_was_logged(jupyter):
    with LiveCurve(Config()):
        pass
    assert jupyter == []


def test_without_a_notebook_neither_ipython_nor_matplotlib_is_loaded(tmp_path):
    code = (
        "import sys; from fastlander import Config, Trainer;"
        f"config = Config(num_envs=4, total_timesteps=500, eval_episodes=2, output_dir={str(tmp_path / 'run')!r});"
        "Trainer(config).run();"
        "print([m for m in ('IPython', 'matplotlib', 'tensorboard') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"

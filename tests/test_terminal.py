"""Commands at the edges of their machine: output that fails, terminals, signals, sizes. Most run as processes."""

import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
from rich.console import Console

from fastlander import Config, LunarLanderVectorEnv, ReplayBuffer, Trainer, make_vec_env
from fastlander.arguments import parse
from fastlander.environments import training_limit
from fastlander.evaluate import evaluate_run
from fastlander.storage.tables import MetricsRow
from fastlander.terminal import Output, end_process, exit_status, print_lines, wrapped
from fastlander.training.progress import LiveBar

SHORT = ["--num-envs", "4", "--total-timesteps", "600", "--eval-episodes", "2", "--hidden-sizes", "8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a finished run."""
    config = Config(num_envs=4, total_timesteps=600, eval_episodes=2, hidden_sizes=(8,), progress=False)
    directory = tmp_path_factory.mktemp("terminal") / "run"
    return Trainer(Config(**{**vars(config), "output_dir": str(directory)})).run().output_dir


def command(name, *arguments, **options):
    """A command as a process of its own."""
    environment = {**os.environ, **options.pop("env", {})}
    argv = [sys.executable, "-m", f"fastlander.{name}", *map(str, arguments)]
    return subprocess.run(argv, env=environment, text=True, errors="replace", timeout=300, **options)


# What is said on stderr


def test_what_a_command_says_on_stderr_is_not_swallowed(capsys):
    def speaks(number: int = 1) -> int:
        """Speak.

        Args:
            number: of words.
        """
        print("working", file=sys.stderr)
        warnings.warn("a word of caution", UserWarning, stacklevel=1)
        return 0

    assert exit_status("speaks", lambda: parse(speaks, ["--number", "2"], "speaks", {"number": int})) == 0
    assert capsys.readouterr().err.splitlines() == ["working", "speaks: warning: a word of caution"]
    assert exit_status("speaks", lambda: parse(speaks, ["--number", "x"], "speaks", {"number": int})) == 2
    assert capsys.readouterr().err == "speaks: error: --number must be an integer, got 'x'\n"


def test_the_lecture_s_own_id_gets_its_word(tmp_path):
    done = command(
        "train", "--env-id", "LunarLander-v2", *SHORT, "--output-dir", "run", cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if "LunarLander-v2" in line]
    assert said == [
        "fastlander train: warning: LunarLander-v2 is no longer in Gymnasium: using LunarLander-v3, its successor"
    ]


# Output that cannot be written


@pytest.mark.parametrize("where", ["full", "closed", "pipe"])
def test_a_run_goes_on_without_its_output_and_says_so_by_its_status(where, tmp_path):
    argv = ["train", *SHORT, "--log-episodes", "1", "--output-dir", str(tmp_path / "run")]
    if where == "full":
        with open("/dev/full", "w") as full:
            done = command(*argv, stdout=full, stderr=subprocess.PIPE)
    elif where == "closed":
        done = command(*argv, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    else:
        reader, writer = os.pipe()
        os.close(reader)
        done = command(*argv, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
    assert (tmp_path / "run" / "model.safetensors").stat().st_size > 500
    assert (tmp_path / "run" / "report.html").exists()
    assert done.returncode == 1
    assert "fastlander train: error: output could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_an_output_never_fails():
    class Broken:
        encoding = "ascii"

        def write(self, text):
            text.encode("ascii")
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def isatty(self):
            return False

    output = Output(Broken())
    print_lines("학생 … ─", output)
    assert isinstance(output.error, BrokenPipeError)
    assert Output(None).write("nobody") == 6


# Terminals


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(e, marks=pytest.mark.slow) for e in ("latin-1", "cp949"))]
)
def test_names_that_the_terminal_cannot_show_end_nothing(encoding, tmp_path, run):
    target = tmp_path / "착륙…run"
    target.symlink_to(run)
    plain = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = command("evaluate", target, "--episodes", "2", capture_output=True, env=plain)
    assert (done.returncode, done.stderr) == (0, "")
    done = command("report", target, "--output", tmp_path / "달.html", capture_output=True, env=plain)
    assert done.returncode == 0
    assert (tmp_path / "달.html").exists()


def test_lines_break_between_words_and_a_letter_of_two_columns_counts_twice():
    line = "greedy policy: mean 210.3 (95% 201.0 to 219.6) over 100 fresh episodes after 120,000 steps"
    for columns in (20, 40, 79):
        parts = wrapped(line, columns)
        assert " ".join(parts) == line
        assert max(map(len, parts)) <= columns
    assert wrapped("a_word_that_is_longer_than_the_line x", 10) == ["a_word_that_is_longer_than_the_line", "x"]
    assert wrapped("착륙 착륙", 8) == ["착륙", "착륙"]


@pytest.mark.parametrize("columns", [50, 60, 80, 100, 160])
def test_the_progress_line_is_whole_at_every_width(columns):
    console = Console(width=columns, force_terminal=True, color_system=None, record=True)
    bar = LiveBar(Config(), console)
    bar.show(MetricsRow(640_000, 1_512, 19_937, 231.76, 243.1, 0.03, 0.012, 210.5, 154_321.9, 12.3))
    with console.capture() as captured:
        console.print(bar._line.line, end="")
    text = captured.get().rstrip("\n")
    assert "\n" not in text
    assert Console(width=columns).measure(text).maximum <= columns
    assert "640,000 steps" in text
    assert "231.8" in text
    assert "0:00:0" in text
    assert columns < 80 or "━" in text


@pytest.mark.parametrize("form", ["--output-dir=~/x", "--output-dir ~/x"])
def test_a_tilde_is_the_home_directory(form, tmp_path):
    (tmp_path / "home").mkdir()
    done = command(
        "train", *SHORT, *form.split(), cwd=tmp_path, capture_output=True, env={"HOME": str(tmp_path / "home")}
    )
    assert done.returncode == 0
    assert (tmp_path / "home" / "x" / "model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


# Values


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", str(2**64)], "seed must be an integer of at least 0 and at most 18446744073709551615"),
        (["--seed", "9" * 5000], "--seed must be an integer"),
        (["--num-envs", str(10**9)], "num_envs must fit in this machine's memory, got 1000000000 (needs "),
        (["--buffer-size", str(10**12)], "buffer_size must fit in this machine's memory, got 1000000000000 (needs "),
        (["--eval-episodes", str(10**12)], "eval_episodes must fit in this machine's memory"),
        (["--hidden-sizes", "3000000", "3000000"], "hidden_sizes must fit in this machine's memory"),
        (
            ["--max-episode-steps", str(2**31)],
            "max_episode_steps must be an integer of at least 1 and at most 2147",
        ),
        (["--output-dir", "x" * 5000], "output_dir must be a path of allowed length"),
        (["--seeds", str(10**11)], "seeds must fit in this machine's memory"),
    ],
)
def test_what_cannot_be_gets_one_line_before_anything_is_written(arguments, words, tmp_path):
    if "--output-dir" not in arguments:
        arguments = [*arguments, "--output-dir", "run"]
    done = command("train", *arguments, cwd=tmp_path, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"fastlander train: error: {words}")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 500
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "make",
    [
        lambda run: ReplayBuffer(10**13),
        lambda run: make_vec_env(num_envs=10**10),
        lambda run: LunarLanderVectorEnv(10**10),
        lambda run: make_vec_env("CartPole-v1", 10**10),
        lambda run: evaluate_run(run, 10**13),
    ],
)
def test_what_does_not_fit_in_memory_is_refused_with_the_figure(make, run):
    with pytest.raises(
        ValueError, match=r"must fit in this machine's memory, got \d+ \(needs .+B, .+B are available\)"
    ):
        make(run)


@pytest.mark.parametrize("path", ["a\0b", "", "\udcff", 3])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match=r"output_dir must be "):
        Config(output_dir=path)
    with pytest.raises(ValueError, match=r"directory must be "):
        evaluate_run(path)


# Signals, and a process that was started in a way that cannot work


EVERY_SIGNAL = [
    pytest.param(name, after, number, id=f"{name} {number.name} {after}")
    for name in ("evaluate", "report", "train", "verify")
    for after in (0.15, 2.5)
    for number in (signal.SIGINT, signal.SIGTERM)
]
SOME_SIGNALS = [
    one for one in EVERY_SIGNAL if one.id in ("train SIGTERM 2.5", "evaluate SIGINT 2.5", "verify SIGTERM 0.15")
]


@pytest.mark.parametrize(
    ("name", "after", "number"),
    [*SOME_SIGNALS, *(pytest.param(*one.values, id=f"all {one.id}", marks=pytest.mark.slow) for one in EVERY_SIGNAL)],
)
def test_a_signal_ends_a_command_in_order(name, after, number, run, tmp_path):
    status = 128 + number
    arguments = {
        "evaluate": [run, "--episodes", "200000"],
        "report": [run, "--output", tmp_path / "report.html"],
        "train": ["--solved-by", "never", "--total-timesteps", "100000000", "--output-dir", tmp_path / "run"],
        "verify": ["--episodes", "100000"],
    }[name]
    argv = [sys.executable, "-m", f"fastlander.{name}", *map(str, arguments)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(after)
        process.send_signal(number)
        _, err = process.communicate(timeout=200)
    finally:
        process.kill()  # one that hangs would keep a processor busy beside all other tests
    # A report may have been written before the signal came, and before Python has begun a signal has its own way.
    assert process.returncode in (status, *([0] if name == "report" else []), *([-number] if after < 1 else []))
    assert "Traceback" not in err
    if name == "report" and process.returncode:
        assert not list(tmp_path.iterdir())
    if name == "train" and (tmp_path / "run").exists():
        assert not list((tmp_path / "run").glob(".*"))


def test_numba_without_its_compiler_is_one_line(run):
    done = command("evaluate", run, capture_output=True, env={"NUMBA_DISABLE_JIT": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "fastlander evaluate: error: fastlander needs Numba's compiler: NUMBA_DISABLE_JIT must be unset or 0, got 1\n"
    )


def test_with_few_files_it_works_or_says_why_in_one_line(run):
    argv = f"ulimit -n 8; exec {sys.executable} -m fastlander.evaluate {run}"
    done = subprocess.run(["bash", "-c", argv], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1, 2)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (done.returncode > 0)


# Time limits of other environments


@pytest.mark.parametrize(
    ("env_id", "given", "limit"),
    [
        ("LunarLander-v3", None, 500),
        ("LunarLander-v3", 300, 300),
        ("MountainCar-v0", None, None),
        ("Acrobot-v1", None, None),
        ("MountainCar-v0", 500, 500),
        ("tests/Endless-v0", None, 500),
    ],
)
def test_an_environment_s_own_limit_is_its_default(env_id, given, limit):
    assert training_limit(Config(env_id=env_id, max_episode_steps=given)) == limit


def test_a_mountain_car_is_cut_where_gymnasium_cuts_it(tmp_path):
    config = Config(env_id="MountainCar-v0", num_envs=2, total_timesteps=900, eval_episodes=1, progress=False)
    result = Trainer(Config(**{**vars(config), "output_dir": str(tmp_path / "run")})).run()
    assert result.agent.playtimes[:4] == [200] * 4


# How a command's process ends

ENDING = """
import atexit, sys, threading
from fastlander.terminal import end_process
class Late:
    def __del__(self): print("taken down")
late = Late()
atexit.register(print, "registered")
sys.stdout.write("last words ")
{before}
end_process({status})
"""


@pytest.mark.parametrize(
    ("before", "status", "as_ever"),
    [
        ("", 0, False),
        ("", 143, False),
        ("threading.Timer(0.3, print, ['the thread']).start()", 5, True),
        ("threading.Timer(30, print).daemon = True", 4, False),
    ],
)
def test_a_process_ends_at_once_and_leaves_nothing_undone(before, status, as_ever):
    code = ENDING.format(before=before, status=status)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == status
    assert ended.stdout.startswith("last words ")
    assert "registered" in ended.stdout
    assert ("taken down" in ended.stdout) == as_ever
    assert ("the thread" in ended.stdout) == ("the thread" in before)


@pytest.mark.parametrize("watch", ["gettrace", "getprofile"])
def test_a_process_that_is_watched_ends_as_ever(monkeypatch, watch):
    monkeypatch.setattr(sys, watch, lambda: print)
    with pytest.raises(SystemExit) as end:
        end_process(7)
    assert end.value.code == 7


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_process_that_cannot_write_its_last_words_has_failed():
    with open("/dev/full", "w") as full:
        code = ENDING.format(before="", status=0)
        assert subprocess.run([sys.executable, "-c", code], stdout=full, timeout=60).returncode == 1


def test_the_result_is_shown_before_the_report_is_written(tmp_path):
    shown = []

    def show(text):
        shown.append(text)
        assert (tmp_path / "run" / "model.safetensors").exists()
        assert not (tmp_path / "run" / "report.html").exists()

    config = Config(num_envs=4, total_timesteps=600, eval_episodes=2, hidden_sizes=(8,), progress=False)
    result = Trainer(Config(**{**vars(config), "output_dir": str(tmp_path / "run")})).run(show=show)
    assert shown == [result.summary()]
    assert (tmp_path / "run" / "report.html").exists()

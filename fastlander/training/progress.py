"""How a run shows its progress: a bar on a terminal, a live curve in Jupyter, the lecture's lines elsewhere."""

import io
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from fastlander.config import Config
from fastlander.storage.tables import MetricsRow
from fastlander.terminal import Output, print_lines

REDRAW_SHARE = 0.1
"""Share of the time that drawing the live curve may take."""
SHORTEST_BAR, LONGEST_BAR = 8, 24
"""Columns."""


class ProgressDisplay:
    """Shows only warnings; a context manager. `progress_display` chooses a display that shows more.

    No display ever fails: what cannot be written is left out.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def show(self, row: MetricsRow) -> None:
        """Show a row of metrics."""

    def say(self, line: str) -> None:
        """Print a line."""

    def finish(self) -> None:
        """Show that the run has come to its end."""

    def warn(self, line: str) -> None:
        """Print what went wrong. This is shown with `--no-progress` too."""
        print_lines(f"fastlander: {line}", sys.stderr)


def progress_display(config: Config) -> ProgressDisplay:
    """The display for where this process runs: a terminal, a notebook or neither."""
    if not config.progress:
        return ProgressDisplay()
    if in_jupyter():
        return LiveCurve(config)
    console = _console()
    return LiveBar(config, console) if console.is_interactive else LectureLines()


def _console() -> Console:
    return Console(file=Output.of(sys.stdout))


def in_jupyter() -> bool:
    """Whether this is the kernel of a notebook, which can show pictures."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class LectureLines(ProgressDisplay):
    """The lecture's line for every row of metrics."""

    def show(self, row: MetricsRow) -> None:
        """Print it."""
        self.say(
            f"Episode {row.episodes}\tScore: {row.score_mean_100:.2f}\tPlaytime: {row.playtime_mean_100:.2f}\t"
            f"n_eps: {row.epsilon}\tn_experiences: {row.timesteps}"
        )

    def say(self, line: str) -> None:
        """Print a line."""
        print_lines(line)


class ProgressLine:
    """A name, a bar, what is to be said, and the time, in one line that is whole on a terminal of any width.

    Where the columns do not suffice the least important parts are left out; the first ones to stay are the first of
    `parts`, which stand in their own order all the same.

    Args:
        name: of what is going on.
        total: its steps.
        parts: number of columns and rank of each part; those of rank 0 are the last to go.
    """

    def __init__(self, name: str, total: int, parts: Sequence[tuple[int, int]]) -> None:
        self._name, self._parts = name, parts
        self._bar = ProgressBar(total=total)
        self._began = time.monotonic()
        self.completed = 0
        self.texts = [""] * len(parts)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        seconds = timedelta(seconds=int(time.monotonic() - self._began))
        name, bar, *texts, clock = self.layout(options.max_width, str(seconds))
        if name:
            yield Segment(name + " ")
        if bar:
            self._bar.completed, self._bar.width = self.completed, bar
            yield from self._bar.__rich_console__(console, options)
            yield Segment(" ")
        said = [text for text in [*texts, clock] if text]
        while len(said) > 1 and len("  ".join(said)) > options.max_width:
            said.pop()
        yield Text("  ".join(said), no_wrap=True, overflow="crop", end="")

    def fill(self) -> None:
        """Show the bar full, whatever was completed."""
        self._bar.total = self.completed = max(self.completed, 1)

    def layout(self, columns: int, clock: str) -> list[Any]:
        """The name, the columns of the bar, the texts and the clock. A part that is left out is empty or 0.

        The widest that a part can become decides, so that parts do not come and go.
        """
        widths = [width for width, _ in self._parts]
        shown = [rank == 0 for _, rank in self._parts]
        left = columns - len(clock) - sum(width + 2 for width, one in zip(widths, shown, strict=True) if one)
        bar = left > SHORTEST_BAR
        left -= (SHORTEST_BAR + 1) * bar
        named = Text(self._name).cell_len < left
        left -= (Text(self._name).cell_len + 1) * named
        for k in sorted(range(len(widths)), key=lambda k: self._parts[k][1]):
            if not shown[k] and widths[k] + 2 <= left:
                shown[k], left = True, left - widths[k] - 2
        size = min(SHORTEST_BAR + left, LONGEST_BAR) if bar else 0
        texts = [text if one else "" for text, one in zip(self.texts, shown, strict=True)]
        return [self._name if named else "", size, *texts, clock]


class LiveLine:
    """A `ProgressLine` at the bottom of a terminal, if it is to be `shown`; a context manager."""

    def __init__(self, line: ProgressLine, console: Console, shown: bool = True) -> None:
        self.line, self._shown = line, shown
        self._live = Live(line, console=console, refresh_per_second=10)

    def __enter__(self) -> Self:
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def print(self, line: str) -> None:
        """Print a line above."""
        self._live.console.print(Text(line))  # A Text breaks between words, and no part of it is taken for markup.


class LiveBar(ProgressDisplay):
    """A bar on a terminal."""

    def __init__(self, config: Config, console: Console) -> None:
        digits = len(f"{config.total_timesteps:,}")
        parts = [(digits + 6, 0), (13, 0), (9, 1), (15, 2), (15, 3)]  # columns and ranks of `_parts`
        self._line = LiveLine(ProgressLine(config.env_id, config.total_timesteps, parts), console)
        self._line.line.texts[0] = "0 steps"

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.__exit__(*exception)

    def show(self, row: MetricsRow) -> None:
        """Move the bar."""
        self._line.line.completed, self._line.line.texts = row.timesteps, _parts(row)

    def finish(self) -> None:
        """Fill the bar: a run that is solved need not use up its steps."""
        self._line.line.fill()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._line.print(line)

    def warn(self, line: str) -> None:
        """Print it above the bar."""
        self.say(line)


class SeedsBar:
    """A bar of seeds on a terminal; silent elsewhere. A context manager."""

    def __init__(self, config: Config, count: int) -> None:
        console = _console()
        line = ProgressLine(config.env_id, count, [(2 * len(str(count)) + 7, 0)])
        self._count, self._line = count, LiveLine(line, console, config.progress and console.is_interactive)
        self.advance(0)

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.__exit__(*exception)

    def advance(self, seeds: int = 1) -> None:
        """Count seeds that have ended."""
        self._line.line.completed += seeds
        self._line.line.texts = [f"{self._line.line.completed}/{self._count} seeds"]


class LiveCurve(ProgressDisplay):
    """The learning curve in a notebook's output cell, drawn again and again by matplotlib."""

    def __init__(self, config: Config) -> None:
        self._title = f"{config.env_id}, seed {config.seed}"
        self._rows: list[MetricsRow] = []
        self._handle: Any = None
        self._draw_again = 0.0

    def __exit__(self, *exception: object) -> None:
        if self._rows:
            self._draw()

    def show(self, row: MetricsRow) -> None:
        """Add a point, and draw the curve if that takes little of the time."""
        self._rows.append(row)
        if time.perf_counter() >= self._draw_again:
            began = time.perf_counter()
            self._draw()
            ended = time.perf_counter()
            self._draw_again = ended + (ended - began) / REDRAW_SHARE

    def say(self, line: str) -> None:
        """Print a line below the curve."""
        print_lines(line)

    def _draw(self) -> None:
        from IPython import display

        alt = f"Learning curve of {self._title}: {', '.join(_parts(self._rows[-1]))}"
        picture = display.Image(data=self._picture(), format="png", alt=alt)
        if self._handle is None:
            self._handle = display.display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def _picture(self) -> bytes:
        """A PNG of the rows so far."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 3.2), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        steps = [row.timesteps for row in self._rows]
        axes.plot(steps, [row.score_mean_100 for row in self._rows], label="training, mean of the last 100 episodes")
        judged = [(row.timesteps, row.eval_mean) for row in self._rows if row.eval_mean is not None]
        if judged:
            axes.plot(*zip(*judged, strict=True), "o", label="greedy, mean of fresh episodes")
        axes.set(xlabel="timesteps", ylabel="return", title=f"{self._title}: {'  '.join(_parts(self._rows[-1]))}")
        axes.title.set_fontsize("small")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", fontsize="small")
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        return picture.getvalue()


def _parts(row: MetricsRow) -> list[str]:
    """What is said of a row, with the most important first."""
    return [
        f"{row.timesteps:,} steps",
        f"score {row.score_mean_100:.1f}",
        f"eps {row.epsilon:.3f}",
        f"{row.steps_per_second:,.0f} steps/s",
        f"episode {row.episodes:,}",
    ]

"""How a run shows its progress: a bar on a terminal, a live curve in Jupyter, the lecture's lines elsewhere."""

import io
import sys
import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fastlander.config import Config
from fastlander.storage.tables import MetricsRow

REDRAW_SHARE = 0.1
"""Share of the time that drawing the live curve may take."""


class ProgressDisplay:
    """Shows only warnings; a context manager. `progress_display` chooses a display that shows more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def show(self, row: MetricsRow) -> None:
        """Show a row of metrics."""

    def say(self, line: str) -> None:
        """Print a line."""

    def warn(self, line: str) -> None:
        """Print what went wrong. This is shown with `--no-progress` too."""
        print(f"fastlander: {line}", file=sys.stderr, flush=True)


def progress_display(config: Config) -> ProgressDisplay:
    """The display for where this process runs: a terminal, a notebook or neither."""
    if not config.progress:
        return ProgressDisplay()
    if in_jupyter():
        return LiveCurve(config)
    console = Console()
    return LiveBar(config, console) if console.is_terminal else LectureLines()


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
        print(line, flush=True)


class LiveBar(ProgressDisplay):
    """A bar on a terminal."""

    def __init__(self, config: Config, console: Console) -> None:
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._live.add_task(config.env_id, total=config.total_timesteps, status="")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, row: MetricsRow) -> None:
        """Move the bar."""
        self._live.update(self._task, completed=row.timesteps, status=_status(row))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._live.console.print(line, highlight=False)

    def warn(self, line: str) -> None:
        """Print it above the bar."""
        self.say(line)


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
        print(line, flush=True)

    def _draw(self) -> None:
        from IPython import display

        picture = display.Image(data=self._picture(), format="png")
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
        axes.set(xlabel="timesteps", ylabel="return", title=f"{self._title}: {_status(self._rows[-1])}")
        axes.title.set_fontsize("small")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", fontsize="small")
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        return picture.getvalue()


def _status(row: MetricsRow) -> str:
    return (
        f"{row.timesteps:,} steps  episode {row.episodes}  score {row.score_mean_100:.1f}  "
        f"eps {row.epsilon:.3f}  {row.steps_per_second:,.0f} steps/s"
    )

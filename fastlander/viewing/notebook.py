"""Output for notebook cells: `show` animates frames, `replay` shows one landing again, drawn from its trace."""

import html
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from fastlander.config import LANDER_ID, Backend, Config
from fastlander.storage.model_file import load_model
from fastlander.validation import Count, InputError, Natural, check, quoted
from fastlander.viewing.flight import NO_KWARGS, open_lander
from fastlander.viewing.page import build_page
from fastlander.viewing.trace import trace_flight


class CellOutput:
    """HTML that a notebook shows when it is a cell's last expression. `html` is its text."""

    def __init__(self, html: str) -> None:
        self.html = html

    def _repr_html_(self) -> str:
        return self.html


def show(frames: Sequence[np.ndarray], jump: int = 10) -> CellOutput:
    """Every `jump`-th frame as a notebook animation with play, pause and a slider (matplotlib's `to_jshtml`).

    Args:
        frames: uint8[height, width, 3] each, as `env.render()` gives them with render_mode="rgb_array".
        jump: 1 shows every frame, 10 every tenth.

    Raises:
        ValueError: there are no frames, one is no picture, or `jump` is no integer of at least 1.
    """
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

    kept = list(frames)[:: check("jump", Count, jump)]
    if not kept:
        raise InputError("frames must hold at least one picture, got none")
    for frame in kept:
        if np.ndim(frame) != 3:
            got = 'None (is render_mode="rgb_array"?)' if frame is None else f"shape {np.shape(frame)}"
            raise InputError(f"frames must be arrays [height, width, 3], got {got}")
    height, width = kept[0].shape[:2]
    figure = Figure(figsize=(6, 6 * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    image = axes.imshow(kept[0])

    def update(i: int) -> tuple:
        image.set_data(kept[i])
        return (image,)

    player = FuncAnimation(figure, update, frames=len(kept), interval=20 * jump).to_jshtml()
    return CellOutput(f'<div role="group" aria-label="Animation of {len(kept)} frames">{player}</div>')


def replay(policy: Any, seed: int = 0) -> CellOutput:
    """Show one greedy landing again as a notebook widget, drawn on a canvas, with play, pause, a slider and speeds.

    The episode is flown without rendering it, so the widget has some tens of kB. It is flown on the native lander, or
    on Gymnasium's for the directory of a run that was judged on it. A `Result` or a directory brings its `env_kwargs`,
    such as wind.

    Args:
        policy: an `Agent`, a `Result`, a torch module from 8 numbers to 4 action values, or a run directory.
        seed: of the episode.

    Raises:
        ValueError: `policy` is none of these, or is not for LunarLander, or its weights are no finite numbers.
    """
    seed = check("seed", Natural, seed)
    greedy, backend, env_kwargs = _greedy(policy)
    with closing(open_lander(backend, env_kwargs=env_kwargs)) as env:
        trace = trace_flight(env, greedy, seed)
    values = {"title": f"LunarLander, seed {seed}", "data": trace.to_json()}
    page = build_page("widget.html", ["replay.css"], ["replay.js", "widget.js"], values)
    # A frame of its own keeps the page's scripts apart from those of the notebook and of other cells.
    return CellOutput(
        f'<iframe srcdoc="{html.escape(page)}" title="{values["title"]}" sandbox="allow-scripts" loading="lazy" '
        'style="border:0;width:100%;max-width:620px;aspect-ratio:620/510"></iframe>'
    )


def _greedy(policy: Any) -> tuple[Callable[[np.ndarray], np.ndarray], Backend | None, Mapping[str, Any]]:
    """Of anything that `replay` takes: the greedy policy, float32[N, 8] -> int64[N], backend and env_kwargs."""
    if isinstance(policy, str | Path):
        q_network, config = load_model(policy)
        if not config.is_lander:
            raise InputError(f"policy must be of a run on {LANDER_ID}, got one on {config.env_id!r}")
        return q_network.greedy, config.backend, config.env_kwargs
    config = getattr(policy, "config", None)  # of a Result
    env_kwargs = config.env_kwargs if isinstance(config, Config) and config.is_lander else NO_KWARGS
    network = getattr(policy, "agent", policy)
    network = getattr(network, "q_net", network)
    import torch

    if not isinstance(network, torch.nn.Module):
        raise InputError(f"policy must be an Agent, a Result, a torch module or a run directory, got {policy!r}")
    device = next((parameter.device for parameter in network.parameters()), None)

    def greedy(obs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(obs).to(device)).argmax(dim=1).cpu().numpy()

    try:
        with torch.no_grad():
            values = network(torch.zeros((1, 8), dtype=torch.float32, device=device))
    except RuntimeError as error:
        raise InputError(f"policy must be a network of 8 inputs, got one that takes others ({quoted(error)})") from None
    shape = tuple(getattr(values, "shape", ()))
    if shape != (1, 4):
        raise InputError(f"policy must be a network of 4 action values, got one that gives {list(shape)} for one input")
    if not all(weights.isfinite().all() for weights in network.parameters()) or not values.isfinite().all():
        raise InputError("policy must be a network of finite weights, got one with others")
    return greedy, None, env_kwargs

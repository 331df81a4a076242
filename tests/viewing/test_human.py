"""Landings by hand. SDL's dummy driver stands for the screen, and posted events for the keyboard."""

from contextlib import closing

import numpy as np
import pygame
import pytest

from fastlander import Config, QNetwork, cli
from fastlander.evaluate import evaluate_run
from fastlander.lander.flown import FlownLander
from fastlander.lander.pictures import Window
from fastlander.storage.model_file import save_model
from fastlander.streams import draw_seeds
from tests.conftest import save_crashing_model

DOWN, UP = pygame.KEYDOWN, pygame.KEYUP
PRESSED = [  # before the k-th picture: events, and the action that follows from them
    (0, [], None), (1, [(DOWN, pygame.K_a)], None), (2, [(DOWN, pygame.K_LEFT)], 1),
    (5, [(DOWN, pygame.K_UP)], 2), (9, [(UP, pygame.K_UP)], 1), (11, [(UP, pygame.K_LEFT), (UP, pygame.K_LEFT)], 0),
    (13, [(DOWN, pygame.K_RIGHT), (DOWN, pygame.K_RIGHT)], 3), (20, [(UP, pygame.K_RIGHT)], 0),
]  # fmt: skip


@pytest.fixture
def keyboard(monkeypatch):
    """Posts `PRESSED`, or what a test puts in its place, as the window shows its pictures; it counts them."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr("fastlander.lander.pictures.FPS", 0)  # no waiting
    state = {"pressed": PRESSED, "shown": 0, "sizes": set()}
    show = Window.show

    def shown(self, frames, title=None):
        show(self, frames, title)
        if title is not None:
            state["shown"] = 0
        state["sizes"].add((len(frames), pygame.display.get_surface().get_size(), pygame.display.get_caption()[0][:10]))
        for picture, events, _ in state["pressed"]:
            if picture == state["shown"]:
                for kind, key in events:
                    pygame.event.post(pygame.event.Event(kind, key=key))
        state["shown"] += 1

    monkeypatch.setattr(Window, "show", shown)
    yield state
    pygame.quit()


@pytest.fixture
def run(in_tmp):
    return save_crashing_model(in_tmp / "run").name


def by_hand(seed):
    """The return of an episode that is flown as `PRESSED` says."""
    actions, step, total, ended = [], 2, 0.0, False
    with closing(FlownLander()) as lander:
        lander.reset(seed=seed)
        while not ended:
            actions += [action for picture, _, action in PRESSED if picture == step]
            _, reward, terminated, truncated, _ = lander.step(actions[-1])
            total, ended, step = total + reward, terminated or truncated, step + 1
    return total


def test_the_keys_fly_the_lander(keyboard, in_tmp, capsys):
    assert cli.main(["play", "--human", "--episodes", "2", "--seed", "5"]) == 0
    seeds = draw_seeds(np.random.default_rng(5), 2)
    assert capsys.readouterr() == ("".join(f"You {by_hand(seed):.1f}\n" for seed in seeds), "")
    assert keyboard["sizes"] == {(1, (600, 400), "Arrow keys")}


def test_beside_the_policy_of_a_run(keyboard, run, capsys):
    assert cli.main(["play", run, "--human", "--episodes", "2", "--seed", "5"]) == 0
    seeds = draw_seeds(np.random.default_rng(5), 2)
    _, evaluation = evaluate_run(run, 2, 5)
    lines = [
        f"You {by_hand(seed):.1f}, the policy {score:.1f}\n"
        for seed, score in zip(seeds, evaluation.returns, strict=True)
    ]
    assert capsys.readouterr() == ("".join(lines), "")
    assert {(count, size) for count, size, _ in keyboard["sizes"]} == {(2, (1200, 400))}


@pytest.mark.parametrize("event", [(DOWN, pygame.K_ESCAPE), (pygame.QUIT, 0)])
@pytest.mark.parametrize("picture", [0, 7])
def test_escape_and_the_window_s_cross_end_it(keyboard, in_tmp, capsys, event, picture):
    keyboard["pressed"] = [(0, [(DOWN, pygame.K_UP)] if picture else [], 2), (picture, [event], None)]
    assert cli.main(["play", "--human"]) == 0
    assert capsys.readouterr() == ("", "")
    assert not pygame.display.get_init()


def test_the_left_key_pushes_to_the_left(keyboard, in_tmp):
    with closing(FlownLander()) as left, closing(FlownLander()) as right:
        left.reset(seed=0), right.reset(seed=0)
        for _ in range(20):
            from_left, from_right = left.step(1)[0], right.step(3)[0]
    assert from_left[2] < from_right[2]  # horizontal speed; the keys' actions are those of `PRESSED`
    assert from_left[4] > from_right[4]  # angle, counterclockwise


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("", "play needs the directory of a run, or --human to fly without one"),
        ("nowhere --human", "directory must be a run directory with a model.safetensors, got 'nowhere'"),
        ("cart --human", "directory must be of a run on the lander with --human, got one on 'CartPole-v1'"),
        ("--human --episodes 0", "episodes must be an integer of at least 1, got 0"),
    ],
)
def test_what_cannot_be_flown(keyboard, in_tmp, capsys, arguments, line):
    (in_tmp / "cart").mkdir()
    save_model("cart", QNetwork(4, 2, (4,)), Config(env_id="CartPole-v1"))
    assert cli.main(["play", *arguments.split()]) == 2
    assert capsys.readouterr().err == f"fastlander play: error: {line}\n"


def test_without_a_screen(in_tmp, capsys, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert cli.main(["play", "--human"]) == 2
    assert "play needs a screen" in capsys.readouterr().err

import numpy as np
import pytest

from fastlander import show


def frames(count):
    return [np.full((40, 60, 3), i, np.uint8) for i in range(count)]


@pytest.mark.parametrize(("count", "jump", "shown"), [(25, 10, 3), (5, 1, 5), (1, 10, 1)])
def test_every_jump_th_frame_is_shown(count, jump, shown):
    html = show(frames(count), jump=jump)._repr_html_()
    assert html.count("data:image/png;base64") == shown
    assert "<input" in html  # the player's controls


def test_no_state_of_pyplot_is_touched():
    import matplotlib.pyplot as plt

    show(frames(3), jump=1)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (([],), "frames must hold at least one picture, got none"),
        (([None],), "frames must be arrays"),
        (([np.zeros((4, 4))],), "frames must be arrays"),
        ((frames(3), 0), "jump must be an integer of at least 1, got 0"),
    ],
)
def test_bad_input(arguments, line):
    with pytest.raises(ValueError, match=line):
        show(*arguments)

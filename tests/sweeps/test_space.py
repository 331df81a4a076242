"""The words of a search space: what they mean, and what is refused."""

import pytest

from fastlander.config import Config, setting_types
from fastlander.sweeps.plan import Plan
from fastlander.sweeps.space import FIXED, Choices, Interval, parse_space, read_space
from fastlander.validation import InputError


def parsed(*texts, base=None, file=None):
    return parse_space(read_space(texts, file), base or Config())


def test_words_become_ranges_and_values_of_the_types_of_config():
    assert parsed(
        "learning_rate=log:1e-4..1e-2",
        "n-step=1..12",
        "loss=huber,mse",
        "hidden_sizes=128-64-32, 64",
        "adam_betas=0.9-0.99,0.9-1e-3",
        "learning_rate_end=None,1e-5",
        "double_dqn=True,False",
        "max_grad_norm=1..20",
        "epsilon_zeta=log:1.5..4",
    ) == [
        Interval("learning_rate", 1e-4, 1e-2, log=True, integer=False),
        Interval("n_step", 1, 12, log=False, integer=True),
        Choices("loss", ("huber", "mse")),
        Choices("hidden_sizes", ((128, 64, 32), (64,))),
        Choices("adam_betas", ((0.9, 0.99), (0.9, 1e-3))),
        Choices("learning_rate_end", (None, 1e-5)),
        Choices("double_dqn", (True, False)),
        Interval("max_grad_norm", 1.0, 20.0, log=False, integer=False),
        Interval("epsilon_zeta", 1.5, 4.0, log=True, integer=False),
    ]


def test_a_file_has_the_same_words_and_lists(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text('n_step = "1..12"\nloss = ["huber", "mse"]\nhidden_sizes = [[128, 64], [32]]\ntau = [0.1, 1]\n')
    words = ["n_step=1..12", "loss=huber,mse", "hidden_sizes=128-64,32", "tau=0.1,1", "gamma=0.9..1"]
    assert parsed("gamma=0.9..1", file=str(file)) == parsed(*words[:-1], words[-1])


REFUSED = {
    "search must name settings of Config, got 'learning'": ["learning=1..2"],
    "n_step must be searched from a lower to a higher value, got 5..1": ["n_step=5..1"],
    "n_step must be searched from a lower to a higher value, got 5..5": ["n_step=5..5"],
    "n_step must be an integer of at least 1, got 0": ["n_step=0..5"],
    "n_step must be an integer of at least 1, got 1.5": ["n_step=1.5..3"],
    "gamma must be a number of at least 0 and at most 1, got 1.2": ["gamma=0.9..1.2"],
    "gamma must be a number of at least 0 and at most 1, got nan": ["gamma=nan..1"],
    "gamma must be a number of at least 0 and at most 1, got 'a'": ["gamma=a..b"],
    "learning_rate must be a number above 0, got inf": ["learning_rate=1..inf"],
    "max_grad_norm must be a number above 0, got 'None'": ["max_grad_norm=None..5"],
    "epsilon_end must have a lower end above 0 in a logarithmic range, got log:0..1": ["epsilon_end=log:0..1"],
    "learning_rate must have a range after log:": ["learning_rate=log:1"],
    "loss must be searched among values": ["loss=huber..mse"],
    "loss must have two or more different values or a range to search, got 'huber'": ["loss=huber"],
    "loss must have two or more different values or a range to search, got 'huber,huber'": ["loss=huber,huber"],
    "loss must be one of huber, mse, got 'l1'": ["loss=huber,l1"],
    "hidden_sizes must be one or more numbers, each an integer of at least 1, got (0, 1)": ["hidden_sizes=0-1,2"],
    "search must be NAME=VALUES": ["n_step"],
    "search must name each setting once, got 'n_step' twice": ["n_step=1..3", "n-step=1..4"],
    "search must name a setting": [],
    "batch_size must be at most buffer_size, got 100000 with buffer_size 30000": ["batch_size=32..100000"],
    "learning_starts must be at most buffer_size, got 1001 with buffer_size 1000": [
        "buffer_size=1000..5000",
        "learning_starts=100..1001",
    ],
    "learning_rate_end must be at most learning_rate, got 0.01 with": [
        "learning_rate=0.0001..0.009",
        "learning_rate_end=0.0001..0.01",
    ],
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_searched_is_refused_in_a_line(line):
    with pytest.raises(InputError) as error:
        parsed(*REFUSED[line])
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_no_setting_that_says_what_is_measured_can_be_searched():
    for name in FIXED:
        with pytest.raises(InputError, match=f"decide how a run learns, got {name}"):
            parsed(f"{name}=1..2")
    assert set(FIXED) < set(setting_types())


def test_ends_that_fit_together_are_taken_though_one_does_not_fit_the_base():
    assert len(parsed("buffer_size=1000..5000", "learning_starts=100..1000")) == 2
    assert len(parsed("learning_rate=0.01..0.02", "learning_rate_end=0.005..0.01")) == 2


@pytest.mark.parametrize("text", ["n_step = 3\n", "n_step = []\n", "n_step\n", "[n_step]\na = 1\n"])
def test_a_file_of_another_form_is_refused(text, tmp_path):
    file = tmp_path / "space.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"space\.toml"):
        read_space([], str(file))
    with pytest.raises(InputError, match=r"no\.toml.*No such file"):
        read_space([], str(tmp_path / "no.toml"))


PLANS = {
    "trials or minutes must say when to stop": {},
    "rounds must be numbers of seeds, each larger": {"trials": 1, "rounds": (2, 2)},
    "judge_seeds must be an integer of at least 2": {"trials": 1, "judge_seeds": 1},
    "minutes must be a number above 0": {"minutes": 0},
    "objective must be one of steps": {"trials": 1, "objective": "speed"},
    "batch must fit in this machine's memory": {"trials": 1, "batch": 10**12},
    "objective must be return for solved_by never": {"trials": 1, "config": Config(solved_by="never")},
    "tensorboard must be off in a sweep": {"trials": 1, "config": Config(tensorboard=True)},
    "the last seed must be": {"trials": 1, "config": Config(seed=2**64 - 20)},
}


@pytest.mark.parametrize("line", PLANS)
def test_a_plan_that_cannot_be_is_refused(line):
    with pytest.raises(InputError, match=line):
        Plan(**{"config": Config(), "search": {"n_step": "1..3"}, **PLANS[line]})


def test_nearest_and_rounded_values_stay_in_the_range():
    rate = Interval("learning_rate", 0.0012345, 0.01, log=True, integer=False)
    assert [rate.rounded(x) for x in (0.0012345, 0.00234567, 0.01)] == [0.0012345, 0.00235, 0.01]
    assert [rate.nearest(x) for x in (None, 1e-5, 0.005, 1.0)] == [0.0012345, 0.0012345, 0.005, 0.01]
    sizes = Choices("hidden_sizes", ((64, 32), (8,)))
    assert [sizes.nearest(x) for x in ((8,), (9,))] == [(8,), (64, 32)]
    assert [sizes.decode(sizes.encode(x)) for x in sizes.values] == list(sizes.values)

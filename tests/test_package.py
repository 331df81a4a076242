import ast
import importlib
import pathlib
import subprocess
import sys

import pytest

import fastlander
from fastlander import cli

PACKAGE = pathlib.Path(fastlander.__file__).parent

# Reading order: folders, and the files in each. A module may import those above it and none below. Files at the top
# stand where what they import allows: settings and checks first, the commands last.
ORDER = [
    ("", "version validation memory terminal startup presets config streams states arguments"),
    (
        "kernels",
        "notices shipped processor arrays array_types part_typing part_libraries part_passes part_compiler "
        "compile_lock kernel_cache jit compile_ahead xoshiro lanes tables simd simd_memory addresses atomics threads "
        "compile_notice",
    ),
    (
        "physics",
        "constants bodies vector_math state collide_edge contact broad_phase revolute_joint contact_solver island "
        "contact_constraint island_general island_lanes island_stages distance time_of_impact world",
    ),
    (
        "lander",
        "symmetry costs registration variant exchange pcg64 game lane_solvers step step_all compiled step_one errors "
        "interface settings saved_state frames pictures stepper attributes vector_env env flown parity",
    ),
    ("", "environments"),
    ("experience", "transition sampling replay_buffer fold n_step collector"),
    (
        "learner",
        "interface parameters device torch_threads q_network adam flat_adam equations mirror exploration schedules "
        "torch_learner",
    ),
    (
        "learner.fused",
        "matmul plan passes choose policy temporal_difference chunks update learner lecture_update agent_learner",
    ),
    ("learner", "dqn agent"),
    ("evaluation", "evaluation statistics scores flight_loop flights episodes average candidates judge"),
    (
        "storage",
        "reading files settings_file hub card tables checkpoint model_file model saved_run run_directory "
        "table_directory seeds_directory methods",
    ),
    ("viewing", "flight trace page report_page comparison compare_page model_card notebook video human"),
    (
        "training",
        "process clock result progress needs run_state run_progress fused_loop fused_steps trainer worker pool "
        "run_files ray_actor ray_cluster ray_pool engines multi_seed",
    ),
    ("sweeps", "space objective race plan directory study search judgement outcome page sweep"),
    ("", "signatures sb3 train sweep evaluate report compare export record play card push verify warmup cli __main__"),
    ("kernels", "ship"),
]
MODULES = [f"{folder}.{name}".strip(".") for folder, names in ORDER for name in names.split()]


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastlander."):
            yield node.module.removeprefix("fastlander.")
        elif isinstance(node, ast.Import):
            yield from (n.name.removeprefix("fastlander.") for n in node.names if n.name.startswith("fastlander."))


def test_imports_run_one_way():
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.stem != "__init__"
    }
    assert sorted(modules) == sorted(MODULES)
    for name, path in modules.items():
        # The commands are imported by nothing, so where a module is also one, its parser may come late.
        for imported in set(imported_modules(path)) - {"arguments"}:
            assert MODULES.index(imported) < MODULES.index(name), f"{name} imports {imported}"


def test_files_stay_small():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path.name


HEAVY = "import sys; print([m for m in ('torch', 'numba', 'matplotlib', 'scipy', 'Box2D') if m in sys.modules])"


@pytest.mark.parametrize("code", ["import fastlander", "import fastlander.train; fastlander.train.read_arguments([])"])
def test_importing_and_parsing_load_nothing_heavy(code):
    out = subprocess.run([sys.executable, "-c", f"{code}; {HEAVY}"], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_loads_nothing_heavy(command):
    code = (
        f"import contextlib, io, fastlander.{command} as command\n"
        "with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):\n"
        "    command.main(['--help'])\n"
        "assert 'usage' in text.getvalue()\n"
    )
    out = subprocess.run([sys.executable, "-c", code + HEAVY], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_training_does_not_load_torch_s_compiler():
    code = "import sys, fastlander; fastlander.DQN(fastlander.Config()); import fastlander.training.trainer; "
    check = "print('torch._dynamo' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_every_exported_name_is_there():
    for name in fastlander.__all__:
        assert getattr(fastlander, name) is not None
        assert name in dir(fastlander)
        if name != "__version__":
            assert getattr(fastlander, name).__module__ == f"fastlander.{fastlander._HOME[name]}"
    assert "train" not in fastlander.__all__
    assert importlib.import_module("fastlander.train").main
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        fastlander.nothing  # noqa: B018


def test_no_global_random_state_is_used_but_by_the_agent_s_constructor():
    allowed = {("agent.py", "randint")}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "random"):
                fine = node.attr in ("Generator", "PCG64", "SeedSequence", "default_rng", "RandomState")
                assert fine or (path.name, node.attr) in allowed, f"{path.name}: {ast.unparse(node)}"


def test_other_environments_do_not_wait_for_the_lander_s_kernels():
    code = (
        "import sys, fastlander.training.trainer; print([m for m in sys.modules if m.startswith('fastlander.physics')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"

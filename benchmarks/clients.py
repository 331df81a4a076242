"""Steps per second of the programs in docs/examples: on the native lander, and on Gymnasium's.

Run `python -m benchmarks.clients NAME ... [--rounds 3] [--steps 30000] [--cleanrl DIR]` where the client is installed.
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

EXAMPLES = pathlib.Path(__file__).parent.parent / "docs" / "examples"
NATIVE_ID, MODE = "fastlander:fastlander/LunarLander-v3", "autoreset_mode=AutoresetMode.SAME_STEP"
SINGLES = "[lambda: gym.make('LunarLander-v3')]"
SYNC_MAKE = {
    f'gym.make_vec("{NATIVE_ID}", num_envs=num_envs, {MODE})': f"gym.vector.SyncVectorEnv({SINGLES} * num_envs, {MODE})"
}
FROM_SB3 = "from stable_baselines3.common.vec_env import DummyVecEnv"
SYNC = {
    "cleanrl_ppo": {"gym.vector.SyncVectorEnv = native\n": "", NATIVE_ID: "LunarLander-v3"},
    "cleanrl_dqn": {"gym.vector.SyncVectorEnv = native\n": "", NATIVE_ID: "LunarLander-v3"},
    "ppo_stable_baselines3": {
        "from fastlander.sb3 import SB3VecEnv": f"import gymnasium as gym\n{FROM_SB3}",
        "VecMonitor(SB3VecEnv(num_envs=16))": f"VecMonitor(DummyVecEnv({SINGLES} * 16))",
    },
    "rl_zoo": {
        "SB3VecEnv(n_envs, **(env_kwargs or {}))": f"DummyVecEnv({SINGLES} * n_envs)",
        "from fastlander.sb3 import SB3VecEnv": f"import gymnasium as gym\n    {FROM_SB3}",
    },
    "torchrl_ppo": SYNC_MAKE,
    "skrl_dqn": SYNC_MAKE,
    "tianshou_dqn": {
        "envs = NativeVectorEnv(32)": f"envs = DummyVectorEnv({SINGLES} * 32)",
        "import BaseVectorEnv\n": "import BaseVectorEnv, DummyVectorEnv\nimport gymnasium as gym\n",
    },
    "rllib_ppo": {
        '.environment("fastlander/LunarLander-v3")': '.environment("LunarLander-v3")',
        'gym_env_vectorize_mode="vector_entry_point"': 'gym_env_vectorize_mode="sync"',
    },
}
"""For each program, what in its text is replaced to run it on Gymnasium's own lander, one after the other."""
RATE = re.compile(r"SPS: ([\d,]+)|fps +\| ([\d,]+)|([\d,]+) steps/s")


def rate_of(source: str, arguments: list[str]) -> int:
    """Run a program in a directory of its own: the last rate that it prints."""
    with tempfile.TemporaryDirectory() as directory:
        program = pathlib.Path(directory, "program.py")
        program.write_text(source)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int("".join(RATE.findall(done.stdout)[-1]).replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=SYNC)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", default="30000")
    parser.add_argument("--cleanrl", default="cleanrl", help="folder of CleanRL's repository")
    options = parser.parse_args()
    print("| program | native, steps/s | Gymnasium's lander, steps/s | ratio |\n|---|---|---|---|")
    for name in options.names:
        arguments = [options.steps]
        if name.startswith("cleanrl"):
            script = pathlib.Path(options.cleanrl, "cleanrl", name.removeprefix("cleanrl_") + ".py").resolve()
            arguments = [str(script), "--no-cuda", "--total-timesteps", options.steps]
        elif name == "rl_zoo":
            arguments = ["--n-timesteps", options.steps]
        native = (EXAMPLES / f"{'cleanrl_script' if 'cleanrl' in name else name}.py").read_text()
        sync = native
        for old, new in SYNC[name].items():
            assert old in sync, f"{name} has no {old}"
            sync = sync.replace(old, new)
        rates = [(rate_of(native, arguments), rate_of(sync, arguments)) for _ in range(options.rounds)]
        ratio = statistics.median(a / b for a, b in rates)
        ours, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
        print(f"| {name} | {ours:,.0f} | {theirs:,.0f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()

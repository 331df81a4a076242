"""The native lander compiled for older x86-64 processors on this one: steps per second, and a parity check.

python benchmarks/processors.py
"""

import os
import platform
import subprocess
import sys
import tempfile

PROCESSORS = {
    "this one": None,
    "x86-64-v3 (AVX2, FMA)": ("x86-64-v3", "+avx2,+fma"),
    "x86-64 (SSE2)": ("x86-64", ""),
}
MEASURE = """if True:
    import statistics, time
    import numpy as np
    from fastlander import LunarLanderVectorEnv
    from fastlander.lander.parity import GROUPS, compare

    start = time.perf_counter()
    LunarLanderVectorEnv(1).reset(seed=0)
    row = [f"{time.perf_counter() - start:.1f} s"]
    for n in (1, 16, 1024):
        env, actions, rates = LunarLanderVectorEnv(n), np.random.default_rng(0).integers(4, size=(31, n)), []
        env.reset(seed=0)
        for k in range(150):
            env.step(actions[k % 31])
        for _ in range(7):
            start, steps = time.perf_counter(), max(10, 20_000 // n)
            for k in range(steps):
                env.step(actions[k % 31])
            rates.append(steps * n / (time.perf_counter() - start))
        row.append(f"{statistics.median(rates):,.0f}")
    parities = [compare(GROUPS[name], range(100), 16) for name in ("random", "mixed", "legs on ground", "wind")]
    row.append(f"{sum(p.steps for p in parities):,} steps, {sum(p.mismatches for p in parities)} mismatches")
    print(" | ".join(row))
"""


def main():
    """Print the table. Of processors that are not x86-64 it has this one's row only."""
    print("| compiled for | first compile | N = 1 | N = 16 | N = 1,024 | parity |\n|---|---|---|---|---|---|")
    for name, target in PROCESSORS.items():
        if target and platform.machine() not in ("x86_64", "AMD64"):
            continue
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            if target:
                environment.update(NUMBA_CPU_NAME=target[0], NUMBA_CPU_FEATURES=target[1])
            done = subprocess.run(
                [sys.executable, "-c", MEASURE], env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
        print(f"| {name} | {done.stdout.strip()} |", flush=True)


if __name__ == "__main__":
    main()

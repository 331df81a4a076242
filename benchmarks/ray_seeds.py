"""What Ray costs beside the processes of one machine: the same seeds on a cluster of two nodes, and on this machine.

python -m benchmarks.ray_seeds [--seeds 64] [--rounds 1]

The nodes have a CPU each and are processes of this machine, so that both engines have the same two processors. The
cluster runs before the clock starts. The second table is the driver alone: what it spends on a seed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ray.cluster_utils import Cluster

from benchmarks.many_seeds import command
from fastlander import Config
from fastlander.storage.seeds_directory import SeedRow, SeedsDirectory
from fastlander.training.ray_pool import _checked
from fastlander.training.run_files import pack, unpack
from fastlander.training.worker import training_job

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


def driver_seconds(rounds):
    """Seconds in which a driver checks, writes and notes a seed that has come back; and the bytes of its files."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(progress=False, output_dir=f"{folder}/seeds")
        argv = ["-m", "fastlander.train", "--seeds", "1", "--compact", "True", "--output-dir", f"{folder}/one"]
        subprocess.run([sys.executable, *argv], stdout=subprocess.DEVNULL, check=True)
        files, times = pack(Path(folder, "one", "seed0")), []
        reply = {"row": [0, True, 100_000, 1000, 1.5, 250.0], "line": "Solved.", "files": files}
        with SeedsDirectory.create(config, rounds, True) as directory:
            for seed in range(rounds):
                began = time.perf_counter()
                training_job(seed, directory.config_of(seed), True)
                _, checked = _checked(seed, config, reply)
                unpack(checked, directory.run(seed))
                directory.add(SeedRow(seed, *reply["row"][1:]))
                times.append(time.perf_counter() - began)
        return float(np.median(times)), sum(map(len, files.values()))


def main():
    """Print a row for each engine, and what the driver does with one seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} before")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    print("| engine | seconds | seeds a second | CPU s of the command |")
    print("|---|---|---|---|")
    seconds = {"local": [], "ray": []}
    for _ in range(arguments.rounds):
        for engine in seconds:
            where = []
            if engine == "ray":
                cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
                cluster.add_node(**NODE)
                where = ["--engine", "ray", "--ray-address", cluster.address]
            wall, cpu = command("--seeds", arguments.seeds, *where)
            if engine == "ray":
                cluster.shutdown()
            seconds[engine].append(wall)
            print(f"| {engine} | {wall:.1f} | {arguments.seeds / wall:.3f} | {cpu:.1f} |", flush=True)
    local, ray = (float(np.median(seconds[engine])) for engine in ("local", "ray"))
    print(f"throughput of ray / local: {local / ray:.2f}; {1000 * (ray - local) / arguments.seeds:.0f} ms more a seed")
    each, size = driver_seconds(100)
    print(f"the driver spends {1000 * each:.1f} ms on a seed of {size / 1000:.0f} kB, so {1 / each:.0f} seeds a second")
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()

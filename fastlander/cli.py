"""The `fastlander` command. Each of its subcommands is also `python -m fastlander.<name>`."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from fastlander.terminal import end_process, exit_status
from fastlander.version import __version__

COMMANDS = {
    "train": "train a DQN",
    "sweep": "search for better settings",
    "evaluate": "play greedy episodes with the policy of a run",
    "report": "write the page of a run, report.html",
    "compare": "compare runs, or several seeds, of different settings",
    "export": "write the policy of a run as ONNX",
    "card": "write a folder for a model hub: model card, policy, video",
    "push": "upload such a folder to the hub",
    "record": "write greedy episodes of a run as GIF, MP4 or frames",
    "play": "watch greedy episodes of a run in a window",
    "verify": "compare the native lander with Gymnasium's on this machine",
    "warmup": "compile every kernel now, for later",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Call the command that the first argument names, with the others; its exit status."""
    listing = "\n".join(f"  {name:<12}{what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="fastlander",
        description="A vectorized, high-throughput DQN trainer for Gymnasium's LunarLander.",
        epilog=f"commands:\n{listing}\n\n`fastlander COMMAND --help` shows what a command takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fastlander {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    args = list(sys.argv[1:] if argv is None else argv)
    chosen = argparse.Namespace()

    def choose() -> int:
        parser.parse_args(args[:1], chosen)
        return 0

    status = exit_status("fastlander", choose)
    if getattr(chosen, "command", None) is None:
        return status  # of --help, --version, or an error
    return importlib.import_module(f"fastlander.{chosen.command}").main(args[1:])


def run() -> None:
    """`main` as the script `fastlander`."""
    end_process(main())


if __name__ == "__main__":
    run()

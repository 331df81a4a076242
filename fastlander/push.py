"""`python -m fastlander.push DIR --repo-id OWNER/NAME`: upload a folder that `fastlander card` wrote to a model hub."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from fastlander.storage.card import CARD_FILES, README_FILE, REPO_ID, find_card, other_files, read_card
from fastlander.storage.hub import check_repo_id, upload
from fastlander.terminal import exit_status, print_lines
from fastlander.validation import check, check_path

PROG = "fastlander push"


def push(directory: str | Path, repo_id: str, *, private: bool = False) -> str:
    """Upload a folder that `fastlander card` wrote to the Hugging Face hub; the model's address.

    The repository is made if it is not there. The files are one commit in it; what was there before stays in its
    history. Only the files that `card` writes are uploaded, and those of them that the folder does not have, such as a
    video, are removed from the repository. The folder is not changed.

    Args:
        directory: the folder, or the run directory that has it as `card`.
        repo_id: owner/name on the hub.
        private: the repository is private. False leaves one that is there as it is.

    Raises:
        ValueError: the directory is no such folder, or its files do not belong together; the id is none; nobody is
            logged in; huggingface_hub is missing; or the repository is public although `private` was asked for.
        RuntimeError: the hub cannot be reached, or refused.
    """
    repo_id = check_repo_id(repo_id)
    files = read_card(find_card(check_path("directory", directory)))
    files[README_FILE] = files[README_FILE].replace(REPO_ID.encode(), repo_id.encode())
    return upload(repo_id, files, CARD_FILES, private=check("private", bool, private))


def main(argv: Sequence[str] | None = None) -> int:
    """Upload the folder; exit status as of `exit_status`."""
    import tyro

    from fastlander.arguments import parse

    def command(
        directory: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DIR")], repo_id: str,
        private: bool = False,
    ) -> int:  # fmt: skip
        """Upload a folder that `fastlander card` wrote to the Hugging Face hub (needs the extra fastlander[hub]).

        Log in first: `hf auth login`, or a token in HF_TOKEN. HF_ENDPOINT names another server.

        Args:
            directory: Folder that card wrote, or the run directory that it lies in.
            repo_id: Id of the model on the hub, OWNER/NAME. It is made if it is not there.
            private: Make it private.
        """
        url = push(directory, repo_id, private=private)
        left = other_files(find_card(check_path("directory", directory)))
        if left:
            print_lines(f"Not uploaded, as card does not write them: {', '.join(left)}")
        print_lines(f"Uploaded to {url}")
        return 0

    return exit_status(PROG, lambda: parse(command, argv, PROG, {}))


if __name__ == "__main__":
    sys.exit(main())

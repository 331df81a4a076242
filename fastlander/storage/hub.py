"""Models on a hub (Hugging Face's, or the server that HF_ENDPOINT names): found by their id, fetched, and uploaded.

This is the only module that uses huggingface_hub. Nothing that comes from a hub is trusted: of a model two files are
fetched, a safetensors file and a JSON file, of a size that is checked first, and `model_file` checks what is in them.
"""

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastlander.storage.files import CONFIG_FILE, MODEL_FILE
from fastlander.storage.reading import LARGEST_MODEL, LARGEST_SETTINGS
from fastlander.terminal import FAILED
from fastlander.validation import InputError, quoted, shown
from fastlander.version import __version__

LONGEST_ID = 96  # characters of a repository's name
_PART = r"[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?"
_REPO_ID = re.compile(rf"{_PART}/{_PART}", re.ASCII)
# `Path` makes one slash of the two in "hf://".
_HUB_ID = re.compile(rf"(?P<scheme>hf:/{{1,2}})?(?P<repo_id>{_PART}/{_PART})(?:@(?P<revision>[\w./-]+))?", re.ASCII)


class HubFailed(RuntimeError):
    """The hub cannot be reached, or did not do what it was asked for. The message is one line."""

    exit_status = FAILED


class HubId(NamedTuple):
    """A model on a hub."""

    repo_id: str  # owner/name
    revision: str | None  # branch, tag or commit; None is the newest


class ModelFiles(NamedTuple):
    """Where a model and the settings of its run can be read."""

    name: Path  # of their directory, for errors: the run directory, or owner/name
    model: Path  # the model file
    config: Path | None  # the config.json beside it, if the hub has one; in a run directory it may be missing


def hub_id(directory: str | os.PathLike[str]) -> HubId | None:
    """The model on a hub that a text means; None if it means a path.

    "owner/name", "owner/name@revision" and both with "hf://" before them mean a model on a hub. Without "hf://" a path
    comes first: what exists is a path, and so is what would lie in a directory that exists.
    """
    text = os.fspath(directory)
    match = _HUB_ID.fullmatch(text) if isinstance(text, str) else None
    if match is None or not _is_repo_id(match["repo_id"]):
        return None
    if match["scheme"] is None and (os.path.lexists(text) or os.path.lexists(os.path.dirname(text))):
        return None
    return HubId(match["repo_id"], match["revision"])


def check_repo_id(repo_id: str) -> str:
    """`repo_id` unchanged. ValueError if no repository can have this id."""
    if not isinstance(repo_id, str) or not _is_repo_id(repo_id):
        raise InputError(
            f"repo_id must be owner/name, each of letters, digits and -, _ or . (not at an end, not -- or ..), "
            f"the name at most {LONGEST_ID} characters long, got {shown(repo_id)}"
        )
    return repo_id


def _is_repo_id(text: str) -> bool:
    fits = _REPO_ID.fullmatch(text) and len(text.partition("/")[2]) <= LONGEST_ID
    return bool(fits) and "--" not in text and ".." not in text and not text.endswith(".git")


def output_directory(directory: Path) -> Path:
    """Where a command writes by default what it makes of a model: its run directory, or here for one on a hub."""
    return directory if hub_id(directory) is None else Path()


def model_files(directory: str | os.PathLike[str]) -> ModelFiles:
    """The files of a model in a run directory, or on a hub, from which they are fetched into huggingface_hub's cache.

    Both are of the same commit. Without a network, those that the cache holds are taken.

    Raises:
        ValueError: huggingface_hub is missing, the hub has no such model, or a file of it is too large.
        HubFailed: the hub cannot be reached and the cache has no such model, or the hub fails.
    """
    found = hub_id(directory)
    if found is None:
        path = Path(directory)
        return ModelFiles(path, path / MODEL_FILE, path / CONFIG_FILE)
    model, commit = _fetch(found, MODEL_FILE, LARGEST_MODEL)
    if model is None:
        raise _not_there(found, f"the hub has it without a {MODEL_FILE}")
    config, _ = _fetch(found._replace(revision=commit), CONFIG_FILE, LARGEST_SETTINGS)
    return ModelFiles(Path(found.repo_id), model, config)


def _fetch(found: HubId, name: str, most: int) -> tuple[Path | None, str]:
    """A file of a model, and the commit it is of. None for a file that the model does not have.

    The path is that of the file itself: what huggingface_hub gives is a link to it.
    """
    hub = _huggingface_hub()
    if hub is None:
        raise _not_there(found, "a model on a hub needs a package more: pip install 'fastlander[hub]'")
    api = hub.HfApi(library_name="fastlander", library_version=__version__)
    options = {"repo_id": found.repo_id, "filename": name, "revision": found.revision}
    try:
        with _quiet(hub):
            try:
                metadata = api.get_hf_file_metadata(url=hub.hf_hub_url(**options, endpoint=api.endpoint))
            except (
                hub.errors.RepositoryNotFoundError,
                hub.errors.RevisionNotFoundError,
                hub.errors.EntryNotFoundError,
            ):
                raise
            except Exception as error:  # no network, or a hub that fails: each library below raises its own
                return _cached(hub, options, error)
            if metadata.size is None or metadata.size > most:
                size = "of unknown size" if metadata.size is None else f"of {metadata.size:,} bytes"
                raise InputError(f"{found.repo_id}/{name} must have at most {most:,} bytes, got one {size}")
            path = api.hf_hub_download(**options)
    except InputError:
        raise
    except hub.errors.RevisionNotFoundError:
        raise _not_there(found, f"the hub has no revision {shown(found.revision)} of it") from None
    except hub.errors.RepositoryNotFoundError:
        raise _not_there(found, "the hub has no such model, or it is private and you are not logged in") from None
    except Exception as error:
        if isinstance(error, hub.errors.EntryNotFoundError) and not isinstance(
            error, hub.errors.LocalEntryNotFoundError
        ):
            return None, found.revision or "main"
        raise HubFailed(f"{found.repo_id}/{name} could not be fetched from {api.endpoint} ({_reason(error)})") from None
    return _found(path)


def _cached(hub: Any, options: Mapping[str, Any], error: Exception) -> tuple[Path | None, str]:
    """The file in huggingface_hub's cache, and its commit. `error` is raised again if it is not there."""
    path = hub.try_to_load_from_cache(options["repo_id"], options["filename"], revision=options["revision"])
    if path is None:
        raise error
    if not isinstance(path, str):  # The cache remembers that the model has no such file.
        return None, options["revision"] or "main"
    return _found(path)


def _found(path: str) -> tuple[Path, str]:
    """The file behind a path in huggingface_hub's cache, .../snapshots/COMMIT/NAME, and the commit."""
    return Path(os.path.realpath(path)), Path(path).parent.name


def _not_there(found: HubId, why: str) -> InputError:
    return InputError(
        f"directory must be a run directory with a {MODEL_FILE} or a model on a hub, got {shown(found.repo_id)} "
        f"(there is no such directory, and {why})"
    )


def upload(repo_id: str, files: Mapping[str, bytes], owned: Collection[str], *, private: bool = False) -> str:
    """Make a repository if there is none of this id, and put files in it, in one commit; its address.

    Args:
        repo_id: owner/name.
        files: content by name. A "README.md" has the metadata of a model card.
        owned: names of all files that an upload may have. Those that `files` does not have are removed, so that no
            video of another policy stays.
        private: a repository that is made, or is there, is private.

    Raises:
        ValueError: huggingface_hub is missing, nobody is logged in, the metadata of the card is damaged, or the
            repository is there and public although `private` was asked for. Nothing was sent then.
        HubFailed: the hub refused, or cannot be reached.
    """
    check_repo_id(repo_id)
    hub = _huggingface_hub()
    if hub is None:
        raise InputError("push needs a package more: pip install 'fastlander[hub]'")
    _check_card(hub, files["README.md"])
    api = hub.HfApi(library_name="fastlander", library_version=__version__)
    if not (api.token or hub.get_token()):
        raise InputError("push needs you to be logged in: `hf auth login`, or a token in HF_TOKEN")
    operations = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=files[name]) for name in files]
    try:
        with _quiet(hub):
            url = api.create_repo(repo_id, private=private or None, exist_ok=True)
            info = api.repo_info(repo_id)
            if private and not info.private:
                raise InputError(
                    f"repo_id must be of a private repository with --private, got {repo_id!r}: it is public"
                )
            there = {file.rfilename for file in info.siblings or ()}
            operations += [hub.CommitOperationDelete(name) for name in sorted(there & set(owned) - files.keys())]
            api.create_commit(repo_id, operations, commit_message=f"Upload a model by fastlander {__version__}")
    except InputError:
        raise
    except Exception as error:
        raise HubFailed(f"{repo_id} could not be uploaded to {api.endpoint} ({_reason(error)})") from None
    return str(url)


def _check_card(hub: Any, content: bytes) -> None:
    try:
        text = content.decode()
        if not text.startswith("---\n") or not hub.ModelCard(text).data.to_dict().get("model-index"):
            raise ValueError("it has no model-index")
    except Exception as error:  # whatever YAML raises for a text that somebody has edited
        raise InputError(f"README.md must have the metadata of a model card, got another ({quoted(error)})") from None


def _reason(error: BaseException) -> str:
    """Why the hub could not be reached or refused, in a few words."""
    while error.__cause__ is not None and not str(error):
        error = error.__cause__
    return quoted(error) or type(error).__name__


def _huggingface_hub() -> Any:
    """The module huggingface_hub; None if it is not installed."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        return None
    return huggingface_hub


@contextlib.contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Show none of huggingface_hub's progress bars: the files are small."""
    before = hub.utils.are_progress_bars_disabled()
    if not before:
        hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            hub.utils.enable_progress_bars()

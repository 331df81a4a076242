"""torch's threads while a run lasts, whether torch is imported before it begins, in its course, or never."""

import contextlib
import sys
from collections.abc import Iterator


class _Limit:
    """A `one_torch_thread` that lasts."""

    threads: int | None = None
    """torch's threads before it, if they were limited because of it."""


_LASTING: list[_Limit] = []


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Have torch use one thread: small networks are slower on several, and the order of sums would depend on them.

    torch is not imported for that. What imports it meanwhile calls `limit_threads`.
    """
    limit = _Limit()
    _LASTING.append(limit)
    if "torch" in sys.modules:
        limit_threads()
    try:
        yield
    finally:
        _LASTING.remove(limit)
        if limit.threads is not None and _LASTING:
            _LASTING[0].threads = limit.threads  # a run in another thread still lasts
        elif limit.threads is not None:
            import torch

            torch.set_num_threads(limit.threads)


def limit_threads() -> None:
    """Have torch, which is imported, use one thread as long as a `one_torch_thread` lasts, if one does."""
    if _LASTING and all(limit.threads is None for limit in _LASTING):
        import torch

        _LASTING[-1].threads = torch.get_num_threads()
        torch.set_num_threads(1)

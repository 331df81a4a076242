"""Type inference that asks Numba about each combination of operation and types once in a process: `TypingMemory`.

Numba asks anew for every place in every function, and each time tries rules until one fits. The physics adds two
float32 in some thousand places.
"""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature

_known: dict[tuple, Any] = {}  # answers of this process's typing context, by question


class TypingMemory:
    """Numba's typing context with answers that are remembered. What it has no answer to is asked again.

    context: the one context of this process.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        """Everything else is the context's own."""
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: tuple, kws: dict[str, types.Type]) -> Signature | None:
        """The signature of a call of a function or operator with arguments of these types."""
        question = ("call", function, tuple(args), *kws.items())
        return _remember(question, self._context.resolve_function_type, function, args, kws)

    def resolve_getattr(self, value: types.Type, name: str) -> types.Type | None:
        """The type of an attribute."""
        return _remember(("attribute", value, name), self._context.resolve_getattr, value, name)

    def resolve_static_getitem(self, value: types.Type, index: Any) -> Signature | None:
        """The signature of getting an item whose index is written out."""
        # True, 1 and 1.0 are equal and no one index.
        question = ("item", value, type(index), index)
        return _remember(question, self._context.resolve_static_getitem, value, index)

    def resolve_setitem(self, target: types.Type, index: types.Type, value: types.Type) -> Signature | None:
        """The signature of setting an item."""
        return _remember(("set item", target, index, value), self._context.resolve_setitem, target, index, value)


def _remember(question: tuple, ask: Callable, *arguments: Any) -> Any:
    """The answer to a question, from memory or by asking."""
    try:
        answer = _known.get(question)
    except TypeError:  # a slice that is written out has no hash
        return ask(*arguments)
    if answer is None:
        answer = ask(*arguments)
        if answer is not None:
            _known[question] = answer
    return answer

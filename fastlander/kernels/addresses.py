"""Kernels that call kernels by address: each is compiled for itself, and one that is not there has the address 0.

There are two ways. By `caller` a kernel takes numbers and pointers, as a function of C does, and its address may be 0.
By `array_caller` it takes what it takes from Python, arrays and tuples of them too.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastlander.kernels.tables import Table, pointer_to

_BYTES = ir.IntType(8).as_pointer()


def address_of(kernel: Any, arguments: tuple[types.Type, ...]) -> int:
    """The address of a kernel for arguments of these types: numbers, and pointers (`CPointer`) to memory.

    The kernel is compiled, or loaded if it was compiled before. It must return nothing.
    """
    kernel.compile(arguments)
    compiled = kernel.overloads[arguments]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)


def caller(*arguments: types.Type) -> Callable[..., None]:
    """A function of kernels, (address, *arguments), that calls the kernel at an address (`address_of`).

    Where the kernel takes a pointer, the function takes an array or a table.
    """

    @intrinsic
    def call(typing_context, address, given):
        def generate(context, builder, sig, args):
            values = []
            for k, (kind, wanted) in enumerate(zip(given, arguments, strict=True)):
                value = builder.extract_value(args[1], k)
                if isinstance(wanted, types.CPointer):
                    value = pointer_to(context, builder, kind, value)
                else:
                    value = context.cast(builder, value, kind, wanted)
                values.append(value)
            # What Numba gives C to call returns a pointer for "nothing".
            function_type = ir.FunctionType(_BYTES, [value.type for value in values])
            builder.call(builder.inttoptr(args[0], function_type.as_pointer()), values)
            return context.get_dummy_value()

        fits = isinstance(given, types.BaseTuple) and len(given) == len(arguments)
        fits = fits and all(
            isinstance(kind, types.Array | Table) and kind.dtype == wanted.dtype
            if isinstance(wanted, types.CPointer)
            else isinstance(kind, types.Number)
            for kind, wanted in zip(given, arguments, strict=True)
        )
        return (types.none(address, given), generate) if fits else None

    return call


def array_address(kernel: Any, arguments: tuple[types.Type, ...]) -> int:
    """The address of a kernel for arguments of these types, for `array_caller`.

    The kernel is compiled, or loaded if it was compiled before.
    """
    kernel.compile(arguments)
    compiled = kernel.overloads[arguments]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def array_caller(returns: types.Type, arguments: tuple[types.Type, ...]) -> Callable[..., Any]:
    """A function of kernels, (address, arguments as a tuple), that calls the kernel at an address (`array_address`).

    The kernel must raise nothing: its errors are not looked at.
    """

    @intrinsic
    def call(typing_context, address, given):
        def generate(context, builder, sig, args):
            convention = context.call_conv
            function_type = convention.get_function_type(returns, arguments)
            function = builder.inttoptr(args[0], function_type.as_pointer())
            values = [builder.extract_value(args[1], k) for k in range(len(arguments))]
            return convention.call_function(builder, function, returns, arguments, values)[1]

        return (returns(address, given), generate) if given == types.Tuple(arguments) else None

    return call

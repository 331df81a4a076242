"""Where the compiled code of kernels and of their parts is kept in memory: Numba's code libraries, changed."""

from collections.abc import Iterable

from llvmlite.binding import Linkage, ModuleRef, parse_bitcode
from numba.core.codegen import Codegen, CodeLibrary, JITCodeLibrary


class PartLibrary(JITCodeLibrary):
    """LLVM's intermediate code of one part, which is linked into kernels and optimized there.

    Numba links what a function calls into it, and all that again into its callers, so that the code of a small
    function is copied once for each of the functions above it. Here a kernel takes each part's code once.
    """

    _linked: ModuleRef | None = None

    def finalize(self) -> None:
        """Note that nothing is added any more."""
        self._raise_if_finalized()
        self._reload_init.update(*(library._reload_init for library in self._linking_libraries))
        self._finalize_dynamic_globals()
        self._finalized = True

    def own_module(self) -> ModuleRef:
        """The code of this part alone, whose functions are left out of a kernel that has inlined them."""
        self._ensure_finalized()
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.external:
                function.linkage = Linkage.linkonce_odr
        return self._final_module

    def _get_module_for_linking(self) -> ModuleRef:
        # For a library of Numba's own, which does not look for what this part calls.
        if self._linked is None:
            self._linked = self.own_module().clone()
            _link(self._linked, _with_called([self])[1:])
        return self._linked


class KernelLibrary(JITCodeLibrary):
    """The machine code of a kernel. Other kernels do not see the names of the functions in it.

    Numba tells functions of one name apart by a number that counts what its process has compiled. Machine code on disk
    comes from several processes, so that two functions can have one name and number, and LLVM would link to the first
    that is loaded.
    """

    _bitcode: bytes | None = None  # LLVM's form of a kernel that was loaded; few are ever linked into another one

    def finalize(self) -> None:
        """Link what the kernel calls, and make machine code of it."""
        called = _with_called(self._linking_libraries)
        _link(self._final_module, called)
        self._reload_init.update(*(library._reload_init for library in called))
        self._linking_libraries = []
        super().finalize()

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal

    def serialize_using_object_code(self) -> tuple[str, str, tuple[bytes, bytes, list[str]]]:
        """(name, kind, (machine code, bitcode, the names that it defines))."""
        name, kind, (code, bitcode) = super().serialize_using_object_code()
        defined = (f for f in self._final_module.functions if not f.is_declaration)
        return name, kind, (code, bitcode, [f.name for f in defined if f.linkage == Linkage.external])

    @classmethod
    def _unserialize(cls, codegen: Codegen, state: tuple[str, str, tuple[bytes, bytes, list[str]]]) -> "KernelLibrary":
        """What `serialize_using_object_code` gave, ready to be called. Numba would parse the bitcode, too."""
        name, _, (code, bitcode, names) = state
        library = cls(codegen, name)
        library.enable_object_caching()
        library._set_compiled_object(code)
        library._bitcode = bitcode
        library._finalize_final_module()
        codegen._engine._defined_symbols.update(names)
        return library

    def _get_module_for_linking(self) -> ModuleRef:
        if self._shared_module is None and self._bitcode is not None:
            self._shared_module = parse_bitcode(self._bitcode)
        return super()._get_module_for_linking()


def _with_called(libraries: Iterable[CodeLibrary]) -> list[CodeLibrary]:
    """Libraries and all that parts among them call, directly or not, each before what it calls.

    LLVM leaves out a function that nothing has called when its module is linked.
    """
    found: dict[CodeLibrary, None] = {}  # each after what it calls

    def visit(library: CodeLibrary) -> None:
        if library not in found:
            for called in library._linking_libraries if isinstance(library, PartLibrary) else ():
                visit(called)
            found[library] = None

    for library in libraries:
        visit(library)
    return list(reversed(found))


def _link(module: ModuleRef, libraries: Iterable[CodeLibrary]) -> None:
    """Put a copy of the code of other libraries into a module."""
    for library in libraries:
        own = library.own_module() if isinstance(library, PartLibrary) else library._get_module_for_linking()
        module.link_in(own, preserve=True)

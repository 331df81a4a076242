"""Where the compiled code of kernels and of their parts is kept in memory: Numba's code libraries, changed."""

from llvmlite.binding import Linkage, ModuleRef, parse_bitcode
from numba.core.codegen import Codegen, JITCodeLibrary


class PartLibrary(JITCodeLibrary):
    """LLVM's intermediate code of a part and of what it calls, which is linked into kernels and optimized there."""

    def finalize(self) -> None:
        """Link what the part calls. Numba would also check the result, each time anew with all that is in it."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.external:
                function.linkage = Linkage.linkonce_odr  # left out of a kernel that has inlined it
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self) -> ModuleRef:
        # Numba would copy it, and who links it copies it again.
        self._ensure_finalized()
        return self._final_module


class KernelLibrary(JITCodeLibrary):
    """The machine code of a kernel. Other kernels do not see the names of the functions in it.

    Numba tells functions of one name apart by a number that counts what its process has compiled. Machine code on disk
    comes from several processes, so that two functions can have one name and number, and LLVM would link to the first
    that is loaded.
    """

    _bitcode: bytes | None = None  # LLVM's form of a kernel that was loaded; few are ever linked into another one

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

"""Compiles the sources in `kernels/` with NVRTC, for the GPU at hand and at first use.

Why ctypes on libnvrtc, and in `driver` on libcuda, instead of cuda.bindings or cuda.core: CUDA
builds of torch bring libnvrtc itself in every packaging (pip, conda, containers), cuda.bindings
only in some, of torch's own CUDA version, and not for every Python that torch supports; cuda.core
is a further dependency on top. Ten C functions, all unchanged since CUDA 11.1, are all that is
needed.

The sources include nothing but each other: no CUDA header has to be found, or compiled. A cubin is
asked for, not PTX: it is the machine code of one GPU, which any driver of the same major version of
CUDA loads, and which needs no second compilation. Only a GPU that this NVRTC does not know yet gets
PTX.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from ops.involution.backends.cuda import cache as cuda_cache

__all__ = ["CompileError", "Compiler", "binary", "compiler", "missing", "sources"]

SOURCES = Path(__file__).parent / "kernels"
Defines = tuple[tuple[str, str], ...]
Capability = tuple[int, int]

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)
_MAJORS = ("13", "12")
_COMPILATION_FAILED = 6  # nvrtcResult of nvrtc.h


class CompileError(RuntimeError):
    """A kernel does not compile; the message has the compiler's log."""


class Compiler:
    """A loaded libnvrtc.

    Attributes:
        path: The file, or the name by which the system's loader found it.
        version: (major, minor) of it.
        architectures: Compute capabilities it compiles for: 90 is 9.0.

    Raises:
        OSError: If it cannot be loaded.
    """

    def __init__(self, path: str) -> None:
        folder = Path(path).parent
        # NVRTC asks for it by name, and has no search path; a bare name has the system's
        for builtins in (
            sorted(folder.glob("libnvrtc-builtins.so.*")) if folder.is_absolute() else ()
        ):
            ctypes.CDLL(str(builtins))
        self.path, self._library = path, ctypes.CDLL(path)
        major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self._check("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = major.value, minor.value
        self._check("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        known = (ctypes.c_int * count.value)()
        self._check("nvrtcGetSupportedArchs", known)
        self.architectures = tuple(known)

    def target(self, capability: Capability) -> str:
        """What to compile for: `sm_90` is machine code, `compute_90` is PTX for something newer."""
        wanted = 10 * capability[0] + capability[1]
        if wanted in self.architectures:
            return f"sm_{wanted}"
        older = [known for known in self.architectures if known < wanted]
        if not older:
            raise CompileError(
                f"involution: NVRTC {self.version[0]}.{self.version[1]} ({self.path}) compiles for "
                f"compute capabilities {self.architectures}, not for {wanted}"
            )
        return f"compute_{max(older)}"

    def options(self, defines: Defines, target: str) -> tuple[str, ...]:
        """The command line of one compilation."""
        macros = (f"-D{name}={value}" for name, value in defines)
        return (f"-arch={target}", "-std=c++17", *macros)

    def compile(self, texts: Mapping[str, str], options: Sequence[str]) -> bytes:
        """The machine code, or PTX, of a program.

        Args:
            texts: File name -> content; the first file is compiled, the others are for it to
                include.
            options: As of `options`.

        Raises:
            CompileError: If it does not compile.
        """
        program = ctypes.c_void_p()
        (name, text), *headers = ((n.encode(), t.encode()) for n, t in texts.items())
        contents, names = (_strings([pair[i] for pair in headers]) for i in (1, 0))
        created = (ctypes.byref(program), text, name, len(headers), contents, names)
        self._check("nvrtcCreateProgram", *created)
        try:
            arguments = _strings([option.encode() for option in options])
            status = self._library.nvrtcCompileProgram(program, len(options), arguments)
            if status == _COMPILATION_FAILED:
                log = self._output(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
                raise CompileError(f"involution: {name.decode()} {' '.join(options)}:\n{log}")
            self._require(status, "nvrtcCompileProgram")
            return self._output(program, "CUBIN" if "-arch=sm_" in options[0] else "PTX")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _output(self, program: ctypes.c_void_p, kind: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(f"nvrtcGet{kind}", program, buffer)
        return buffer.raw

    def _check(self, name: str, *arguments: object) -> None:
        self._require(getattr(self._library, name)(*arguments), name)

    def _require(self, status: int, name: str) -> None:
        if status:
            describe = self._library.nvrtcGetErrorString
            describe.restype = ctypes.c_char_p
            raise CompileError(f"involution: {name}: {describe(status).decode()}")


def binary(source: str, defines: Defines, capability: Capability) -> bytes:
    """The compiled file `source` of `kernels/`: from the disk, or compiled and kept there.

    Args:
        source: Its name.
        defines: Macros it is compiled with.
        capability: Compute capability of the GPU that is to run it.

    Raises:
        CompileError: If there is no NVRTC, or it does not compile.
    """
    found = compiler()
    if found is None:
        raise CompileError(f"involution: {missing()}")
    texts, options = sources(source), found.options(defines, found.target(capability))
    parts = [str(found.version), *options, *(part for pair in texts.items() for part in pair)]
    name = cuda_cache.key(parts)
    result = cuda_cache.load(name)
    if result is None:
        result = found.compile(texts, options)
        cuda_cache.store(name, result)
    return result


def sources(name: str) -> dict[str, str]:
    """File name -> content: the file `name` of `kernels/` first, then what it includes, and so on.

    What it would include on another platform only, and is not there, is left out.
    """
    texts, waiting = dict[str, str](), [name]
    while waiting:
        current = waiting.pop()
        path = SOURCES / current
        if current in texts or not (current == name or path.is_file()):
            continue
        texts[current] = path.read_text(encoding="utf-8")
        waiting += _INCLUDE.findall(texts[current])
    return texts


def compiler() -> Compiler | None:
    """NVRTC, loaded at the first call; None where `missing` says why not."""
    with _lock:
        return _first()


def missing() -> str | None:
    """Why kernels cannot be compiled on this machine, or None."""
    if compiler() is None:
        built = torch.version.cuda or ""
        suffix = "-cu12" if built.startswith("12.") else ""
        return f"NVRTC {built} is not installed: pip install nvidia-cuda-nvrtc{suffix}"
    return None


_lock = threading.Lock()


@functools.cache
def _first() -> Compiler | None:
    for path in _candidates():
        try:
            return Compiler(path)
        except (OSError, AttributeError):
            continue
    return None


def _candidates() -> Iterator[str]:
    """Where libnvrtc may be: as torch's own package brings it, then as the system has it."""
    majors = [torch.version.cuda.split(".")[0]] if torch.version.cuda else _MAJORS
    for major in majors:
        library = f"libnvrtc.so.{major}"
        for root in _nvidia_packages():
            for place in (f"cu{major}", "cuda_nvrtc"):
                path = root / place / "lib" / library
                if path.is_file():
                    yield str(path)
        yield library
        for variable in ("CUDA_HOME", "CUDA_PATH"):
            if variable in os.environ:
                yield str(Path(os.environ[variable], "lib64", library))


def _nvidia_packages() -> list[Path]:
    spec = importlib.util.find_spec("nvidia")
    return [Path(place) for place in (spec and spec.submodule_search_locations) or ()]


def _strings(values: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(values))(*values)

"""Compiled kernels on disk: found again, never half, never wrong; and how they are compiled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.involution.backends.cuda import cache as cuda_cache
from ops.involution.backends.cuda import compiler as cuda_compiler

CONTENT = bytes(range(256)) * 40
LOADED = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("cuda_cache", {cuda_cache.__file__!r})
cuda_cache = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cuda_cache)
"""
KERNEL = """
#include "value.h"
extern "C" __global__ void fill(long long n, float* out) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = VALUE + SHIFT;
}
"""

needs_nvrtc = pytest.mark.skipif(
    cuda_compiler.missing() is not None, reason=str(cuda_compiler.missing())
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("INVSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cuda"


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sources: fill.cu includes value.h."""
    places = tmp_path / "sources"
    places.mkdir()
    (places / "fill.cu").write_text(KERNEL)
    (places / "value.h").write_text("#pragma once\n#define VALUE 1.0f\n")
    monkeypatch.setattr(cuda_compiler, "SOURCES", places)
    return places


def process(code: str, output: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """A Python process with the cache's module, and nothing else, loaded."""
    return subprocess.Popen([sys.executable, "-c", LOADED + code], stdout=output, text=True)


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("INVSEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cuda_cache.folder() == tmp_path / "invsearch" / "cuda"
    monkeypatch.setenv("HOME", str(tmp_path))
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cuda_cache.folder() == tmp_path / ".cache" / "invsearch" / "cuda"


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_keys_are_equal_only_for_equal_parts(some: list[str], others: list[str]) -> None:
    assert (cuda_cache.key(some) == cuda_cache.key(others)) == (some == others)
    assert cuda_cache.key(["ab", *some]) != cuda_cache.key(["a", "b", *some])


def test_what_was_stored_is_found_and_replaced(folder: Path) -> None:
    assert cuda_cache.load("k") is None
    assert cuda_cache.store("k", CONTENT)
    assert cuda_cache.load("k") == CONTENT
    assert cuda_cache.store("k", b"")
    assert cuda_cache.load("k") == b""
    assert [path.name for path in folder.iterdir()] == ["k.cubin"]


def test_a_torn_or_damaged_file_is_not_there(folder: Path) -> None:
    cuda_cache.store("k", CONTENT)
    path = folder / "k.cubin"
    whole = path.read_bytes()
    for length in (*range(0, 80), len(whole) - 1):
        path.write_bytes(whole[:length])
        assert cuda_cache.load("k") is None
    for place in (*range(0, 60), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cuda_cache.load("k") is None
    path.write_bytes(whole + b"\0")
    assert cuda_cache.load("k") is None


def test_without_a_writable_folder_nothing_is_kept_and_nothing_fails(folder: Path) -> None:
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file where the folder should be")
    assert not cuda_cache.store("k", CONTENT)
    assert cuda_cache.load("k") is None


def test_processes_that_write_the_same_entry_do_not_disturb_readers() -> None:
    code = f"content = {CONTENT!r} * 20\nfor _ in range(60): assert cuda_cache.store('k', content)"
    writers = [process(code) for _ in range(3)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(cuda_cache.load("k"))
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert seen | {cuda_cache.load("k")} <= {None, CONTENT * 20}
    assert cuda_cache.load("k") == CONTENT * 20


def test_a_killed_writer_leaves_a_whole_entry_or_none(folder: Path) -> None:
    code = (
        f"content = {CONTENT!r} * 200\nprint('ready', flush=True)\n"
        "while True: cuda_cache.store('k', content)"
    )
    for delay in (0.0, 0.003, 0.011, 0.02):
        writer = process(code, subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert cuda_cache.load("k") in (None, CONTENT * 200)
    (folder / "left.tmp").write_bytes(b"by a killed writer")
    os.utime(folder / "left.tmp", (0, 0))
    (folder / "young.tmp").write_bytes(b"of a writer at work")
    assert cuda_cache.store("k", CONTENT)
    assert not (folder / "left.tmp").exists()
    assert (folder / "young.tmp").exists()


def test_sources_are_all_that_is_reachable_and_there(kernels: Path) -> None:
    (kernels / "value.h").write_text('#  include "fill.cu"\n#include "elsewhere.h"\n')
    (kernels / "other.h").write_text("")
    assert list(cuda_compiler.sources("fill.cu")) == ["fill.cu", "value.h"]
    with pytest.raises(FileNotFoundError):
        cuda_compiler.sources("no.cu")


@needs_nvrtc
@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (10, 0)])
def test_a_kernel_becomes_machine_code_for_the_gpu(
    kernels: Path, capability: tuple[int, int]
) -> None:
    binary = cuda_compiler.binary("fill.cu", (("SHIFT", "2.0f"),), capability)
    assert binary.startswith(b"\x7fELF")
    assert b"fill" in binary


@needs_nvrtc
def test_a_gpu_newer_than_the_compiler_gets_ptx(kernels: Path) -> None:
    found = cuda_compiler.compiler()
    assert found is not None
    assert found.target((99, 9)) == f"compute_{max(found.architectures)}"
    assert b".target" in cuda_compiler.binary("fill.cu", (("SHIFT", "0"),), (99, 9))
    with pytest.raises(cuda_compiler.CompileError, match="compiles for compute capabilities"):
        found.target((1, 0))


@needs_nvrtc
def test_the_disk_is_asked_before_the_compiler_and_damage_is_compiled_again(
    kernels: Path, folder: Path
) -> None:
    arguments = ("fill.cu", (("SHIFT", "2.0f"),), (9, 0))
    binary = cuda_compiler.binary(*arguments)
    (entry,) = folder.iterdir()
    cuda_cache.store(entry.stem, b"from the disk")
    assert cuda_compiler.binary(*arguments) == b"from the disk"
    entry.write_bytes(entry.read_bytes()[:-3])
    assert cuda_compiler.binary(*arguments) == binary
    assert cuda_cache.load(entry.stem) == binary


@needs_nvrtc
def test_whatever_changes_the_code_changes_the_entry(kernels: Path, folder: Path) -> None:
    one, two = (("SHIFT", "2.0f"),), (("SHIFT", "3.0f"),)
    binaries = [cuda_compiler.binary("fill.cu", d, c) for d in (one, two) for c in ((8, 0), (9, 0))]
    (kernels / "value.h").write_text("#define VALUE 7.0f\n")
    binaries.append(cuda_compiler.binary("fill.cu", one, (8, 0)))
    assert len(set(binaries)) == len(list(folder.iterdir())) == 5


@needs_nvrtc
def test_a_kernel_that_does_not_compile_shows_the_compilers_log(
    kernels: Path, folder: Path
) -> None:
    with pytest.raises(cuda_compiler.CompileError, match=r'fill.cu\(5\).*\n?.*"SHIFT" is undef'):
        cuda_compiler.binary("fill.cu", (), (9, 0))
    assert not folder.exists()

"""The CUDA back end: absent without a word where there is no GPU, and right where there is one."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
import torch

import ops
from ops.involution.backends import cuda
from ops.involution.backends.cuda import compiler as cuda_compiler
from ops.involution.backends.cuda import driver as cuda_driver
from ops.involution.backends.cuda.launch import Launch, run

REASON = ops.backends()["cuda"]
needs_gpu = pytest.mark.skipif(REASON != "available", reason=f"cuda: {REASON}")

PROBE = """
import json, sys, torch
import ops
y = ops.Involution2d(32)(torch.ones(1, 32, 8, 8))
y.sum().backward()
status = ops.backends()["cuda"] if torch.version.cuda is None else ""
print(json.dumps({
    "loaded": [name for name in sys.modules if name.startswith("ops.involution.backends.cuda")],
    "initialised": torch.cuda.is_initialized(),
    "status": status,
}))
"""
KERNEL = """
struct Problem { long long size, stride; };
extern "C" __global__ void scale(const Problem p, const float* x, float* y, float by, int plus) {
  extern __shared__ float kept[];
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  kept[threadIdx.x + WORDS] = i < p.size ? x[i * p.stride] : 0.0f;
  __syncthreads();
  if (i < p.size) y[i] = kept[threadIdx.x + WORDS] * by + (float)plus;
}
"""


class Problem(ctypes.Structure):
    """Of the kernel above."""

    _fields_ = (("size", ctypes.c_int64), ("stride", ctypes.c_int64))


def test_on_a_cpu_nothing_of_cuda_is_loaded_initialised_or_said() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["loaded"] == ["ops.involution.backends.cuda"]
    assert not found["initialised"]
    if torch.version.cuda is None:
        assert found["status"] == "this torch was built without CUDA"
    assert done.stderr == ""


def test_asked_for_by_name_on_a_cpu_it_says_where_it_runs() -> None:
    with pytest.raises(RuntimeError, match="'cuda' cannot run: it runs on a CUDA device, not on"):
        ops.involution2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1, 1), backend="cuda")


def test_a_layer_that_is_compiled_first_thing_has_no_graph_break() -> None:
    """Whether a back end is there is asked while the graph is traced."""
    cuda._missing.forget()
    compiled = torch.compile(lambda: cuda.BACKEND.missing(), fullgraph=True, backend="eager")
    assert compiled() == (None if REASON == "available" else REASON)
    torch._dynamo.reset()


def test_arguments_are_where_the_driver_reads_them() -> None:
    """An array of addresses: of the structure, of each pointer, of each number."""
    problem, x = Problem(3, 7), torch.arange(4.0)
    numbers = (ctypes.c_float(2.5), ctypes.c_int64(-1))
    pointers, arguments = cuda_driver.packed(problem, [x, None], numbers)
    assert len(arguments) == 5
    assert Problem.from_address(arguments[0]).stride == 7
    assert ctypes.c_void_p.from_address(arguments[1]).value == x.data_ptr()
    assert ctypes.c_void_p.from_address(arguments[2]).value is None
    assert ctypes.c_float.from_address(arguments[3]).value == 2.5
    assert ctypes.c_int64.from_address(arguments[4]).value == -1
    assert len(pointers) == 2


def test_the_package_ships_every_source() -> None:
    """They are data to the installer, which takes what its patterns match and no more."""
    folder = cuda_compiler.SOURCES
    project = Path(ops.__file__).parents[1] / "pyproject.toml"
    if not project.exists():
        pytest.skip("the installed package has no pyproject.toml")
    settings = tomllib.loads(project.read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["ops"]
    shipped = {path for pattern in patterns for path in Path(ops.__file__).parent.glob(pattern)}
    assert {path for path in folder.iterdir() if path.is_file()} <= shipped


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A source of the test's own, under a name that no other test has loaded."""
    monkeypatch.setattr(cuda_compiler, "SOURCES", tmp_path)
    monkeypatch.setenv("INVSEARCH_CACHE", str(tmp_path))
    name = f"{request.node.name}.cu"
    (tmp_path / name).write_text(KERNEL)
    return name


def launch_scale(name: str, x: torch.Tensor, y: torch.Tensor, words: int = 0) -> None:
    """y = 3 x + 1."""
    launch = Launch(
        source=name,
        entry="scale",
        defines=(("WORDS", str(words)),),
        grid=(-(-y.numel() // 128), 1, 1),
        block=128,
        shared_bytes=4 * (words + 128),
    )
    problem = Problem(y.numel(), x.stride(0))
    run(launch, problem, [x, y], (ctypes.c_float(3.0), ctypes.c_int(1)))


@needs_gpu
def test_a_launch_runs_on_the_current_stream(scale: str) -> None:
    x, y = torch.arange(2000.0, device="cuda"), torch.zeros(1000, device="cuda")
    launch_scale(scale, x[::2], y)
    assert torch.equal(y, 3 * x[::2] + 1)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(50_000_000)
        x.add_(1)
        launch_scale(scale, x[::2], y)
    side.synchronize()
    assert torch.equal(y, 3 * x[::2] + 1)


@needs_gpu
def test_more_than_48_kb_of_shared_memory(scale: str) -> None:
    x, y = torch.arange(300.0, device="cuda"), torch.zeros(300, device="cuda")
    for words in (0, 20_000):
        launch_scale(scale, x, y, words)
    assert torch.equal(y, 3 * x + 1)
    with pytest.raises(cuda_driver.DriverError, match="CUDA_ERROR_INVALID_VALUE"):
        launch_scale(scale, x, y, 1_000_000)


@needs_gpu
def test_even_the_first_launch_can_be_captured_in_a_graph(scale: str) -> None:
    x, y = torch.arange(300.0, device="cuda"), torch.zeros(300, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        launch_scale(scale, x, y)
    x.mul_(2)
    graph.replay()
    assert torch.equal(y, 3 * x + 1)


@needs_gpu
def test_a_thread_that_never_used_cuda_launches(scale: str) -> None:
    x, y = torch.arange(300.0, device="cuda"), torch.zeros(300, device="cuda")
    torch.cuda.synchronize()
    threads = [threading.Thread(target=launch_scale, args=(scale, x, y)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(y, 3 * x + 1)


@needs_gpu
def test_an_entry_that_is_not_there_is_named_with_the_drivers_text(scale: str) -> None:
    x = torch.zeros(1, device="cuda")
    launch = Launch(scale, "nothing", (("WORDS", "0"),), (1, 1, 1), 1, 0)
    with pytest.raises(cuda_driver.DriverError, match=r"nothing.*CUDA_ERROR_NOT_FOUND"):
        run(launch, Problem(1, 1), [x, x])


@needs_gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is no second GPU")
def test_a_launch_runs_on_the_tensors_device(scale: str) -> None:
    x, y = torch.arange(300.0, device="cuda:1"), torch.zeros(300, device="cuda:1")
    launch_scale(scale, x, y)
    assert torch.equal(y, 3 * x + 1)
    assert torch.cuda.current_device() == 0


@needs_gpu
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_a_layer_in_a_cuda_graph_equals_itself(mode: str) -> None:
    layer = ops.Involution2d(64).cuda().half().eval().to(memory_format=torch.channels_last)
    call = torch.compile(layer, fullgraph=True) if mode == "compiled" else layer
    x = torch.randn(2, 64, 14, 14, device="cuda", dtype=torch.half)
    x = x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = layer(x).clone()
        for _ in range(3):
            call(x)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = call(x)
        y.zero_()
        graph.replay()
    torch.testing.assert_close(y, expected, rtol=2e-3, atol=2e-3)
    torch._dynamo.reset()

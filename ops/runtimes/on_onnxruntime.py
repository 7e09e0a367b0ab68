"""ONNX Runtime: custom operators in the library of native kernels (`kernels/onnxruntime.cpp`)."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from ops.involution.backends.native import library as native

__all__ = ["onnxruntime_session"]


def onnxruntime_session(model: str | Path | bytes, *, threads: int = 1) -> Any:
    """An ``onnxruntime.InferenceSession`` on a CPU that knows the operators of `ops`.

    Anybody's own session does, by ``options.register_custom_ops_library`` of the same library
    (`ops.involution.backends.native.library.path`), from ONNX Runtime 1.18 on.

    Args:
        model: A file, or the bytes of a model.
        threads: CPU threads, of the session and of each involution in this process.

    Raises:
        ImportError: If onnxruntime is not installed.
        RuntimeError: If a node needs the kernels, and they were not built.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    found = native.path()
    if found is not None and native.missing() is None:
        # a library of a version before has no operators for ONNX Runtime
        set_threads = getattr(ctypes.CDLL(str(found)), "involution_onnxruntime_threads", None)
        if set_threads is not None:
            set_threads(ctypes.c_int64(threads))
            options.register_custom_ops_library(str(found))
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

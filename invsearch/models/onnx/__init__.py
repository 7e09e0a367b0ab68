"""Networks as ONNX: in standard operators that run anywhere, or with the kernels of `ops`."""

from invsearch.models.onnx.model import onnx_model

__all__ = ["onnx_model"]

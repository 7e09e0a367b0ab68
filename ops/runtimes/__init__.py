"""The kernels of `ops` inside other runtimes, as operators of the ONNX domain ``ops.involution``.

A model that ``invsearch export --native`` wrote as ONNX has two kinds of nodes of that domain:

- ``Aggregate(x, kernel)``: x (B, C, H, W), kernel (B, G, K, K, H_out, W_out).
- ``Bottleneck(x, reduce, mean, variance, gain, offset, weight, bias)``: the paper's whole layer,
  with the inputs of the operator ``involution::bottleneck``.

Each has the attributes ``stride_rows`` and ``stride_columns``, ``padding_...``, ``dilation_...``
and ``epsilon``. Tensors are float32 with columns innermost.
"""

from ops.runtimes.on_onnxruntime import onnxruntime_session
from ops.runtimes.on_openvino import openvino_model

__all__ = ["AGGREGATE", "BOTTLENECK", "DOMAIN", "onnxruntime_session", "openvino_model"]

DOMAIN, AGGREGATE, BOTTLENECK = "ops.involution", "Aggregate", "Bottleneck"

"""The one list of operations that cost no multiply-adds; whatever is not on it must be counted.

Free are elementwise operations, reductions, pooling, softmax, interpolation and data movement.
A window gathered by ``im2col`` or ``unfold`` is not: what follows it (a multiplication and a sum)
is elementwise and would leave an involution or a convolution written so at 0. Such a network has
to call an operator that is counted, or register one with its closed form.
"""

from __future__ import annotations

__all__ = ["FREE", "FREE_OPERATIONS", "in_place_of", "is_free"]

FREE_OPERATIONS: dict[str, str] = {
    "elementwise": """
        abs acos add addcdiv addcmul and asin atan atan2 bitwise_and bitwise_not bitwise_or
        bitwise_xor ceil celu clamp clamp_max clamp_min clip cos cosh div dropout elu eq erf erfc
        exp exp2 expm1 feature_dropout floor floor_divide fmod ge gelu glu gt hardsigmoid hardswish
        hardtanh isfinite isinf isnan le leaky_relu lerp log log10 log1p log2 log_sigmoid
        log_sigmoid_forward logical_and logical_not logical_or logical_xor logit lt masked_fill
        maximum minimum mish mul native_dropout ne neg not or pow prelu _prelu_kernel reciprocal
        relu relu6 remainder round rrelu rrelu_with_noise rsqrt rsub selu sigmoid sign silu sin sinh
        softplus softshrink sqrt square sub tan tanh threshold tril triu trunc where xor __and__
        __or__ __xor__ fake_quantize_per_tensor_affine
        """,
    "reduction": """
        all amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod cumsum
        logcumsumexp logsumexp max mean median min norm linalg_vector_norm prod std std_mean sum var
        var_mean
        """,
    "pooling": """
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d
        _adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d
        avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices
        max_pool3d_with_indices
        """,
    "softmax": "softmax log_softmax _softmax _log_softmax softmin",
    "interpolation": """
        upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d
        upsample_linear1d upsample_bicubic2d
        """,
    "data movement": """
        alias argsort bernoulli broadcast_tensors broadcast_to bucketize cat channel_shuffle chunk
        clone concat concatenate constant constant_pad_nd contiguous copy detach diagonal embedding
        empty empty_like empty_strided expand expand_as fill flatten flip full full_like gather
        hstack index index_put index_select lift_fresh linspace masked_scatter masked_select
        meshgrid movedim narrow new_empty new_empty_strided new_full new_ones new_zeros nonzero
        numpy_T one_hot ones ones_like pad permute pixel_shuffle pixel_unshuffle rand rand_like
        randn randn_like reflection_pad1d reflection_pad2d repeat repeat_interleave
        replication_pad1d replication_pad2d reshape roll rot90 scalar_tensor scatter searchsorted
        select slice sort split split_with_sizes squeeze stack swapaxes swapdims t take
        take_along_dim tensor_split tile to topk transpose type_as unbind unflatten unique unique2
        unsqueeze view view_as vstack zero zeros zeros_like _reshape_alias _to_copy _unsafe_view
        _local_scalar_dense
        """,
    "numbers": """
        Bool Float Int IntImplicit FloatImplicit ScalarImplicit arange device dim item len numel
        size sym_numel sym_size dtype is_floating_point
        """,
}
"""Names in torch's ``aten`` namespace, by kind."""

FREE: frozenset[str] = frozenset(
    f"aten::{name}" for names in FREE_OPERATIONS.values() for name in names.split()
)


def is_free(operation: str) -> bool:
    """Whether an operation, such as ``aten::add`` or in place ``aten::add_``, costs nothing."""
    return in_place_of(operation) in FREE


def in_place_of(operation: str) -> str:
    """The operation without the underscore of the one in place: ``aten::add`` of ``aten::add_``."""
    return operation[:-1] if operation.endswith("_") and not operation.endswith("__") else operation

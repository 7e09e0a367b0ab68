"""The one list of operations that cost no multiply-adds; whatever is not on it must be counted.

Free are elementwise operations, reductions, pooling, softmax, interpolation and data movement.
A window gathered by ``im2col`` or ``unfold`` is not: what follows it (a multiplication and a sum)
is elementwise and would leave an involution or a convolution written so at 0. Such a network has
to call an operator that is counted, or register one with its closed form. A convention counts some
of the free operations by the element all the same (``cost/elements.py``).
"""

from __future__ import annotations

__all__ = ["FREE", "FREE_OPERATIONS", "in_place_of", "is_free"]

FREE_OPERATIONS: dict[str, str] = {
    "elementwise": """
        abs absolute acos acosh add addcdiv addcmul addr alpha_dropout and __and__ arctan2 asin
        asinh atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor ceil celu clamp
        clamp_max clamp_min clip copysign cos cosh digamma div divide dropout elu eq erf erfc erfinv
        exp exp2 expm1 fake_quantize_per_tensor_affine feature_alpha_dropout feature_dropout
        float_power floor floor_divide fmod frac ge gelu ger glu greater greater_equal gt hardshrink
        hardsigmoid hardswish hardtanh heaviside hypot isfinite isinf isnan kron ldexp le leaky_relu
        lerp less less_equal lgamma log log10 log1p log2 log_sigmoid log_sigmoid_forward logaddexp
        logaddexp2 logical_and logical_not logical_or logical_xor logit lt masked_fill maximum
        minimum mish mul multiply nan_to_num native_dropout ne neg negative not not_equal or __or__
        outer pow prelu _prelu_kernel reciprocal relu relu6 remainder round rrelu rrelu_with_noise
        rsqrt rsub selu sgn sigmoid sign silu sin sinc sinh softplus softshrink sqrt square sub
        subtract tan tanh _thnn_fused_gru_cell _thnn_fused_lstm_cell threshold tril triu true_divide
        trunc where xlogy xor __xor__
        """,
    "reduction": """
        all amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod cumsum
        _embedding_bag embedding_bag _embedding_bag_forward_only frobenius_norm kthvalue
        linalg_vector_norm logcumsumexp logsumexp max mean median min mode msort nanmean nanmedian
        nansum norm prod std std_mean sum var var_mean
        """,
    "pooling": """
        adaptive_avg_pool1d _adaptive_avg_pool2d adaptive_avg_pool2d _adaptive_avg_pool3d
        adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d
        avg_pool2d avg_pool3d fractional_max_pool2d fractional_max_pool3d max_pool1d max_pool2d
        max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d max_unpool3d
        """,
    "softmax": "_log_softmax log_softmax _safe_softmax _softmax softmax softmin",
    "interpolation": """
        grid_sampler grid_sampler_2d grid_sampler_3d upsample_bicubic2d _upsample_bicubic2d_aa
        upsample_bilinear2d _upsample_bilinear2d_aa upsample_linear1d upsample_nearest1d
        upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d upsample_trilinear3d
        """,
    "data movement": """
        adjoint alias argsort atleast_1d atleast_2d atleast_3d bernoulli block_diag
        broadcast_tensors broadcast_to bucketize cat channel_shuffle chunk clone column_stack concat
        concatenate constant constant_pad_nd contiguous copy detach diag diag_embed diagonal dstack
        embedding empty empty_like empty_strided expand expand_as eye fill flatten flip full
        full_like gather hstack index index_add index_fill index_put index_select lift lift_fresh
        lift_fresh_copy linspace _local_scalar_dense masked_scatter masked_select meshgrid mH
        moveaxis movedim mT narrow new_empty new_empty_strided new_full new_ones new_zeros nonzero
        normal numpy_T one_hot ones ones_like _pack_padded_sequence pad _pad_packed_sequence permute
        pixel_shuffle pixel_unshuffle rand rand_like randint randint_like randn randn_like randperm
        ravel reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
        replication_pad1d replication_pad2d replication_pad3d reshape _reshape_alias resolve_conj
        resolve_neg roll rot90 scalar_tensor scatter scatter_add scatter_reduce searchsorted select
        select_scatter slice slice_scatter sort split split_with_sizes squeeze stack swapaxes
        swapdims t take take_along_dim tensor_split tile to _to_copy topk transpose type_as unbind
        unflatten uniform unique unique2 unsafe_chunk unsafe_split unsafe_split_with_sizes
        _unsafe_view unsqueeze view view_as vstack zero zeros zeros_like
        """,
    "normalising by length": """
        cosine_similarity _fused_rms_norm pairwise_distance rms_norm _weight_norm
        _weight_norm_interface
        """,
    "numbers": """
        Bool Float Int IntImplicit FloatImplicit ScalarImplicit arange device dim item len numel
        size sym_numel sym_size dtype is_floating_point
        """,
}
"""Names in torch's ``aten`` namespace, by kind."""

_KEEPS_INPUTS = "prim::PythonOp._NoopSaveInputs"
"""What ``torch.utils.checkpoint`` of torch 2.11 keeps its inputs by: it computes nothing."""

FREE: frozenset[str] = frozenset(
    f"aten::{name}" for names in FREE_OPERATIONS.values() for name in names.split()
) | {_KEEPS_INPUTS}


def is_free(operation: str) -> bool:
    """Whether an operation, such as ``aten::add`` or in place ``aten::add_``, costs nothing."""
    return in_place_of(operation) in FREE


def in_place_of(operation: str) -> str:
    """The operation without the underscore of the one in place: ``aten::add`` of ``aten::add_``."""
    return operation[:-1] if operation.endswith("_") and not operation.endswith("__") else operation

// Which of the compiled inner loops runs a call: fast ones for K = 3, 5, 7, 9 at stride 1 and 2.
#pragma once

#include "blocks.h"
#include "tiles.h"

namespace VARIANT {

template <class C>
using RowFunction = void (*)(const Row<C>&);
template <class C>
using PlaneRowFunction = void (*)(const PlaneRow<C>&);

template <int K, int S, Entries E, bool SCATTER>
constexpr RowFunction<float> fast_row() {
    if constexpr (SCATTER) return scatter_row<float, K, S, E>;
    else return forward_row<float, K, S, E>;
}

template <int K, Entries E, bool SCATTER>
RowFunction<float> fast_row(int64_t stride) {
    return stride == 1 ? fast_row<K, 1, E, SCATTER>() : fast_row<K, 2, E, SCATTER>();
}

// FAST_SIZE: the only K with fast loops, where a build has to be short.
#if defined(FAST_SIZE)
constexpr bool compiled(int size) { return size == FAST_SIZE; }
#else
constexpr bool compiled(int) { return true; }
#endif

// use(Constant<K>) if there are fast loops for this size.
template <int K, class Use>
void for_size(int64_t size, const Use& use) {
    if constexpr (compiled(K))
        if (size == K) use(Constant<K>());
}

template <class Use>
void for_fast_size(int64_t size, const Use& use) {
    for_size<3>(size, use);
    for_size<5>(size, use);
    for_size<7>(size, use);
    for_size<9>(size, use);
}

template <class C, Entries E, bool SCATTER>
RowFunction<C> choose_row(const Plan& p) {
    RowFunction<C> function;
    if constexpr (SCATTER) function = scatter_row_any<C>;
    else function = forward_row_any<C>;
    if constexpr (sizeof(C) == sizeof(float))
        if (p.dilation_rows == 1 && p.dilation_columns == 1 && p.stride_columns <= 2)
            for_fast_size(p.size, [&](auto k) {
                function = fast_row<decltype(k)::value, E, SCATTER>(p.stride_columns);
            });
    return function;
}

template <int K>
PlaneRowFunction<float> fast_plane_row(const Plan& p) {
    // A shift of registers is one instruction in AVX-512; elsewhere an unaligned load is cheaper.
    const bool next = p.stride_columns == 1 && p.dilation_columns == 1 && p.dilation_rows == 1;
    if constexpr (Lanes<float>::count == 16)
        if (next) return correlate_row<float, K, true>;
    return correlate_row<float, K, false>;
}

template <class C>
PlaneRowFunction<C> choose_plane_row(const Plan& p) {
    PlaneRowFunction<C> function = correlate_row_any<C>;
    if constexpr (sizeof(C) == sizeof(float))
        for_fast_size(p.size, [&](auto k) { function = fast_plane_row<decltype(k)::value>(p); });
    return function;
}

}  // namespace VARIANT

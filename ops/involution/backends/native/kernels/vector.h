// Vectors of one register: loads and stores with conversion, transposition, compile-time loops.
// GCC and Clang vector extensions only; the width follows the instruction set compiled for.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
#define VECTOR_REGISTERS 32
#else
#define VECTOR_REGISTERS 16
#endif

#define INLINE inline __attribute__((always_inline))
#define FLATTEN __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

namespace VARIANT {

INLINE int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t round_up(int64_t a, int64_t b) { return quotient_up(a, b) * b; }

struct bfloat16 {
    uint16_t bits;
};

template <class C>
struct Lanes;

template <>
struct Lanes<float> {
    static constexpr int count = VECTOR_BYTES / 4;
    typedef float Type __attribute__((vector_size(VECTOR_BYTES)));
    typedef int32_t Index __attribute__((vector_size(VECTOR_BYTES)));
    typedef float Loose __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    typedef uint32_t Bits __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint16_t Half __attribute__((vector_size(VECTOR_BYTES / 2)));
    typedef uint16_t LooseHalf
        __attribute__((vector_size(VECTOR_BYTES / 2), aligned(2), may_alias));
};

template <>
struct Lanes<double> {
    static constexpr int count = VECTOR_BYTES / 8;
    typedef double Type __attribute__((vector_size(VECTOR_BYTES)));
    typedef int64_t Index __attribute__((vector_size(VECTOR_BYTES)));
    typedef double Loose __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
};

template <class C>
using Vector = typename Lanes<C>::Type;

// The type that a storage type is computed in.
template <class S>
struct Computed {
    typedef S Type;
};

template <>
struct Computed<bfloat16> {
    typedef float Type;
};

template <int N>
struct Constant {
    static constexpr int value = N;
};

INLINE float widen(float value) { return value; }
INLINE double widen(double value) { return value; }

INLINE float widen(bfloat16 value) {
    uint32_t bits = uint32_t(value.bits) << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

INLINE void narrow(float value, float* to) { *to = value; }
INLINE void narrow(double value, double* to) { *to = value; }

// Round to nearest even; a NaN stays one.
INLINE void narrow(float value, bfloat16* to) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    to->bits = uint16_t(value != value ? (bits >> 16) | 0x40 : rounded);
}

INLINE Vector<float> load(const float* from) {
    return (Vector<float>)*(const Lanes<float>::Loose*)from;
}
INLINE Vector<double> load(const double* from) {
    return (Vector<double>)*(const Lanes<double>::Loose*)from;
}
INLINE Vector<float> load(const bfloat16* from) {
    typedef Lanes<float> L;
    L::Half half = (L::Half)*(const L::LooseHalf*)from;
    return (Vector<float>)(__builtin_convertvector(half, L::Bits) << 16);
}

INLINE void store(float* to, Vector<float> value) { *(Lanes<float>::Loose*)to = value; }
INLINE void store(double* to, Vector<double> value) { *(Lanes<double>::Loose*)to = value; }
INLINE void store(bfloat16* to, Vector<float> value) {
    typedef Lanes<float> L;
    L::Bits bits = (L::Bits)value;
    L::Bits rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    L::Bits quiet = (bits >> 16) | 0x40;
    L::Bits is_nan = (L::Bits)(value != value);
    L::Bits chosen = (is_nan & quiet) | (~is_nan & rounded);
    *(L::LooseHalf*)to = __builtin_convertvector(chosen, L::Half);
}

// The first `count` elements, the rest zero.
template <class S>
INLINE Vector<typename Computed<S>::Type> load_some(const S* from, int64_t count) {
    constexpr int lanes = Lanes<typename Computed<S>::Type>::count;
    if (count >= lanes) return load(from);
    S buffer[lanes] = {};
    memcpy(buffer, from, size_t(count) * sizeof(S));
    return load(buffer);
}

template <class S, class C>
INLINE void store_some(S* to, Vector<C> value, int64_t count) {
    if (count >= Lanes<C>::count) return store(to, value);
    S buffer[Lanes<C>::count];
    store(buffer, value);
    memcpy(to, buffer, size_t(count) * sizeof(S));
}

template <int... L>
struct Sequence {};
template <int N, int... L>
struct Range : Range<N - 1, N - 1, L...> {};
template <int... L>
struct Range<0, L...> {
    typedef Sequence<L...> Type;
};

// MAP::at(lane, lanes) is an index into the lanes of a followed by those of b.
template <class C, class MAP, int... L>
INLINE Vector<C> shuffled(Vector<C> a, Vector<C> b, Sequence<L...>) {
    constexpr int lanes = Lanes<C>::count;
#if defined(__clang__)
    return __builtin_shufflevector(a, b, MAP::at(L, lanes)...);
#else
    return __builtin_shuffle(a, b, (typename Lanes<C>::Index){MAP::at(L, lanes)...});
#endif
}

template <class C, class MAP>
INLINE Vector<C> shuffle(Vector<C> a, Vector<C> b) {
    return shuffled<C, MAP>(a, b, typename Range<Lanes<C>::count>::Type());
}

template <int STEP>
struct LowHalves {
    static constexpr int at(int lane, int lanes) {
        return lane & STEP ? lanes + lane - STEP : lane;
    }
};
template <int STEP>
struct HighHalves {
    static constexpr int at(int lane, int lanes) {
        return lane & STEP ? lanes + lane : lane + STEP;
    }
};
template <int SHIFT>
struct Shifted {
    static constexpr int at(int lane, int) { return lane + SHIFT; }
};

// Lanes SHIFT to SHIFT + count - 1 of a followed by b.
template <class C, int SHIFT>
INLINE Vector<C> shift(Vector<C> a, Vector<C> b) {
    if constexpr (SHIFT == 0) return a;
    else return shuffle<C, Shifted<SHIFT>>(a, b);
}

template <class C, int STEP, int I>
INLINE void exchange(Vector<C>* rows) {
    if constexpr ((I & STEP) == 0) {
        Vector<C> a = rows[I], b = rows[I + STEP];
        rows[I] = shuffle<C, LowHalves<STEP>>(a, b);
        rows[I + STEP] = shuffle<C, HighHalves<STEP>>(a, b);
    }
}

template <class C, int STEP, int... I>
INLINE void exchange_all(Vector<C>* rows, Sequence<I...> sequence) {
    (exchange<C, STEP, I>(rows), ...);
    if constexpr (2 * STEP < Lanes<C>::count) exchange_all<C, 2 * STEP>(rows, sequence);
}

template <class C>
INLINE void transpose(Vector<C>* rows) {
    exchange_all<C, 1>(rows, typename Range<Lanes<C>::count>::Type());
}

// to[c][r] = from[r][c] for at most one register of rows and columns. Whole registers are stored,
// so each row of `to` needs room for one; what lies behind `rows` becomes zero. Reads whole
// registers too where that stays below `end`.
template <class S, class C>
__attribute__((noinline)) void transpose_in(const S* from, int64_t from_row, int64_t rows,
                                            int64_t columns, const S* end, C* to, int64_t to_row) {
    constexpr int lanes = Lanes<C>::count;
    Vector<C> block[lanes];
    if (rows >= lanes && columns >= lanes) {
        UNROLL for (int r = 0; r < lanes; ++r) block[r] = load(from + r * from_row);
        transpose<C>(block);
        UNROLL for (int c = 0; c < lanes; ++c) store(to + c * to_row, block[c]);
        return;
    }
    for (int r = 0; r < lanes; ++r) {
        const S* row = from + r * from_row;
        if (r >= rows) block[r] = Vector<C>{};
        else if (columns >= lanes || end - row >= lanes) block[r] = load(row);
        else block[r] = load_some<S>(row, columns);
    }
    transpose<C>(block);
    for (int64_t c = 0; c < at_most(columns, lanes); ++c) store(to + c * to_row, block[c]);
}

// to[c][r] = from[r][c]; reads whole registers of `from`, writes only `rows` of each row of `to`.
template <class S, class C>
__attribute__((noinline)) void transpose_out(const C* from, int64_t from_row, int64_t rows,
                                             int64_t columns, S* to, int64_t to_row) {
    constexpr int lanes = Lanes<C>::count;
    Vector<C> block[lanes];
    for (int r = 0; r < lanes; ++r)
        block[r] = r < rows ? load(from + r * from_row) : Vector<C>{};
    transpose<C>(block);
    if (rows >= lanes && columns >= lanes) {
        UNROLL for (int c = 0; c < lanes; ++c) store(to + c * to_row, block[c]);
        return;
    }
    for (int64_t c = 0; c < at_most(columns, lanes); ++c)
        store_some<S, C>(to + c * to_row, block[c], rows);
}

}  // namespace VARIANT

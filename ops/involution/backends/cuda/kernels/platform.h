// What the kernels use of a GPU, sm_80 and later: storage types, 16-byte accesses, asynchronous
// copies and tensor cores, by inline PTX and without any header of CUDA's or C++'s. With
// INVOLUTION_HOST the tests' shim.h provides the same names for a C++ compiler.
#ifndef INVOLUTION_PLATFORM_H
#define INVOLUTION_PLATFORM_H

typedef long long int64;
typedef unsigned int uint32;
typedef unsigned short uint16;

// Memory only; arithmetic is in float. See widen and narrow.
struct float16 {
    uint16 bits;
};
struct bfloat16 {
    uint16 bits;
};

// Four registers; moved to and from memory at once, at addresses that are multiples of 16.
struct alignas(16) Words {
    uint32 word[4];
};

#ifdef INVOLUTION_HOST
#include "shim.h"
#else

#define DEVICE __device__ __forceinline__

DEVICE float float_of(uint32 bits) { return __uint_as_float(bits); }
DEVICE uint32 bits_of(float value) { return __float_as_uint(value); }

// Dynamic shared memory of the block, aligned to 16 bytes. There is no other.
template <class T>
DEVICE T* shared_memory() {
    extern __shared__ __align__(16) unsigned char involution_shared[];
    return reinterpret_cast<T*>(involution_shared);
}

DEVICE uint32 shared_address(const void* shared) {
    return uint32(__cvta_generic_to_shared(shared));
}

DEVICE float widen(float16 value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}

// To nearest, ties to even, as are pack's.
DEVICE void narrow(float value, float16& to) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(value));
}
DEVICE void narrow(float value, bfloat16& to) {
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to.bits) : "f"(value));
}

// Two values in a register, the first in the lower half.
template <class S>
DEVICE uint32 pack(float first, float second);
template <>
DEVICE uint32 pack<float16>(float first, float second) {
    uint32 both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
}
template <>
DEVICE uint32 pack<bfloat16>(float first, float second) {
    uint32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
}

DEVICE Words load_words(const void* from) {
    Words w;
    asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(w.word[0]), "=r"(w.word[1]), "=r"(w.word[2]), "=r"(w.word[3])
                 : "l"(from));
    return w;
}

// For what is read once: leaves L1 to the others.
DEVICE Words load_words_once(const void* from) {
    Words w;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(w.word[0]), "=r"(w.word[1]), "=r"(w.word[2]), "=r"(w.word[3])
                 : "l"(from));
    return w;
}

DEVICE void store_words(void* to, const Words& w) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(w.word[0]),
                 "r"(w.word[1]), "r"(w.word[2]), "r"(w.word[3])
                 : "memory");
}

// 16 bytes to shared memory in the background, zeros where not `valid` (`from` is not read then).
DEVICE void copy_async(void* shared, const void* from, bool valid = true) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}
// The first `bytes` of 16, through L1, and zeros for the others; 0 reads nothing. For what other
// warps read too: copy_async, which passes L1 by, takes less of its time but shares nothing.
DEVICE void copy_async_part(void* shared, const void* from, int bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(from), "r"(bytes)
                 : "memory");
}
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for this thread's own copies, all but the last N groups; a barrier shows them to others.
template <int N>
DEVICE void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// d += a b of a warp, a 16 x 16 by rows, b 16 x 8, d 16 x 8. With g = lane / 4, t = lane % 4 and
// (r, c) meaning row r, columns c and c + 1 (for b: rows r and r + 1 of column c):
//   a = {(g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)}
//   b = {(2t, g), (2t + 8, g)}
//   d = {d[0], d[1]} = (g, 2t), {d[2], d[3]} = (g + 8, 2t)
template <class S>
DEVICE void mma_m16n8k16(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]);
#define INVOLUTION_MMA(S, NAME)                                                                   \
    template <>                                                                                   \
    DEVICE void mma_m16n8k16<S>(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {      \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." NAME "." NAME                                \
            ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                \
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                      \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                  \
    }
INVOLUTION_MMA(float16, "f16")
INVOLUTION_MMA(bfloat16, "bf16")
#undef INVOLUTION_MMA

// The transpose of an 8 x 8 matrix of 16-bit numbers, row lane / 4, columns 2 (lane % 4) and next.
DEVICE uint32 transposed_matrix(uint32 mine) {
    uint32 result;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(mine));
    return result;
}

// Four (two) 8 x 8 matrices of 16-bit numbers from shared memory: lane i gives the address of row
// i % 8 of matrix i / 8, 16 bytes at a multiple of 16, and gets of each matrix row i / 4, columns
// 2 (i % 4) and the next; of its transpose with load_matrices_transposed.
DEVICE void load_matrices(uint32 (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}
DEVICE void load_matrices(uint32 (&to)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(shared_address(row))
                 : "memory");
}
DEVICE void load_matrices_transposed(uint32 (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}
DEVICE void load_matrices_transposed(uint32 (&to)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(shared_address(row))
                 : "memory");
}

// A warp computes again, slowly, what tensor cores cannot; the tests' shim counts it.
DEVICE void slow_path() {}

#endif  // INVOLUTION_HOST

// From here on, the same for both.

DEVICE float widen(float value) { return value; }
DEVICE float widen(bfloat16 value) { return float_of(uint32(value.bits) << 16); }
DEVICE void narrow(float value, float& to) { to = value; }

template <class S>
DEVICE S narrowed(float value) {
    S result;
    narrow(value, result);
    return result;
}

// The two halves of a register; the inverse of pack.
template <class S>
DEVICE float widen_first(uint32 both) {
    return widen(S{uint16(both & 0xffff)});
}
template <class S>
DEVICE float widen_second(uint32 both) {
    return widen(S{uint16(both >> 16)});
}
template <>
DEVICE float widen_second<bfloat16>(uint32 both) {
    return float_of(both & 0xffff0000u);
}

// How many numbers of type S there are in Words, and their conversions.
template <class S>
struct Vector {
    static constexpr int COUNT = 8;

    static DEVICE void widen(const Words& from, float (&to)[8]) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            to[2 * i] = widen_first<S>(from.word[i]);
            to[2 * i + 1] = widen_second<S>(from.word[i]);
        }
    }
    static DEVICE Words narrow(const float (&from)[8]) {
        Words to;
#pragma unroll
        for (int i = 0; i < 4; ++i) to.word[i] = pack<S>(from[2 * i], from[2 * i + 1]);
        return to;
    }
};

template <>
struct Vector<float> {
    static constexpr int COUNT = 4;

    static DEVICE void widen(const Words& from, float (&to)[4]) {
#pragma unroll
        for (int i = 0; i < 4; ++i) to[i] = float_of(from.word[i]);
    }
    static DEVICE Words narrow(const float (&from)[4]) {
        Words to;
#pragma unroll
        for (int i = 0; i < 4; ++i) to.word[i] = bits_of(from[i]);
        return to;
    }
};

#endif

// Pieces of matrices in the registers of a warp: loads that may lie outside a tensor, and bytes
// moved within registers. A lane of the tensor cores' operands is (row lane / 4, column lane % 4).
#ifndef INVOLUTION_FRAGMENT_H
#define INVOLUTION_FRAGMENT_H

#include "platform.h"

DEVICE int lane_row() { return int(threadIdx.x % 32 / 4); }
DEVICE int lane_column() { return int(threadIdx.x % 4); }

#ifdef INVOLUTION_HOST

struct alignas(8) TwoWords {
    uint32 word[2];
};

template <class T>
DEVICE const T* kept(const T* from) {
    return from;
}
DEVICE uint32 unkept(uint32 number) { return number; }
DEVICE uint32 select_bytes(uint32 low, uint32 high, uint32 selector) {
    const unsigned long long both = (unsigned long long)high << 32 | low;
    uint32 result = 0;
    for (int i = 0; i < 4; ++i)
        result |= uint32(both >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return result;
}
DEVICE uint32 load_pair(const void* from, int index, int count) {
    return uint32(index) < uint32(count) ? *static_cast<const uint32*>(from) : 0;
}
DEVICE uint32 load_half(const void* from, bool valid) {
    return valid ? *static_cast<const uint16*>(from) : 0;
}
DEVICE void load_some(uint32 (&to)[2], const void* from, bool valid) {
    const TwoWords words = valid ? *static_cast<const TwoWords*>(from) : TwoWords{};
    to[0] = words.word[0], to[1] = words.word[1];
}
DEVICE void load_some(uint32 (&to)[4], const void* from, bool valid) {
    const Words words = valid ? *static_cast<const Words*>(from) : Words{};
    for (int i = 0; i < 4; ++i) to[i] = words.word[i];
}
template <class S>
DEVICE uint32 relu_pair(uint32 pair) {
    return (widen_first<S>(pair) < 0 ? 0 : pair & 0xffff) |
           (widen_second<S>(pair) < 0 ? 0 : pair & 0xffff0000u);
}
DEVICE void store_pair(void* to, uint32 pair) { *static_cast<uint32*>(to) = pair; }

#else

// The same address, which the compiler then keeps instead of deriving each address near it anew
// from where this one came from: loads at constant offsets need no arithmetic.
template <class T>
DEVICE const T* kept(const T* from) {
    asm("" : "+l"(from));
    return from;
}

// The same number, but what is derived from it in a loop is so in each turn, and takes no registers
// between them.
DEVICE uint32 unkept(uint32 number) {
    asm volatile("" : "+r"(number));
    return number;
}

// Byte i of the result is byte (selector >> 4 i) & 7 of the eight, `low` first.
DEVICE uint32 select_bytes(uint32 low, uint32 high, uint32 selector) {
    uint32 result;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(low), "r"(high), "r"(selector));
    return result;
}

// Of memory that no thread of the launch writes. Zeros, and nothing is read, where not `valid`, or
// where not 0 <= index < count.
DEVICE uint32 load_pair(const void* from, int index, int count) {
    uint32 pair;
    asm volatile(
        "{\n.reg .pred p;\nsetp.lt.u32 p, %2, %3;\nmov.u32 %0, 0;\n"
        "@p ld.global.nc.u32 %0, [%1];\n}"
        : "=&r"(pair)
        : "l"(from), "r"(index), "r"(count));
    return pair;
}
DEVICE uint32 load_half(const void* from, bool valid) {
    uint16 half;
    asm("{\n.reg .pred p;\nsetp.ne.u32 p, %2, 0;\nmov.u16 %0, 0;\n"
        "@p ld.global.nc.u16 %0, [%1];\n}"
        : "=&h"(half)
        : "l"(from), "r"(uint32(valid)));
    return half;
}
DEVICE void load_some(uint32 (&to)[2], const void* from, bool valid) {
    asm("{\n.reg .pred p;\nsetp.ne.u32 p, %3, 0;\nmov.u32 %0, 0;\nmov.u32 %1, 0;\n"
        "@p ld.global.nc.v2.u32 {%0, %1}, [%2];\n}"
        : "=&r"(to[0]), "=&r"(to[1])
        : "l"(from), "r"(uint32(valid)));
}
DEVICE void load_some(uint32 (&to)[4], const void* from, bool valid) {
    asm("{\n.reg .pred p;\nsetp.ne.u32 p, %5, 0;\nmov.u32 %0, 0;\nmov.u32 %1, 0;\n"
        "mov.u32 %2, 0;\nmov.u32 %3, 0;\n@p ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];\n}"
        : "=&r"(to[0]), "=&r"(to[1]), "=&r"(to[2]), "=&r"(to[3])
        : "l"(from), "r"(uint32(valid)));
}
// The larger of each of two numbers and zero; NaN stays NaN.
template <class S>
DEVICE uint32 relu_pair(uint32 pair);
template <>
DEVICE uint32 relu_pair<float16>(uint32 pair) {
    uint32 result;
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(pair), "r"(0));
    return result;
}
template <>
DEVICE uint32 relu_pair<bfloat16>(uint32 pair) {
    uint32 result;
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(pair), "r"(0));
    return result;
}
DEVICE void store_pair(void* to, uint32 pair) {
    asm volatile("st.global.u32 [%0], %1;" ::"l"(to), "r"(pair) : "memory");
}

#endif  // INVOLUTION_HOST

#endif

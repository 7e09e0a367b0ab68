// What the kernels of the fused operator's gradients share. With t the features, S the weight, b
// the bias, gy the gradient of the output, and (p, k) an output pixel and an entry of its window:
//
//     h[p][k] = b[k] + sum over i of t[p][i] S[k][i]
//     gh[p][k] = sum over c of gy[p][c] x[p + k][c]
//     gx[p + k][c] += h[p][k] gy[p][c]
//     gt[p][i] = sum over groups and k of gh[p][k] S[k][i]
//     gS[k][i] = sum over p of gh[p][k] t[p][i]          gb[k] = sum over p of gh[p][k]
//
// Images are channels-last without gaps, their first numbers aligned to 16 bytes.
// Macros: STORAGE (float16, bfloat16), KERNEL_SIZE, STRIDE, GROUP_CHANNELS, HIDDEN.
#ifndef INVOLUTION_FUSED_BACKWARD_H
#define INVOLUTION_FUSED_BACKWARD_H

#include "platform.h"

struct Problem {
    int64 images, height, width, out_height, out_width, channels, groups, pad_rows, pad_columns;
    // Tiles of 8 x 8 output pixels, in all images; how many blocks share a sum.
    int64 tiles_down, tiles_across, tiles, parts;
    // For gx; see fused_backward_x.cu.
    int64 section_tiles, sections, column_blocks, section_pixels, band_rows, segment_rows;
};

typedef STORAGE S;

constexpr int K = KERNEL_SIZE, ENTRIES = K * K, ENTRY_TILES = (ENTRIES + 15) / 16;
constexpr int HIDDEN_TILES = (HIDDEN + 15) / 16, HIDDEN_PIECES = (HIDDEN + 7) / 8;
constexpr int SLICES = (GROUP_CHANNELS + 15) / 16;
constexpr int GAP = 8;  // after a row in shared memory: eight rows then meet no bank twice
static_assert(GROUP_CHANNELS % 8 == 0, "channels are copied eight at a time");
static_assert(K <= 7 && K >= STRIDE && (STRIDE == 1 || STRIDE == 2), "a band has 16 pixels");

// Of an SM that its blocks may have, each 1 KiB more than it asks for.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ == 900 || __CUDA_ARCH__ == 1000 || \
    __CUDA_ARCH__ == 1030
constexpr int SM_SHARED_KIB = 228;
#elif __CUDA_ARCH__ == 800 || __CUDA_ARCH__ == 870
constexpr int SM_SHARED_KIB = 164;
#else
constexpr int SM_SHARED_KIB = 100;
#endif

// Code for Blackwell takes a few registers more: where 128 are just enough elsewhere, they are not.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr bool BLACKWELL = true;
#else
constexpr bool BLACKWELL = false;
#endif

// Blocks on an SM for which a kernel is given few enough registers: no more than shared memory has
// room for.
DEVICE constexpr int resident(int wanted, int shared_bytes) {
    const int room = SM_SHARED_KIB * 1024 / (shared_bytes + 1024);
    return room < wanted ? room : wanted;
}

DEVICE int lane() { return int(threadIdx.x % 32); }
DEVICE int warp() { return int(threadIdx.x / 32); }
DEVICE bool within(int index, int64 count) { return uint32(index) < uint32(count); }

// Zeros in the block's shared memory, seen by all threads.
DEVICE void clear_shared(int bytes) {
    Words* words = shared_memory<Words>();
#pragma unroll 1
    for (int i = int(threadIdx.x); i < bytes / 16; i += int(blockDim.x)) words[i] = Words{};
    __syncthreads();
}

// Numbers 8 piece, 8 piece + 1, ... of a row of COUNT numbers to shared memory, in the background
// where that can be; zeros if not `valid`. `from` and `to` are where the piece begins.
template <int COUNT>
DEVICE void copy_piece(S* to, const S* from, int piece, bool valid) {
    if constexpr (COUNT % 8 == 0) {
        copy_async(to, from, valid);
    } else {
        for (int i = 0; i < 8 && 8 * piece + i < COUNT; ++i) to[i] = valid ? from[i] : S{0};
    }
}

DEVICE uint32 word_at(const S* pair) { return *reinterpret_cast<const uint32*>(pair); }

// d's two numbers at one row of a product, rounded, where they are wanted.
DEVICE void store_two(float first, float second, S* to_first, S* to_second, bool has_first,
                      bool has_second) {
    const uint32 both = pack<S>(first, second);
    if (has_first) *to_first = S{uint16(both & 0xffff)};
    if (has_second) *to_second = S{uint16(both >> 16)};
}

// From a product whose rows are channels and whose columns are pixels: channels pair_channel() and
// the next, and those plus 8, of pixel pair_pixel().
DEVICE void pair_channels(const float (&d)[4], uint32 (&pairs)[2]) {
    const bool odd = lane() / 4 % 2;
    const uint32 even_pixel = pack<S>(d[0], d[2]), odd_pixel = pack<S>(d[1], d[3]);
    const uint32 kept = odd ? odd_pixel : even_pixel;
    const uint32 taken = __shfl_xor_sync(0xffffffffu, odd ? even_pixel : odd_pixel, 4);
    const uint32 first = odd ? taken : kept, second = odd ? kept : taken;
    pairs[0] = (first & 0xffffu) | second << 16;
    pairs[1] = first >> 16 | (second & 0xffff0000u);
}
DEVICE int pair_channel() { return lane() / 8 * 2; }
DEVICE int pair_pixel() { return lane() % 4 * 2 + lane() / 4 % 2; }

// Where lane i has to point, in a matrix of 16-bit numbers with `row` numbers a row in shared
// memory, for load_matrices to give it an operand of 16 x 16.
DEVICE int straight(int row) { return lane() % 16 * row + lane() / 16 * 8; }

#endif

// What the tensor-core kernels of fp16 and bf16 share, for channels-last images and kernels with
// G K K innermost.
//
// A warp goes down a column of 8 pixels and 16 (or 8) channels of one group, row by row. Its 8
// windows together see up to 24 pixels of a row of the other image. For one row of the windows that
// is the product of a matrix of 16 channels x these positions with a banded one of positions x 8
// pixels, whose band is made of kernel entries. Entries and pixels come to shared memory several
// rows ahead, by copies of 16 bytes in the background. Warps need nothing from each other.
#ifndef INVOLUTION_BAND_H
#define INVOLUTION_BAND_H

#include "tasks.h"

constexpr int HALVES = CHANNELS / 8;
static_assert(CHANNELS == 8 || CHANNELS == 16, "the rows of one matrix");
static_assert(K <= 7 && S <= 2 && S <= K, "a lane has to do with one register of a band");

// Bytes of the entries of a pixel in shared memory: they keep their place within 16 bytes, and the
// pixels of a tile are spread over the banks.
constexpr int ENTRY_PIECES = (TAPS + 14) / 8;
constexpr int ENTRY_BYTES = ENTRY_PIECES * 16 + (ENTRY_PIECES % 4 ? 0 : 16);
constexpr int BLOCK_BYTES = PIXELS * CHANNELS * 2;  // of 8 pixels of an image

// Bytes by which `address` is behind a multiple of 16.
DEVICE int misalignment(const void* address) {
    return int(reinterpret_cast<unsigned long long>(address) & 15);
}

// Where channels 8 half to 8 half + 7 of a position are, so that 8 positions are in 8 banks.
DEVICE int place(int position, int half) {
    if (HALVES == 1) return position * 16;
    return position * 32 + ((half ^ (position >> 2 & 1)) << 4);
}

// The channels of `count` pixels of a row from column `first` on; zeros outside the image and up to
// 8 BLOCKS positions.
template <int BLOCKS>
DEVICE void stage_pixels(unsigned char* to, const Storage* row, bool row_inside, int first,
                         int count, int width, int64 step) {
    constexpr int PIECES = 8 * BLOCKS * HALVES;
#pragma unroll
    for (int round = 0; round < (PIECES + 31) / 32; ++round) {
        const int piece = lane() + 32 * round, position = piece / HALVES, half = piece % HALVES;
        if (piece >= PIECES) break;
        const int column = first + position;
        const bool valid = row_inside && position < count && inside(column, width);
        copy_async_part(to + place(position, half), valid ? row + column * step + 8 * half : row,
                        valid ? 16 : 0);
    }
}

// The K K entries of `count` pixels of a row from column `first` on, for one group.
template <int COUNT>
DEVICE void stage_entries(unsigned char* to, const Storage* row, int first, int columns,
                          int64 step) {
    constexpr int PIECES = COUNT * ENTRY_PIECES;
#pragma unroll
    for (int round = 0; round < (PIECES + 31) / 32; ++round) {
        const int piece = lane() + 32 * round, pixel = piece / ENTRY_PIECES;
        const int part = piece % ENTRY_PIECES, column = first + pixel;
        if (piece >= PIECES || column < 0 || column >= columns) continue;
        const Storage* entries = row + column * step;
        const int back = misalignment(entries), left = back + 2 * TAPS - 16 * part;
        if (left <= 0) continue;
        copy_async_part(to + pixel * ENTRY_BYTES + 16 * part,
                        reinterpret_cast<const unsigned char*>(entries) - back + 16 * part,
                        left < 16 ? left : 16);
    }
}

// A number of shared memory.
DEVICE uint32 bits_at(const unsigned char* place) {
    return *reinterpret_cast<const uint16*>(place);
}

template <bool TRANSPOSED, int N>
DEVICE void load(uint32 (&to)[N], const void* row) {
    if (TRANSPOSED)
        load_matrices_transposed(to, row);
    else
        load_matrices(to, row);
}

// Of BLOCKS x 8 positions from `first` on, a register for each 8 positions and 8 channels; with
// TRANSPOSED a lane has a channel and two positions, else a position and two channels.
template <bool TRANSPOSED, int BLOCKS>
DEVICE void load_pixels(uint32 (&to)[BLOCKS][HALVES], const unsigned char* pixels, int first = 0) {
#pragma unroll
    for (int block = 0; block < BLOCKS; block += 2) {
        const bool pair = block + 1 < BLOCKS;
        const int next = pair ? block + 1 : block;
        const int row = first + 8 * block + lane() % 8, further = pair ? 8 : 0;
        if (HALVES == 2 && pair) {
            uint32 four[4];
            load<TRANSPOSED>(four, pixels + place(row + lane() / 16 * further, lane() / 8 % 2));
            to[block][0] = four[0], to[block][HALVES - 1] = four[1];
            to[next][0] = four[2], to[next][HALVES - 1] = four[3];
        } else {
            uint32 two[2];
            const int half = HALVES == 2 ? lane() / 8 % 2 : 0;
            const int more = HALVES == 2 ? 0 : lane() / 8 % 2 * further;
            load<TRANSPOSED>(two, pixels + place(row + more, half));
            to[block][0] = two[0];
            if (HALVES == 2) to[block][HALVES - 1] = two[1];
            if (HALVES == 1 && pair) to[next][0] = two[1];
        }
    }
}

// Forgets the first S of K rows of pixels, to make room at the end.
template <int BLOCKS>
DEVICE void move_up(uint32 (&rows)[K][BLOCKS][HALVES]) {
#pragma unroll
    for (int u = 0; u + S < K; ++u) {
#pragma unroll
        for (int block = 0; block < BLOCKS; ++block) {
            rows[u][block][0] = rows[u + S][block][0];
            rows[u][block][HALVES - 1] = rows[u + S][block][HALVES - 1];
        }
    }
}

// d += pixels x band: CHANNELS x 8 pixels, in the lower rows if there are 8 of them.
template <int BLOCKS>
DEVICE void multiply(float (&d)[4], const uint32 (&pixels)[BLOCKS][HALVES],
                     const uint32 (&band)[BLOCKS]) {
#pragma unroll
    for (int block = 0; block < BLOCKS; block += 2) {
        const bool pair = block + 1 < BLOCKS, full = HALVES == 2;
        const int next = pair ? block + 1 : block;
        const uint32 a[4] = {pixels[block][0], full ? pixels[block][HALVES - 1] : 0,
                             pair ? pixels[next][0] : 0,
                             pair && full ? pixels[next][HALVES - 1] : 0};
        const uint32 b[2] = {band[block], pair ? band[next] : 0};
        mma_m16n8k16<Storage>(d, a, b);
    }
}

struct alignas(8) Pair {
    uint32 first, second;
};

// Stores a product: every lane 4 (or 2) channels of pixel lane / 4, which is at `pixel`.
DEVICE void store_product(Storage* pixel, bool inside, const float (&d)[4]) {
    const uint32 low = transposed_matrix(pack<Storage>(d[0], d[1]));
    const int quarter = lane() % 4, odd = quarter % 2;
    if (HALVES == 1) {
        if (inside) *reinterpret_cast<uint32*>(pixel + 2 * quarter) = low;
        return;
    }
    const uint32 high = transposed_matrix(pack<Storage>(d[2], d[3]));
    const uint32 other = __shfl_xor_sync(0xffffffffu, odd ? low : high, 1);
    const Pair pair = odd ? Pair{other, high} : Pair{low, other};
    if (inside) *reinterpret_cast<Pair*>(pixel + (quarter / 2 + 2 * odd) * 4) = pair;
}

#endif

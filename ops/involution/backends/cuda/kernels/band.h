// What the tensor-core kernels of fp16 and bf16 share, for channels-last images and kernels with
// G K K innermost.
//
// A warp goes down a column of 8 pixels and 16 (or 8) channels of one group, row by row. Its 8
// windows together see up to 24 pixels of a row of the other image. For one row of the windows that
// is the product of a matrix of 16 channels x these positions with a banded one of positions x 8
// pixels, whose band is made of kernel entries. Entries and pixels come to shared memory several
// rows ahead, by copies of 16 bytes in the background.
//
// The warps of a block have the same pixels and channels side by side, and copy for each other:
// a warp's own channels are a quarter of a line of an image, and its own entries begin and end
// within 32 bytes that belong to its neighbours too. What a GPU has least of here is the load and
// store unit's time, a cycle for every line of 128 bytes that an instruction touches.
#ifndef INVOLUTION_BAND_H
#define INVOLUTION_BAND_H

#include "fragment.h"
#include "tasks.h"

constexpr int HALVES = CHANNELS / 8;
static_assert(CHANNELS == 8 || CHANNELS == 16, "the rows of one matrix");
static_assert(K <= 7 && S <= 2 && S <= K, "a lane has to do with one register of a band");

constexpr int THREADS = 32 * WARPS;
// A group has one or several warps' channels, a block one or several groups.
constexpr int BLOCK_GROUPS = WARPS > GROUP_SLICES ? WARPS / GROUP_SLICES : 1;
static_assert(WARPS % GROUP_SLICES == 0 || GROUP_SLICES % WARPS == 0, "whole groups or one");

// Bytes of the block's entries of a pixel in shared memory: they keep their place within 16 bytes,
// and an odd number of pieces from one pixel to the next spreads a tile over the banks.
constexpr int BLOCK_TAPS = BLOCK_GROUPS * TAPS;
constexpr int ENTRY_PIECES = (BLOCK_TAPS + 14) / 8;
constexpr int ENTRY_BYTES = (ENTRY_PIECES | 1) * 16;
constexpr int BLOCK_BYTES = PIXELS * CHANNELS * 2;  // of 8 pixels of an image, a warp's channels

// Bytes by which `address` is behind a multiple of 16.
DEVICE int misalignment(const void* address) {
    return int(reinterpret_cast<unsigned long long>(address) & 15);
}

// Where channels 8 half to 8 half + 7 of a position are, so that 8 positions are in 8 banks.
DEVICE int place(int position, int half) {
    if (HALVES == 1) return position * 16;
    return position * 32 + ((half ^ (position >> 2 & 1)) << 4);
}

// What the block's first warp has of it.
DEVICE int first_channel(const Task& task) { return task.channel - warp() * CHANNELS; }
DEVICE int first_group(const Task& task) { return task.group - warp() / GROUP_SLICES; }

// Bytes from the block's first group's entries of a pixel to the warp's.
DEVICE int own_entries() { return warp() / GROUP_SLICES * TAPS * 2; }

// Brings one row of an image after another to shared memory: the block's channels of `count` of up
// to 8 BLOCKS positions, from column `first` on, each warp's in BLOCKS blocks of their own. Where a
// thread reads and writes is found once; a row then costs an addition a piece of 16 bytes. Columns
// outside the image are never copied to: they are zeros from `clear` on, so that a product with a
// zero of the band stays zero.
template <int BLOCKS>
struct PixelCopier {
    // Of a warp's blocks; so that the pieces of a pixel, one after the other in memory, are spread
    // over the banks.
    static constexpr int WARP_BYTES = BLOCKS * BLOCK_BYTES + 128 / WARPS % 128;
    static constexpr int BYTES = WARPS * WARP_BYTES, PIXEL_PIECES = WARPS * HALVES;
    static constexpr int PIECES = BLOCKS * PIXELS * PIXEL_PIECES;
    static constexpr int ROUNDS = (PIECES + THREADS - 1) / THREADS;
    const Storage* from[ROUNDS];
    bool valid[ROUNDS];
    int to;
    int64 step;  // from a row to the next

    // `row` is the one to begin with, inside the image or not, at the block's first channel.
    DEVICE PixelCopier(const Storage* row, int64 row_step, int first, int count, int width,
                       int64 column_step)
        : step(row_step) {
        const int half = int(threadIdx.x) % PIXEL_PIECES;
        to = half / HALVES * WARP_BYTES +
             place(int(threadIdx.x) / PIXEL_PIECES, half % HALVES);
#pragma unroll
        for (int round = 0; round < ROUNDS; ++round) {
            const int piece = int(threadIdx.x) + THREADS * round, position = piece / PIXEL_PIECES;
            const int column = first + position;
            valid[round] = piece < PIECES && position < count && inside(column, width);
            from[round] = row + column * column_step + 8 * half;
        }
    }
    // THREADS pieces further on are 32 / HALVES positions, which `place` puts 512 bytes on.
    DEVICE void clear(unsigned char* pixels) const {
#pragma unroll
        for (int round = 0; round < ROUNDS; ++round)
            if (int(threadIdx.x) + THREADS * round < PIECES && !valid[round])
                *reinterpret_cast<Words*>(pixels + to + 512 * round) = Words{};
    }
    // The next row; zeros if it is outside the image.
    DEVICE void copy(unsigned char* pixels, bool row_inside) {
#pragma unroll
        for (int round = 0; round < ROUNDS; ++round) {
            if (valid[round]) copy_async(pixels + to + 512 * round, from[round], row_inside);
            from[round] += step;
        }
    }
};

// Which pieces of 16 bytes, of those that the block's entries of some pixels touch, are a thread's:
// piece `part` of pixel `pixel`, in round `round`.
template <int COUNT>
struct EntryPieces {
    static constexpr int PIECES = COUNT * ENTRY_PIECES;
    static constexpr int ROUNDS = (PIECES + THREADS - 1) / THREADS;

    static DEVICE int piece(int round) { return int(threadIdx.x) + THREADS * round; }
    static DEVICE int pixel(int round) { return piece(round) / ENTRY_PIECES; }
    static DEVICE int part(int round) { return piece(round) % ENTRY_PIECES; }
    // Where it is in shared memory.
    static DEVICE int place(int round) { return pixel(round) * ENTRY_BYTES + 16 * part(round); }
    // How many bytes up to its end are entries, if they begin `back` bytes behind a multiple of 16.
    static DEVICE int until(int back, int part) { return back + 2 * BLOCK_TAPS - 16 * part; }
};

// Brings one row of kernel entries after another: the block's groups' of `COUNT` pixels from column
// `first` on. KEEP_PLACE says that all rows begin at the same place within 16 bytes.
template <int COUNT>
struct EntryCopier : EntryPieces<COUNT> {
    typedef EntryPieces<COUNT> Own;
    const unsigned char* from[Own::ROUNDS];
    int bytes[Own::ROUNDS];  // without KEEP_PLACE the part, or -1 for nothing
    int64 step;

    // `row` is the one to begin with, at the block's first group.
    DEVICE EntryCopier(const Storage* row, int64 row_step, int first, int columns,
                       int64 column_step)
        : step(2 * row_step) {
#pragma unroll
        for (int round = 0; round < Own::ROUNDS; ++round) {
            const int part = Own::part(round), column = first + Own::pixel(round);
            const bool valid = Own::piece(round) < Own::PIECES && inside(column, columns);
            from[round] = reinterpret_cast<const unsigned char*>(row + column * column_step);
            const int back = misalignment(from[round]);
            bytes[round] = KEEP_PLACE ? (valid ? here(back, part) : 0) : valid ? part : -1;
            if (KEEP_PLACE) from[round] += 16 * part - back;
        }
    }
    // The next row, which is left as it was if it is outside.
    DEVICE void copy(unsigned char* entries, bool row_inside = true) {
#pragma unroll
        for (int round = 0; round < Own::ROUNDS; ++round) {
            unsigned char* to = entries + Own::place(round);
            if (KEEP_PLACE) {
                if (row_inside && bytes[round]) copy_async_part(to, from[round], bytes[round]);
            } else if (row_inside && bytes[round] >= 0) {
                const int back = misalignment(from[round]), part = bytes[round];
                if (here(back, part))
                    copy_async_part(to, from[round] + 16 * part - back, here(back, part));
            }
            from[round] += step;
        }
    }

   private:
    static DEVICE int here(int back, int part) {
        const int left = Own::until(back, part);
        return left <= 0 ? 0 : left < 16 ? left : 16;
    }
};

// The stages of a block in turn: how many bytes behind the first the next one is.
template <int STAGES, int STAGE_BYTES>
DEVICE void advance(int& stage) {
    stage = stage == (STAGES - 1) * STAGE_BYTES ? 0 : stage + STAGE_BYTES;
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
// TRANSPOSED a lane has a channel and two positions, else a position and two channels. The two are
// neighbours, or with APART four from each other: of each 8 lane column t has t and t + 4.
template <bool TRANSPOSED, bool APART = false, int BLOCKS>
DEVICE void load_pixels(uint32 (&to)[BLOCKS][HALVES], const unsigned char* pixels, int first = 0) {
    const int line = APART ? lane() % 8 / 2 + lane() % 2 * 4 : lane() % 8;
#pragma unroll
    for (int block = 0; block < BLOCKS; block += 2) {
        const bool pair = block + 1 < BLOCKS;
        const int next = pair ? block + 1 : block;
        const int row = first + 8 * block + line, further = pair ? 8 : 0;
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

// How many rows stay in registers: a ring, and the loops are unrolled over a turn of it, so that the
// compiler knows which registers a row is in and none is ever moved.
constexpr int RING = (K + S - 1) / S * S, TURN = RING / S;

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

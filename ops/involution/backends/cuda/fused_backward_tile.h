// The gradient of the kernel entries of one group at a tile of 8 x 8 output pixels, in shared
// memory.
//
// Per window row it is a product of 16 positions of x by 8 pixels, over the channels; entry (u, v)
// of pixel n lies at position STRIDE n + v: a band of the product, which is all that is kept. A
// warp makes two rows of pixels, which read the same rows of x.
#ifndef INVOLUTION_FUSED_BACKWARD_TILE_H
#define INVOLUTION_FUSED_BACKWARD_TILE_H

#include "fused_backward.h"

constexpr int TILE = 8, TILE_PIXELS = TILE * TILE, TILE_WARPS = 4, TILE_THREADS = 32 * TILE_WARPS;
constexpr int REACH = (TILE - 1) * STRIDE + K;  // rows, and columns, of x that a tile reads
constexpr int POSITION_TILES = (REACH + 15) / 16;
constexpr int X_ROW = 16 * SLICES + GAP, X_SIZE = REACH * REACH * X_ROW;
constexpr int ENTRY_ROW = 16 * ENTRY_TILES + GAP, GRAD_SIZE = TILE_PIXELS * ENTRY_ROW;

// Where a tile begins. There are less than 2^31 tiles.
struct Place {
    int64 image;
    int row, column;  // of its first output pixel

    DEVICE Place(const Problem& p, uint32 tile) {
        const uint32 across = uint32(p.tiles_across), down = uint32(p.tiles_down);
        const uint32 line = tile / across;
        column = int(tile - line * across) * TILE;
        image = line / down;
        row = int(line - line / down * down) * TILE;
    }
    // Which pixel of all it is.
    DEVICE int64 first(const Problem& p) const {
        return (image * p.out_height + row) * p.out_width + column;
    }
    DEVICE bool has(const Problem& p, int pixel) const {
        return row + pixel / TILE < int(p.out_height) && column + pixel % TILE < int(p.out_width);
    }
    // From the first pixel to another of the tile.
    DEVICE int step(const Problem& p, int pixel) const {
        return pixel / TILE * int(p.out_width) + pixel % TILE;
    }
};

// A warp copies every fourth row.
DEVICE void load_x(const Problem& p, const Place& place, int group, const S* x, S* to) {
    constexpr int PIECES = GROUP_CHANNELS / 8, ROW_PIECES = REACH * PIECES;
    const int top = place.row * STRIDE - int(p.pad_rows) + warp();
    const int left = place.column * STRIDE - int(p.pad_columns);
    const int64 first = (place.image * p.height + top) * p.width + left;
    const int64 step = p.width * p.channels * TILE_WARPS;
    x += first * p.channels + group * GROUP_CHANNELS;
    to += warp() * REACH * X_ROW;
#pragma unroll
    for (int pass = 0; pass < (ROW_PIECES + 31) / 32; ++pass) {
        const int i = 32 * pass + lane(), column = i / PIECES, piece = i % PIECES;
        const bool inside = within(left + column, p.width);
        const S* from = x + column * int(p.channels) + 8 * piece;
        S* at = to + column * X_ROW + 8 * piece;
        if (i >= ROW_PIECES) break;
#pragma unroll
        for (int row = 0; row < REACH; row += TILE_WARPS) {
            if (row + TILE_WARPS > REACH && row + warp() >= REACH) break;
            copy_async(at + row * REACH * X_ROW, from, inside && within(top + row, p.height));
            from += step;
        }
    }
}

// The gradient of the output at a warp's two rows of pixels.
struct Output {
    uint32 of[2][SLICES][2];

    DEVICE void load(const Problem& p, const Place& place, int group, const S* grad_output) {
        grad_output += place.first(p) * p.channels + group * GROUP_CHANNELS;
#pragma unroll
        for (int strip = 0; strip < 2; ++strip) {
            const int pixel = (2 * warp() + strip) * TILE + lane() / 4;
            const bool valid = place.has(p, pixel);
            const S* from = grad_output + place.step(p, pixel) * int(p.channels) + lane() % 4 * 2;
#pragma unroll
            for (int slice = 0; slice < SLICES; ++slice) {
                const bool whole = 16 * slice + 8 < GROUP_CHANNELS;
                of[strip][slice][0] = valid ? word_at(from + 16 * slice) : 0;
                of[strip][slice][1] = valid && whole ? word_at(from + 16 * slice + 8) : 0;
            }
        }
    }
};

// What is in the band, from a product's registers to row u of the windows of eight pixels.
DEVICE void store_band(const float (&d)[4], int position_tile, S* grad) {
    const int pixel = lane() % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int v = 16 * position_tile + 8 * half + lane() / 4 - STRIDE * pixel;
        S* to = grad + pixel * ENTRY_ROW + v;
        store_two(d[2 * half], d[2 * half + 1], to, to + ENTRY_ROW - STRIDE, v >= 0 && v < K,
                  v >= STRIDE && v < K + STRIDE);
    }
}

// To grad[pixel][entry], the warp's 16 pixels, from the tile of x.
DEVICE void grad_entries(const S* x, const Output& output, S* grad) {
    grad += 2 * TILE * warp() * ENTRY_ROW;
#pragma unroll
    for (int tile = 0; tile < POSITION_TILES; ++tile) {
        int column = 16 * tile + lane() % 16;
        if (column >= REACH) column = REACH - 1;
        const S* from = x + (2 * STRIDE * warp() * REACH + column) * X_ROW + lane() / 16 * 8;
#pragma unroll
        for (int y = 0; y < K + STRIDE; ++y) {
            uint32 a[SLICES][4];
#pragma unroll
            for (int slice = 0; slice < SLICES; ++slice)
                load_matrices(a[slice], from + y * REACH * X_ROW + 16 * slice);
#pragma unroll
            for (int strip = 0; strip < 2; ++strip) {
                const int u = y - strip * STRIDE;
                if (u < 0 || u >= K) continue;
                float d[4] = {0, 0, 0, 0};
#pragma unroll
                for (int slice = 0; slice < SLICES; ++slice)
                    mma_m16n8k16<S>(d, a[slice], output.of[strip][slice]);
                store_band(d, tile, grad + strip * TILE * ENTRY_ROW + u * K);
            }
        }
    }
}

#endif

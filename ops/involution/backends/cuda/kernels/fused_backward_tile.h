// A tile of 8 x 8 output pixels, four pairs of strips, for one group: what it needs of x and of the
// gradient of the output, in shared memory.
#ifndef INVOLUTION_FUSED_BACKWARD_TILE_H
#define INVOLUTION_FUSED_BACKWARD_TILE_H

#include "fused_backward_pair.h"

constexpr int TILE = 8, TILE_PIXELS = TILE * TILE, TILE_WARPS = 4, TILE_THREADS = 32 * TILE_WARPS;
constexpr int TILE_PAIRS = TILE / 2;
constexpr int X_ROW = 16 * SLICES + GAP, X_SIZE = REACH * REACH * X_ROW;
constexpr int OUTPUT_SIZE = TILE_PIXELS * X_ROW;

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
    // How many pairs of its strips have pixels.
    DEVICE int pairs(const Problem& p) const {
        const int left = (int(p.out_height) - row + 1) / 2;
        return left < TILE_PAIRS ? left : TILE_PAIRS;
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
    const uint32 own = unkept(threadIdx.x) % 32;
    const int64 first = (place.image * p.height + top) * p.width + left;
    const int step = int(p.width) * int(p.channels) * TILE_WARPS;
    x += first * p.channels + group * GROUP_CHANNELS;
    to += warp() * REACH * X_ROW;
#pragma unroll
    for (int pass = 0; pass < (ROW_PIECES + 31) / 32; ++pass) {
        const int i = 32 * pass + int(own), column = i / PIECES, piece = i % PIECES;
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

// The gradient of the output; a warp copies its own two rows of pixels.
DEVICE void load_output(const Problem& p, const Place& place, int group, const S* grad_output,
                        S* to) {
    constexpr int PIECES = GROUP_CHANNELS / 8;
    const int own = int(unkept(threadIdx.x) % 32);
    grad_output += place.first(p) * p.channels + group * GROUP_CHANNELS;
#pragma unroll
    for (int pass = 0; pass < (PAIR * PIECES + 31) / 32; ++pass) {
        const int i = 32 * pass + own, pixel = PAIR * warp() + i / PIECES, piece = i % PIECES;
        if (i < PAIR * PIECES)
            copy_async(to + pixel * X_ROW + 8 * piece,
                       grad_output + place.step(p, pixel) * int(p.channels) + 8 * piece,
                       place.has(p, pixel));
    }
}

// The gradients of COUNT rows of entries, from row `first` of the window on, of two rows of pixels.
// What is no row of the window reads other numbers of shared memory.
template <int COUNT>
DEVICE void tile_entries(const S* x, const S* output, int pair, int first, const Band& band,
                         uint32 (&entries)[COUNT][2]) {
    uint32 of_pair[SLICES][4];
#pragma unroll
    for (int slice = 0; slice < SLICES; ++slice)
        load_matrices(of_pair[slice], output + PAIR * pair * X_ROW + straight(X_ROW) + 16 * slice);
    x += (PAIR_STEP * pair + first) * REACH * X_ROW + 8 * x_half(lane());
    const S* const from = x + x_column(lane(), 0) * X_ROW;
    const S* const third = x + x_column(lane(), 2) * X_ROW;
    const auto at = [&](int y, int slice, bool second) -> const S* {
        return (second ? third : from) + y * REACH * X_ROW + 16 * slice;
    };
    pair_entries<COUNT>(at, of_pair, band, entries);
}

#endif

// The gradient of the kernel entries of one group at a pair of strips, two rows of 8 output pixels,
// in the registers of one warp.
//
// Per row of x it is a product of the 16 pixels by 16 (stride 2: 24) columns of x, over channels.
// The upper strip meets the row at window row u, the lower one at u - STRIDE. Entry (u, v)
// of pixel n lies at column STRIDE n + v: a band, of which each lane has exactly two columns, if
// lane column t gets columns t, t + 4, t + 8 and t + 12 (stride 2: 2 t, 2 t + 1 and those plus 8
// and 16). One selection and one shuffle bring them to the lane that has taps t and t + 4 (2 t and
// 2 t + 1) of each pixel: the operand of a product over entries, whose transpose is the operand of
// a product over pixels. So the entries never go through memory.
//
// A window's row has 8 taps there; those from K on are numbers without a meaning.
#ifndef INVOLUTION_FUSED_BACKWARD_PAIR_H
#define INVOLUTION_FUSED_BACKWARD_PAIR_H

#include "fragment.h"
#include "fused_backward.h"

constexpr int STRIP = 8, PAIR = 2 * STRIP;       // pixels
constexpr int REACH = (STRIP - 1) * STRIDE + K;  // columns of x that a strip reads
constexpr int PAIR_STEP = 2 * STRIDE;            // rows of x from a pair to the next
constexpr int COLUMN_TILES = STRIDE == 1 ? 2 : 3;
constexpr int ROW_PAIRS = (K + 1) / 2;           // of the window; 16 taps each
static_assert(REACH <= 8 * COLUMN_TILES, "K <= 7");

struct alignas(8) Two {
    float first, second;
};

// The tap of a window's row that is column (or row) n of a product.
DEVICE constexpr uint32 tap_of(uint32 n) { return STRIDE == 1 ? n / 2 + n % 2 * 4 : n; }

// The column of a row of x, and which half of 16 channels, that a lane points load_matrices to.
DEVICE uint32 x_column(uint32 lane, uint32 first_tile) {
    const uint32 column = 8 * (first_tile + lane / 16) + tap_of(lane % 8);
    return column < REACH ? column : REACH - 1;
}
DEVICE uint32 x_half(uint32 lane) { return lane / 8 % 2; }

// From the band to the taps.
struct Band {
    int skipped, source;
    uint32 selector;

    DEVICE Band() {
        const int pixel = lane() / 4, own = lane() % 4;
        skipped = -((own - pixel) >> 2);  // fours of columns before the first of the band: 0, 1, 2
        source = pixel * 4 + ((own + pixel) & 3);
        selector = skipped == 0 ? 0x3210 : skipped == 1 ? 0x5432 : 0x7654;
    }
    // The lane's taps of a row of its pixel, from the lane's columns of the two or three tiles.
    DEVICE uint32 taps(const float (&d)[COLUMN_TILES][4], int strip) const {
        uint32 of[COLUMN_TILES];
#pragma unroll
        for (int tile = 0; tile < COLUMN_TILES; ++tile)
            of[tile] = pack<S>(d[tile][2 * strip], d[tile][2 * strip + 1]);
        const uint32 later = skipped == 1 ? of[1] : of[COLUMN_TILES - 1];
        const uint32 own = STRIDE == 1    ? select_bytes(of[0], of[1], selector)
                           : skipped == 0 ? of[0]
                                          : later;
        return __shfl_sync(0xffffffffu, own, source);
    }
};

// The entries' gradients, [window row][strip]: of pixel lane / 4 taps tap_of(2 (lane % 4)) and the
// next, for COUNT rows of the window. at(y, slice, second) is where this lane points load_matrices
// to in the pair's row y of x: for tiles 0 and 1, or for tile 2 if `second`. `output` is the
// gradient of the output, pixels by channels.
template <int COUNT, class At>
DEVICE void pair_entries(const At& at, const uint32 (&output)[SLICES][4], const Band& band,
                         uint32 (&entries)[COUNT][2]) {
#pragma unroll
    for (int y = 0; y < COUNT + STRIDE; ++y) {
        float d[COLUMN_TILES][4] = {};
#pragma unroll
        for (int slice = 0; slice < SLICES; ++slice) {
            uint32 b[4];
            load_matrices(b, at(y, slice, false));
            const uint32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
            mma_m16n8k16<S>(d[0], output[slice], low);
            mma_m16n8k16<S>(d[1], output[slice], high);
            if constexpr (COLUMN_TILES == 3) {
                uint32 third[2];
                load_matrices(third, at(y, slice, true));
                mma_m16n8k16<S>(d[2], output[slice], third);
            }
        }
        if (y % 2 == 1) __syncwarp();  // or all rows would be loaded at once, and registers not do
        if (y < COUNT) entries[y][0] = band.taps(d, 0);
        if (y >= STRIDE) entries[y - STRIDE][1] = band.taps(d, 1);
    }
}

// Entries of two rows of the window, from `row` on, as a product's first operand: pixels by taps.
template <int COUNT>
DEVICE void pixels_by_taps(const uint32 (&entries)[COUNT][2], int row, uint32 (&a)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = row + i / 2 < COUNT ? entries[row + i / 2][i % 2] : 0;
}
// ... taps by pixels.
template <int COUNT>
DEVICE void taps_by_pixels(const uint32 (&entries)[COUNT][2], int row, uint32 (&a)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
        a[i] = row + i % 2 < COUNT ? transposed_matrix(entries[row + i % 2][i / 2]) : 0;
}

// Of the weight's gradient, in a warp: PAIRS pairs of rows of the window, TILES times 8 features.
template <int PAIRS, int TILES>
struct Sums {
    float weight[PAIRS][TILES][4], bias[4];

    DEVICE Sums() {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            bias[i] = 0;
#pragma unroll
            for (int m = 0; m < PAIRS; ++m)
#pragma unroll
                for (int n = 0; n < TILES; ++n) weight[m][n][i] = 0;
        }
    }

    // What a pair of strips has to add. `features`: in shared memory, `row` numbers a pixel.
    template <int COUNT>
    DEVICE void add(const uint32 (&entries)[COUNT][2], const S* features, int row, bool biased) {
        const uint32 one = pack<S>(1, 1);
        if constexpr (TILES <= 4) {  // all features take fewer registers than all entries
            uint32 b[TILES][2];
#pragma unroll
            for (int n = 0; n < TILES; n += 2) load_features(features + 8 * n, row, n, b);
#pragma unroll
            for (int m = 0; m < PAIRS; ++m) {
                uint32 a[4];
                taps_by_pixels(entries, 2 * m, a);
#pragma unroll
                for (int n = 0; n < TILES; ++n) mma_m16n8k16<S>(weight[m][n], a, b[n]);
                if (biased) add_bias(m, a, one);
            }
        } else {
            uint32 a[PAIRS][4];
#pragma unroll
            for (int m = 0; m < PAIRS; ++m) {
                taps_by_pixels(entries, 2 * m, a[m]);
                if (biased) add_bias(m, a[m], one);
            }
#pragma unroll
            for (int n = 0; n < TILES; n += 2) {
                uint32 b[2][2];
                load_features(features + 8 * n, row, n, b);
#pragma unroll
                for (int m = 0; m < PAIRS; ++m)
#pragma unroll
                    for (int half = 0; half < 2 && n + half < TILES; ++half)
                        mma_m16n8k16<S>(weight[m][n + half], a[m], b[half]);
            }
        }
    }
    // Two tiles of 8 features, or the last one, as a product's second operand.
    template <int COUNT>
    static DEVICE void load_features(const S* from, int row, int n, uint32 (&to)[COUNT][2]) {
        const int at = COUNT == TILES ? n : 0;
        if (n + 1 < TILES) {
            uint32 b[4];
            load_matrices_transposed(b, from + straight(row));
#pragma unroll
            for (int i = 0; i < 4; ++i) to[(at + i / 2) % COUNT][i % 2] = b[i];
        } else {
            load_matrices_transposed(to[at], from + lane() % 16 * row);
        }
    }
    // All pairs of rows share four registers: pair m has column m of them.
    DEVICE void add_bias(int m, const uint32 (&a)[4], uint32 one) {
        const uint32 own = lane() / 4 == m ? one : 0, ones[2] = {own, own};
        mma_m16n8k16<S>(bias, a, ones);
    }

    // Calls with each sum that this lane has: (row of the window, tap, feature, sum).
    template <class Take>
    DEVICE void each(const Take& take) const {
#pragma unroll
        for (int m = 0; m < PAIRS; ++m)
#pragma unroll
            for (int n = 0; n < TILES; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    take(2 * m + i / 2, tap_of(lane() / 4), 8 * n + lane() % 4 * 2 + i % 2,
                         weight[m][n][i]);
    }
    // ... of the bias's: (row of the window, tap, sum).
    template <class Take>
    DEVICE void each_bias(const Take& take) const {
#pragma unroll
        for (int m = 0; m < PAIRS; ++m)
            if (lane() % 4 == m / 2) {
                take(2 * m, tap_of(lane() / 4), bias[m % 2]);
                take(2 * m + 1, tap_of(lane() / 4), bias[2 + m % 2]);
            }
    }
};

#endif

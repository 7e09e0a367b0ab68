// y from x and features, on tensor cores; the kernel tensor lives in registers.
//
// Compiled for STORAGE (float16 or bfloat16), SIZE (K, at most 7), STRIDE (1 or 2, of both axes),
// GROUPS, GROUP_CHANNELS, HIDDEN (features of a pixel), RELU (whether features get one first), and
// for a GPU's sake ROWS (even), AHEAD (rows of x read before the span) and BLOCKS (resident on an
// SM, by registers). All tensors are dense, channels innermost.
//
// A warp does units of ROWS x 8 output pixels and one group. The span gives 16 pixels, two rows of
// a unit, times a window's row: its kernel entries stay in the lanes that got them, rounded to
// STORAGE as a stored kernel would be. Then for every row of x and each output row it meets
//
//     y[channel][pixel] += sum over positions of x[channel][position] band[position][pixel]
//
// with 16 channels, 8 pixels and up to 16 positions; band[position][pixel] is the tap position -
// pixel of the window's row, or zero. At stride 2 even and odd columns of x are products of their
// own, with even and odd taps.
//
// Which position is which row of a product is free if both factors agree: lane column t has
// positions t, t + 4, t + 8, t + 12. So its entries of the band, of pixel p = lane / 4, are taps
// t - p + 4 j: all of them belong to one lane, column (t - p) mod 4 of the same pixel, if that has
// taps s and s + 4 (span.h's FourApart); at stride 2 of the even taps s, and of the odd. One
// shuffle and a selection of bytes make a factor. Rows of x are two channels each, 2 r and 2 r + 1
// being rows r and r + 8, so that every access is to four bytes of 32 that the warp uses whole.
//
// No shared memory, no barrier. Zeros of the band meet numbers of x outside a pixel's own window:
// a NaN or an infinity in x reaches the row segments of eight pixels, of its channel, that see it.
#include "span.h"

struct Problem {
    int64 images, height, width, out_height, out_width, pad_rows, pad_columns;
    // A block does 2^n units along each axis, warps taking them in turn, groups innermost.
    int64 block_images_log, block_rows_log, block_columns_log, block_groups_log;
    // Blocks along each axis of an image.
    int64 blocks_rows, blocks_columns, blocks_groups;
};

typedef STORAGE Scalar;
constexpr int K = SIZE, WARPS = 4, TILES = ROWS / 2, SETS = STRIDE;
constexpr int CHANNELS = GROUPS * GROUP_CHANNELS, INPUT_ROWS = (ROWS - 1) * STRIDE + K;
static_assert(ROWS % 2 == 0 && (STRIDE == 1 || STRIDE == 2), "see above");
static_assert(GROUP_CHANNELS % 2 == 0, "a lane has two channels");

template <int STEP>
struct Taps {
    typedef FourApart Order;
};
template <>
struct Taps<2> {
    typedef InOrder Order;
};

// Positions of columns that 8 pixels need of a set: all columns, or the even or odd ones.
DEVICE constexpr int positions(int set) { return 7 + (K - set + STRIDE - 1) / STRIDE; }
// ... and how many of them a lane loads at most.
DEVICE constexpr int loads(int set) { return (positions(set) + 3) / 4; }

// How a lane makes its factors of the band from the taps that another has.
struct Band {
    int source;
    uint32 selector[SETS][2];

    DEVICE Band() {
        const int difference = lane_column() - lane_row();
        source = int(threadIdx.x % 32 / 4 * 4) + (difference & 3);
        const int skipped = -(difference >> 2);  // multiples of 4 before the first tap: 0, 1, 2
        if (STRIDE == 1) {
            selector[0][0] = skipped == 0 ? 0x3210 : skipped == 1 ? 0x1044 : 0x4444;
            selector[0][1] = skipped == 0 ? 0x4444 : skipped == 1 ? 0x4432 : 0x3210;
        } else {
#pragma unroll
            for (int set = 0; set < SETS; ++set) {
                const uint32 lower = set == 0 ? 0x4410 : 0x4432, upper = set == 0 ? 0x1044 : 0x3244;
                selector[set][0] = skipped == 0 ? lower : skipped == 1 ? upper : 0x4444;
                selector[set][1] = skipped == 2 ? lower : 0x4444;
            }
        }
    }
    DEVICE uint32 taps(uint32 own) const { return __shfl_sync(0xffffffffu, own, source); }
    DEVICE void factor(int set, uint32 taps, uint32 (&b)[2]) const {
        b[0] = select_bytes(taps, 0, selector[set][0]);
        b[1] = select_bytes(taps, 0, selector[set][1]);
    }
};

// Where a unit is, and the number of its image.
struct Unit {
    int image, group, row, column;
};

// The kernel entries of a unit, rounded, two to a register: taps of row u for output row i.
DEVICE void entries(const Problem& p, const Unit& unit, const Scalar* features,
                    const Scalar* weight, const Scalar* bias, uint32 (&h)[ROWS][K]) {
    const Scalar* pixels[ROWS];
    bool there[ROWS];
    const int column = unit.column + lane_row();
    const int64 row = (unit.image * p.out_height + unit.row) * p.out_width;
    const Scalar* first = features + (row + column) * HIDDEN;
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        pixels[i] = first + i * p.out_width * HIDDEN;
        there[i] = column < int(p.out_width) && unit.row + i < int(p.out_height);
    }
    weight += unit.group * int64(K * K * HIDDEN);
    if (bias != nullptr) bias += unit.group * int64(K * K);
    float sums[TILES][K][4];
    span<Scalar, K, HIDDEN, Taps<STRIDE>::Order, RELU>(pixels, there, weight, bias, sums);
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
#pragma unroll
        for (int u = 0; u < K; ++u) {
            const float(&pair)[4] = sums[i / 2][u];
            h[i][u] = pack<Scalar>(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
        }
    }
}

// The rows of x that a unit needs, of the two channels that are this lane's.
struct Rows {
    const Scalar* from;    // row 0 of the unit's, this lane's first column
    int64 step;            // from row to row
    int first;             // row 0's number in the image
    int heights[SETS][4];  // rows there are of each column that this lane reads: none outside

    DEVICE Rows(const Problem& p, const Unit& unit, const Scalar* x, bool channel)
        : step(p.width * CHANNELS), first(unit.row * STRIDE - int(p.pad_rows)) {
        const int own = (unit.column + lane_column()) * STRIDE - int(p.pad_columns);
        from = x + first * step + own * CHANNELS;
#pragma unroll
        for (int set = 0; set < SETS; ++set) {
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const bool needed = channel && lane_column() + 4 * j < positions(set);
                const int column = own + 4 * j * STRIDE + set;
                const bool there = needed && uint32(column) < uint32(int(p.width));
                heights[set][j] = there ? int(p.height) : 0;
            }
        }
    }

    DEVICE void load(int r, uint32 (&pairs)[SETS][4]) const {
        const Scalar* row = kept(from + r * step);
#pragma unroll
        for (int set = 0; set < SETS; ++set) {
#pragma unroll
            for (int j = 0; j < 4; ++j)
                pairs[set][j] = j < loads(set) ? load_pair(row + (j * 4 * STRIDE + set) * CHANNELS,
                                                           first + r, heights[set][j])
                                               : 0;
        }
    }
};

// Numbers of two channels as the product's first factor.
DEVICE void factor(const uint32 (&pairs)[4], uint32 (&a)[4]) {
    a[0] = select_bytes(pairs[0], pairs[1], 0x5410);
    a[1] = select_bytes(pairs[0], pairs[1], 0x7632);
    a[2] = select_bytes(pairs[2], pairs[3], 0x5410);
    a[3] = select_bytes(pairs[2], pairs[3], 0x7632);
}

// y of a unit's 16 channels, of which this lane has two; the first AHEAD rows of x are in `pairs`.
DEVICE void aggregate(const Rows& rows, const Band& band, const uint32 (&h)[ROWS][K],
                      uint32 (&pairs)[INPUT_ROWS][SETS][4], float (&y)[ROWS][4]) {
#pragma unroll
    for (int r = 0; r < INPUT_ROWS; ++r) {
        uint32 a[SETS][4];
        if (r >= AHEAD) rows.load(r, pairs[r]);
#pragma unroll
        for (int set = 0; set < SETS; ++set) factor(pairs[r][set], a[set]);
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const int u = r - i * STRIDE;
            if (u < 0 || u >= K) continue;
            const uint32 taps = band.taps(h[i][u]);
#pragma unroll
            for (int set = 0; set < SETS; ++set) {
                uint32 b[2];
                band.factor(set, taps, b);
                mma_m16n8k16<Scalar>(y[i], a[set], b);
            }
        }
    }
}

DEVICE void store(const Problem& p, const Unit& unit, const float (&y)[ROWS][4], Scalar* to) {
    const int column = unit.column + 2 * lane_column();
    to += (unit.row * p.out_width + column) * CHANNELS;
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        if (unit.row + i >= int(p.out_height)) break;
#pragma unroll
        for (int j = 0; j < 2; ++j)
            if (column + j < int(p.out_width))
                store_pair(to + j * CHANNELS, pack<Scalar>(y[i][j], y[i][j + 2]));
        to += p.out_width * CHANNELS;
    }
}

DEVICE void run(const Problem& p, const Unit& unit, const Band& band, const Scalar* x,
                const Scalar* features, const Scalar* weight, const Scalar* bias, Scalar* y) {
    const int own = 2 * lane_row(), channel = unit.group * GROUP_CHANNELS + own;
    x += unit.image * p.height * p.width * CHANNELS + channel;
    y += unit.image * p.out_height * p.out_width * CHANNELS + channel;
    uint32 pairs[INPUT_ROWS][SETS][4], h[ROWS][K];
    Rows rows(p, unit, x, own < GROUP_CHANNELS);
#pragma unroll
    for (int r = 0; r < AHEAD; ++r) rows.load(r, pairs[r]);
    entries(p, unit, features, weight, bias, h);
#pragma unroll 1
    for (int part = 0;;) {
        float sums[ROWS][4] = {};
        aggregate(rows, band, h, pairs, sums);
        if (own + part < GROUP_CHANNELS) store(p, unit, sums, y + part);
        part += 16;
        if (part >= GROUP_CHANNELS) break;
        rows = Rows(p, unit, x + part, own + part < GROUP_CHANNELS);
#pragma unroll
        for (int r = 0; r < AHEAD; ++r) rows.load(r, pairs[r]);
    }
}

// Takes the lowest `bits` off `index`.
DEVICE int digit_of(int& index, int bits) {
    const int digit = index & ((1 << bits) - 1);
    index >>= bits;
    return digit;
}

// The first unit of the block's; blocks are in the order of x, groups innermost.
DEVICE Unit first_of_block(const Problem& p) {
    uint32 block = blockIdx.x;
    const uint32 groups = uint32(p.blocks_groups), across = uint32(p.blocks_columns);
    const uint32 down = uint32(p.blocks_rows);
    Unit unit;
    unit.group = int(block % groups << p.block_groups_log);
    block /= groups;
    unit.column = int(block % across << p.block_columns_log) * 8;
    block /= across;
    unit.row = int(block % down << p.block_rows_log) * ROWS;
    unit.image = int(block / down << p.block_images_log);
    return unit;
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS)
fused(const Problem p, const Scalar* x, const Scalar* features, const Scalar* weight,
      const Scalar* bias, Scalar* y) {
    const Band band;
    const Unit first = first_of_block(p);
    const int group_bits = int(p.block_groups_log), column_bits = int(p.block_columns_log);
    const int row_bits = int(p.block_rows_log);
    const int count = 1 << (group_bits + column_bits + row_bits + int(p.block_images_log));
    const int warp = __shfl_sync(0xffffffffu, int(threadIdx.x / 32), 0);
    for (int i = warp; i < count; i += WARPS) {
        int at = i;
        Unit unit = first;
        unit.group += digit_of(at, group_bits);
        unit.column += digit_of(at, column_bits) * 8;
        unit.row += digit_of(at, row_bits) * ROWS;
        unit.image += at;
        if (unit.group < GROUPS && unit.row < int(p.out_height) &&
            unit.column < int(p.out_width) && unit.image < int(p.images))
            run(p, unit, band, x, features, weight, bias, y);
    }
}

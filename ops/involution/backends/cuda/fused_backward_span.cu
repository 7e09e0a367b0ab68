// gt, gS and gb at once, for few groups: a warp has a group, and a block walks down strips of 8
// columns, a pair of output rows after the other. The warp keeps its group's gS in registers from
// the first pair to the last. What its entries add to gt is added to the other warps' in shared
// memory, pair by pair, always in the order of the groups.
//
// A block's rows of x, of all groups, are a ring in shared memory: from a pair to the next 2 STRIDE
// rows come in and as many go. Copies are AHEAD pairs ahead. Macros besides: GROUPS; WEIGHT_SHARED
// (0: S in registers; 1: in shared memory, where each thread has its own part); BLOCKS, on an SM.
#include "fused_backward_pair.h"

constexpr int THREADS = 32 * GROUPS, CHANNELS = GROUPS * GROUP_CHANNELS, PIECES = CHANNELS / 8;
constexpr bool SWIZZLED = PIECES % 8 == 0;  // instead of a gap after each pixel
constexpr int X_ROW = CHANNELS + (SWIZZLED ? 0 : GAP), X_LINE = REACH * X_ROW;
constexpr int RING_ROWS = K + STRIDE + AHEAD * PAIR_STEP, RING = RING_ROWS * X_LINE;
constexpr int CHUNKS = (K + STRIDE + PAIR_STEP - 1) / PAIR_STEP;  // that a first pair needs
constexpr int STAGES = AHEAD + 1;
constexpr int OUTPUT_SIZE = PAIR * X_ROW;
constexpr int FEATURE_ROW = 16 * HIDDEN_TILES + GAP, FEATURE_SIZE = PAIR * FEATURE_ROW;
constexpr int TILES = HIDDEN_PIECES, WEIGHT_TILES = (TILES + 1) / 2;  // 8 and 16 features
static_assert(GROUP_CHANNELS % 16 == 0, "a slice of a group has nothing of the next one's");

struct alignas(8) Two {
    float first, second;
};

// Where 8 channels of a column are: eight columns beside each other meet no bank twice.
DEVICE int place(int column, int piece) {
    return column * X_ROW + 8 * (SWIZZLED ? piece ^ column % 8 : piece);
}

// A strip of 8 columns that a block walks down.
struct Walk {
    int64 image;
    int row, column, pairs;  // the first output pixel

    DEVICE Walk(const Problem& p, uint32 unit) {
        const uint32 across = uint32(p.tiles_across), down = uint32(p.tiles_down);
        const uint32 line = unit / across;
        column = int(unit - line * across) * STRIP;
        image = line / down;
        row = int(line - line / down * down) * int(p.segment_rows);
        const int left = int(p.out_height) - row;
        pairs = ((left < p.segment_rows ? left : int(p.segment_rows)) + 1) / 2;
    }
};

// Copies what pairs need to shared memory, in the order of the pairs.
struct Source {
    const S *x, *output, *features;  // at the walk's image
    int top, left, row, column;      // of x and of the output, next to copy
    int to_row;                      // in the ring

    DEVICE Source(const Problem& p, const Walk& walk, const S* of_x, const S* grad_output,
                  const S* of_features)
        : x(of_x + walk.image * p.height * p.width * CHANNELS),
          output(grad_output + walk.image * p.out_height * p.out_width * CHANNELS),
          features(of_features + walk.image * p.out_height * p.out_width * HIDDEN),
          left(walk.column * STRIDE - int(p.pad_columns)), row(walk.row), column(walk.column) {
        // Chunks end where the first pair's rows end, so the first one may begin above them.
        to_row = K + STRIDE - CHUNKS * PAIR_STEP;
        top = walk.row * STRIDE - int(p.pad_rows) + to_row;
    }
    // The next 2 STRIDE rows of x.
    DEVICE void load_rows(const Problem& p, S* ring) {
        constexpr int COUNT = PAIR_STEP * REACH * PIECES;
#pragma unroll
        for (int pass = 0; pass < (COUNT + THREADS - 1) / THREADS; ++pass) {
            const int i = pass * THREADS + int(threadIdx.x);
            const int piece = i % PIECES, at = i / PIECES % REACH, line = i / PIECES / REACH;
            const bool inside = within(left + at, p.width) && within(top + line, p.height);
            const int64 pixel = int64(top + line) * p.width + left + at;
            int to = to_row + line;
            if (i >= COUNT || to < 0) continue;
            if (to >= RING_ROWS) to -= RING_ROWS;
            copy_async(ring + to * X_LINE + place(at, piece), x + pixel * CHANNELS + 8 * piece,
                       inside);
        }
        top += PAIR_STEP;
        to_row += PAIR_STEP;
        if (to_row >= RING_ROWS) to_row -= RING_ROWS;
    }
    // The next pair's gradient of the output, and features.
    DEVICE void load_pixels(const Problem& p, S* to_output, S* to_features) {
#pragma unroll
        for (int pass = 0; pass * THREADS < PAIR * PIECES; ++pass) {
            const int i = pass * THREADS + int(threadIdx.x), piece = i % PIECES, at = i / PIECES;
            if (at < PAIR)
                copy_async(to_output + place(at, piece),
                           output + pixel(p, at) * CHANNELS + 8 * piece, has(p, at));
        }
#pragma unroll
        for (int pass = 0; pass * THREADS < PAIR * HIDDEN_PIECES; ++pass) {
            const int i = pass * THREADS + int(threadIdx.x);
            const int piece = i % HIDDEN_PIECES, at = i / HIDDEN_PIECES;
            if (at < PAIR)
                copy_piece<HIDDEN>(to_features + at * FEATURE_ROW + 8 * piece,
                                   features + pixel(p, at) * HIDDEN + 8 * piece, piece, has(p, at));
        }
        row += 2;
    }
    DEVICE bool has(const Problem& p, int at) const {
        return row + at / STRIP < int(p.out_height) && column + at % STRIP < int(p.out_width);
    }
    DEVICE int64 pixel(const Problem& p, int at) const {
        return int64(row + at / STRIP) * p.out_width + column + at % STRIP;
    }
};

// The warp's S, taps by features, as a product's second operand.
struct Weight {
    static constexpr int KEPT = WEIGHT_SHARED ? 1 : ROW_PAIRS;
    uint32 kept[KEPT][WEIGHT_TILES][4];
    Words* shared;

    DEVICE Weight(const S* weight, Words* to) : shared(to + threadIdx.x) {
        weight += int64(warp()) * ENTRIES * HIDDEN;
#pragma unroll
        for (int m = 0; m < ROW_PAIRS; ++m) {
#pragma unroll
            for (int n = 0; n < WEIGHT_TILES; ++n) {
                Words words;
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int feature = 16 * n + i / 2 * 8 + lane() / 4, u = 2 * m + i % 2;
                    const uint32 low = number(weight, u, tap_of(lane() % 4 * 2), feature);
                    const uint32 high = number(weight, u, tap_of(lane() % 4 * 2 + 1), feature);
                    words.word[i] = low | high << 16;
                    if constexpr (!WEIGHT_SHARED) kept[m][n][i] = words.word[i];
                }
                if constexpr (WEIGHT_SHARED) shared[(m * WEIGHT_TILES + n) * THREADS] = words;
            }
        }
    }
    static DEVICE uint32 number(const S* weight, int u, int v, int feature) {
        if (u >= K || v >= K || feature >= HIDDEN) return 0;
        return weight[(u * K + v) * HIDDEN + feature].bits;
    }
    DEVICE void get(int m, int n, uint32 (&to)[4]) const {
        if constexpr (WEIGHT_SHARED) {
            const Words words = shared[(m * WEIGHT_TILES + n) * THREADS];
#pragma unroll
            for (int i = 0; i < 4; ++i) to[i] = words.word[i];
        } else {
#pragma unroll
            for (int i = 0; i < 4; ++i) to[i] = kept[m][n][i];
        }
    }
};

// The warp's part of gt, pixels by features, for the others to see: [group][tile][strip][lane].
DEVICE void give_features(const uint32 (&entries)[K][2], const Weight& weight, Two* to) {
    to += warp() * TILES * 64 + lane();
#pragma unroll
    for (int n = 0; n < WEIGHT_TILES; ++n) {
        float d[2][4] = {};
#pragma unroll
        for (int m = 0; m < ROW_PAIRS; ++m) {
            uint32 a[4], b[4];
            pixels_by_taps(entries, 2 * m, a);
            weight.get(m, n, b);
            const uint32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
            mma_m16n8k16<S>(d[0], a, low);
            if (2 * n + 1 < TILES) mma_m16n8k16<S>(d[1], a, high);
        }
#pragma unroll
        for (int half = 0; half < 2 && 2 * n + half < TILES; ++half) {
            to[(2 * n + half) * 64] = {d[half][0], d[half][1]};
            to[(2 * n + half) * 64 + 32] = {d[half][2], d[half][3]};
        }
    }
}

// The sum of all warps' parts to gt, from the pair's first pixel on.
DEVICE void store_features(const Problem& p, const Walk& walk, int pair, const Two* from, S* to) {
#pragma unroll
    for (int pass = 0; pass * THREADS < TILES * 64; ++pass) {
        const int i = pass * THREADS + int(threadIdx.x);
        if (i >= TILES * 64) break;
        Two sum = from[i];
#pragma unroll
        for (int group = 1; group < GROUPS; ++group) {
            const Two other = from[group * TILES * 64 + i];
            sum.first += other.first;
            sum.second += other.second;
        }
        const int row = walk.row + 2 * pair + i / 32 % 2, column = walk.column + i % 32 / 4;
        const int feature = i / 64 * 8 + i % 4 * 2;
        if (row >= int(p.out_height) || column >= int(p.out_width)) continue;
        S* at = to + ((walk.image * p.out_height + row) * p.out_width + column) * HIDDEN + feature;
        const uint32 both = pack<S>(sum.first, sum.second);
        if constexpr (HIDDEN % 2 == 0) {
            if (feature < HIDDEN) *reinterpret_cast<uint32*>(at) = both;
        } else {
            if (feature < HIDDEN) at[0] = S{uint16(both & 0xffff)};
            if (feature + 1 < HIDDEN) at[1] = S{uint16(both >> 16)};
        }
    }
}

// The grid is (parts). `biased` is null without a bias; `sums` is as in fused_backward_weight.cu.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    fused_grad_span(const Problem p, const S* grad_output, const S* x, const S* of_features,
                    const S* of_weight, const S* biased, S* grad_features, float* sums_of_parts) {
    S* const ring = shared_memory<S>();
    S* const outputs = ring + RING;
    S* const features = outputs + STAGES * OUTPUT_SIZE;
    Two* const parts = reinterpret_cast<Two*>(features + STAGES * FEATURE_SIZE);
    const Weight weight(of_weight, reinterpret_cast<Words*>(parts + GROUPS * TILES * 64));
    const Band band;
    Sums<ROW_PAIRS, TILES> sums;
    int x_at[2][SLICES], output_at[SLICES];
#pragma unroll
    for (int slice = 0; slice < SLICES; ++slice) {
        const int piece = warp() * (GROUP_CHANNELS / 8) + 2 * slice;
        x_at[0][slice] = place(x_column(0), piece + x_half());
        x_at[1][slice] = place(x_column(2), piece + x_half());
        output_at[slice] = place(lane() % 16, piece + lane() / 16);
    }
#pragma unroll 1
    for (int64 unit = blockIdx.x; unit < p.tiles; unit += p.parts) {
        const Walk walk(p, uint32(unit));
        Source source(p, walk, x, grad_output, of_features);
#pragma unroll 1
        for (int chunk = 1; chunk < CHUNKS; ++chunk) source.load_rows(p, ring);
        const auto load = [&](int pair, int stage) {
            if (pair < walk.pairs) {
                source.load_rows(p, ring);
                source.load_pixels(p, outputs + stage * OUTPUT_SIZE, features + stage * FEATURE_SIZE);
            }
            copy_async_commit();
        };
#pragma unroll 1
        for (int pair = 0; pair < AHEAD; ++pair) load(pair, pair);
        int head = 0;
#pragma unroll 1
        for (int pair = 0, stage = 0; pair < walk.pairs; ++pair) {
            copy_async_wait<AHEAD - 1>();
            __syncthreads();
            load(pair + AHEAD, stage == 0 ? AHEAD : stage - 1);
            uint32 output[SLICES][4], entries[K][2];
#pragma unroll
            for (int slice = 0; slice < SLICES; ++slice)
                load_matrices(output[slice], outputs + stage * OUTPUT_SIZE + output_at[slice]);
            const auto at = [&](int y, int slice, bool second) -> const S* {
                const uint32 line = uint32(head + y * X_LINE), before = line - uint32(RING);
                return ring + (line < before ? line : before) + x_at[second][slice];
            };
            pair_entries<K>(at, output, band, entries);
            give_features(entries, weight, parts);
            uint32 of_pixels[TILES][2];
            load_pair_features(of_pixels, features + stage * FEATURE_SIZE, FEATURE_ROW);
            sums.add(entries, of_pixels, biased != nullptr);
            __syncthreads();
            store_features(p, walk, pair, parts, grad_features);
            head += PAIR_STEP * X_LINE;
            if (head >= RING) head -= RING;
            stage = stage + 1 < STAGES ? stage + 1 : 0;
        }
    }
    const int64 count = int64(GROUPS) * ENTRIES;
    float* to = sums_of_parts + blockIdx.x * count * (HIDDEN + (biased != nullptr ? 1 : 0));
    const int first = warp() * ENTRIES;
    sums.each([&](int u, int v, int feature, float sum) {
        if (u < K && v < K && feature < HIDDEN) to[(first + u * K + v) * HIDDEN + feature] = sum;
    });
    if (biased == nullptr) return;
    sums.each_bias([&](int u, int v, float sum) {
        if (u < K && v < K) to[count * HIDDEN + first + u * K + v] = sum;
    });
}

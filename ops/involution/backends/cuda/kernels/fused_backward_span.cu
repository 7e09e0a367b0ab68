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
// Chunks of rows end where the first pair's rows end, so the first one may begin above them.
constexpr int ABOVE = CHUNKS * PAIR_STEP - (K + STRIDE);
constexpr int STAGES = AHEAD + 1;
constexpr int OUTPUT_SIZE = PAIR * X_ROW;
constexpr int FEATURE_ROW = 16 * HIDDEN_TILES + GAP, FEATURE_SIZE = PAIR * FEATURE_ROW;
constexpr int TILES = HIDDEN_PIECES, WEIGHT_TILES = (TILES + 1) / 2;  // 8 and 16 features
constexpr int PARTS_SIZE = GROUPS * TILES * 64;  // what groups have to add to gt, two numbers each
constexpr int SHARED_BYTES = 2 * (RING + STAGES * (OUTPUT_SIZE + FEATURE_SIZE)) + 8 * PARTS_SIZE +
                             (WEIGHT_SHARED ? 16 * ROW_PAIRS * WEIGHT_TILES * THREADS : 0);
constexpr int MIN_BLOCKS = resident(WEIGHT_SHARED && BLACKWELL ? 1 : BLOCKS, SHARED_BYTES);
static_assert(GROUP_CHANNELS % 16 == 0, "a slice of a group has nothing of the next one's");

// Where 8 channels of a column are: eight columns beside each other meet no bank twice.
DEVICE int place(uint32 column, uint32 piece) {
    return int(column * X_ROW + 8 * (SWIZZLED ? piece ^ column % 8 : piece));
}

// A place in the ring, from one before 2 RING.
DEVICE uint32 wrapped(uint32 at) { return at < at - uint32(RING) ? at : at - uint32(RING); }

// A strip of 8 columns that a block walks down, and what its pairs need, which it copies to shared
// memory. A thread has the same 8 channels of the same columns throughout. Places are counted in
// pixels, of which there are less than 2^32, since registers are scarce.
struct Walk {
    static constexpr int COLUMNS = THREADS / PIECES;  // from a thread's column to its next
    static constexpr int PASSES = (REACH + COLUMNS - 1) / COLUMNS;
    static constexpr int FEATURE_PASSES = (PAIR * HIDDEN_PIECES + THREADS - 1) / THREADS;
    static_assert(THREADS % PIECES == 0 && COLUMNS % STRIP == 0, "places differ by a constant");

    uint32 pixel, x_pixel;  // the strip's first in output row `row`; this thread's in x's next row
    int row, end, column;

    DEVICE Walk(const Problem& p, uint32 unit) {
        const uint32 across = uint32(p.tiles_across), down = uint32(p.tiles_down);
        const uint32 line = unit / across, image = line / down;
        column = int(unit - line * across) * STRIP;
        row = int(line - image * down) * int(p.segment_rows);
        end = row + int(p.segment_rows);
        if (end > int(p.out_height)) end = int(p.out_height);
        pixel = (image * uint32(p.out_height) + row) * uint32(p.out_width) + column;
        x_pixel = (image * uint32(p.height) + top(p) - ABOVE) * uint32(p.width) +
                  first_column(p) + int(threadIdx.x) / PIECES;
    }
    // Where the windows of the pair at `row` begin in x.
    DEVICE int top(const Problem& p) const { return row * STRIDE - int(p.pad_rows); }
    DEVICE int first_column(const Problem& p) const {
        return column * STRIDE - int(p.pad_columns);
    }

    // The next 2 STRIDE rows of x, from `top` on, to `to` of the ring; of the first chunk those
    // that are needed.
    DEVICE void load_rows(const Problem& p, const S* x, int top, S* ring, uint32 to, bool first) {
        const uint32 thread = unkept(threadIdx.x);
        const int own = int(thread / PIECES), piece = int(thread % PIECES);
        const int at = place(own, piece), left = first_column(p) + own;
#pragma unroll
        for (int line = 0; line < PAIR_STEP; ++line) {
            const bool skip = first && line < ABOVE, inside = within(top + line, p.height);
#pragma unroll
            for (int pass = 0; pass < PASSES; ++pass) {
                const uint32 further = pass * COLUMNS;
                if (!skip && own + further < REACH)
                    copy_async(ring + to + at + further * X_ROW,
                               x + int64(x_pixel + further) * CHANNELS + 8 * piece,
                               inside && within(left + further, p.width));
            }
            x_pixel += uint32(p.width);
            to = wrapped(to + X_LINE);
        }
    }
    // Of the pair at `row`, which is the next one from then on: output's gradient and features.
    DEVICE void load_pixels(const Problem& p, const S* output, const S* features, S* to_output,
                            S* to_features) {
        const int rows = end - row, columns = int(p.out_width) - column, width = int(p.out_width);
        const uint32 thread = unkept(threadIdx.x);
        const int own = int(thread / PIECES), piece = int(thread % PIECES);
#pragma unroll
        for (int at = 0; at < PAIR; at += COLUMNS) {
            const int strip = (own + at) / STRIP, next = own % STRIP;
            if (own + at < PAIR)
                copy_async(to_output + place(own, piece) + at * X_ROW,
                           output + int64(pixel + uint32(strip * width + next)) * CHANNELS +
                               8 * piece,
                           strip < rows && next < columns);
        }
#pragma unroll
        for (int pass = 0; pass < FEATURE_PASSES; ++pass) {
            const uint32 i = pass * THREADS + thread;
            const int part = int(i % HIDDEN_PIECES);
            const int at = int(i / HIDDEN_PIECES), strip = at / STRIP, next = at % STRIP;
            if (at < PAIR)
                copy_piece<HIDDEN>(
                    to_features + at * FEATURE_ROW + 8 * part,
                    features + int64(pixel + uint32(strip * width + next)) * HIDDEN + 8 * part, part,
                    strip < rows && next < columns);
        }
        row += 2;
        pixel += 2 * uint32(width);
    }
};

// The warp's S, taps by features, as a product's second operand.
struct Weight {
    static constexpr int KEPT = WEIGHT_SHARED ? 1 : ROW_PAIRS;
    uint32 kept[KEPT][WEIGHT_TILES][4];

    DEVICE Weight(const S* weight, Words* shared) {
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
                const int at = (m * WEIGHT_TILES + n) * THREADS + int(threadIdx.x);
                if constexpr (WEIGHT_SHARED) shared[at] = words;
            }
        }
    }
    static DEVICE uint32 number(const S* weight, int u, int v, int feature) {
        if (u >= K || v >= K || feature >= HIDDEN) return 0;
        return weight[(u * K + v) * HIDDEN + feature].bits;
    }
    DEVICE void get(const Words* shared, int m, int n, uint32 (&to)[4]) const {
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
    const uint32 thread = unkept(threadIdx.x);
    const Words* shared = reinterpret_cast<Words*>(to + PARTS_SIZE) + thread;
    to += thread / 32 * TILES * 64 + thread % 32;
#pragma unroll
    for (int n = 0; n < WEIGHT_TILES; ++n) {
        float d[2][4] = {};
        __syncwarp();  // or all of the weight would be loaded at once, and registers not do
#pragma unroll
        for (int m = 0; m < ROW_PAIRS; ++m) {
            uint32 a[4], b[4];
            pixels_by_taps(entries, 2 * m, a);
            weight.get(shared, m, n, b);
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

// The sum of all warps' parts to gt, from `pixel` on, where there are rows and columns.
DEVICE void store_features(const Problem& p, uint32 pixel, int rows, int columns, const Two* from,
                           S* to) {
    const uint32 thread = unkept(threadIdx.x);
#pragma unroll
    for (int pass = 0; pass * THREADS < TILES * 64; ++pass) {
        const uint32 i = pass * THREADS + thread;
        if (i >= TILES * 64) break;
        Two sum = from[i];
#pragma unroll
        for (int group = 1; group < GROUPS; ++group) {
            const Two other = from[group * TILES * 64 + i];
            sum.first += other.first;
            sum.second += other.second;
        }
        const int strip = int(i / 32 % 2), column = int(i % 32 / 4);
        const int feature = int(i / 64 * 8 + i % 4 * 2);
        if (strip >= rows || column >= columns) continue;
        S* at = to + int64(pixel + uint32(strip * int(p.out_width) + column)) * HIDDEN + feature;
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
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    fused_grad_span(const Problem p, const S* grad_output, const S* x, const S* of_features,
                    const S* of_weight, const S* biased, S* grad_features, float* sums_of_parts) {
    S* const ring = shared_memory<S>();
    S* const outputs = ring + RING;
    S* const features = outputs + STAGES * OUTPUT_SIZE;
    Two* const parts = reinterpret_cast<Two*>(features + STAGES * FEATURE_SIZE);
    const Weight weight(of_weight, reinterpret_cast<Words*>(parts + PARTS_SIZE));
    const Band band;
    Sums<ROW_PAIRS, TILES> sums;
#pragma unroll 1
    for (uint32 unit = blockIdx.x; unit < uint32(p.tiles); unit += uint32(p.parts)) {
        Walk walk(p, unit);
        uint32 head = ABOVE == 0 ? 0 : RING - ABOVE * X_LINE;
#pragma unroll 1
        for (int chunk = 1; chunk < CHUNKS; ++chunk) {
            const int top = walk.top(p) + (chunk - 1) * PAIR_STEP - ABOVE;
            walk.load_rows(p, x, top, ring, head, chunk == 1);
            head = wrapped(head + PAIR_STEP * X_LINE);
        }
        const auto load = [&](int stage) {
            constexpr int FURTHER = (CHUNKS - 1) * PAIR_STEP - ABOVE;  // a chunk is the pair's last
            if (walk.row < walk.end)
                walk.load_rows(p, x, walk.top(p) + FURTHER, ring, head, CHUNKS == 1);
            walk.load_pixels(p, grad_output, of_features, outputs + stage * OUTPUT_SIZE,
                             features + stage * FEATURE_SIZE);
            copy_async_commit();
            head = wrapped(head + PAIR_STEP * X_LINE);
        };
#pragma unroll 1
        for (int stage = 0; stage < AHEAD; ++stage) load(stage);
        // In the ring 2 STRIDE rows are free then; behind them the first pair's begin.
#pragma unroll 1
        for (int stage = 0; walk.row < walk.end + 2 * AHEAD;) {
            copy_async_wait<AHEAD - 1>();
            __syncthreads();
            load(stage == 0 ? AHEAD : stage - 1);
            uint32 output[SLICES][4], entries[K][2];
            int x_at[2][SLICES];
            const uint32 thread = unkept(threadIdx.x), own = thread % 32;
#pragma unroll
            for (int slice = 0; slice < SLICES; ++slice) {
                const uint32 piece = thread / 32 * (GROUP_CHANNELS / 8) + 2 * slice;
                x_at[0][slice] = place(x_column(own, 0), piece + x_half(own));
                x_at[1][slice] = place(x_column(own, 2), piece + x_half(own));
                load_matrices(output[slice], outputs + stage * OUTPUT_SIZE +
                                                 place(own % 16, piece + own / 16));
            }
            const auto at = [&](int y, int slice, bool second) -> const S* {
                return ring + wrapped(head + uint32(y * X_LINE)) + x_at[second][slice];
            };
            pair_entries<K>(at, output, band, entries);
            give_features(entries, weight, parts);
            sums.add(entries, features + stage * FEATURE_SIZE, FEATURE_ROW, biased != nullptr);
            __syncthreads();
            constexpr int LEAD = 2 * (AHEAD + 1);  // rows that copies are ahead
            store_features(p, walk.pixel - LEAD * uint32(p.out_width), walk.end - walk.row + LEAD,
                           int(p.out_width) - walk.column, parts, grad_features);
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

// gt: a block has one tile and every group of its part, one after the other, and sums in registers.
// With one part it stores gt, with more its sums, (parts, pixels, HIDDEN), to be added up.
#include "fused_backward_tile.h"

// Rows of 8 taps each for an even number of rows of the window; what is no entry stays zero.
constexpr int WEIGHT_ROW = 16 * HIDDEN_TILES + GAP, WEIGHT_SIZE = 16 * ROW_PAIRS * WEIGHT_ROW;
constexpr int SHARED_BYTES = 2 * 2 * (X_SIZE + OUTPUT_SIZE + WEIGHT_SIZE);
constexpr int WANTED_BLOCKS = HIDDEN > 128 ? 1 : (STRIDE == 2 ? 2 : (HIDDEN <= 32 ? 4 : 3));
constexpr int MIN_BLOCKS = resident(WANTED_BLOCKS, SHARED_BYTES);

DEVICE void load_weight(int group, const S* weight, S* to) {
    weight += int64(group) * ENTRIES * HIDDEN;
    const uint32 thread = unkept(threadIdx.x);
#pragma unroll
    for (int pass = 0; pass * TILE_THREADS < ENTRIES * HIDDEN_PIECES; ++pass) {
        const uint32 i = pass * TILE_THREADS + thread;
        const int entry = int(i / HIDDEN_PIECES), piece = int(i % HIDDEN_PIECES);
        if (entry >= ENTRIES) break;
        const S* from = weight + entry * HIDDEN + 8 * piece;
        const int row = entry / K * 8 + entry % K;
        copy_piece<HIDDEN>(to + row * WEIGHT_ROW + 8 * piece, from, piece, true);
    }
}

// Of two rows of pixels: pixels by features, 8 of these each.
typedef float Totals[2 * HIDDEN_TILES][4];

DEVICE void add_group(const uint32 (&entries)[K][2], const S* weight, Totals& totals) {
    const int row = lane() / 8 % 2 * 8 + int(tap_of(lane() % 8));
    weight += row * WEIGHT_ROW + lane() / 16 * 8;
#pragma unroll
    for (int m = 0; m < ROW_PAIRS; ++m) {
        uint32 a[4];
        pixels_by_taps(entries, 2 * m, a);
#pragma unroll
        for (int n = 0; n < HIDDEN_TILES; ++n) {
            uint32 b[4];
            load_matrices_transposed(b, weight + 16 * m * WEIGHT_ROW + 16 * n);
            const uint32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
            mma_m16n8k16<S>(totals[2 * n], a, low);
            mma_m16n8k16<S>(totals[2 * n + 1], a, high);
        }
    }
}

DEVICE void store_pair(S* to, int channel, uint32 pair) {
    if constexpr (HIDDEN % 2 == 0) {
        if (channel < HIDDEN) *reinterpret_cast<uint32*>(to + channel) = pair;
    } else {
        if (channel < HIDDEN) to[channel] = S{uint16(pair)};
        if (channel + 1 < HIDDEN) to[channel + 1] = S{uint16(pair >> 16)};
    }
}

DEVICE void store_features(const Problem& p, const Place& place, const Totals& totals, S* to) {
#pragma unroll
    for (int strip = 0; strip < 2; ++strip) {
        const int at = PAIR * warp() + TILE * strip + lane() / 4;
        if (!place.has(p, at)) continue;
        S* pixel = to + (place.first(p) + place.step(p, at)) * HIDDEN;
#pragma unroll
        for (int n = 0; n < 2 * HIDDEN_TILES; ++n)
            store_pair(pixel, 8 * n + lane() % 4 * 2,
                       pack<S>(totals[n][2 * strip], totals[n][2 * strip + 1]));
    }
}

DEVICE void store_part(const Problem& p, const Place& place, const Totals& totals, float* to) {
    to += blockIdx.y * p.images * p.out_height * p.out_width * HIDDEN;
#pragma unroll
    for (int strip = 0; strip < 2; ++strip) {
        const int at = PAIR * warp() + TILE * strip + lane() / 4;
        if (!place.has(p, at)) continue;
        float* pixel = to + (place.first(p) + place.step(p, at)) * HIDDEN;
#pragma unroll
        for (int n = 0; n < 2 * HIDDEN_TILES; ++n) {
            const int feature = 8 * n + lane() % 4 * 2;
            const float first = totals[n][2 * strip], second = totals[n][2 * strip + 1];
            if constexpr (HIDDEN % 2 == 0) {
                if (feature < HIDDEN) *reinterpret_cast<Two*>(pixel + feature) = {first, second};
            } else {
                if (feature < HIDDEN) pixel[feature] = first;
                if (feature + 1 < HIDDEN) pixel[feature + 1] = second;
            }
        }
    }
}

// The grid is (tiles, parts). One of the last two pointers is null.
extern "C" __global__ void __launch_bounds__(TILE_THREADS, MIN_BLOCKS)
    fused_grad_features(const Problem p, const S* grad_output, const S* x, const S* weight,
                        S* grad_features, float* sums_of_parts) {
    S* const tiles = shared_memory<S>();
    S* const outputs = tiles + 2 * X_SIZE;
    S* const weights = outputs + 2 * OUTPUT_SIZE;
    const int part = int(blockIdx.y), groups = int(p.groups), parts = int(p.parts);
    const int first = part * groups / parts, last = (part + 1) * groups / parts;
    const Place place(p, blockIdx.x);
    clear_shared(SHARED_BYTES);
    const Band band;
    Totals totals = {};
    const auto load = [&](int group, int to) {
        load_x(p, place, group, x, tiles + to * X_SIZE);
        load_weight(group, weight, weights + to * WEIGHT_SIZE);
        load_output(p, place, group, grad_output, outputs + to * OUTPUT_SIZE);
        copy_async_commit();
    };
    load(first, 0);
#pragma unroll 1
    for (int group = first, buffer = 0; group < last; ++group, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        if (group + 1 < last) load(group + 1, buffer ^ 1);
        if (unkept(threadIdx.x) / 32 >= uint32(place.pairs(p))) continue;
        uint32 entries[K][2];
        tile_entries<K>(tiles + buffer * X_SIZE, outputs + buffer * OUTPUT_SIZE, warp(), 0, band,
                        entries);
        add_group(entries, weights + buffer * WEIGHT_SIZE, totals);
    }
    if (sums_of_parts == nullptr) return store_features(p, place, totals, grad_features);
    store_part(p, place, totals, sums_of_parts);
}

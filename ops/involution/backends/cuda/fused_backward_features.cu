// gt: a block has one tile and every group of its part, one after the other, and sums in registers.
// With one part it stores gt, with more its sums, (parts, pixels, HIDDEN), to be added up.
#include "fused_backward_tile.h"

constexpr int WEIGHT_ROW = 16 * HIDDEN_TILES + GAP, WEIGHT_SIZE = 16 * ENTRY_TILES * WEIGHT_ROW;
constexpr int MIN_BLOCKS = HIDDEN <= 32 ? 4 : (HIDDEN <= 128 ? 3 : 1);  // on an SM
constexpr int SHARED_BYTES = 2 * (2 * X_SIZE + GRAD_SIZE + 2 * WEIGHT_SIZE);

DEVICE void load_weight(int group, const S* weight, S* to) {
    weight += int64(group) * ENTRIES * HIDDEN;
#pragma unroll
    for (int pass = 0; pass * TILE_THREADS < ENTRIES * HIDDEN_PIECES; ++pass) {
        const int i = pass * TILE_THREADS + int(threadIdx.x);
        const int entry = i / HIDDEN_PIECES, piece = i % HIDDEN_PIECES;
        if (entry >= ENTRIES) break;
        const S* from = weight + entry * HIDDEN + 8 * piece;
        copy_piece<HIDDEN>(to + entry * WEIGHT_ROW + 8 * piece, from, piece, true);
    }
}

typedef float Totals[2][HIDDEN_TILES][4];

DEVICE void add_group(const S* grad, const S* weight, Totals& totals) {
    uint32 b[2][ENTRY_TILES][2];
#pragma unroll
    for (int strip = 0; strip < 2; ++strip) {
        const S* from =
            grad + ((2 * warp() + strip) * TILE + lane() % 8) * ENTRY_ROW + lane() / 8 % 2 * 8;
#pragma unroll
        for (int k = 0; k < ENTRY_TILES; ++k) load_matrices(b[strip][k], from + 16 * k);
    }
#pragma unroll
    for (int m = 0; m < HIDDEN_TILES; ++m) {
#pragma unroll
        for (int k = 0; k < ENTRY_TILES; ++k) {
            uint32 a[4];
            load_matrices_transposed(a, weight + 16 * k * WEIGHT_ROW + transposed(WEIGHT_ROW) + 16 * m);
            mma_m16n8k16<S>(totals[0][m], a, b[0][k]);
            mma_m16n8k16<S>(totals[1][m], a, b[1][k]);
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
        const int at = (2 * warp() + strip) * TILE + pair_pixel();
        const int64 pixel = place.first(p) + place.step(p, at);
        const bool valid = place.has(p, at);
#pragma unroll
        for (int m = 0; m < HIDDEN_TILES; ++m) {
            uint32 pairs[2];
            pair_channels(totals[strip][m], pairs);
            if (!valid) continue;
            store_pair(to + pixel * HIDDEN, 16 * m + pair_channel(), pairs[0]);
            store_pair(to + pixel * HIDDEN, 16 * m + pair_channel() + 8, pairs[1]);
        }
    }
}

DEVICE void store_part(const Problem& p, const Place& place, const Totals& totals, float* to) {
    to += blockIdx.y * p.images * p.out_height * p.out_width * HIDDEN;
#pragma unroll
    for (int strip = 0; strip < 2; ++strip) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int at = (2 * warp() + strip) * TILE + lane() % 4 * 2 + i % 2;
            const int64 pixel = place.first(p) + place.step(p, at);
            const bool valid = place.has(p, at);
#pragma unroll
            for (int m = 0; m < HIDDEN_TILES; ++m) {
                const int channel = 16 * m + lane() / 4 + i / 2 * 8;
                if (valid && channel < HIDDEN)
                    to[pixel * HIDDEN + channel] = totals[strip][m][i];
            }
        }
    }
}

// The grid is (tiles, parts). One of the last two pointers is null.
extern "C" __global__ void __launch_bounds__(TILE_THREADS, MIN_BLOCKS)
    fused_grad_features(const Problem p, const S* grad_output, const S* x, const S* weight,
                        S* grad_features, float* sums_of_parts) {
    S* const tiles = shared_memory<S>();
    S* const grad = tiles + 2 * X_SIZE;
    S* const weights = grad + GRAD_SIZE;
    const int part = int(blockIdx.y), groups = int(p.groups), parts = int(p.parts);
    const int first = part * groups / parts, last = (part + 1) * groups / parts;
    const Place place(p, blockIdx.x);
    clear_shared(SHARED_BYTES);
    Totals totals;
#pragma unroll
    for (int strip = 0; strip < 2; ++strip)
#pragma unroll
        for (int m = 0; m < HIDDEN_TILES; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i) totals[strip][m][i] = 0;
    Output now, next;
    const auto load = [&](int group, int to) {
        load_x(p, place, group, x, tiles + to * X_SIZE);
        load_weight(group, weight, weights + to * WEIGHT_SIZE);
        next.load(p, place, group, grad_output);
        copy_async_commit();
    };
    load(first, 0);
#pragma unroll 1
    for (int group = first, buffer = 0; group < last; ++group, buffer ^= 1) {
        now = next;
        copy_async_wait<0>();
        __syncthreads();
        if (group + 1 < last) load(group + 1, buffer ^ 1);
        grad_entries(tiles + buffer * X_SIZE, now, grad);
        __syncwarp();
        add_group(grad, weights + buffer * WEIGHT_SIZE, totals);
        __syncwarp();
    }
    if (sums_of_parts == nullptr) return store_features(p, place, totals, grad_features);
    store_part(p, place, totals, sums_of_parts);
}

// gS and gb: a block has one group and every `parts`-th tile, and leaves its sums in a row of `sums`
// (parts, groups ENTRIES HIDDEN + groups ENTRIES), the weight's and then the bias's.
#include "fused_backward_tile.h"

// A warp sums 16 ENTRY_TILES x 16 OWN_TILES numbers, over a quarter of the pixels or more.
constexpr int HIDDEN_PARTS = HIDDEN_TILES > 4 ? 4 : (HIDDEN_TILES > 2 ? 2 : 1);
constexpr int OWN_TILES = (HIDDEN_TILES + HIDDEN_PARTS - 1) / HIDDEN_PARTS;
constexpr int PIXEL_PARTS = TILE_WARPS / HIDDEN_PARTS;
constexpr int FEATURE_ROW = 16 * OWN_TILES * HIDDEN_PARTS + GAP;
constexpr int FEATURE_SIZE = TILE_PIXELS * FEATURE_ROW;
constexpr int SUM_ROW = 16 * OWN_TILES * HIDDEN_PARTS + 4;

constexpr int MIN_BLOCKS = HIDDEN <= 16 ? 4 : (HIDDEN <= 64 ? 3 : 2);  // on an SM
constexpr int USED_BYTES = 2 * (2 * X_SIZE + GRAD_SIZE + 2 * FEATURE_SIZE);
constexpr int SUM_BYTES = 4 * 16 * ENTRY_TILES * (SUM_ROW + 1);
constexpr int SHARED_BYTES = USED_BYTES > SUM_BYTES ? USED_BYTES : SUM_BYTES;

DEVICE void load_features(const Problem& p, const Place& place, const S* features, S* to) {
    features += place.first(p) * HIDDEN;
#pragma unroll
    for (int pass = 0; pass * TILE_THREADS < TILE_PIXELS * HIDDEN_PIECES; ++pass) {
        const int i = pass * TILE_THREADS + int(threadIdx.x);
        const int pixel = i / HIDDEN_PIECES, piece = i % HIDDEN_PIECES;
        if (pixel >= TILE_PIXELS) break;
        const S* from = features + place.step(p, pixel) * HIDDEN + 8 * piece;
        copy_piece<HIDDEN>(to + pixel * FEATURE_ROW + 8 * piece, from, piece, place.has(p, pixel));
    }
}

struct Sums {
    float weight[ENTRY_TILES][2 * OWN_TILES][4], bias[ENTRY_TILES][4];

    DEVICE Sums() {
#pragma unroll
        for (int m = 0; m < ENTRY_TILES; ++m) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                bias[m][i] = 0;
#pragma unroll
                for (int n = 0; n < 2 * OWN_TILES; ++n) weight[m][n][i] = 0;
            }
        }
    }

    DEVICE void add(const S* grad, const S* features, int hidden_part, int pixel_part, bool biased) {
        const uint32 one = pack<S>(1, 1), ones[2] = {one, one};
#pragma unroll
        for (int step = 0; step < HIDDEN_PARTS; ++step) {
            const int pixel = 16 * (pixel_part + step * PIXEL_PARTS);
            uint32 b[OWN_TILES][4];
#pragma unroll
            for (int n = 0; n < OWN_TILES; ++n)
                load_matrices_transposed(b[n], features + pixel * FEATURE_ROW +
                                                   straight(FEATURE_ROW) +
                                                   16 * (hidden_part * OWN_TILES + n));
#pragma unroll
            for (int m = 0; m < ENTRY_TILES; ++m) {
                uint32 a[4];
                load_matrices_transposed(a, grad + pixel * ENTRY_ROW + transposed(ENTRY_ROW) + 16 * m);
#pragma unroll
                for (int n = 0; n < 2 * OWN_TILES; ++n) {
                    const uint32 half[2] = {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]};
                    mma_m16n8k16<S>(weight[m][n], a, half);
                }
                if (biased) mma_m16n8k16<S>(bias[m], a, ones);
            }
        }
    }

    // Adds to the block's, or begins them.
    DEVICE void give(float* weights, float* biases, int hidden_part, bool begin) const {
#pragma unroll
        for (int m = 0; m < ENTRY_TILES; ++m) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int entry = 16 * m + lane() / 4 + i / 2 * 8;
                float* row = weights + entry * SUM_ROW + lane() % 4 * 2 + i % 2;
#pragma unroll
                for (int n = 0; n < 2 * OWN_TILES; ++n) {
                    float& to = row[16 * hidden_part * OWN_TILES + 8 * n];
                    to = begin ? weight[m][n][i] : to + weight[m][n][i];
                }
                if (hidden_part == 0 && lane() % 4 == 0 && i % 2 == 0)
                    biases[entry] = begin ? bias[m][i] : biases[entry] + bias[m][i];
            }
        }
    }
};

// Their sums over the warps, to their places.
DEVICE void store_sums(const Problem& p, const Sums& sums, int hidden_part, int pixel_part,
                       bool biased, float* to) {
    float* weights = shared_memory<float>();
    float* biases = weights + 16 * ENTRY_TILES * SUM_ROW;
    for (int turn = 0; turn < PIXEL_PARTS; ++turn) {
        __syncthreads();
        if (turn == pixel_part) sums.give(weights, biases, hidden_part, turn == 0);
    }
    __syncthreads();
    const int64 group = blockIdx.y, count = p.groups * ENTRIES;
    to += blockIdx.x * count * (HIDDEN + (biased ? 1 : 0));
    for (int i = int(threadIdx.x); i < ENTRIES * HIDDEN; i += TILE_THREADS)
        to[group * ENTRIES * HIDDEN + i] = weights[i / HIDDEN * SUM_ROW + i % HIDDEN];
    if (!biased) return;
    for (int i = int(threadIdx.x); i < ENTRIES; i += TILE_THREADS)
        to[count * HIDDEN + group * ENTRIES + i] = biases[i];
}

// The grid is (parts, groups). `biased` is null without a bias.
extern "C" __global__ void __launch_bounds__(TILE_THREADS, MIN_BLOCKS)
    fused_grad_weight(const Problem p, const S* grad_output, const S* x, const S* features,
                      const S* biased, float* sums_of_parts) {
    S* const tiles = shared_memory<S>();
    S* const grad = tiles + 2 * X_SIZE;
    S* const feature_tiles = grad + GRAD_SIZE;
    const int group = int(blockIdx.y);
    const int hidden_part = warp() % HIDDEN_PARTS, pixel_part = warp() / HIDDEN_PARTS;
    clear_shared(SHARED_BYTES);
    Sums sums;
    Output now, next;
    int buffer = 0;
    const auto load = [&](int64 tile, int to) {
        const Place place(p, uint32(tile));
        load_x(p, place, group, x, tiles + to * X_SIZE);
        load_features(p, place, features, feature_tiles + to * FEATURE_SIZE);
        next.load(p, place, group, grad_output);
        copy_async_commit();
    };
    load(blockIdx.x, 0);
#pragma unroll 1
    for (int64 tile = blockIdx.x; tile < p.tiles; tile += p.parts, buffer ^= 1) {
        now = next;
        copy_async_wait<0>();
        __syncthreads();
        if (tile + p.parts < p.tiles) load(tile + p.parts, buffer ^ 1);
        grad_entries(tiles + buffer * X_SIZE, now, grad);
        if constexpr (HIDDEN_PARTS == 1) __syncwarp(); else __syncthreads();
        sums.add(grad, feature_tiles + buffer * FEATURE_SIZE, hidden_part, pixel_part,
                 biased != nullptr && hidden_part == 0);
    }
    store_sums(p, sums, hidden_part, pixel_part, biased != nullptr, sums_of_parts);
}

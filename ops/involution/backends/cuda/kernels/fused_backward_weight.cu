// gS and gb: a block has one group and every `parts`-th tile, and leaves its sums in a row of `sums`
// (parts, groups ENTRIES HIDDEN + groups ENTRIES), the weight's and then the bias's.
#include "fused_backward_tile.h"

// A warp sums all features of OWN_PAIRS pairs of rows of the window, in at most 128 registers, over
// the tile's pairs of strips or a part of them.
constexpr int TILES = HIDDEN_PIECES;
constexpr int MOST_ROW_PARTS = ROW_PAIRS == 3 ? 4 : ROW_PAIRS;
constexpr int WANTED_ROW_PARTS = HIDDEN > 64 ? 4 : (HIDDEN > 32 ? 2 : 1);
constexpr int ROW_PARTS = WANTED_ROW_PARTS < MOST_ROW_PARTS ? WANTED_ROW_PARTS : MOST_ROW_PARTS;
constexpr int OWN_PAIRS = (ROW_PAIRS + ROW_PARTS - 1) / ROW_PARTS;
constexpr int OWN_ROWS = 2 * OWN_PAIRS < K ? 2 * OWN_PAIRS : K;
constexpr int PIXEL_PARTS = TILE_WARPS / ROW_PARTS;
constexpr int FEATURE_ROW = 16 * HIDDEN_TILES + GAP, FEATURE_SIZE = TILE_PIXELS * FEATURE_ROW;
constexpr int SUM_ROW = 8 * TILES + 4;

constexpr int USED_BYTES = 2 * 2 * (X_SIZE + OUTPUT_SIZE + FEATURE_SIZE);
constexpr int SUM_BYTES = (4 * ENTRIES * (SUM_ROW + 1) + 15) / 16 * 16;
constexpr int SHARED_BYTES = USED_BYTES > SUM_BYTES ? USED_BYTES : SUM_BYTES;
constexpr int WANTED_BLOCKS =
    STRIDE == 2 || HIDDEN > 128 ? 2 : (HIDDEN <= 16 || (ROW_PARTS == 2 && !BLACKWELL) ? 4 : 3);
constexpr int MIN_BLOCKS = resident(WANTED_BLOCKS, SHARED_BYTES);

DEVICE void load_features(const Problem& p, const Place& place, const S* features, S* to) {
    features += place.first(p) * HIDDEN;
    const uint32 thread = unkept(threadIdx.x);
#pragma unroll
    for (int pass = 0; pass * TILE_THREADS < TILE_PIXELS * HIDDEN_PIECES; ++pass) {
        const uint32 i = pass * TILE_THREADS + thread;
        const int pixel = int(i / HIDDEN_PIECES), piece = int(i % HIDDEN_PIECES);
        if (pixel >= TILE_PIXELS) break;
        const S* from = features + place.step(p, pixel) * HIDDEN + 8 * piece;
        copy_piece<HIDDEN>(to + pixel * FEATURE_ROW + 8 * piece, from, piece, place.has(p, pixel));
    }
}

typedef Sums<OWN_PAIRS, TILES> OwnSums;

// Their sums over the warps, to their places.
DEVICE void store_sums(const Problem& p, const OwnSums& sums, int row_part, int pixel_part,
                       bool biased, float* to) {
    float* weights = shared_memory<float>();
    float* biases = weights + ENTRIES * SUM_ROW;
    const int first = 2 * OWN_PAIRS * row_part;
    for (int turn = 0; turn < PIXEL_PARTS; ++turn) {
        __syncthreads();
        if (turn != pixel_part) continue;
        const auto give = [&](float& place, float sum) {
            place = turn == 0 ? sum : place + sum;
        };
        sums.each([&](int u, int v, int feature, float sum) {
            if (first + u < K && v < K)
                give(weights[((first + u) * K + v) * SUM_ROW + feature], sum);
        });
        sums.each_bias([&](int u, int v, float sum) {
            if (first + u < K && v < K) give(biases[(first + u) * K + v], sum);
        });
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
    S* const outputs = tiles + 2 * X_SIZE;
    S* const feature_tiles = outputs + 2 * OUTPUT_SIZE;
    const int group = int(blockIdx.y);
    const int row_part = warp() % ROW_PARTS, pixel_part = warp() / ROW_PARTS;
    clear_shared(SHARED_BYTES);
    const Band band;
    OwnSums sums;
    int buffer = 0;
    const auto load = [&](int64 tile, int to) {
        const Place place(p, uint32(tile));
        load_x(p, place, group, x, tiles + to * X_SIZE);
        load_features(p, place, features, feature_tiles + to * FEATURE_SIZE);
        load_output(p, place, group, grad_output, outputs + to * OUTPUT_SIZE);
        copy_async_commit();
    };
    load(blockIdx.x, 0);
#pragma unroll 1
    for (int64 tile = blockIdx.x; tile < p.tiles; tile += p.parts, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        if (tile + p.parts < p.tiles) load(tile + p.parts, buffer ^ 1);
        const int pairs = Place(p, uint32(tile)).pairs(p);
#pragma unroll 1
        for (int pair = pixel_part; pair < pairs; pair += PIXEL_PARTS) {
            uint32 entries[OWN_ROWS][2];
            tile_entries<OWN_ROWS>(tiles + buffer * X_SIZE, outputs + buffer * OUTPUT_SIZE, pair,
                                   2 * OWN_PAIRS * row_part, band, entries);
            sums.add(entries,
                     feature_tiles + buffer * FEATURE_SIZE + PAIR * pair * FEATURE_ROW, FEATURE_ROW,
                     biased != nullptr);
        }
    }
    store_sums(p, sums, row_part, pixel_part, biased != nullptr, sums_of_parts);
}

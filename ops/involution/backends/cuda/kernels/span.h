// The kernel entries that the span makes, on tensor cores: for an output pixel p, a group, and a
// tap (u, v) of the K x K window, K at most 7,
//
//     h[p][u][v] = bias[u][v] + sum over i of features[p][i] weight[u][v][i]     (float, in order)
//
// A warp makes them for TILES times 16 pixels and one group, as products of 16 pixels and 8
// columns: each row u of the window has 8 columns of its own, column n being tap v = Order::tap(n),
// zero for v >= K. Nothing but registers is used, and the lanes wait for each other in the products
// alone, which all 32 must reach together.
//
//     float h[TILES][K][4];
//     span<S, K, FEATURES, InOrder, false>(pixels, there, weight, bias, h);
//
// pixels[2 * tile] and pixels[2 * tile + 1] are this lane's own: where the features of pixels
// lane / 4 and lane / 4 + 8 of the tile begin, and there[...] whether they are to be read; of a
// pixel that is not there features are zeros, entries the bias. The four lanes of a pixel give the
// same. weight is (K, K, FEATURES) and bias (K, K) or null, of the group, dense. FEATURES is a
// multiple of 4; features and weight begin at multiples of 16 bytes. If CLAMPED, negative features
// are zeros.
//
// h[tile][u][0] and [1] are columns 2 (lane % 4) and the next of pixel lane / 4 of the tile, [2]
// and [3] the same of pixel lane / 4 + 8: as mma_m16n8k16 leaves them.
#ifndef INVOLUTION_SPAN_H
#define INVOLUTION_SPAN_H

#include "fragment.h"

// Which tap of a window's row column n of the product is.
struct InOrder {
    static DEVICE int tap(int n) { return n; }
};
struct FourApart {  // 0, 4, 1, 5, 2, 6, 3: a lane has taps lane % 4 and that + 4
    static DEVICE int tap(int n) { return n / 2 + n % 2 * 4; }
};

template <class S, int K, class Order, int TILES>
DEVICE void span_begin(const S* bias, float (&h)[TILES][K][4]) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        const int v = Order::tap(2 * lane_column() + j);
        const bool there = bias != nullptr && v < K;
        const S* from = kept(bias + (there ? v : 0));
#pragma unroll
        for (int u = 0; u < K; ++u) {
            const float start = widen(S{uint16(load_half(from + u * K, there))});
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile) h[tile][u][j] = h[tile][u][j + 2] = start;
        }
    }
}

// Features of a step, of which a lane has a quarter: 32 where that divides them. Which feature is
// which of a product's is free if both factors agree, and loads of 16 bytes touch half as many lines.
template <int FEATURES>
struct Step {
    static constexpr int WIDTH = FEATURES % 32 == 0 ? 32 : 16;
    static constexpr int OWN = WIDTH / 4, WORDS = WIDTH / 8;
};

// Adds a step's part, if `inside`: from pixels and row (of window row 0) on.
template <class S, int K, int FEATURES, bool CLAMPED, int TILES>
DEVICE void span_step(const S* const (&pixels)[2 * TILES], const bool (&there)[2 * TILES],
                      const S* row, bool tap, bool inside, float (&h)[TILES][K][4]) {
    constexpr int WORDS = Step<FEATURES>::WORDS;
    uint32 features[2 * TILES][WORDS];
#pragma unroll
    for (int i = 0; i < 2 * TILES; ++i) {
        load_some(features[i], pixels[i], inside && there[i]);
#pragma unroll
        for (int word = 0; CLAMPED && word < WORDS; ++word)
            features[i][word] = relu_pair<S>(features[i][word]);
    }
#pragma unroll
    for (int u = 0; u < K; ++u) {
        uint32 weights[WORDS];
        load_some(weights, row + u * K * FEATURES, inside && tap);
#pragma unroll
        for (int word = 0; word < WORDS; word += 2) {
            const uint32 b[2] = {weights[word], weights[word + 1]};
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile) {
                const uint32(&low)[WORDS] = features[2 * tile], (&high)[WORDS] = features[2 * tile + 1];
                const uint32 a[4] = {low[word], high[word], low[word + 1], high[word + 1]};
                mma_m16n8k16<S>(h[tile][u], a, b);
            }
        }
    }
}

template <class S, int K, int FEATURES, class Order, bool CLAMPED, int TILES>
DEVICE void span(const S* const (&pixels)[2 * TILES], const bool (&there)[2 * TILES],
                 const S* weight, const S* bias, float (&h)[TILES][K][4]) {
    static_assert(K <= 7, "a window's row has 8 columns");
    static_assert(FEATURES % 4 == 0, "a lane reads four at a time, or eight");
    span_begin<S, K, Order>(bias, h);
    const int tap = Order::tap(lane_row()), own = lane_column() * Step<FEATURES>::OWN;
    constexpr int WIDTH = Step<FEATURES>::WIDTH;
    const S *row = kept(weight + tap * FEATURES + own), *from[2 * TILES];
#pragma unroll
    for (int i = 0; i < 2 * TILES; ++i) from[i] = pixels[i] + own;
#pragma unroll 1
    for (int at = 0; at < FEATURES; at += WIDTH) {
        const bool inside = FEATURES % WIDTH == 0 || at + own < FEATURES;
        span_step<S, K, FEATURES, CLAMPED>(from, there, row, tap < K, inside, h);
        row += WIDTH;
#pragma unroll
        for (int i = 0; i < 2 * TILES; ++i) from[i] += WIDTH;
    }
}

#endif

// How a result is divided among warps: each goes down a few columns, for some channels of a group.
#ifndef INVOLUTION_TASKS_H
#define INVOLUTION_TASKS_H

#include "plain.h"

typedef STORAGE Storage;

constexpr int K = KERNEL_SIZE, S = STRIDE, TAPS = K * K;
constexpr int CHANNELS = SLICE;  // that a warp has
constexpr int PIXELS = 8, WARPS = BLOCK_WARPS;

DEVICE int lane() { return int(threadIdx.x % 32); }
DEVICE int warp() { return int(threadIdx.x / 32); }

// The part of a result that a warp has: `rows` rows, some columns from `column` on.
struct Task {
    int64 image;
    int channel, group, column, row, rows;
};

// Tasks of `width` columns; false if there are no more for this warp.
DEVICE bool take(Task& task, const Problem& p, int rows, int columns, int width) {
    const int strip = int(p.strip), slices = int(p.channels) / CHANNELS;
    const int strips = (rows + strip - 1) / strip, tiles = (columns + width - 1) / width;
    int within = int(blockIdx.x) * WARPS + warp();
    task.channel = digit(within, slices) * CHANNELS;
    task.group = task.channel / group_channels(p);
    task.column = digit(within, tiles) * width;
    task.row = digit(within, strips) * strip;
    task.rows = rows - task.row < strip ? rows - task.row : strip;
    task.image = within;
    return within < p.batch;
}

// Not a number if one of d is not finite, or `poison` was not.
template <int N>
DEVICE float poisoned(float poison, const float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; ++i) poison += 0 * d[i];
    return poison;
}

#endif

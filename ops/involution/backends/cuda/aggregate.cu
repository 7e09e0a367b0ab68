// The output in fp16 and bf16, on tensor cores; see band.h. The K rows of the input that a row of
// windows sees stay in registers while the warp goes down; the kernel is read once.
#include "band.h"

constexpr int STAGES = 4;
constexpr int POSITIONS = (PIXELS - 1) * S + K, BLOCKS = (POSITIONS + 7) / 8;
constexpr int STEPS_AHEAD = (K - 1) / S;  // of S rows of the input each, before the first output
// a lane reads pairs of entries, also one that begins before the first or ends after the last
constexpr int ENTRIES_AT = S * BLOCKS * BLOCK_BYTES + 16;
constexpr int STAGE_BYTES = ENTRIES_AT + PIXELS * ENTRY_BYTES + 16;

// The lane's part of the band: two taps next to each other, and where they stand in its registers.
struct Band {
    int at;
    uint32 mask[BLOCKS];
};

DEVICE Band band_of_lane() {
    const int pixel = lane() / 4;
    int tap = lane() % 4 * 2 - S * pixel, block = 0;
    if (tap < -1) block = (6 - tap) / 8, tap += 8 * block;
    Band band;
    band.at = pixel * ENTRY_BYTES + 2 * tap;
    const uint32 mask = (tap >= 0 && tap < K ? 0xffffu : 0) | (tap + 1 < K ? 0xffff0000u : 0);
    if (tap > K - 1) band.at = pixel * ENTRY_BYTES;
#pragma unroll
    for (int i = 0; i < BLOCKS; ++i) band.mask[i] = i == block ? mask : 0;
    return band;
}

struct Rows {
    const Storage *x, *kernel;  // of the image and its channels and group
    int first_row, first_column;
};

// Step m brings S rows of the input, and from STEPS_AHEAD on a row of entries.
DEVICE void stage(unsigned char* to, int m, const Problem& p, const Task& task, const Rows& from) {
#pragma unroll
    for (int s = 0; s < S; ++s) {
        const int row = from.first_row + m * S + s;
        const bool row_inside = row >= 0 && row < p.height;
        stage_pixels<BLOCKS>(to + s * BLOCKS * BLOCK_BYTES,
                             row_inside ? from.x + row * p.x[2] : from.x, row_inside,
                             from.first_column, POSITIONS, int(p.width), p.x[3]);
    }
    const int i = task.row + m - STEPS_AHEAD;
    if (m >= STEPS_AHEAD)
        stage_entries<PIXELS>(to + ENTRIES_AT, from.kernel + i * p.kernel[4], task.column,
                              int(p.columns), p.kernel[5]);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, S == 1 ? 5 : 4)
    aggregate(const Problem p, const Storage* __restrict__ x, const Storage* __restrict__ kernel,
              Storage* __restrict__ y) {
    Task task;
    if (!take(task, p, int(p.rows), int(p.columns), PIXELS)) return;
    Rows from;
    from.x = x + task.image * p.x[0] + task.channel;
    from.kernel = kernel + task.image * p.kernel[0] + task.group * p.kernel[1];
    // the last row that step STEPS_AHEAD brings is the last of the first windows
    from.first_row = task.row * S - int(p.padding_y) + K - S - STEPS_AHEAD * S;
    from.first_column = task.column * S - int(p.padding_x);
    unsigned char* shared = shared_memory<unsigned char>() + warp() * STAGES * STAGE_BYTES;
    const Band band = band_of_lane();
    const int steps = STEPS_AHEAD + task.rows, column = task.column + lane() / 4;
    const bool column_inside = column < p.columns;

#pragma unroll
    for (int m = 0; m < STAGES - 1; ++m) {
        if (m < steps) stage(shared + m * STAGE_BYTES, m, p, task, from);
        copy_async_commit();
    }
    uint32 rows[K][BLOCKS][HALVES] = {};
    float poison = 0;
    for (int m = 0; m < steps; ++m) {
        const int next = m + STAGES - 1;
        copy_async_wait<STAGES - 2>();
        __syncwarp();
        if (next < steps) stage(shared + next % STAGES * STAGE_BYTES, next, p, task, from);
        copy_async_commit();
        __syncwarp();
        const unsigned char* stage = shared + m % STAGES * STAGE_BYTES;
        move_up(rows);
#pragma unroll
        for (int s = 0; s < S; ++s)
            load_pixels<true>(rows[K - S + s], stage + s * BLOCKS * BLOCK_BYTES);
        if (m < STEPS_AHEAD) continue;
        const int i = task.row + m - STEPS_AHEAD;
        const Storage* entries = from.kernel + i * p.kernel[4] + column * p.kernel[5];
        const unsigned char* taps = stage + ENTRIES_AT + band.at + misalignment(entries);
        float d[4] = {};
#pragma unroll
        for (int u = 0; u < K; ++u) {
            const uint32 pair =
                bits_at(taps + 2 * K * u) | bits_at(taps + 2 * K * u + 2) << 16;
            uint32 b[BLOCKS];
#pragma unroll
            for (int block = 0; block < BLOCKS; ++block) b[block] = pair & band.mask[block];
            multiply(d, rows[u], b);
        }
        poison = poisoned(poison, d);
        store_product(y + task.image * p.y[0] + task.channel + i * p.y[2] + column * p.y[3],
                      column_inside, d);
    }
    // a zero of the band times infinity: sum again what is not finite, without the others' taps
    if (!__any_sync(0xffffffffu, poison != poison)) return;
    __syncwarp();
    for (int index = lane(); index < task.rows * PIXELS * CHANNELS; index += 32) {
        int row = index;
        const int channel = task.channel + digit(row, CHANNELS);
        const int j = task.column + digit(row, PIXELS), i = task.row + row;
        if (j < p.columns)
            narrow(plain_output(p, x, kernel, task.image, channel, i, j),
                   y[offset(p.y, task.image, channel, i, j)]);
    }
}

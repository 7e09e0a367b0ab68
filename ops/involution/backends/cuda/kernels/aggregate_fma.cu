// The output in fp32 arithmetic; see fma.h. A row of the input adds to the rows of outputs whose
// windows overlap it: their sums stay in registers and their entries in shared memory.
#include "fma.h"

constexpr int POSITIONS = (PIXELS - 1) * S + K;
constexpr int PIXELS_AT = ROWS * PIXELS * TAPS / 4 * 4 + 4;

// What step n needs: S rows of the input, and the entries of output row n.
struct Step {
    Pixels<POSITIONS> pixels[S];
    Entries<PIXELS> entries;
};

DEVICE void fetch(Step& step, int n, const Problem& p, const Task& task, const Storage* x,
                  const Storage* kernel) {
#pragma unroll
    for (int s = 0; s < S; ++s) {
        const int row = S * n - int(p.padding_y) + s;
        const bool row_inside = inside(row, p.height);
        step.pixels[s].fetch(row_inside ? x + row * p.x[2] : x, row_inside,
                             S * task.column - int(p.padding_x), int(p.width), p.x);
    }
    if (n < task.row + task.rows) step.entries.fetch(kernel + n * p.kernel[4], task.column, p);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 3)
    aggregate_fma(const Problem p, const Storage* __restrict__ x,
                  const Storage* __restrict__ kernel, Storage* __restrict__ y) {
    Task task;
    if (!take(task, p, int(p.rows), int(p.columns), PIXELS)) return;
    const Storage* pixels = x + task.image * p.x[0] + task.channel * p.x[1];
    const Storage* entries = kernel + task.image * p.kernel[0] + task.group * p.kernel[1];
    float* shared = shared_memory<float>() + warp() * (PIXELS_AT + S * POSITIONS * CHANNELS);
    const int pixel = lane() / 4, column = task.column + pixel;
    const int last = task.row + task.rows + ROWS - 2;
    float sums[ROWS][QUARTER] = {};
    float poison = 0;
    int newest = 0;  // where the newest of the ROWS rows of entries is
    Step step;
    fetch(step, task.row, p, task, pixels, entries);
    for (int n = task.row; n <= last; ++n) {
        __syncwarp();
        newest = newest + 1 < ROWS ? newest + 1 : 0;
        step.entries.put(shared + newest * PIXELS * TAPS);
#pragma unroll
        for (int s = 0; s < S; ++s)
            step.pixels[s].put(shared + PIXELS_AT + s * POSITIONS * CHANNELS);
        __syncwarp();
        if (n < last) fetch(step, n + 1, p, task, pixels, entries);
#pragma unroll
        for (int s = 0; s < S; ++s) {
            if (!inside(S * n - int(p.padding_y) + s, p.height)) continue;
            Quarter window[K];
#pragma unroll
            for (int v = 0; v < K; ++v)
                window[v] = quarter_at(shared + PIXELS_AT +
                                       (s * POSITIONS + S * pixel + v) * CHANNELS);
#pragma unroll
            for (int back = 0; S * back + s < K; ++back) {
                const int slot = newest - back < 0 ? newest - back + ROWS : newest - back;
                const float* taps = shared + (slot * PIXELS + pixel) * TAPS + (S * back + s) * K;
#pragma unroll
                for (int v = 0; v < K; ++v) {
#pragma unroll
                    for (int k = 0; k < QUARTER; ++k)
                        sums[ROWS - 1 - back][k] += taps[v] * window[v].number[k];
                }
            }
        }
        const int i = n - (ROWS - 1);
        if (i >= task.row) {
            if (column < p.columns) poison = poisoned(poison, sums[0]);
            store_quarter(y + offset(p.y, task.image, task.channel, i, column), p.y[1],
                          column < p.columns, sums[0]);
        }
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
#pragma unroll
            for (int k = 0; k < QUARTER; ++k)
                sums[row][k] = row + 1 < ROWS ? sums[(row + 1) % ROWS][k] : 0;
        }
    }
    // an entry that is not finite times a zero of the padding: sum again what it may have spoilt
    if (poison == poison) return;
    for (int index = 0; index < task.rows * QUARTER; ++index) {
        const int i = task.row + index / QUARTER;
        const int channel = task.channel + lane() % 4 * QUARTER + index % QUARTER;
        narrow(plain_output(p, x, kernel, task.image, channel, i, column),
               y[offset(p.y, task.image, channel, i, column)]);
    }
}

// The gradient of the kernel in fp32 arithmetic; see fma.h. A row of the input meets the rows of the
// output's gradient whose windows overlap it, which stay in registers; the entries that come of it
// wait in shared memory until all of a row's are there.
#include "fma.h"

constexpr int POSITIONS = (PIXELS - 1) * S + K;
constexpr int GRADIENTS_AT = ROWS * PIXELS * TAPS / 4 * 4 + 4;
constexpr int PIXELS_AT = GRADIENTS_AT + PIXELS * CHANNELS;

struct Step {
    Pixels<POSITIONS> pixels[S];
    Pixels<PIXELS> gradients;
};

DEVICE void fetch(Step& step, int n, const Problem& p, const Task& task, const Storage* x,
                  const Storage* grad_output) {
#pragma unroll
    for (int s = 0; s < S; ++s) {
        const int row = S * n - int(p.padding_y) + s;
        const bool row_inside = inside(row, p.height);
        step.pixels[s].fetch(row_inside ? x + row * p.x[2] : x, row_inside,
                             S * task.column - int(p.padding_x), int(p.width), p.x);
    }
    const bool present = n < task.row + task.rows;
    step.gradients.fetch(present ? grad_output + n * p.y[2] : grad_output, present, task.column,
                         int(p.columns), p.y);
}

// The sums over the four lanes of a pixel of K numbers each: lane t gets those of t and t + 4.
DEVICE void add_quarters(const float (&parts)[8], float (&totals)[2]) {
    const int odd = lane() % 2, upper = lane() / 2 % 2;
    float pairs[4];
#pragma unroll
    for (int i = 0; i < (K + 1) / 2; ++i) {
        const float keep = odd ? parts[2 * i + 1] : parts[2 * i];
        const float give = odd ? parts[2 * i] : parts[2 * i + 1];
        pairs[i] = keep + __shfl_xor_sync(0xffffffffu, give, 1);
    }
#pragma unroll
    for (int i = (K + 1) / 2; i < 4; ++i) pairs[i] = 0;
#pragma unroll
    for (int i = 0; i < (K + 3) / 4; ++i) {
        const float keep = upper ? pairs[2 * i + 1] : pairs[2 * i];
        const float give = upper ? pairs[2 * i] : pairs[2 * i + 1];
        totals[i] = keep + __shfl_xor_sync(0xffffffffu, give, 2);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 3)
    grad_kernel_fma(const Problem p, const Storage* __restrict__ grad_output,
                    const Storage* __restrict__ x, Storage* __restrict__ result) {
    Task task;
    if (!take(task, p, int(p.rows), int(p.columns), PIXELS)) return;
    x += task.image * p.x[0] + task.channel * p.x[1];
    grad_output += task.image * p.y[0] + task.channel * p.y[1];
    result += task.image * p.kernel[0] + task.group * p.kernel[1];
    float* shared = shared_memory<float>() + warp() * (PIXELS_AT + S * POSITIONS * CHANNELS);
    const int pixel = lane() / 4, last = task.row + task.rows + ROWS - 2;
    const int first = S * task.column - int(p.padding_x);
    Quarter gradients[ROWS] = {};
    int newest = 0;  // where the entries of the newest of ROWS rows are
    Step step;
    fetch(step, task.row, p, task, x, grad_output);
    for (int n = task.row; n <= last; ++n) {
        __syncwarp();
        step.gradients.put(shared + GRADIENTS_AT);
#pragma unroll
        for (int s = 0; s < S; ++s)
            step.pixels[s].put(shared + PIXELS_AT + s * POSITIONS * CHANNELS);
        __syncwarp();
        if (n < last) fetch(step, n + 1, p, task, x, grad_output);
        newest = newest + 1 < ROWS ? newest + 1 : 0;
#pragma unroll
        for (int back = ROWS - 1; back > 0; --back) gradients[back] = gradients[back - 1];
        gradients[0] = quarter_at(shared + GRADIENTS_AT + pixel * CHANNELS);
#pragma unroll
        for (int s = 0; s < S; ++s) {
            const bool row_inside = inside(S * n - int(p.padding_y) + s, p.height);
            Quarter window[K];
#pragma unroll
            for (int v = 0; v < K; ++v)
                window[v] = quarter_at(shared + PIXELS_AT +
                                       (s * POSITIONS + S * pixel + v) * CHANNELS);
#pragma unroll
            for (int back = 0; S * back + s < K; ++back) {
                const int slot = newest - back < 0 ? newest - back + ROWS : newest - back;
                float* taps = shared + (slot * PIXELS + pixel) * TAPS + (S * back + s) * K;
                float parts[8] = {}, totals[2] = {};
#pragma unroll
                for (int v = 0; v < K; ++v) {
#pragma unroll
                    for (int k = 0; k < QUARTER; ++k)
                        parts[v] += gradients[back].number[k] * window[v].number[k];
                }
                add_quarters(parts, totals);
#pragma unroll
                for (int i = 0; i < (K + 3) / 4; ++i) {
                    const int v = lane() % 4 + 4 * i;
                    const bool seen = row_inside && inside(first + S * pixel + v, p.width);
                    if (v < K) taps[v] = seen ? totals[i] : 0;
                }
            }
        }
        __syncwarp();
        const int i = n - (ROWS - 1), oldest = newest + 1 < ROWS ? newest + 1 : 0;
        if (i < task.row) continue;
        Storage* row = result + i * p.kernel[4];
#pragma unroll 4
        for (int round = 0; round < Share<PIXELS>::ENTRY_ROUNDS; ++round) {
            const int of = Share<PIXELS>::pixel(round), tap = Share<PIXELS>::tap(round);
            if (Share<PIXELS>::has_entry(round) && task.column + of < p.columns)
                narrow(shared[(oldest * PIXELS + of) * TAPS + tap],
                       row[entry_offset(p, task.column + of, tap)]);
        }
    }
}

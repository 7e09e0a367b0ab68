// The gradient of the input in fp32 arithmetic; see fma.h. A row of the output's gradient adds to
// the K rows of the result that its windows saw: their sums stay in registers.
#include "fma.h"

constexpr int POSITIONS = (PIXELS + K - 2) / S + 1;
constexpr int PIXELS_AT = POSITIONS * TAPS / 4 * 4 + 4;

DEVICE int quotient_up(int a) { return S == 1 ? a : (a + 1) >> 1; }
DEVICE int quotient_down(int a) { return S == 1 ? a : a >> 1; }

// Two blocks where three would spill, on sm_120.
extern "C" __global__ void __launch_bounds__(32 * WARPS, CHANNELS_LAST || K < 7 ? 3 : 2)
    grad_input_fma(const Problem p, const Storage* __restrict__ grad_output,
                   const Storage* __restrict__ kernel, Storage* __restrict__ grad_x) {
    Task task;
    if (!take(task, p, int(p.height), int(p.width), PIXELS)) return;
    const Storage* gradients = grad_output + task.image * p.y[0] + task.channel * p.y[1];
    const Storage* entries = kernel + task.image * p.kernel[0] + task.group * p.kernel[1];
    float* shared = shared_memory<float>() + warp() * (PIXELS_AT + POSITIONS * CHANNELS);
    const int first = quotient_up(task.column + int(p.padding_x) - (K - 1));
    const int top = quotient_up(task.row + int(p.padding_y) - (K - 1));
    const int last = quotient_down(task.row + task.rows - 1 + int(p.padding_y));
    const int column = task.column + lane() / 4;
    // of the lane's taps, the one that is farthest left in the window: its position in the row
    const int ahead = column + int(p.padding_x) - S * first;
    const int lowest_tap = ahead % S, position = ahead / S;
    float sums[K][QUARTER] = {};
    Pixels<POSITIONS> next_pixels;
    Entries<POSITIONS> next_entries;
    for (int n = top - 1; n <= last; ++n) {
        // the first round only fetches
        const bool present = n >= top && inside(n, p.rows);
        __syncwarp();
        if (present) {
            next_pixels.put(shared + PIXELS_AT);
            next_entries.put(shared);
        }
        __syncwarp();
        if (n < last && inside(n + 1, p.rows)) {
            next_pixels.fetch(gradients + (n + 1) * p.y[2], true, first, int(p.columns), p.y);
            next_entries.fetch(entries + (n + 1) * p.kernel[4], first, p);
        }
        if (n < top) continue;
#pragma unroll 2
        for (int back = 0; S * back < K; ++back) {
            const int tap = lowest_tap + S * back, at = position - back;
            if (!present || tap >= K || at < 0 || at >= POSITIONS) continue;
            const Quarter gradient = quarter_at(shared + PIXELS_AT + at * CHANNELS);
            const float* taps = shared + at * TAPS + tap;
#pragma unroll
            for (int u = 0; u < K; ++u) {
#pragma unroll
                for (int k = 0; k < QUARTER; ++k)
                    sums[u][k] += taps[u * K] * gradient.number[k];
            }
        }
#pragma unroll
        for (int s = 0; s < S; ++s) {
            const int row = S * n - int(p.padding_y) + s;
            const bool mine = row >= task.row && row < task.row + task.rows && column < p.width;
            store_quarter(grad_x + offset(p.x, task.image, task.channel, row, column), p.x[1],
                          mine, sums[s]);
        }
#pragma unroll
        for (int u = 0; u < K; ++u) {
#pragma unroll
            for (int k = 0; k < QUARTER; ++k) sums[u][k] = u + S < K ? sums[(u + S) % K][k] : 0;
        }
    }
}

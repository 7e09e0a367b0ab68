// The gradient of the kernel in fp16 and bf16, on tensor cores, for 16 or 8 channels a group; see band.h.
// For one row of the windows, positions x channels times channels x 8 pixels is a matrix whose band
// is the result; the rest is left. The K rows of the input stay in registers.
#include "band.h"

constexpr int STAGES = 4;
constexpr int POSITIONS = (PIXELS - 1) * S + K, BLOCKS = (POSITIONS + 7) / 8;
constexpr int STEPS_AHEAD = (K - 1) / S;  // of S rows of the input each, before the first output
constexpr int GRADIENTS_AT = S * BLOCKS * BLOCK_BYTES, STAGE_BYTES = GRADIENTS_AT + BLOCK_BYTES;
constexpr int WORDS = (2 * TAPS + 5) / 4;  // of the entries of a pixel, wherever they begin

// The lane's part of the band, for one of its two pixels: a tap, or K for none, and which block
// has it, if any: where the column is outside the image the entry is zero.
struct Band {
    int tap;
    uint32 mask[BLOCKS];
};

DEVICE Band band_of_lane(int half, int first, int width) {
    Band band;
    int block = 0;
    band.tap = lane() / 4 - S * (lane() % 4 * 2 + half);
    if (band.tap < 0) block = (7 - band.tap) / 8, band.tap += 8 * block;
    const bool column_inside = inside(first + 8 * block + lane() / 4, width);
    if (block >= BLOCKS) band.tap = K;
#pragma unroll
    for (int i = 0; i < BLOCKS; ++i) band.mask[i] = column_inside && i == block ? 0xffffffffu : 0;
    return band;
}

DEVICE void stage(unsigned char* to, int m, int first_row, int first_column, const Problem& p,
                  const Task& task, const Storage* x, const Storage* grad_output) {
#pragma unroll
    for (int s = 0; s < S; ++s) {
        const int row = first_row + m * S + s;
        const bool row_inside = row >= 0 && row < p.height;
        stage_pixels<BLOCKS>(to + s * BLOCKS * BLOCK_BYTES, row_inside ? x + row * p.x[2] : x,
                             row_inside, first_column, POSITIONS, int(p.width), p.x[3]);
    }
    const int i = task.row + m - STEPS_AHEAD;
    if (m >= STEPS_AHEAD)
        stage_pixels<1>(to + GRADIENTS_AT, grad_output + i * p.y[2], true, task.column, PIXELS,
                        int(p.columns), p.y[3]);
}

// products[b] = positions of block b x pixels; a lane has of each position lane / 4 for two pixels.
DEVICE void multiply(float (&products)[BLOCKS][2], const uint32 (&x)[BLOCKS][HALVES],
                     const uint32 (&gradients)[HALVES]) {
    const bool full = HALVES == 2;
    const uint32 b[2] = {gradients[0], full ? gradients[HALVES - 1] : 0};
#pragma unroll
    for (int block = 0; block < BLOCKS; block += 2) {
        const bool pair = block + 1 < BLOCKS;
        const int next = pair ? block + 1 : block;
        const uint32 a[4] = {x[block][0], pair ? x[next][0] : 0, full ? x[block][HALVES - 1] : 0,
                             pair && full ? x[next][HALVES - 1] : 0};
        float d[4] = {};
        mma_m16n8k16<Storage>(d, a, b);
        products[next][0] = d[2], products[next][1] = d[3];
        products[block][0] = d[0], products[block][1] = d[1];
    }
}

// Writes the entries of 8 pixels, at multiples of 4 bytes but for the first or last of a pixel.
DEVICE void write_entries(Storage* row, const unsigned char* from, int pixels, int64 step) {
    for (int index = lane(); index < PIXELS * WORDS; index += 32) {
        const int pixel = index / WORDS;
        if (pixel >= pixels) break;
        Storage* entries = row + pixel * step;
        const int back = misalignment(entries) & 2, byte = index % WORDS * 4 - back;
        const uint32 word = *reinterpret_cast<const uint32*>(from + index * 4);
        unsigned char* to = reinterpret_cast<unsigned char*>(entries) + byte;
        if (byte >= 0 && byte + 4 <= 2 * TAPS) {
            *reinterpret_cast<uint32*>(to) = word;
        } else {
            if (byte >= 0 && byte < 2 * TAPS) *reinterpret_cast<uint16*>(to) = uint16(word);
            if (byte < 0) *reinterpret_cast<uint16*>(to + 2) = uint16(word >> 16);
        }
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, S == 1 ? 5 : 3)
    grad_kernel(const Problem p, const Storage* __restrict__ grad_output,
                const Storage* __restrict__ x, Storage* __restrict__ result) {
    Task task;
    if (!take(task, p, int(p.rows), int(p.columns), PIXELS)) return;
    x += task.image * p.x[0] + task.channel;
    grad_output += task.image * p.y[0] + task.channel;
    result += task.image * p.kernel[0] + task.group * p.kernel[1] + task.column * p.kernel[5];
    const int first_row = task.row * S - int(p.padding_y) + K - S - STEPS_AHEAD * S;
    const int first_column = task.column * S - int(p.padding_x);
    unsigned char* out =
        shared_memory<unsigned char>() + warp() * (STAGES * STAGE_BYTES + PIXELS * WORDS * 4);
    unsigned char* shared = out + PIXELS * WORDS * 4;
    const int steps = STEPS_AHEAD + task.rows;
    const int pixels = int(p.columns) - task.column < PIXELS ? int(p.columns) - task.column : PIXELS;
    const Band bands[2] = {band_of_lane(0, first_column, int(p.width)),
                           band_of_lane(1, first_column, int(p.width))};

#pragma unroll
    for (int m = 0; m < STAGES - 1; ++m) {
        if (m < steps)
            stage(shared + m * STAGE_BYTES, m, first_row, first_column, p, task, x, grad_output);
        copy_async_commit();
    }
    uint32 rows[K][BLOCKS][HALVES] = {};
    for (int m = 0; m < steps; ++m) {
        const int next = m + STAGES - 1;
        copy_async_wait<STAGES - 2>();
        __syncwarp();
        if (next < steps)
            stage(shared + next % STAGES * STAGE_BYTES, next, first_row, first_column, p, task,
                  x, grad_output);
        copy_async_commit();
        __syncwarp();
        const unsigned char* stage = shared + m % STAGES * STAGE_BYTES;
        move_up(rows);
#pragma unroll
        for (int s = 0; s < S; ++s)
            load_pixels<false>(rows[K - S + s], stage + s * BLOCKS * BLOCK_BYTES);
        if (m < STEPS_AHEAD) continue;
        const int i = task.row + m - STEPS_AHEAD;
        Storage* row = result + i * p.kernel[4];
        uint32 gradients[1][HALVES];
        load_pixels<false>(gradients, stage + GRADIENTS_AT);
        unsigned char* to[2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int pixel = lane() % 4 * 2 + half;
            to[half] = out + pixel * WORDS * 4 + (misalignment(row + pixel * p.kernel[5]) & 2) +
                       2 * bands[half].tap;
        }
#pragma unroll
        for (int u = 0; u < K; ++u) {
            float products[BLOCKS][2];
            multiply(products, rows[u], gradients[0]);
            const bool row_inside = inside(i * S - int(p.padding_y) + u, p.height);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                uint32 value = 0;
#pragma unroll
                for (int block = 0; block < BLOCKS; ++block)
                    value |= bits_of(products[block][half]) & bands[half].mask[block];
                if (!row_inside) value = 0;
                if (bands[half].tap < K)
                    *reinterpret_cast<Storage*>(to[half] + 2 * K * u) =
                        narrowed<Storage>(float_of(value));
            }
        }
        __syncwarp();
        write_entries(row, out, pixels, p.kernel[5]);
    }
}

// The gradient of the input in fp16 and bf16, on tensor cores; see band.h. A row of the output's
// gradient adds to the K rows of the result that its windows saw: their sums stay in registers
// while the warp goes down. Two tiles of 8 columns, to read fewer entries twice.
#include "band.h"

constexpr int STAGES = 3, TILES = 2, SHIFT = PIXELS / S;  // positions from one tile to the next
constexpr int POSITIONS = (PIXELS + K - 2) / S + 1, BLOCKS = (POSITIONS + 7) / 8;
constexpr int ALL_POSITIONS = (TILES - 1) * SHIFT + POSITIONS;
constexpr int ALL_BLOCKS = ((TILES - 1) * SHIFT + 8 * BLOCKS + 7) / 8;
constexpr int ENTRIES_AT = ALL_BLOCKS * BLOCK_BYTES;
constexpr int STAGE_BYTES = ENTRIES_AT + ALL_POSITIONS * ENTRY_BYTES;

DEVICE int quotient_up(int a) { return S == 1 ? a : (a + 1) >> 1; }
DEVICE int quotient_down(int a) { return S == 1 ? a : a >> 1; }

// The lane's part of a tile's band: a tap of each of two pixels next to each other, where their
// entries are in shared memory and in global memory, and where they stand in its registers.
struct Band {
    int at[2];
    uint32 entries[2];  // low bits of the address, for the first row
    uint32 mask[BLOCKS];
};

// `ahead` is the first column of the tile, padded, less the column of its first position.
DEVICE Band band_of_lane(int tile, int ahead, int first, const Storage* kernel, const Problem& p) {
    int position = lane() % 4 * 2, tap = ahead + lane() / 4 - S * position, block = 0;
    if (tap > K - 1 + S) block = (tap - K - S + 8 * S) / (8 * S);
    position += 8 * block, tap -= 8 * S * block;
    Band band;
    uint32 mask = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int place = tile * SHIFT + position + half, column = first + place;
        const bool valid = tap - S * half >= 0 && tap - S * half < K && column >= 0 &&
                           column < p.columns && place < ALL_POSITIONS;
        band.at[half] = valid ? place * ENTRY_BYTES + 2 * (tap - S * half) : 0;
        band.entries[half] =
            valid ? uint32(reinterpret_cast<unsigned long long>(kernel + column * p.kernel[5])) : 0;
        mask |= valid ? 0xffffu << 16 * half : 0;
    }
#pragma unroll
    for (int i = 0; i < BLOCKS; ++i) band.mask[i] = i == block ? mask : 0;
    return band;
}

DEVICE void stage(unsigned char* to, int i, int first, const Problem& p, const Storage* grad_output,
                  const Storage* kernel) {
    if (i < 0 || i >= p.rows) return;
    stage_pixels<ALL_BLOCKS>(to, grad_output + i * p.y[2], true, first, ALL_POSITIONS,
                             int(p.columns), p.y[3]);
    stage_entries<ALL_POSITIONS>(to + ENTRIES_AT, kernel + i * p.kernel[4], first, int(p.columns),
                                 p.kernel[5]);
}

// Adds what row of the output's gradient in `stage` gives the K rows that its windows saw.
DEVICE void add_row(float (&sums)[K][4], const unsigned char* stage, int tile, const Band& band,
                    uint32 low) {
    uint32 pixels[BLOCKS][HALVES];
    load_pixels<true>(pixels, stage, tile * SHIFT);
    const unsigned char* taps[2];
#pragma unroll
    for (int half = 0; half < 2; ++half)
        taps[half] = stage + ENTRIES_AT + band.at[half] + int((band.entries[half] + low) & 15);
#pragma unroll
    for (int u = 0; u < K; ++u) {
        const uint32 pair = bits_at(taps[0] + 2 * K * u) | bits_at(taps[1] + 2 * K * u) << 16;
        uint32 b[BLOCKS];
#pragma unroll
        for (int block = 0; block < BLOCKS; ++block) b[block] = pair & band.mask[block];
        multiply(sums[u], pixels, b);
    }
}

// Forgets the S rows that are complete, and begins as many.
DEVICE void move_up(float (&sums)[K][4]) {
#pragma unroll
    for (int u = 0; u < K; ++u) {
#pragma unroll
        for (int k = 0; k < 4; ++k) sums[u][k] = u + S < K ? sums[(u + S) % K][k] : 0;
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 3)
    grad_input(const Problem p, const Storage* __restrict__ grad_output,
               const Storage* __restrict__ kernel, Storage* __restrict__ grad_x) {
    Task task;
    if (!take(task, p, int(p.height), int(p.width), TILES * PIXELS)) return;
    const Storage* gradients = grad_output + task.image * p.y[0] + task.channel;
    const Storage* entries = kernel + task.image * p.kernel[0] + task.group * p.kernel[1];
    unsigned char* shared = shared_memory<unsigned char>() + warp() * STAGES * STAGE_BYTES;
    const int first = quotient_up(task.column + int(p.padding_x) - (K - 1));
    const int top = quotient_up(task.row + int(p.padding_y) - (K - 1));
    const int steps = quotient_down(task.row + task.rows - 1 + int(p.padding_y)) - top + 1;
    Band band[TILES];
#pragma unroll
    for (int tile = 0; tile < TILES; ++tile)
        band[tile] = band_of_lane(tile, task.column + int(p.padding_x) - S * first, first, entries, p);

#pragma unroll
    for (int m = 0; m < STAGES - 1; ++m) {
        if (m < steps) stage(shared + m * STAGE_BYTES, top + m, first, p, gradients, entries);
        copy_async_commit();
    }
    float sums[TILES][K][4] = {};
    float poison = 0;
    for (int m = 0; m < steps; ++m) {
        const int next = m + STAGES - 1, i = top + m;
        copy_async_wait<STAGES - 2>();
        __syncwarp();
        if (next < steps)
            stage(shared + next % STAGES * STAGE_BYTES, top + next, first, p, gradients, entries);
        copy_async_commit();
        __syncwarp();
        const unsigned char* stage = shared + m % STAGES * STAGE_BYTES;
        if (inside(i, p.rows)) {
            const uint32 low = 2 * i * uint32(p.kernel[4]);
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile)
                add_row(sums[tile], stage, tile, band[tile], low);
        }
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile) {
            const int column = task.column + tile * PIXELS + lane() / 4;
#pragma unroll
            for (int s = 0; s < S; ++s) {
                const int row = S * i - int(p.padding_y) + s;
                poison = poisoned(poison, sums[tile][s]);
                store_product(grad_x + offset(p.x, task.image, task.channel, row, column),
                              row >= task.row && row < task.row + task.rows && column < p.width,
                              sums[tile][s]);
            }
            move_up(sums[tile]);
        }
    }
    // a zero of the band times infinity: sum again what is not finite, without the others' taps
    if (!__any_sync(0xffffffffu, poison != poison)) return;
    __syncwarp();
    for (int index = lane(); index < task.rows * TILES * PIXELS * CHANNELS; index += 32) {
        int row = index;
        const int channel = task.channel + digit(row, CHANNELS);
        const int column = task.column + digit(row, TILES * PIXELS);
        row += task.row;
        if (column < p.width)
            narrow(plain_grad_input(p, grad_output, kernel, task.image, channel, row, column),
                   grad_x[offset(p.x, task.image, channel, row, column)]);
    }
}

// The gradient of the input in fp16 and bf16, on tensor cores; see band.h. A row of the output's
// gradient adds to the K rows of the result that its windows saw: their sums stay in registers
// while the warp goes down. Two tiles of 8 columns, to read fewer entries twice.
#include "band.h"

constexpr int STAGES = 3, TILES = 2, SHIFT = PIXELS / S;  // positions from one tile to the next
constexpr int POSITIONS = (PIXELS + K - 2) / S + 1, BLOCKS = (POSITIONS + 7) / 8;
constexpr int ALL_POSITIONS = (TILES - 1) * SHIFT + POSITIONS;
constexpr int ALL_BLOCKS = ((TILES - 1) * SHIFT + 8 * BLOCKS + 7) / 8;
constexpr int ENTRIES_AT = PixelCopier<ALL_BLOCKS>::BYTES;
constexpr int STAGE_BYTES = ENTRIES_AT + ALL_POSITIONS * ENTRY_BYTES;

DEVICE int quotient_up(int a) { return S == 1 ? a : (a + 1) >> 1; }
DEVICE int quotient_down(int a) { return S == 1 ? a : a >> 1; }

// The lane's part of a tile's band: a tap of each of two pixels next to each other, where their
// entries are in shared memory and in global memory, and where they stand in its registers.
struct Band {
    int at[2];
    uint32 low[2];  // bits of the entries' address
    uint32 mask[BLOCKS];

    // `ahead` is the first column of the tile, padded, less the column of its first position;
    // `first` is the column of the first tile's first position, `entries` a row's.
    DEVICE Band(int tile, int ahead, int first, const Storage* entries, const Problem& p) {
        int position = lane() % 4 * 2, tap = ahead + lane() / 4 - S * position, block = 0;
        if (tap > K - 1 + S) block = (tap - K - S + 8 * S) / (8 * S);
        position += 8 * block, tap -= 8 * S * block;
        uint32 both = 0;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int place = tile * SHIFT + position + half, column = first + place;
            const bool valid = tap - S * half >= 0 && tap - S * half < K &&
                               inside(column, p.columns) && place < ALL_POSITIONS;
            const Storage* from = entries + column * p.kernel[5];
            at[half] = ENTRIES_AT + own_entries() + (valid ? place * ENTRY_BYTES + 2 * (tap - S * half) : 0);
            low[half] = valid ? uint32(misalignment(from)) : 0;
            if (KEEP_PLACE) at[half] += int(low[half]);
            both |= valid ? 0xffffu << 16 * half : 0;
        }
#pragma unroll
        for (int i = 0; i < BLOCKS; ++i) mask[i] = i == block ? both : 0;
    }
    // Where the lane's taps of the first row of windows are; `further` are the bytes from the row
    // that it was made for.
    DEVICE const unsigned char* taps(const unsigned char* stage, int half, uint32 further) const {
        return stage + at[half] + (KEEP_PLACE ? 0 : int(low[half] + further & 15));
    }
};

// Adds to the K rows that a row of the output's gradient's windows saw; the first is `begin`.
DEVICE void add_row(float (&sums)[RING][4], int begin, const unsigned char* stage, int tile,
                    const Band& band, uint32 further) {
    uint32 pixels[BLOCKS][HALVES];
    load_pixels<true>(pixels, stage + warp() * PixelCopier<ALL_BLOCKS>::WARP_BYTES, tile * SHIFT);
    const unsigned char* taps[2] = {band.taps(stage, 0, further), band.taps(stage, 1, further)};
#pragma unroll
    for (int u = 0; u < K; ++u) {
        const uint32 pair = bits_at(taps[0] + 2 * K * u) | bits_at(taps[1] + 2 * K * u) << 16;
        uint32 b[BLOCKS];
#pragma unroll
        for (int block = 0; block < BLOCKS; ++block) b[block] = pair & band.mask[block];
        multiply(sums[(begin + u) % RING], pixels, b);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 12 / WARPS)
    grad_input(const Problem p, const Storage* __restrict__ grad_output,
               const Storage* __restrict__ kernel, Storage* __restrict__ grad_x) {
    Task task;
    if (!take(task, p, int(p.height), int(p.width), TILES * PIXELS)) return;
    unsigned char* shared = shared_memory<unsigned char>();
    const int first = quotient_up(task.column + int(p.padding_x) - (K - 1));
    const int top = quotient_up(task.row + int(p.padding_y) - (K - 1));
    const int steps = quotient_down(task.row + task.rows - 1 + int(p.padding_y)) - top + 1;
    const int rows = int(p.rows), width = int(p.width);
    const Storage* entries =
        kernel + task.image * p.kernel[0] + first_group(task) * p.kernel[1] + top * p.kernel[4];
    PixelCopier<ALL_BLOCKS> pixels(
        grad_output + task.image * p.y[0] + first_channel(task) + top * p.y[2], p.y[2], first,
        ALL_POSITIONS, int(p.columns), p.y[3]);
    EntryCopier<ALL_POSITIONS> copier(entries, p.kernel[4], first, int(p.columns), p.kernel[5]);
    const int padded = task.column + int(p.padding_x) - S * first;
    const Band band[TILES] = {{0, padded, first, entries, p}, {1, padded, first, entries, p}};
    const uint32 entries_step = 2 * uint32(p.kernel[4]);
#pragma unroll
    for (int i = 0; i < STAGES; ++i) pixels.clear(shared + i * STAGE_BYTES);

    int copied = 0, filling = 0;
    const auto copy = [&]() {
        if (copied < steps) {
            const bool row_inside = inside(top + copied, rows);
            pixels.copy(shared + filling, row_inside);
            copier.copy(shared + filling + ENTRIES_AT, row_inside);
            advance<STAGES, STAGE_BYTES>(filling);
            ++copied;
        }
        copy_async_commit();
    };
#pragma unroll 1
    for (int i = 0; i < STAGES - 1; ++i) copy();

    float sums[TILES][RING][4] = {};
    float poison = 0;
    int m = 0, reading = 0, row = S * top - int(p.padding_y);
    const int column = task.column + lane() / 4, last_row = task.row + task.rows;
    Storage* to = grad_x + offset(p.x, task.image, task.channel, row, column);
    const int64 next_row = p.x[2], next_tile = PIXELS * p.x[3];
#pragma unroll 1
    while (m < steps) {
#pragma unroll
        for (int turn = 0; turn < TURN; ++turn) {
            if (m == steps) break;
            copy_async_wait<STAGES - 2>();
            __syncthreads();
            copy();
            if (inside(top + m, rows)) {
#pragma unroll
                for (int tile = 0; tile < TILES; ++tile)
                    add_row(sums[tile], turn * S, shared + reading, tile, band[tile],
                            m * entries_step);
            }
            advance<STAGES, STAGE_BYTES>(reading);
            ++m;
            // S rows are complete: no window further down sees them
#pragma unroll
            for (int s = 0; s < S; ++s, ++row, to += next_row) {
                const bool row_inside = row >= task.row && row < last_row;
#pragma unroll
                for (int tile = 0; tile < TILES; ++tile) {
                    float(&sum)[4] = sums[tile][turn * S + s];
                    poison = poisoned(poison, sum);
                    store_product(to + tile * next_tile,
                                  row_inside && column + tile * PIXELS < width, sum);
#pragma unroll
                    for (int k = 0; k < 4; ++k) sum[k] = 0;
                }
            }
        }
    }
    // a zero of the band times infinity: sum again what is not finite, without the others' taps
    if (!__any_sync(0xffffffffu, poison != poison)) return;
    slow_path();
    __syncwarp();
    for (int index = lane(); index < task.rows * TILES * PIXELS * CHANNELS; index += 32) {
        int i = index;
        const int channel = task.channel + digit(i, CHANNELS);
        const int j = task.column + digit(i, TILES * PIXELS);
        i += task.row;
        if (j < width)
            narrow(plain_grad_input(p, grad_output, kernel, task.image, channel, i, j),
                   grad_x[offset(p.x, task.image, channel, i, j)]);
    }
}

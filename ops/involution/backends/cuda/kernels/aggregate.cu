// The output in fp16 and bf16, on tensor cores; see band.h. The K rows of the input that a row of
// windows sees stay in registers while the warp goes down; the kernel is read once.
#include "band.h"

constexpr int STAGES = 4;
constexpr int POSITIONS = (PIXELS - 1) * S + K, BLOCKS = (POSITIONS + 7) / 8;
constexpr int STEPS_AHEAD = (K - 1) / S;  // of S rows of the input each, before the first output
constexpr int ROW_BYTES = PixelCopier<BLOCKS>::BYTES, ENTRIES_AT = S * ROW_BYTES;
constexpr int STAGE_BYTES = ENTRIES_AT + PIXELS * ENTRY_BYTES;

// The lane's part of the band. Lane column t has positions t + 4 j, so of its pixel, lane / 4, the
// taps t + 4 j - S pixel, of which the window has one or two: s and s + 4. That all lanes read the
// same tap but for its remainder by 4 keeps pixels in banks of their own.
struct Band {
    int at, next;     // behind the entries of a row, and from there to the other
    uint32 selector;  // which of the two is the first in a register
    uint32 mask[BLOCKS];

    DEVICE explicit Band(bool column_inside) {
        const int column = lane() % 4, pixel = lane() / 4, s = (column - S * pixel) & 3;
        const int j = (s + S * pixel - column) / 4;  // of tap s
        at = ENTRIES_AT + pixel * ENTRY_BYTES + own_entries() + 2 * s;
        next = s + 4 < K ? 8 : 0;
        selector = j % 2 ? 0x1054 : 0x5410;
#pragma unroll
        for (int i = 0; i < BLOCKS; ++i) {
            mask[i] = 0;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int tap = s + 4 * (2 * i + half - j);
                if (column_inside && tap >= 0 && tap < K) mask[i] |= 0xffffu << 16 * half;
            }
        }
    }
    DEVICE void factor(uint32 (&b)[BLOCKS], const unsigned char* taps) const {
        const uint32 pair = select_bytes(bits_at(taps), bits_at(taps + next), selector);
#pragma unroll
        for (int i = 0; i < BLOCKS; ++i) b[i] = pair & mask[i];
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, (S == 1 ? 20 : 16) / WARPS)
    aggregate(const Problem p, const Storage* __restrict__ x, const Storage* __restrict__ kernel,
              Storage* __restrict__ y) {
    Task task;
    if (!take(task, p, int(p.rows), int(p.columns), PIXELS)) return;
    // the last row that step STEPS_AHEAD brings is the last of the first windows
    int row = task.row * S - int(p.padding_y) + K - S - STEPS_AHEAD * S;
    const int height = int(p.height), column = task.column + lane() / 4;
    const bool column_inside = column < p.columns;
    PixelCopier<BLOCKS> pixels(x + task.image * p.x[0] + first_channel(task) + row * p.x[2], p.x[2],
                               task.column * S - int(p.padding_x), POSITIONS, int(p.width), p.x[3]);
    const Storage* entries =
        kernel + task.image * p.kernel[0] + first_group(task) * p.kernel[1] + task.row * p.kernel[4];
    EntryCopier<PIXELS> copier(entries, p.kernel[4], task.column, int(p.columns), p.kernel[5]);
    const Band band(column_inside);
    entries += column * p.kernel[5];  // of the lane's pixel
    unsigned char* shared = shared_memory<unsigned char>();
#pragma unroll
    for (int i = 0; i < STAGES * S; ++i)
        pixels.clear(shared + i / S * STAGE_BYTES + i % S * ROW_BYTES);

    // Step m brings S rows of the input, and from STEPS_AHEAD on a row of entries.
    const int steps = STEPS_AHEAD + task.rows;
    int copied = 0, filling = 0;
    const auto copy = [&]() {
        if (copied < steps) {
#pragma unroll
            for (int s = 0; s < S; ++s, ++row)
                pixels.copy(shared + filling + s * ROW_BYTES,
                            uint32(row) < uint32(height));
            if (copied >= STEPS_AHEAD) copier.copy(shared + filling + ENTRIES_AT);
            advance<STAGES, STAGE_BYTES>(filling);
            ++copied;
        }
        copy_async_commit();
    };
#pragma unroll 1
    for (int i = 0; i < STAGES - 1; ++i) copy();

    Storage* to = y + task.image * p.y[0] + task.channel + task.row * p.y[2] + column * p.y[3];
    const int64 y_step = p.y[2], entries_step = p.kernel[4];
    const int own_pixels = warp() * PixelCopier<BLOCKS>::WARP_BYTES;
    uint32 ring[RING][BLOCKS][HALVES] = {};
    float poison = 0;
    int m = 0, reading = 0, behind = band.at + misalignment(entries);
#pragma unroll 1
    while (m < steps) {
#pragma unroll
        for (int turn = 0; turn < TURN; ++turn) {
            if (m == steps) break;
            copy_async_wait<STAGES - 2>();
            __syncthreads();
            copy();
            const unsigned char* stage = shared + reading;
            advance<STAGES, STAGE_BYTES>(reading);
#pragma unroll
            for (int s = 0; s < S; ++s)
                load_pixels<true, true>(ring[turn * S + s], stage + s * ROW_BYTES + own_pixels);
            if (m++ < STEPS_AHEAD) continue;
            if (!KEEP_PLACE) behind = band.at + misalignment(entries), entries += entries_step;
            float sums[2][4] = {};  // two, so that products wait less for each other
#pragma unroll
            for (int u = 0; u < K; ++u) {
                uint32 b[BLOCKS];
                band.factor(b, stage + behind + 2 * K * u);
                multiply(sums[u % 2], ring[(turn * S + S - K + u + RING) % RING], b);
            }
            float d[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) d[i] = sums[0][i] + sums[1][i];
            poison = poisoned(poison, d);
            store_product(to, column_inside, d);
            to += y_step;
        }
    }
    // a zero of the band times infinity: sum again what is not finite, without the others' taps
    if (!__any_sync(0xffffffffu, poison != poison)) return;
    slow_path();
    __syncwarp();
    for (int index = lane(); index < task.rows * PIXELS * CHANNELS; index += 32) {
        int i = index;
        const int channel = task.channel + digit(i, CHANNELS);
        const int j = task.column + digit(i, PIXELS);
        i += task.row;
        if (j < p.columns)
            narrow(plain_output(p, x, kernel, task.image, channel, i, j),
                   y[offset(p.y, task.image, channel, i, j)]);
    }
}

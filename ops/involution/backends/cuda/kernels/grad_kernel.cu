// The gradient of the kernel in fp16 and bf16, on tensor cores, for 16 or 8 channels a group; see band.h.
// For one row of the windows, positions x channels times channels x 8 pixels is a matrix whose band
// is the result; the rest is left. The K rows of the input stay in registers.
#include "band.h"

constexpr int STAGES = 4;
constexpr int POSITIONS = (PIXELS - 1) * S + K, BLOCKS = (POSITIONS + 7) / 8;
constexpr int STEPS_AHEAD = (K - 1) / S;  // of S rows of the input each, before the first output
constexpr int ROW_BYTES = PixelCopier<BLOCKS>::BYTES, GRADIENTS_AT = S * ROW_BYTES;
constexpr int STAGE_BYTES = GRADIENTS_AT + PixelCopier<1>::BYTES;
constexpr int OUT_BYTES = PIXELS * ENTRY_BYTES;  // entries of a row, on their way out

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

// Writes the block's entries of 8 pixels from shared memory, where they are at the same place within
// 16 bytes: whole pieces at once, of the first and last of a pixel what is the block's.
DEVICE void write_entries(unsigned char* row, const unsigned char* from, int pixels, int64 step) {
    typedef EntryPieces<PIXELS> Own;
#pragma unroll
    for (int round = 0; round < Own::ROUNDS; ++round) {
        const int part = Own::part(round), pixel = Own::pixel(round);
        if (pixel >= pixels) break;
        unsigned char* entries = row + pixel * step;
        const int back = misalignment(entries), until = Own::until(back, part);
        const int before = part == 0 ? back : 0;
        const Words words = *reinterpret_cast<const Words*>(from + Own::place(round));
        unsigned char* to = entries + 16 * part - back;
        if (before == 0 && until >= 16) {
            store_words(to, words);
            continue;
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const bool first = 4 * i >= before && 4 * i < until;
            const bool second = 4 * i + 2 >= before && 4 * i + 2 < until;
            if (first && second)
                *reinterpret_cast<uint32*>(to + 4 * i) = words.word[i];
            else if (first)
                *reinterpret_cast<uint16*>(to + 4 * i) = uint16(words.word[i]);
            else if (second)
                *reinterpret_cast<uint16*>(to + 4 * i + 2) = uint16(words.word[i] >> 16);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, (S == 2 ? 12 : HALVES == 2 ? 20 : 16) / WARPS)
    grad_kernel(const Problem p, const Storage* __restrict__ grad_output,
                const Storage* __restrict__ x, Storage* __restrict__ result) {
    Task task;
    if (!take(task, p, int(p.rows), int(p.columns), PIXELS)) return;
    int row = task.row * S - int(p.padding_y) + K - S - STEPS_AHEAD * S;  // as in aggregate.cu
    const int first_column = task.column * S - int(p.padding_x);
    const int height = int(p.height), width = int(p.width), columns = int(p.columns);
    const int pixels = columns - task.column < PIXELS ? columns - task.column : PIXELS;
    PixelCopier<BLOCKS> images(x + task.image * p.x[0] + first_channel(task) + row * p.x[2], p.x[2],
                               first_column, POSITIONS, width, p.x[3]);
    PixelCopier<1> gradients(
        grad_output + task.image * p.y[0] + first_channel(task) + task.row * p.y[2], p.y[2], task.column,
        PIXELS, columns, p.y[3]);
    unsigned char* entries = reinterpret_cast<unsigned char*>(
        result + task.image * p.kernel[0] + first_group(task) * p.kernel[1] + task.row * p.kernel[4] +
        task.column * p.kernel[5]);
    const int64 next_row = 2 * p.kernel[4], next_pixel = 2 * p.kernel[5];
    unsigned char* out = shared_memory<unsigned char>();
    unsigned char* shared = out + OUT_BYTES;
    const Band bands[2] = {band_of_lane(0, first_column, width),
                           band_of_lane(1, first_column, width)};
    int own[2];  // where the lane's taps go, but for where entries begin within 16 bytes
    const unsigned char* addresses[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int pixel = lane() % 4 * 2 + half;
        own[half] = pixel * ENTRY_BYTES + own_entries() + 2 * bands[half].tap;
        addresses[half] = entries + pixel * next_pixel;
        if (KEEP_PLACE) own[half] += misalignment(addresses[half]);
    }
#pragma unroll
    for (int i = 0; i < STAGES * S; ++i)
        images.clear(shared + i / S * STAGE_BYTES + i % S * ROW_BYTES);
#pragma unroll
    for (int i = 0; i < STAGES; ++i) gradients.clear(shared + i * STAGE_BYTES + GRADIENTS_AT);

    const int steps = STEPS_AHEAD + task.rows;
    int copied = 0, filling = 0;
    const auto copy = [&]() {
        if (copied < steps) {
#pragma unroll
            for (int s = 0; s < S; ++s, ++row)
                images.copy(shared + filling + s * ROW_BYTES,
                            uint32(row) < uint32(height));
            if (copied >= STEPS_AHEAD) gradients.copy(shared + filling + GRADIENTS_AT, true);
            advance<STAGES, STAGE_BYTES>(filling);
            ++copied;
        }
        copy_async_commit();
    };
#pragma unroll 1
    for (int i = 0; i < STAGES - 1; ++i) copy();

    const int own_pixels = warp() * PixelCopier<BLOCKS>::WARP_BYTES;
    uint32 ring[RING][BLOCKS][HALVES] = {};
    int m = 0, reading = 0, window_row = task.row * S - int(p.padding_y);
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
                load_pixels<false>(ring[turn * S + s],
                                   stage + s * ROW_BYTES + own_pixels);
            if (m++ < STEPS_AHEAD) continue;
            uint32 gradient[1][HALVES];
            load_pixels<false>(gradient, stage + GRADIENTS_AT + warp() * PixelCopier<1>::WARP_BYTES);
            unsigned char* to[2];
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                to[half] = out + own[half];
                if (KEEP_PLACE) continue;
                to[half] += misalignment(addresses[half]);
                addresses[half] += next_row;
            }
#pragma unroll
            for (int u = 0; u < K; ++u) {
                float products[BLOCKS][2];
                multiply(products, ring[(turn * S + S - K + u + RING) % RING], gradient[0]);
                const bool row_inside = uint32(window_row + u) < uint32(height);
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
            __syncthreads();
            write_entries(entries, out, pixels, next_pixel);
            entries += next_row;
            window_row += S;
        }
    }
}

// What the kernels in plain fp32 arithmetic share, for images and kernels whose channels, or whose
// columns, are innermost (CHANNELS_LAST 1 or 0).
//
// A warp goes down 8 columns and 16 (or 8) channels of one group; a lane has one pixel and a quarter
// of the channels. The next row's numbers are on their way to registers while a row is summed; from
// there they go to shared memory, as floats. Warps need nothing from each other.
#ifndef INVOLUTION_FMA_H
#define INVOLUTION_FMA_H

#include "tasks.h"

constexpr int QUARTER = CHANNELS / 4;

// Output rows whose windows overlap a row of the input.
constexpr int ROWS = (K + S - 1) / S;

struct alignas(4 * QUARTER) Quarter {
    float number[QUARTER];
};

// Which numbers of a row of COUNT pixels, and of what each of them has, a lane moves: neighbouring
// lanes neighbouring numbers of the tensor, and each lane's at equal distances.
template <int COUNT>
struct Share {
    static constexpr int WIDTH = COUNT <= 8 ? 8 : COUNT <= 16 ? 16 : 32;
    static constexpr int SPAN = CHANNELS_LAST ? CHANNELS : WIDTH, STEP = 32 / SPAN;
    static constexpr int CHANNEL_ROUNDS = ((CHANNELS_LAST ? COUNT : CHANNELS) + STEP - 1) / STEP;

    static DEVICE int channel(int i) {
        return CHANNELS_LAST ? lane() % SPAN : lane() / SPAN + STEP * i;
    }
    static DEVICE int position(int i) {
        return CHANNELS_LAST ? lane() / SPAN + STEP * i : lane() % SPAN;
    }

    static constexpr int TAPS_AT_ONCE = CHANNELS_LAST ? 32 : 32 / WIDTH;
    static constexpr int TAP_ROUNDS = (TAPS + TAPS_AT_ONCE - 1) / TAPS_AT_ONCE;
    static constexpr int ENTRY_ROUNDS = CHANNELS_LAST ? COUNT * TAP_ROUNDS : TAP_ROUNDS;

    static DEVICE int pixel(int i) { return CHANNELS_LAST ? i / TAP_ROUNDS : lane() % WIDTH; }
    static DEVICE int tap(int i) {
        return CHANNELS_LAST ? lane() + 32 * (i % TAP_ROUNDS)
                             : lane() / WIDTH + TAPS_AT_ONCE * i;
    }
    static DEVICE bool has_entry(int i) { return pixel(i) < COUNT && tap(i) < TAPS; }
};

// The innermost axis has no stride.
DEVICE int pixel_offset(const int64 (&strides)[4], int column, int channel) {
    return CHANNELS_LAST ? column * int(strides[3]) + channel : column + channel * int(strides[1]);
}
DEVICE int entry_offset(const Problem& p, int column, int tap) {
    return CHANNELS_LAST ? column * int(p.kernel[5]) + tap : column + tap * int(p.kernel[3]);
}

// The channels of COUNT neighbouring pixels of a row, on the way in the lanes' registers.
template <int COUNT>
struct Pixels {
    typedef Share<COUNT> Mine;
    Storage number[Mine::CHANNEL_ROUNDS];

    // Zeros outside the image. `row` is that of its first channel.
    DEVICE void fetch(const Storage* row, bool row_inside, int first, int width,
                      const int64 (&strides)[4]) {
#pragma unroll
        for (int i = 0; i < Mine::CHANNEL_ROUNDS; ++i) {
            const int position = Mine::position(i), column = first + position;
            const bool valid = row_inside && position < COUNT && inside(column, width);
            number[i] = narrowed<Storage>(0);
            if (valid) number[i] = row[pixel_offset(strides, column, Mine::channel(i))];
        }
    }

    // To COUNT x CHANNELS floats.
    DEVICE void put(float* to) const {
#pragma unroll
        for (int i = 0; i < Mine::CHANNEL_ROUNDS; ++i) {
            if (Mine::position(i) < COUNT)
                to[Mine::position(i) * CHANNELS + Mine::channel(i)] = widen(number[i]);
        }
    }
};

// The entries of COUNT neighbouring pixels of a row and one group, likewise.
template <int COUNT>
struct Entries {
    typedef Share<COUNT> Mine;
    Storage number[Mine::ENTRY_ROUNDS];

    DEVICE void fetch(const Storage* row, int first, const Problem& p) {
        const bool column_inside = inside(first + Mine::pixel(0), int(p.columns));
        row += entry_offset(p, first + Mine::pixel(0), Mine::tap(0));
#pragma unroll
        for (int i = 0; i < Mine::ENTRY_ROUNDS; ++i) {
            const bool valid = CHANNELS_LAST ? inside(first + Mine::pixel(i), int(p.columns))
                                             : column_inside;
            number[i] = narrowed<Storage>(0);
            if (valid && Mine::has_entry(i))
                number[i] = row[entry_offset(p, Mine::pixel(i) - Mine::pixel(0),
                                             Mine::tap(i) - Mine::tap(0))];
        }
    }

    // To COUNT x TAPS floats.
    DEVICE void put(float* to) const {
#pragma unroll
        for (int i = 0; i < Mine::ENTRY_ROUNDS; ++i) {
            if (Mine::has_entry(i)) to[Mine::pixel(i) * TAPS + Mine::tap(i)] = widen(number[i]);
        }
    }
};

DEVICE Quarter quarter_at(const float* pixel) {
    return *reinterpret_cast<const Quarter*>(pixel + lane() % 4 * QUARTER);
}

// Stores the lane's channels of a pixel, whose first channel in this warp is at `pixel`.
DEVICE void store_quarter(Storage* pixel, int64 step, bool inside, const float (&sum)[QUARTER]) {
    struct alignas(QUARTER * sizeof(Storage)) Stored {
        Storage number[QUARTER];
    };
    if (!inside) return;
    Stored stored;
#pragma unroll
    for (int k = 0; k < QUARTER; ++k) narrow(sum[k], stored.number[k]);
    pixel += lane() % 4 * QUARTER * step;
    if (CHANNELS_LAST) {
        *reinterpret_cast<Stored*>(pixel) = stored;
    } else {
#pragma unroll
        for (int k = 0; k < QUARTER; ++k) pixel[k * step] = stored.number[k];
    }
}

#endif

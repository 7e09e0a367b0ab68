// gx: a block walks down the output rows of one group, computes each row's kernel entries once, and
// keeps the K rows of gx that they touch in registers, from where a row leaves as soon as no later
// output row reaches it.
//
// A warp has a tile of 8 columns of gx by 16 channels; `section_tiles` tiles beside each other are
// a section, which has `section_pixels` output pixels (a multiple of 8) that reach it; `sections`
// sections of as many images are a block. Wide images take `column_blocks` blocks side by side,
// high ones may be cut into segments of `segment_rows` rows, each with its own block.
//
// For a window row u, gx[q][c] = sum over pixels of h[pixel][u][v(q, pixel)] gy[pixel][c]: a
// product of 16 channels by 8 columns q over at most 16 pixels, whose second operand is a band. The
// entries are stored so that it can be read at once: band[row of q][u][slot], a slot for each of
// the 16 pixels from the first that reaches the tile; slots outside of the band stay zero.
#include "fused_backward.h"

constexpr int WARPS = 8, THREADS = 32 * WARPS, MOST_PIXELS = 80;
constexpr int BAND_SLOTS = 16, BAND_ROW = K * BAND_SLOTS + GAP;
constexpr int FEATURE_ROW = 16 * HIDDEN_TILES + GAP, OUTPUT_ROW = 16 + GAP;
// On an SM; one more would spill.
constexpr int MIN_BLOCKS = HIDDEN > 128 ? 1 : (K <= 3 && HIDDEN <= 16 ? 4 : 2);

// The integer next below a / b, b > 0.
DEVICE int floor_quotient(int a, int b) { return (a >= 0 ? a : a - b + 1) / b; }

struct Block {
    int group, slice, sections, pixels, all_pixels, band_rows;
    int64 first_image;
    int first_column, first_pixel, offset, buffer_size;
    S *band, *buffers;

    DEVICE Block(const Problem& p)
        : group(int(blockIdx.y) / SLICES), slice(int(blockIdx.y) % SLICES),
          sections(int(p.sections)), pixels(int(p.section_pixels)), all_pixels(sections * pixels),
          band_rows(int(p.band_rows)) {
        const uint32 across = uint32(p.column_blocks);
        first_image = blockIdx.x / across * p.sections;
        first_column = int(blockIdx.x % across) * int(p.section_tiles) * 8;
        first_pixel = floor_quotient(first_column + int(p.pad_columns) - (K - 1), STRIDE);
        if (first_pixel < 0) first_pixel = 0;
        // Entry v of the section's pixel i is for column STRIDE i + v - offset of the section.
        offset = first_column + int(p.pad_columns) - STRIDE * first_pixel;
        band = shared_memory<S>();
        buffers = band + sections * band_rows * BAND_ROW;
        buffer_size = all_pixels * (FEATURE_ROW + OUTPUT_ROW) + OUTPUT_ROW;
    }
    DEVICE S* features(int buffer) const { return buffers + buffer * buffer_size; }
    DEVICE S* output(int buffer) const { return features(buffer) + all_pixels * FEATURE_ROW; }
    DEVICE int bytes() const { return 2 * int(buffers + 2 * buffer_size - band); }
    // The first pixel that has a slot in the section's tile.
    DEVICE int slot_pixel(int tile) const {
        return 8 / STRIDE * tile + floor_quotient(offset - (K - 1) + STRIDE - 1, STRIDE);
    }
};

// Copies features and gradient of the output, an output row after the other, to shared memory.
struct Rows {
    static constexpr int PASSES = (MOST_PIXELS * HIDDEN_PIECES + THREADS - 1) / THREADS;
    static constexpr int ABSENT = -1, IDLE = -2;

    const S *features, *output;  // at the first image and the next row
    int features_at[PASSES], output_at;  // what this thread copies of it

    DEVICE Rows(const Problem& p, const Block& block, int row, const S* of_features,
                const S* grad_output) {
        const int64 first = (block.first_image * p.out_height + row) * p.out_width;
        const int channel = 16 * block.slice + int(threadIdx.x) % 2 * 8;
        features = of_features + first * HIDDEN;
        output = grad_output + first * p.channels + block.group * GROUP_CHANNELS;
#pragma unroll
        for (int pass = 0; pass < PASSES; ++pass) {
            const int i = pass * THREADS + int(threadIdx.x), at = pixel(p, block, i / HIDDEN_PIECES);
            features_at[pass] = at < 0 ? at : at * HIDDEN + i % HIDDEN_PIECES * 8;
        }
        const int at = pixel(p, block, int(threadIdx.x) / 2);
        output_at = at < 0 ? at : at * int(p.channels) + channel;
        if (at >= 0 && channel >= GROUP_CHANNELS) output_at = ABSENT;
    }
    DEVICE int pixel(const Problem& p, const Block& block, int at) const {
        if (at >= block.all_pixels) return IDLE;
        const int section = at / block.pixels;
        const int column = block.first_pixel + at - section * block.pixels;
        const bool valid = column < p.out_width && block.first_image + section < p.images;
        return valid ? section * int(p.out_height * p.out_width) + column : ABSENT;
    }
    DEVICE void load(const Problem& p, const Block& block, int buffer) {
        const int thread = int(threadIdx.x);
        S* to = block.features(buffer);
#pragma unroll
        for (int pass = 0; pass < PASSES; ++pass) {
            const int i = pass * THREADS + thread, at = features_at[pass], piece = i % HIDDEN_PIECES;
            if (at == IDLE) break;
            copy_piece<HIDDEN>(to + i / HIDDEN_PIECES * FEATURE_ROW + 8 * piece, features + at,
                               piece, at >= 0);
        }
        if (output_at != IDLE)
            copy_async(block.output(buffer) + thread / 2 * OUTPUT_ROW + thread % 2 * 8,
                       output + output_at, output_at >= 0);
        copy_async_commit();
        features += p.out_width * HIDDEN;
        output += p.out_width * p.channels;
    }
};

// Sixteen entries of the group, for which a warp holds the weight in registers.
struct Entries {
    static constexpr int STEP = WARPS / ENTRY_TILES;  // warps with the same entries share pixels
    static constexpr int TILES_AT_ONCE = HIDDEN_TILES > 4 ? 1 : 2;

    uint32 weight[HIDDEN_TILES][4];
    float bias[4];
    int first, section_tiles, to[4];  // where the band takes a product, for the first pixels
    bool exists[2];

    DEVICE Entries(const Block& block, const S* weights, const S* biases)
        : section_tiles(block.pixels / 8) {
        const int tile = warp() % ENTRY_TILES;
        first = warp() < STEP * ENTRY_TILES ? warp() / ENTRY_TILES : block.all_pixels;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int entry = 16 * tile + lane() / 4 + 8 * half;
            exists[half] = entry < ENTRIES;
            const int64 at = int64(block.group) * ENTRIES + entry;
            const bool biased = exists[half] && biases != nullptr;
            bias[2 * half] = bias[2 * half + 1] = biased ? widen(biases[at]) : 0;
#pragma unroll
            for (int step = 0; step < HIDDEN_TILES; ++step) {
#pragma unroll
                for (int part = 0; part < 2; ++part) {
                    const int i = 16 * step + 8 * part + lane() % 4 * 2;
                    const S* from = weights + at * HIDDEN + i;
                    const uint32 low = exists[half] && i < HIDDEN ? from[0].bits : 0;
                    const uint32 high = exists[half] && i + 1 < HIDDEN ? from[1].bits : 0;
                    weight[step][2 * part + half] = low | high << 16;
                }
            }
#pragma unroll
            for (int j = 0; j < 2; ++j) to[2 * half + j] = place(block, entry, lane() % 4 * 2 + j);
        }
    }

    DEVICE int place(const Block& block, int entry, int pixel) const {
        const int u = entry / K, v = entry % K, row = STRIDE * pixel + v;
        const int tile = (row - block.offset) >> 3;
        return row * BAND_ROW + u * BAND_SLOTS + pixel - block.slot_pixel(tile);
    }

    // The entries of all pixels of the block, to the band.
    DEVICE void make(const Block& block, const S* features) const {
        const S* from = features + (8 * first + lane() % 8) * FEATURE_ROW + lane() / 8 * 8;
        const int gap = (block.band_rows - STRIDE * block.pixels) * BAND_ROW;
        S* band = block.band + first * 8 * STRIDE * BAND_ROW;
        int left = section_tiles - first;  // in the section
#pragma unroll TILES_AT_ONCE
        for (int tile = first; tile < block.all_pixels / 8; tile += STEP) {
            for (; left <= 0; left += section_tiles) band += gap;
            float d[4] = {bias[0], bias[1], bias[2], bias[3]};
            product(from, d);
            store_two(d[0], d[1], band + to[0], band + to[1], exists[0], exists[0]);
            store_two(d[2], d[3], band + to[2], band + to[3], exists[1], exists[1]);
            from += STEP * 8 * FEATURE_ROW;
            band += STEP * 8 * STRIDE * BAND_ROW;
            left -= STEP;
        }
    }

    DEVICE void product(const S* from, float (&d)[4]) const {
#pragma unroll
        for (int step = 0; step + 1 < HIDDEN_TILES; step += 2) {
            uint32 b[4];
            load_matrices(b, from + 16 * step);
            const uint32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
            mma_m16n8k16<S>(d, weight[step], low);
            mma_m16n8k16<S>(d, weight[step + 1], high);
        }
        if constexpr (HIDDEN_TILES % 2 == 1) {
            uint32 b[2];  // the upper lanes' addresses are not used
            load_matrices(b, from + 16 * (HIDDEN_TILES - 1));
            mma_m16n8k16<S>(d, weight[HIDDEN_TILES - 1], b);
        }
    }
};

// A warp's tile of gx: 8 columns of the K rows that an output row touches.
struct Tile {
    float rows[K][4];
    int section, tile, output, band;
    bool exists, stores;
    S* to;  // the first of those rows

    DEVICE Tile(const Problem& p, const Block& block, int row, S* grad_x) {
        section = warp() / int(p.section_tiles);
        tile = warp() - section * int(p.section_tiles);
        const int64 image = block.first_image + section;
        const int column = block.first_column + 8 * tile;
        exists = section < block.sections && image < p.images && column < p.width;
        stores = exists && column + pair_pixel() < p.width;
        const int i = lane() / 16 * 8 + lane() % 8, pixel = block.slot_pixel(tile) + i;
        const bool there = exists && pixel >= 0 && pixel < block.pixels;
        output = (there ? section * block.pixels + pixel : block.all_pixels) * OUTPUT_ROW +
                 lane() / 8 % 2 * 8;
        band = (section * block.band_rows + 8 * tile + block.offset + lane() % 8) * BAND_ROW +
               lane() / 8 * 8;
        to = grad_x + ((image * p.height + row) * p.width + column + pair_pixel()) * p.channels +
             block.group * GROUP_CHANNELS + 16 * block.slice + pair_channel();
#pragma unroll
        for (int u = 0; u < K; ++u)
#pragma unroll
            for (int i = 0; i < 4; ++i) rows[u][i] = 0;
    }

    // On to the rows of the next output row.
    DEVICE void advance() {
#pragma unroll
        for (int u = 0; u < K; ++u)
#pragma unroll
            for (int i = 0; i < 4; ++i) rows[u][i] = u + STRIDE < K ? rows[u + STRIDE][i] : 0;
    }

    DEVICE void add(const Block& block, const S* grad_output) {
        uint32 a[4];
        load_matrices_transposed(a, grad_output + output);
        const S* from = block.band + band;
#pragma unroll
        for (int u = 0; u + 1 < K; u += 2) {
            uint32 b[4];
            load_matrices(b, from + u * BAND_SLOTS);
            const uint32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
            mma_m16n8k16<S>(rows[u], a, low);
            mma_m16n8k16<S>(rows[u + 1], a, high);
        }
        if constexpr (K % 2 == 1) {
            uint32 b[2];
            load_matrices(b, from + (K - 1) * BAND_SLOTS);
            mma_m16n8k16<S>(rows[K - 1], a, b);
        }
    }

    // Stores the rows that no later output row touches, where they lie between `from` and `end`.
    DEVICE void store(const Problem& p, const Block& block, int row, int from, int end) {
        const int64 step = p.width * p.channels;
#pragma unroll
        for (int j = 0; j < STRIDE; ++j, to += step) {
            uint32 pairs[2];
            pair_channels(rows[j], pairs);
            if (!stores || row + j < from || row + j >= end) continue;
            *reinterpret_cast<uint32*>(to) = pairs[0];
            if (GROUP_CHANNELS % 16 == 0 || 16 * block.slice + 8 < GROUP_CHANNELS)
                *reinterpret_cast<uint32*>(to + 8) = pairs[1];
        }
    }
};

// The grid is (blocks of images and columns, groups and slices of 16 channels, segments).
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    fused_grad_x(const Problem p, const S* grad_output, const S* features, const S* weight,
                 const S* bias, S* grad_x) {
    const Block block(p);
    const int from = int(blockIdx.z * p.segment_rows), rows = int(p.out_height);
    const bool last = int(p.height) - from <= int(p.segment_rows);
    const int end = last ? int(p.height) : from + int(p.segment_rows);
    int row = floor_quotient(from + int(p.pad_rows) - (K - 1), STRIDE);
    if (row < 0) row = 0;
    int top = STRIDE * row - int(p.pad_rows);  // the row of gx that the windows begin at
    clear_shared(block.bytes());
    Rows source(p, block, row, features, grad_output);
    if (row < rows) source.load(p, block, 0);
    const Entries entries(block, weight, bias);
    Tile tile(p, block, top, grad_x);
#pragma unroll 1
    for (int buffer = 0; row < rows && top < end; ++row, top += STRIDE, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        if (row + 1 < rows && top + STRIDE < end) source.load(p, block, buffer ^ 1);
        entries.make(block, block.features(buffer));
        __syncthreads();
        if (!tile.exists) continue;
        tile.advance();
        tile.add(block, block.output(buffer));
        tile.store(p, block, top, from, end);
    }
    if (!tile.exists) return;
#pragma unroll 1
    for (; top < end; top += STRIDE) {
        tile.advance();
        tile.store(p, block, top, from, end);
    }
}

// Between tensors and scratch memory: padded blocks of one register of channels, and back.
#pragma once

#include "plan.h"
#include "vector.h"

namespace VARIANT {

// A tensor's element and where the tensor ends, for reads of whole registers.
template <class S>
struct Span {
    S* data;
    S* end;
};

INLINE int64_t last_element(const ImageStrides& s, int64_t images, int64_t channels, int64_t rows,
                            int64_t columns) {
    return (images - 1) * s.image + (channels - 1) * s.channel + (rows - 1) * s.row +
           (columns - 1) * s.column;
}

template <class C>
INLINE void zero(C* to, int64_t count) {
    memset(to, 0, size_t(count) * sizeof(C));
}

// Asks for `count` elements to come into L2.
template <class C>
INLINE void prefetch(const C* from, int64_t count) {
    for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(C))) __builtin_prefetch(from + i, 0, 2);
}

// to[column][lane] from one row of an image whose channels lie `channel` apart.
template <class S, class C>
INLINE void load_pixels(const S* from, const S* end, const ImageStrides& s, int64_t channels,
                        int64_t columns, C* to) {
    constexpr int lanes = Lanes<C>::count;
    if (s.channel == 1) {
        for (int64_t i = 0; i < columns; ++i) {
            const S* pixel = from + i * s.column;
            __builtin_prefetch(pixel + s.row);  // the next row, while this one is copied
            const bool whole = channels >= lanes || end - pixel >= lanes;
            Vector<C> value = whole ? load(pixel) : load_some<S>(pixel, channels);
            store(to + i * lanes, value);
        }
        return;
    }
    for (int64_t i = 0; i < columns; i += lanes)
        transpose_in(from + i, s.channel, channels, at_most(lanes, columns - i), end,
                     to + i * lanes, lanes);
}

// from[column][lane] into one row of an image.
template <class S, class C>
INLINE void store_pixels(const C* from, const ImageStrides& s, int64_t channels, int64_t columns,
                         S* to) {
    constexpr int lanes = Lanes<C>::count;
    if (s.channel == 1) {
        for (int64_t i = 0; i < columns; ++i) {
            __builtin_prefetch(to + i * s.column + s.row);
            store_some<S, C>(to + i * s.column, load(from + i * lanes), channels);
        }
        return;
    }
    for (int64_t i = 0; i < columns; i += lanes)
        transpose_out<S, C>(from + i * lanes, lanes, at_most(lanes, columns - i), channels,
                            to + i, s.channel);
}

// Everything about the windows of one call that no tensor changes.
template <class C>
struct Window {
    static constexpr int lanes = Lanes<C>::count;
    const Plan& plan;
    int64_t entries;        // K * K
    int64_t group_channels;
    int64_t parts;          // registers of channels in a group
    int64_t columns;        // of a padded block
    int64_t row;            // elements in a row of a padded block

    Window(const Plan& p, int64_t reached)
        : plan(p),
          entries(p.size * p.size),
          group_channels(p.channels / p.groups),
          parts(quotient_up(group_channels, lanes)),
          columns((reached - 1) * p.stride_columns + (p.size - 1) * p.dilation_columns + 1),
          row(columns * lanes) {}

    // Rows of a padded block that `outputs` rows of output need.
    int64_t rows(int64_t outputs) const {
        return (outputs - 1) * plan.stride_rows + (plan.size - 1) * plan.dilation_rows + 1;
    }
    int64_t part_channels(int64_t part) const {
        return at_most(lanes, group_channels - part * lanes);
    }
    // Columns of the image that lie in a padded block.
    int64_t inner_columns() const {
        return at_least(0, at_most(plan.width, columns - plan.pad_columns));
    }
    // Where each row of the window of an output pixel begins in a block of `kept` rows, of which row
    // r is the padded row r, r + kept, ... last put there.
    void window(const C* block, int64_t kept, int64_t output_row, int64_t output_column,
                const C** rows) const {
        int64_t r = output_row * plan.stride_rows % kept;
        block += output_column * plan.stride_columns * lanes;
        for (int64_t u = 0; u < plan.size; ++u, r += plan.dilation_rows) {
            if (r >= kept) r -= kept;
            rows[u] = block + r * row;
        }
    }
};

// One row of a padded block, zeros around the image: row y of channels [channel, channel + count).
template <class S, class C>
INLINE void fill_row(const Window<C>& w, Span<const S> x, int64_t image, int64_t channel,
                     int64_t count, int64_t y, C* to) {
    const Plan& p = w.plan;
    if (y < 0 || y >= p.height) return zero(to, w.row);
    const int64_t inner = w.inner_columns(), left = at_most(p.pad_columns, w.columns);
    const S* from = x.data + image * p.x.image + channel * p.x.channel + y * p.x.row;
    zero(to, left * w.lanes);
    load_pixels<S, C>(from, x.end, p.x, count, inner, to + left * w.lanes);
    zero(to + (left + inner) * w.lanes, (w.columns - left - inner) * w.lanes);
}

// Which rows of output a task does at a time: whole rows, or a piece of one where rows are long.
// Rows of a block of several images count through.
struct Chunks {
    int64_t rows_at_once, pieces, piece;

    Chunks(int64_t out_width, int64_t pixels) {
        pieces = quotient_up(out_width, pixels + 16);
        piece = quotient_up(out_width, pieces);
        rows_at_once = at_least(1, pixels / piece);
    }
    int64_t most_pixels() const { return rows_at_once * piece; }
    int64_t count(int64_t rows) const { return quotient_up(rows, rows_at_once) * pieces; }
};

struct Chunk {
    int64_t row, rows, column, columns;

    Chunk(const Chunks& cut, int64_t index, int64_t all_rows, int64_t out_width) {
        row = index / cut.pieces * cut.rows_at_once;
        rows = at_most(cut.rows_at_once, all_rows - row);
        column = index % cut.pieces * cut.piece;
        columns = at_most(cut.piece, out_width - column);
    }
    int64_t pixels() const { return rows * columns; }
};

// Bytes of one thread's scratch memory, handed out in whole cache lines.
class Arena {
  public:
    explicit Arena(char* base) : next(base) {}
    template <class C>
    C* take(int64_t count) {
        C* result = (C*)next;
        next += round_up(count * int64_t(sizeof(C)), 64);
        return result;
    }
    int64_t used(const char* base) const { return next - base; }

  private:
    char* next;
};

}  // namespace VARIANT

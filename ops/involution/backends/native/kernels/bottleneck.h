// The whole layer in eval mode: pooling, reduction with its batch norm folded in, ReLU, span,
// aggregation.
#pragma once

#include "fused.h"

namespace VARIANT {

template <class S>
struct Reduction {
    const S* weight;                           // [hidden][channels]
    const S *mean, *variance, *gain, *offset;  // of the batch norm, [hidden]
    double epsilon;
};

constexpr int64_t DEPTH = 64;  // channels reduced at a time from planes, so that they stay in L1

// Pixels of the input that one pixel of the features is the mean of: fewer at the border.
struct Pool {
    int64_t y, x, rows, columns;

    Pool(const Plan& p, int64_t row, int64_t column)
        : y(row * p.stride_rows), x(column * p.stride_columns),
          rows(at_most(p.stride_rows, p.height - y)),
          columns(at_most(p.stride_columns, p.width - x)) {}
};

// to[pixel][channel], pooled, from an image whose channels lie next to each other.
template <class S, class C>
void pool_pixels(const Plan& p, Span<const S> x, const S* image, int64_t row, int64_t column,
                 int64_t columns, int64_t width, C* to) {
    constexpr int lanes = Lanes<C>::count;
    for (int64_t j = 0; j < columns; ++j, to += width) {
        const Pool pool(p, row, column + j);
        const S* first = image + pool.y * p.x.row + pool.x * p.x.column;
        const C scale = C(1) / C(pool.rows * pool.columns);
        for (int64_t c = 0; c < p.channels; c += lanes) {
            Vector<C> sum = {};
            for (int64_t u = 0; u < pool.rows; ++u)
                for (int64_t v = 0; v < pool.columns; ++v) {
                    const S* pixel = first + u * p.x.row + v * p.x.column + c;
                    sum += x.end - pixel >= lanes ? load(pixel) : load_some<S>(pixel, p.channels - c);
                }
            store(to + c, sum * scale);
        }
    }
}

// to[channel][pixel], pooled, from an image in planes.
template <class S, class C>
void pool_planes(const Plan& p, const S* image, int64_t channels, int64_t row, int64_t column,
                 int64_t columns, C* to) {
    for (int64_t c = 0; c < channels; ++c, image += p.x.channel, to += PLANE) {
        if (p.stride_rows == 1 && p.stride_columns == 1 && p.x.column == 1) {
            copy_entries(image + row * p.x.row + column, columns, to);
            continue;
        }
        for (int64_t j = 0; j < columns; ++j) {
            const Pool pool(p, row, column + j);
            C sum = 0;
            for (int64_t u = 0; u < pool.rows; ++u)
                for (int64_t v = 0; v < pool.columns; ++v)
                    sum += widen(image[(pool.y + u) * p.x.row + (pool.x + v) * p.x.column]);
            to[j] = sum / C(pool.rows * pool.columns);
        }
    }
}

// The features of a chunk in planes, for an input with channels or with columns innermost.
template <class S>
class Reducer {
  public:
    typedef typename Computed<S>::Type C;

    Reducer(const Plan& plan, const S* x, const Reduction<S>& reduction)
        : p(plan), r(reduction), by_pixels(plan.x.channel == 1),
          in_place(by_pixels && sizeof(S) == sizeof(C) && p.stride_rows * p.stride_columns == 1),
          width(round_up(plan.hidden, lanes)), channels_width(round_up(plan.channels, lanes)),
          source({x, x + last_element(p.x, p.images, p.channels, p.height, p.width) + 1}),
          memory((plan.channels * width + 2 * plan.hidden) * int64_t(sizeof(C)) + 128) {
        if (memory.base == nullptr) return;
        Arena arena(memory.base);
        weight = arena.take<C>(p.channels * width);
        scale = arena.take<C>(p.hidden);
        offset = arena.take<C>(p.hidden);
        fold();
    }
    bool ready() const { return memory.base != nullptr; }

    int64_t scratch() const {
        const int64_t pixels = PLANE * (width + (in_place ? 0 : channels_width));
        return (by_pixels ? pixels : DEPTH * PLANE + lanes) * int64_t(sizeof(C)) + 128;
    }

    void operator()(const Chunk& chunk, int64_t first_image, C* to, char* scratch) const {
        const int64_t pixels = chunk.pixels(), registers = quotient_up(pixels, lanes);
        if (by_pixels) from_pixels(chunk, first_image, to, scratch);
        else from_planes(chunk, first_image, registers, to, scratch);
        for (int64_t i = 0; i < p.hidden; ++i) {
            C* row = to + i * PLANE;
            for (int64_t v = 0; v < registers; ++v) {
                const Vector<C> value = load(row + v * lanes) * scale[i] + offset[i];
                store(row + v * lanes, value < C(0) ? Vector<C>{} : value);  // a NaN stays
            }
            zero(row + pixels, registers * lanes - pixels);
        }
    }

  private:
    static constexpr int lanes = Lanes<C>::count;

    void fold() {
        for (int64_t i = 0; i < p.hidden; ++i) {
            scale[i] = widen(r.gain[i]) / C(__builtin_sqrt(widen(r.variance[i]) + r.epsilon));
            offset[i] = widen(r.offset[i]) - widen(r.mean[i]) * scale[i];
        }
        if (!by_pixels) return copy_entries(r.weight, p.hidden * p.channels, weight);
        for (int64_t i = 0; i < p.hidden; i += lanes)  // transposed: [channels][width]
            for (int64_t c = 0; c < p.channels; c += lanes)
                transpose_in(r.weight + i * p.channels + c, p.channels,
                             at_most(lanes, p.hidden - i), at_most(lanes, p.channels - c),
                             r.weight + p.hidden * p.channels, weight + c * width + i, width);
    }

    void from_pixels(const Chunk& chunk, int64_t first_image, C* to, char* scratch) const {
        Arena arena(scratch);
        C* reduced = arena.take<C>(PLANE * width);
        C* pooled = arena.take<C>(0);
        for_rows(p, chunk, first_image, [&](int64_t at, int64_t image, int64_t row) {
            const S* base = source.data + image * p.x.image;
            const C* pixels = pooled;
            int64_t step = channels_width;
            if constexpr (sizeof(S) == sizeof(C))
                if (in_place) {
                    pixels = (const C*)base + row * p.x.row + chunk.column * p.x.column;
                    step = p.x.column;
                }
            if (!in_place)
                pool_pixels(p, source, base, row, chunk.column, chunk.columns, channels_width,
                            pooled);
            multiply<C>({chunk.columns, width / lanes, p.channels, pixels, step, 1, weight, width,
                         reduced + at * width, width, nullptr, false});
        });
        const C* end = reduced + chunk.pixels() * width;
        for (int64_t i = 0; i < p.hidden; i += lanes)
            for (int64_t j = 0; j < chunk.pixels(); j += lanes)
                transpose_in(reduced + j * width + i, width, at_most(lanes, chunk.pixels() - j),
                             at_most(lanes, p.hidden - i), end, to + i * PLANE + j, PLANE);
    }

    void from_planes(const Chunk& chunk, int64_t first_image, int64_t registers, C* to,
                     char* scratch) const {
        Arena arena(scratch);
        C* planes = arena.take<C>(DEPTH * PLANE);
        for (int64_t c = 0; c < p.channels; c += DEPTH) {
            const int64_t depth = at_most(DEPTH, p.channels - c);
            for_rows(p, chunk, first_image, [&](int64_t at, int64_t image, int64_t row) {
                pool_planes(p, source.data + image * p.x.image + c * p.x.channel, depth, row,
                            chunk.column, chunk.columns, planes + at);
            });
            for (int64_t i = 0; i < depth; ++i)
                zero(planes + i * PLANE + chunk.pixels(), registers * lanes - chunk.pixels());
            multiply<C>({p.hidden, registers, depth, weight + c, p.channels, 1, planes, PLANE, to,
                         PLANE, nullptr, c > 0});
        }
    }

    const Plan& p;
    const Reduction<S>& r;
    const bool by_pixels, in_place;
    const int64_t width, channels_width;
    const Span<const S> source;
    Memory memory;
    C *weight, *scale, *offset;
};

template <class S>
bool bottleneck(const Plan& p, const S* x, const Reduction<S>& reduction, const S* weight,
                const S* bias, S* y, int64_t threads) {
    const Reducer<S> reducer(p, x, reduction);
    if (!reducer.ready()) return false;
    const Fill<typename Computed<S>::Type> fill(reducer, reducer.scratch());
    return Forward<S>(p, x, weight, bias, y, fill, threads).run(threads);
}

}  // namespace VARIANT

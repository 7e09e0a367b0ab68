// What runs in registers: a few outputs at a time. Every result is summed in one fixed order,
// whatever tile computes it, so no result depends on how the work is cut.
//
// An image block is [row][column][lane], lane = channel. Kernel entries are copied or computed into
// scratch memory, position k of pixel p at h[k * entry + p * pixel] in one of two layouts whose steps
// the compiler knows: planes (entry = PLANE, pixel = 1) or pixels (entry = 1, pixel = K * K).
#pragma once

#include "vector.h"

namespace VARIANT {

constexpr int TILE = 14;    // pixels of a tile: 2 x 7, as images of 7, 14, 28, 56 want it
constexpr int PLANE = 128;  // pixels of a plane of kernel entries

enum class Entries { planes, pixels };

template <int K, Entries E>
struct Steps {
    static constexpr int entry = E == Entries::planes ? PLANE : 1;
    static constexpr int pixel = E == Entries::planes ? 1 : K * K;
};

template <class C>
struct Row {
    const C* const* x;  // for each row of the window, the image block at the first pixel's window
    const C* h;        // kernel entries of the first pixel
    int64_t h_entry;   // between window positions
    int64_t h_pixel;   // between pixels
    int64_t pixels;    // of this row
    C* y;              // [pixel][lane]
    int64_t size;      // K
    int64_t stride;    // between the windows of two pixels
    int64_t dilation;  // between the columns of a window
};

// The pairs of a pixel and an input column in its window, by column: each column is loaded once.
template <int K, int S, int T>
struct Visits {
    int pixel[K * T], column[K * T];
    constexpr Visits() : pixel(), column() {
        int i = 0;
        for (int q = 0; q < S * (T - 1) + K; ++q)
            for (int p = 0; p < T; ++p)
                if (q >= S * p && q < S * p + K) {
                    pixel[i] = p;
                    column[i++] = q;
                }
    }
};

template <int K, int S, int T>
inline constexpr Visits<K, S, T> visits;

template <int K, int S, int T, Entries E, int I>
struct Visit {
    static constexpr int pixel = visits<K, S, T>.pixel[I], column = visits<K, S, T>.column[I];
    static constexpr int entry =
        (column - S * pixel) * Steps<K, E>::entry + pixel * Steps<K, E>::pixel;
};

template <class C, int K, int S, int T, Entries E, int... I>
INLINE void gather(Vector<C>* sum, const C* x, const C* h, Sequence<I...>) {
    ((sum[Visit<K, S, T, E, I>::pixel] +=
      *(const typename Lanes<C>::Loose*)(x + Visit<K, S, T, E, I>::column * Lanes<C>::count) *
      h[Visit<K, S, T, E, I>::entry]),
     ...);
}

template <class C, int K, int S, int T, Entries E>
INLINE void forward_tile(const Row<C>& row, int64_t first) {
    constexpr int lanes = Lanes<C>::count;
    const C* h = row.h + first * Steps<K, E>::pixel;
    Vector<C> sum[T] = {};
    for (int u = 0; u < K; ++u, h += K * Steps<K, E>::entry)
        gather<C, K, S, T, E>(sum, row.x[u] + first * S * lanes, h,
                              typename Range<K * T>::Type());
    C* y = row.y + first * lanes;
    UNROLL for (int p = 0; p < T; ++p) store(y + p * lanes, sum[p]);
}

// Any window. The same order of sums as above.
template <class C, int T>
INLINE void forward_tile_any(const Row<C>& row, int64_t first) {
    constexpr int lanes = Lanes<C>::count;
    const int64_t step = row.stride * lanes;
    Vector<C> sum[T] = {};
    const C* h = row.h + first * row.h_pixel;
    for (int64_t u = 0; u < row.size; ++u) {
        const C* x = row.x[u] + first * step;
        for (int64_t v = 0; v < row.size; ++v, h += row.h_entry) {
            UNROLL for (int p = 0; p < T; ++p) sum[p] += load(x + p * step) * h[p * row.h_pixel];
            x += row.dilation * lanes;
        }
    }
    C* y = row.y + first * lanes;
    UNROLL for (int p = 0; p < T; ++p) store(y + p * lanes, sum[p]);
}

// Calls tile(Constant<T>, first) until `pixels` are covered; pixels may be covered twice, and
// beyond the last one where there are fewer than 7: `reach` says how many.
template <class Tile>
INLINE void cover(int64_t pixels, const Tile& tile) {
    int64_t first = 0;
    for (; first + TILE <= pixels; first += TILE) tile(Constant<TILE>(), first);
    const int64_t rest = pixels - first;
    if (rest == 0) return;
    if (rest > 8 && pixels >= TILE) return tile(Constant<TILE>(), pixels - TILE);
    if (rest > 8) {
        tile(Constant<7>(), first);
        return rest <= 11 ? tile(Constant<4>(), pixels - 4) : tile(Constant<7>(), pixels - 7);
    }
    if (rest == 8) {
        tile(Constant<4>(), first);
        return tile(Constant<4>(), first + 4);
    }
    if (rest > 4) return tile(Constant<7>(), at_least(0, pixels - 7));
    tile(Constant<4>(), at_least(0, pixels - 4));
}

// Pixels that `cover` may touch in a row of `pixels`.
INLINE int64_t reach(int64_t pixels) { return pixels <= 4 ? 4 : at_least(pixels, 7); }

template <class C, int K, int S, Entries E>
void forward_row(const Row<C>& row) {
    cover(row.pixels, [&](auto t, int64_t first) FLATTEN {
        forward_tile<C, K, S, decltype(t)::value, E>(row, first);
    });
}

template <class C>
void forward_row_any(const Row<C>& row) {
    cover(row.pixels, [&](auto t, int64_t first) FLATTEN {
        forward_tile_any<C, decltype(t)::value>(row, first);
    });
}

// As `cover`, but every pixel once.
template <class Tile>
INLINE void cover_once(int64_t pixels, const Tile& tile) {
    int64_t first = 0;
    for (; first + 7 <= pixels; first += 7) tile(Constant<7>(), first);
    for (; first < pixels; ++first) tile(Constant<1>(), first);
}

// One column of the gradient at a time: it gathers from every pixel whose window it is in.
template <class C, int K, int S, int T, Entries E, int... I>
INLINE void scatter(const Vector<C>* y, C* __restrict x, const C* __restrict h, Sequence<I...>) {
    ((*(typename Lanes<C>::Loose*)(x + Visit<K, S, T, E, I>::column * Lanes<C>::count) +=
      y[Visit<K, S, T, E, I>::pixel] * h[Visit<K, S, T, E, I>::entry]),
     ...);
}

// Here row.x points into a block of the gradient, which is added to, and row.y the output's gradient.
template <class C, int K, int S, int T, Entries E>
INLINE void scatter_tile(const Row<C>& row, int64_t first) {
    constexpr int lanes = Lanes<C>::count;
    const C* h = row.h + first * Steps<K, E>::pixel;
    Vector<C> y[T];
    UNROLL for (int p = 0; p < T; ++p) y[p] = load(row.y + (first + p) * lanes);
    for (int u = 0; u < K; ++u, h += K * Steps<K, E>::entry)
        scatter<C, K, S, T, E>(y, const_cast<C*>(row.x[u]) + first * S * lanes, h,
                               typename Range<K * T>::Type());
}

template <class C, int K, int S, Entries E>
void scatter_row(const Row<C>& row) {
    cover_once(row.pixels, [&](auto t, int64_t first) FLATTEN {
        scatter_tile<C, K, S, decltype(t)::value, E>(row, first);
    });
}

template <class C>
void scatter_row_any(const Row<C>& row) {
    constexpr int lanes = Lanes<C>::count;
    const int64_t step = row.stride * lanes;
    for (int64_t p = 0; p < row.pixels; ++p) {
        const Vector<C> y = load(row.y + p * lanes);
        const C* h = row.h + p * row.h_pixel;
        for (int64_t u = 0; u < row.size; ++u) {
            C* x = const_cast<C*>(row.x[u]) + p * step;
            for (int64_t v = 0; v < row.size; ++v, h += row.h_entry) {
                store(x, load(x) + y * *h);
                x += row.dilation * lanes;
            }
        }
    }
}

// A row of the kernel's gradient: out[k][pixel] = sum over channels of y * x, pixels in lanes.
// Whole registers of pixels are stored.
template <class C>
struct PlaneRow {
    const C* x;            // planes [channel][row][column], at the first pixel's first window row
    int64_t x_plane, x_row;
    const int64_t* offsets;  // of each window column in a plane row (or in another plane)
    const C* y;            // planes [channel][pixel]
    int64_t y_plane;
    int64_t channels, pixels, size, dilation_rows;
    C* out;
    int64_t out_entry;
};

template <class C, int... V>
INLINE void correlate_next(Vector<C>* sum, Vector<C> y, const C* x, Sequence<V...>) {
    const Vector<C> a = load(x), b = load(x + Lanes<C>::count);
    ((sum[V] += y * shift<C, V>(a, b)), ...);
}

// NEXT: window columns lie next to each other.
template <class C, int K, bool NEXT>
void correlate_row(const PlaneRow<C>& row) {
    constexpr int lanes = Lanes<C>::count;
    for (int64_t p = 0; p < row.pixels; p += lanes) {
        for (int u = 0; u < K; ++u) {
            const C* x = row.x + p + u * row.dilation_rows * row.x_row;
            const C* y = row.y + p;
            Vector<C> sum[K] = {};
            for (int64_t c = 0; c < row.channels; ++c, x += row.x_plane, y += row.y_plane) {
                const Vector<C> value = load(y);
                if constexpr (NEXT) correlate_next(sum, value, x, typename Range<K>::Type());
                else
                    UNROLL for (int v = 0; v < K; ++v) sum[v] += value * load(x + row.offsets[v]);
            }
            C* out = row.out + u * K * row.out_entry + p;
            UNROLL for (int v = 0; v < K; ++v) store(out + v * row.out_entry, sum[v]);
        }
    }
}

template <class C>
void correlate_row_any(const PlaneRow<C>& row) {
    constexpr int lanes = Lanes<C>::count;
    for (int64_t p = 0; p < row.pixels; p += lanes)
        for (int64_t u = 0; u < row.size; ++u)
            for (int64_t v = 0; v < row.size; ++v) {
                const C* x = row.x + p + u * row.dilation_rows * row.x_row + row.offsets[v];
                const C* y = row.y + p;
                Vector<C> sum = {};
                for (int64_t c = 0; c < row.channels; ++c, x += row.x_plane, y += row.y_plane)
                    sum += load(y) * load(x);
                store(row.out + (u * row.size + v) * row.out_entry + p, sum);
            }
}

// c[r][v] = start + sum over k of a[r * a_row + k * a_step] * b[k][v]; v counts registers.
template <class C>
struct Product {
    int64_t rows, registers, depth;
    const C* a;
    int64_t a_row, a_step;
    const C* b;
    int64_t b_row;
    C* c;
    int64_t c_row;
    const C* start;  // a number for each row, or null: zero, or c itself where `add`
    bool add;
};

template <class C, int REGISTERS, int... I>
INLINE void add_products(Vector<C>* sum, const Vector<C>* value, const C* a, int64_t a_row,
                         Sequence<I...>) {
    ((sum[I] += a[I / REGISTERS * a_row] * value[I % REGISTERS]), ...);
}

template <class C, int ROWS, int REGISTERS>
INLINE void product_tile(const Product<C>& m, int64_t row, int64_t column) {
    constexpr int lanes = Lanes<C>::count, all = ROWS * REGISTERS;
    const C* a = m.a + row * m.a_row;
    const C* b = m.b + column * lanes;
    C* c = m.c + row * m.c_row + column * lanes;
    Vector<C> sum[all];
    UNROLL for (int i = 0; i < all; ++i) {
        const int r = i / REGISTERS, v = i % REGISTERS;
        if (m.add) sum[i] = load(c + r * m.c_row + v * lanes);
        else sum[i] = Vector<C>{} + (m.start ? m.start[row + r] : C(0));
    }
    for (int64_t k = 0; k < m.depth; ++k, a += m.a_step, b += m.b_row) {
        Vector<C> value[REGISTERS];
        UNROLL for (int v = 0; v < REGISTERS; ++v) value[v] = load(b + v * lanes);
        add_products<C, REGISTERS>(sum, value, a, m.a_row, typename Range<all>::Type());
    }
    UNROLL for (int i = 0; i < all; ++i)
        store(c + i / REGISTERS * m.c_row + i % REGISTERS * lanes, sum[i]);
}

template <class C, int REGISTERS>
void product_panel(const Product<C>& m, int64_t column) {
    constexpr bool many = VECTOR_REGISTERS == 32;
    for (int64_t row = 0, left = m.rows; row < m.rows; left = m.rows - row) {
        if (many && left % 7 == 0) {
            product_tile<C, many ? 7 : 4, REGISTERS>(m, row, column);
            row += 7;
        } else if (many && left >= 8) {
            product_tile<C, many ? 8 : 4, REGISTERS>(m, row, column);
            row += 8;
        } else if (left >= 4) {
            product_tile<C, 4, REGISTERS>(m, row, column);
            row += 4;
        } else {
            product_tile<C, 1, REGISTERS>(m, row, column);
            row += 1;
        }
    }
}

template <class C>
void multiply(const Product<C>& m) {
    for (int64_t column = 0, left = m.registers; left > 0; left = m.registers - column) {
        if (left % 3 == 0 || left > 4) {
            product_panel<C, 3>(m, column);
            column += 3;
        } else if (left >= 2) {
            product_panel<C, 2>(m, column);
            column += 2;
        } else {
            product_panel<C, 1>(m, column);
            column += 1;
        }
    }
}

}  // namespace VARIANT

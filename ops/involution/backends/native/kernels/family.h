// The trilinear family with the kernel tensor in memory: aggregate, grad_input, grad_kernel.
#pragma once

#include "choice.h"
#include "tasks.h"

namespace VARIANT {

// Kernel entries of a row of pixels, and the steps between positions and pixels.
template <class C>
struct RowEntries {
    const C* h;
    int64_t entry, pixel;
};

template <class S, class C>
INLINE void copy_entries(const S* from, int64_t count, C* to) {
    constexpr int lanes = Lanes<C>::count;
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
    if (i < count && count >= lanes) store(to + count - lanes, load(from + count - lanes));
    else
        for (; i < count; ++i) to[i] = widen(from[i]);
}

template <class S>
struct KernelReader {
    typedef typename Computed<S>::Type C;
    const Plan& p;
    const S* kernel;
    Entries layout;
    bool together;

    KernelReader(const Plan& plan, const S* kernel_) : p(plan), kernel(kernel_) {
        const KernelStrides& s = p.kernel;
        const bool uniform = p.size == 1 || s.u == p.size * s.v;
        layout = s.column == 1 && uniform ? Entries::planes : Entries::pixels;
        together = s.v == 1 && uniform;
    }

    static int64_t scratch(const Plan& p) { return p.size * p.size * PLANE + TILE * PLANE; }

    RowEntries<C> read(int64_t image, int64_t group, int64_t row, int64_t column, int64_t pixels,
                       C* to) const {
        const KernelStrides& s = p.kernel;
        const int64_t entries = p.size * p.size;
        const S* from = kernel + image * s.image + group * s.group + row * s.row +
                        column * s.column;
        if (layout == Entries::planes) {
            for (int64_t k = 0; k < entries; ++k)
                copy_entries(from + k * s.v, pixels, to + k * PLANE);
            return {to, PLANE, 1};
        }
        for (int64_t i = 0; i < pixels; ++i, from += s.column) {
            if (together) {
                copy_entries(from, entries, to + i * entries);
                continue;
            }
            for (int64_t u = 0; u < p.size; ++u)
                for (int64_t v = 0; v < p.size; ++v)
                    to[i * entries + u * p.size + v] = widen(from[u * s.u + v * s.v]);
        }
        return {to, 1, entries};
    }
};

template <class C, bool SCATTER>
RowFunction<C> choose_row(const Plan& p, Entries layout) {
    return layout == Entries::planes ? choose_row<C, Entries::planes, SCATTER>(p)
                                     : choose_row<C, Entries::pixels, SCATTER>(p);
}

template <class C>
Row<C> make_row(const Window<C>& w, const C* const* x, RowEntries<C> h, int64_t pixels, C* y) {
    const Plan& p = w.plan;
    return {x, h.h, h.entry, h.pixel, pixels, y, p.size, p.stride_columns, p.dilation_columns};
}

constexpr int64_t ROW_PIXELS = 112;

// The padded rows of one image that outputs in work need: a block of `kept` rows for each register
// of channels of some groups. Rows come in order and take the place of those no longer needed.
template <class S, class C>
struct RollingBlocks {
    const Window<C>& w;
    const Span<const S> x;
    const int64_t image, group, group_end, kept;
    C* const data;
    int64_t& next;  // padded row

    // Makes the windows of an output row complete.
    void reach(int64_t output_row) const {
        const Plan& p = w.plan;
        const int64_t end = output_row * p.stride_rows + w.rows(1);
        for (; next < end; ++next) {
            C* to = data + next % kept * w.row;
            for (int64_t g = group; g < group_end; ++g)
                for (int64_t part = 0; part < w.parts; ++part, to += kept * w.row)
                    fill_row<S, C>(w, x, image, g * w.group_channels + part * w.lanes,
                                   w.part_channels(part), next - p.pad_rows, to);
        }
    }
    // Block `index` counts registers of channels, from the first group's first on.
    void window(int64_t index, int64_t output_row, int64_t column, const C** rows) const {
        w.window(data + index * kept * w.row, kept, output_row, column, rows);
    }
};

template <class S>
bool aggregate(const Plan& p, const S* x, const S* kernel, S* y, int64_t threads) {
    typedef typename Computed<S>::Type C;
    const Window<C> w(p, reach(p.out_width));
    const KernelReader<S> reader(p, kernel);
    const RowFunction<C> function = choose_row<C, false>(p, reader.layout);
    const Chunks cut(p.out_width, ROW_PIXELS);
    const int64_t kept = w.rows(1), block_size = kept * w.row;
    const Split split(p.groups, p.out_height, block_size * w.parts * int64_t(sizeof(C)),
                      p.groups, 1, p.images, threads);
    const Span<const S> source = {
        x, x + last_element(p.x, p.images, p.channels, p.height, p.width) + 1};
    const int64_t entries_size = KernelReader<S>::scratch(p);
    const int64_t out_size = reach(cut.piece) * w.lanes;
    const int64_t blocks_size = split.groups * w.parts * block_size;
    const int64_t bytes = (blocks_size + entries_size + out_size) * int64_t(sizeof(C)) +
                          p.size * int64_t(sizeof(C*)) + 512;
    return run_tasks(split.tasks(p.images), bytes, threads, [&](int64_t task, char* scratch) {
        Arena arena(scratch);
        C* memory = arena.take<C>(blocks_size);
        C* entries = arena.take<C>(entries_size);
        C* out = arena.take<C>(out_size);
        const C** rows = arena.take<const C*>(p.size);
        const Share share(split, task, p.out_height, p.groups);
        const int64_t image = share.copy;
        int64_t next = share.row * p.stride_rows;
        const RollingBlocks<S, C> blocks = {w,    source, image, share.group, share.group_end,
                                            kept, memory, next};
        for (int64_t i = share.row; i < share.row_end; ++i) {
            blocks.reach(i);
            for (int64_t j = 0; j < p.out_width; j += cut.piece) {
                const int64_t pixels = at_most(cut.piece, p.out_width - j);
                int64_t block = 0;
                for (int64_t group = share.group; group < share.group_end; ++group) {
                    const RowEntries<C> h = reader.read(image, group, i, j, pixels, entries);
                    for (int64_t part = 0; part < w.parts; ++part, ++block) {
                        const int64_t channel = group * w.group_channels + part * w.lanes;
                        blocks.window(block, i, j, rows);
                        function(make_row(w, rows, h, pixels, out));
                        store_pixels<S, C>(out, p.y, w.part_channels(part), pixels,
                                           y + image * p.y.image + channel * p.y.channel +
                                               i * p.y.row + j * p.y.column);
                    }
                }
            }
        }
    });
}

// Rows of the input that a task owns, and the rows of output whose windows meet them.
struct InputBand {
    int64_t first, last, outputs_first, outputs_last;

    InputBand(const Plan& p, int64_t first_, int64_t last_) : first(first_), last(last_) {
        const int64_t span = (p.size - 1) * p.dilation_rows;
        const int64_t low = first + p.pad_rows - span;
        outputs_first = low <= 0 ? 0 : quotient_up(low, p.stride_rows);
        outputs_last = at_most(p.out_height, (last - 1 + p.pad_rows) / p.stride_rows + 1);
        outputs_last = at_least(outputs_last, outputs_first);
    }
    // All rows of the input, and of the output too.
    explicit InputBand(const Plan& p)
        : first(0), last(p.height), outputs_first(0), outputs_last(p.out_height) {}

    int64_t outputs() const { return outputs_last - outputs_first; }
};

// Rows of output that a band of `rows` rows of the input can meet.
INLINE int64_t most_outputs(const Plan& p, int64_t rows) {
    return at_most(p.out_height, (rows + (p.size - 1) * p.dilation_rows) / p.stride_rows + 1);
}

// Writes a band of the input's gradient from its padded block.
template <class S, class C>
void store_block(const Window<C>& w, const InputBand& band, const C* block, int64_t image,
                 int64_t channel, int64_t count, S* to) {
    const Plan& p = w.plan;
    const int64_t block_rows = band.outputs() > 0 ? w.rows(band.outputs()) : 0;
    const int64_t inner = w.inner_columns(), left = at_most(p.pad_columns, w.columns);
    S* base = to + image * p.x.image + channel * p.x.channel;
    for (int64_t y = band.first; y < band.last; ++y) {
        S* row = base + y * p.x.row;
        const int64_t r = y + p.pad_rows - band.outputs_first * p.stride_rows;
        const bool inside = r >= 0 && r < block_rows;
        if (inside)
            store_pixels<S, C>(block + r * w.row + left * w.lanes, p.x, count, inner, row);
        for (int64_t c = 0; c < count; ++c)
            for (int64_t i = inside ? inner : 0; i < p.width; ++i)
                narrow(C(0), row + c * p.x.channel + i * p.x.column);
    }
}

template <class S>
bool grad_input(const Plan& p, const S* grad_output, const S* kernel, S* grad_x, int64_t threads) {
    typedef typename Computed<S>::Type C;
    const Window<C> w(p, p.out_width);
    const KernelReader<S> reader(p, kernel);
    const RowFunction<C> function = choose_row<C, true>(p, reader.layout);
    const Chunks cut(p.out_width, ROW_PIXELS);
    const Split split = Split::blocks(p.groups, p.height, w.row * w.parts * int64_t(sizeof(C)),
                                      w.rows(1), p.images, threads);
    const int64_t block_size = w.rows(most_outputs(p, split.rows)) * w.row;
    const S* end = grad_output +
                   last_element(p.y, p.images, p.channels, p.out_height, p.out_width) + 1;
    const int64_t entries_size = KernelReader<S>::scratch(p);
    const int64_t y_size = cut.piece * w.lanes, blocks_size = split.groups * w.parts * block_size;
    const int64_t bytes = (blocks_size + entries_size + y_size) * int64_t(sizeof(C)) +
                          p.size * int64_t(sizeof(C*)) + 512;
    return run_tasks(split.tasks(p.images), bytes, threads, [&](int64_t task, char* scratch) {
        Arena arena(scratch);
        C* blocks = arena.take<C>(blocks_size);
        C* entries = arena.take<C>(entries_size);
        C* values = arena.take<C>(y_size);
        const C** windows = arena.take<const C*>(p.size);
        const Share share(split, task, p.height, p.groups);
        const InputBand band(p, share.row, share.row_end);
        const int64_t image = share.copy;
        zero(blocks, share.groups() * w.parts * block_size);
        for (int64_t i = band.outputs_first; i < band.outputs_last; ++i)
            for (int64_t j = 0; j < p.out_width; j += cut.piece) {
                const int64_t pixels = at_most(cut.piece, p.out_width - j);
                C* block = blocks;
                for (int64_t group = share.group; group < share.group_end; ++group) {
                    const RowEntries<C> h = reader.read(image, group, i, j, pixels, entries);
                    for (int64_t part = 0; part < w.parts; ++part, block += block_size) {
                        const int64_t channel = group * w.group_channels + part * w.lanes;
                        load_pixels<S, C>(grad_output + image * p.y.image + channel * p.y.channel +
                                              i * p.y.row + j * p.y.column,
                                          end, p.y, w.part_channels(part), pixels, values);
                        w.window(block, block_size / w.row, i - band.outputs_first, j, windows);
                        function(make_row<C>(w, windows, h, pixels, values));
                    }
                }
            }
        const C* block = blocks;
        for (int64_t group = share.group; group < share.group_end; ++group)
            for (int64_t part = 0; part < w.parts; ++part, block += block_size)
                store_block<S, C>(w, band, block, image,
                                  group * w.group_channels + part * w.lanes,
                                  w.part_channels(part), grad_x);
    });
}

// Planes of a group's channels [channel][row][column], padded; where the stride is s, s sets of
// them: set r has every s-th column from r on, so that neighbouring outputs read neighbours.
template <class C>
struct Planes {
    static constexpr int lanes = Lanes<C>::count;
    int64_t sets, reached, row, rows, plane, set;

    Planes(const Window<C>& w, int64_t outputs) {
        const Plan& p = w.plan;
        const int64_t span = (p.size - 1) * p.dilation_columns / p.stride_columns;
        sets = p.stride_columns;
        reached = p.out_width + span;
        row = round_up(p.out_width + lanes + at_least(lanes, span + 1), lanes);
        rows = w.rows(outputs);
        plane = rows * row;
        set = plane * w.group_channels;
    }
    int64_t size() const { return sets * set; }
    int64_t offset(const Plan& p, int64_t v) const {
        const int64_t column = v * p.dilation_columns;
        return column % sets * set + column / sets;
    }
};

// to[channel][i] from every `step`-th element of a row of an image.
template <class S, class C>
INLINE void load_planes(const S* from, const S* end, int64_t channel, int64_t step,
                        int64_t channels, int64_t columns, C* to, int64_t to_plane) {
    constexpr int lanes = Lanes<C>::count;
    if (step == 1) {
        for (int64_t c = 0; c < channels; ++c, from += channel, to += to_plane)
            copy_entries(from, columns, to);
        return;
    }
    if (channel != 1) {
        for (int64_t c = 0; c < channels; ++c)
            for (int64_t i = 0; i < columns; ++i)
                to[c * to_plane + i] = widen(from[c * channel + i * step]);
        return;
    }
    for (int64_t c = 0; c < channels; c += lanes)
        for (int64_t i = 0; i < columns; i += lanes)
            transpose_in(from + c + i * step, step, at_most(lanes, columns - i),
                         at_most(lanes, channels - c), end, to + c * to_plane + i, to_plane);
}

template <class S, class C>
void fill_planes(const Window<C>& w, const Planes<C>& shape, Span<const S> x, int64_t image,
                 int64_t channel, int64_t first, int64_t outputs, C* to) {
    const Plan& p = w.plan;
    const int64_t rows = w.rows(outputs);
    const S* base = x.data + image * p.x.image + channel * p.x.channel;
    for (int64_t set = 0; set < shape.sets; ++set) {
        const int64_t start = ((set - p.pad_columns) % shape.sets + shape.sets) % shape.sets;
        const int64_t at = (start + p.pad_columns) / shape.sets;
        const int64_t count = at_most(quotient_up(p.width - start, shape.sets), shape.reached - at);
        for (int64_t r = 0; r < rows; ++r) {
            C* row = to + set * shape.set + r * shape.row;
            for (int64_t c = 0; c < w.group_channels; ++c) zero(row + c * shape.plane, shape.row);
            const int64_t y = first * p.stride_rows + r - p.pad_rows;
            if (y < 0 || y >= p.height || start >= p.width) continue;
            load_planes<S, C>(base + y * p.x.row + start * p.x.column, x.end, p.x.channel,
                              p.x.column * shape.sets, w.group_channels, count, row + at,
                              shape.plane);
        }
    }
}

// Entries [k][pixel] into a row of a kernel tensor.
template <class S, class C>
void store_entries(const Plan& p, const C* from, int64_t from_entry, int64_t pixels, S* to) {
    constexpr int lanes = Lanes<C>::count;
    const KernelStrides& s = p.kernel;
    const int64_t entries = p.size * p.size;
    const bool together = s.v == 1 && (p.size == 1 || s.u == p.size);
    const int64_t whole = together ? entries / lanes * lanes : 0;
    for (int64_t i = 0; i < pixels; i += lanes)
        for (int64_t k = 0; k < whole; k += lanes)
            transpose_out<S, C>(from + k * from_entry + i, from_entry, lanes,
                                at_most(lanes, pixels - i), to + i * s.column + k, s.column);
    for (int64_t k = whole; k < entries; ++k) {
        S* entry = to + k / p.size * s.u + k % p.size * s.v;
        const C* values = from + k * from_entry;
        if (s.column != 1) {
            for (int64_t i = 0; i < pixels; ++i) narrow(values[i], entry + i * s.column);
            continue;
        }
        for (int64_t i = 0; i < pixels; i += lanes)
            store_some<S, C>(entry + i, load(values + i), pixels - i);
    }
}

template <class C>
struct Offsets {
    static constexpr int most = 64;
    int64_t few[most];
    Memory many;
    int64_t* values;

    Offsets(const Plan& p, const Planes<C>& planes)
        : many(p.size > most ? p.size * int64_t(sizeof(int64_t)) : 0),
          values(p.size > most ? (int64_t*)many.base : few) {
        if (values == nullptr) return;
        for (int64_t v = 0; v < p.size; ++v) values[v] = planes.offset(p, v);
    }
    Offsets(const Offsets&) = delete;
};

template <class S>
bool grad_kernel(const Plan& p, const S* grad_output, const S* x, S* grad_kernel, int64_t threads) {
    typedef typename Computed<S>::Type C;
    const Window<C> w(p, p.out_width);
    const Chunks cut(p.out_width, ROW_PIXELS);
    const Split split = Split::blocks(
        p.groups, p.out_height, w.columns * w.group_channels * p.stride_rows * int64_t(sizeof(C)),
        w.rows(1), p.images, threads);
    const Planes<C> shape(w, split.rows);
    const Offsets<C> offsets(p, shape);
    if (offsets.values == nullptr) return false;
    const PlaneRowFunction<C> function = choose_plane_row<C>(p);
    const Span<const S> source = {
        x, x + last_element(p.x, p.images, p.channels, p.height, p.width) + 1};
    const S* end = grad_output +
                   last_element(p.y, p.images, p.channels, p.out_height, p.out_width) + 1;
    const int64_t planes_size = split.groups * shape.size();
    const int64_t y_size = PLANE * w.group_channels + 64, out_size = PLANE * w.entries + 64;
    const int64_t bytes = (planes_size + y_size + out_size) * int64_t(sizeof(C)) + 256;
    return run_tasks(split.tasks(p.images), bytes, threads, [&](int64_t task, char* scratch) {
        Arena arena(scratch);
        C* planes = arena.take<C>(planes_size);
        C* values = arena.take<C>(y_size);
        C* out = arena.take<C>(out_size);
        const Share share(split, task, p.out_height, p.groups);
        const int64_t image = share.copy;
        zero(values, y_size);
        for (int64_t group = share.group; group < share.group_end; ++group)
            fill_planes<S, C>(w, shape, source, image, group * w.group_channels, share.row,
                              share.rows(), planes + (group - share.group) * shape.size());
        for (int64_t i = share.row; i < share.row_end; ++i)
            for (int64_t j = 0; j < p.out_width; j += cut.piece)
                for (int64_t group = share.group; group < share.group_end; ++group) {
                    const int64_t pixels = at_most(cut.piece, p.out_width - j);
                    const int64_t channel = group * w.group_channels;
                    load_planes<S, C>(grad_output + image * p.y.image + channel * p.y.channel +
                                          i * p.y.row + j * p.y.column,
                                      end, p.y.channel, p.y.column, w.group_channels, pixels,
                                      values, PLANE);
                    const C* at = planes + (group - share.group) * shape.size() +
                                  (i - share.row) * p.stride_rows * shape.row + j;
                    function({at, shape.plane, shape.row, offsets.values, values, PLANE,
                              w.group_channels, pixels, p.size, p.dilation_rows, out, PLANE});
                    store_entries<S, C>(p, out, PLANE, pixels,
                                        grad_kernel + image * p.kernel.image +
                                            group * p.kernel.group + i * p.kernel.row +
                                            j * p.kernel.column);
                }
    });
}

}  // namespace VARIANT

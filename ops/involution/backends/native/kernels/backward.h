// The fused operator's derivatives. The kernel tensor is computed again, a chunk at a time, and its
// gradient lives no longer than a chunk either.
#pragma once

#include "fused.h"

namespace VARIANT {

// Tasks are parts of the image blocks by parts of the groups. A part of the groups has a sum of its
// own of the features' gradient, a part of the blocks one of the weight's; they are added up in order
// afterwards. The shape alone decides how many parts, so that threads change no result.
struct Parts {
    int64_t blocks, groups;

    Parts(const Plan& p, int64_t block_count) : blocks(1), groups(1) {
        constexpr int64_t wanted = 16;
        const int64_t weight = p.groups * p.size * p.size * p.hidden;
        const int64_t features = p.images * p.hidden * p.out_height * p.out_width;
        int64_t least = INT64_MAX;
        for (int64_t b = 1; b <= at_most(block_count, wanted); ++b) {
            const int64_t g = at_most(p.groups, quotient_up(wanted, b));
            const int64_t size = b * weight + g * features;
            const bool enough = b * g >= at_most(wanted, block_count * p.groups) / 2;
            if (!enough || size >= least) continue;
            least = size;
            blocks = b;
            groups = g;
        }
    }
};

struct Slice {
    int64_t first, last;

    Slice(int64_t all, int64_t parts, int64_t part)
        : first(all * part / parts), last(all * (part + 1) / parts) {}
};

// to[pixel][channel], `width` numbers a pixel, from planes.
template <class C>
void pixels_of_planes(const C* planes, int64_t channels, int64_t pixels, int64_t width, C* to) {
    constexpr int lanes = Lanes<C>::count;
    for (int64_t c = 0; c < width; c += lanes)
        for (int64_t i = 0; i < pixels; i += lanes)
            transpose_in(planes + c * PLANE + i, int64_t(PLANE),
                         at_least(0, at_most(lanes, channels - c)), at_most(lanes, pixels - i),
                         planes + channels * PLANE, to + i * width + c, width);
}

template <class C>
C row_sum(const C* row, int64_t registers) {
    Vector<C> sum = {};
    for (int64_t v = 0; v < registers; ++v) sum += load(row + v * Lanes<C>::count);
    C lanes[Lanes<C>::count], total = 0;
    store(lanes, sum);
    for (int i = 0; i < Lanes<C>::count; ++i) total += lanes[i];
    return total;
}

// sum[k] = sum over parts of from[part * step + k], in order.
template <class C>
void add_parts(const C* from, int64_t parts, int64_t step, int64_t count, C* sum) {
    for (int64_t k = 0; k < count; ++k) sum[k] = from[k];
    for (int64_t part = 1; part < parts; ++part)
        for (int64_t k = 0; k < count; ++k) sum[k] += from[part * step + k];
}

template <class S>
struct Backward {
    typedef typename Computed<S>::Type C;
    static constexpr int lanes = Lanes<C>::count;

    const Plan& p;
    const S *grad_output, *x, *features, *weight, *bias;
    const Window<C> w;
    const Chunks cut;
    const ImageBlocks blocks;
    const Parts parts;
    const Planes<C> shape;
    const int64_t chunks, width, entries, chunk_size, chunk_pixels_size, weight_size;
    const RowFunction<C> scatter;
    const PlaneRowFunction<C> correlate;
    const Offsets<C> offsets;

    Backward(const Plan& plan, const S* grad_output_, const S* x_, const S* features_,
             const S* weight_, const S* bias_)
        : p(plan), grad_output(grad_output_), x(x_), features(features_), weight(weight_),
          bias(bias_), w(plan, plan.out_width), cut(plan.out_width, ROW_PIXELS), blocks(plan),
          parts(plan, blocks.count), shape(w, plan.out_height),
          chunks(cut.count(blocks.images * plan.out_height)), width(round_up(plan.hidden, lanes)),
          entries(w.entries), chunk_size(plan.hidden * PLANE), chunk_pixels_size(width * PLANE),
          weight_size(plan.groups * entries * width),
          scatter(choose_row<C, Entries::planes, true>(plan)),
          correlate(choose_plane_row<C>(plan)), offsets(plan, shape) {}

    int64_t all_chunks() const { return blocks.count * chunks; }
    Chunk chunk_of(int64_t block, int64_t index) const {
        return Chunk(cut, index, blocks.size(p, block) * p.out_height, p.out_width);
    }
    int64_t chunks_in(int64_t block) const {
        return cut.count(blocks.size(p, block) * p.out_height);
    }

    // What all tasks read: features in planes and by pixels. What they write: sums of their own.
    struct Sums {
        C *planes, *pixels, *features, *weight, *bias;
    };
    struct Scratch {
        C *blocks, *planes, *values, *value_planes, *entries, *grad_entries, *weight;
        const C** windows;
        int64_t bytes;

        Scratch(const Backward& b, char* base) {
            Arena arena(base);
            const int64_t images = b.blocks.images;
            blocks = arena.take<C>(images * b.w.parts * b.w.rows(b.p.out_height) * b.w.row);
            planes = arena.take<C>(images * b.shape.size());
            values = arena.take<C>((PLANE + TILE) * lanes);
            value_planes = arena.take<C>(PLANE * b.w.group_channels + 64);
            entries = arena.take<C>(KernelReader<S>::scratch(b.p));
            grad_entries = arena.take<C>(KernelReader<S>::scratch(b.p));
            weight = arena.take<C>(b.entries * (b.p.hidden + 1));
            windows = arena.take<const C*>(b.p.size);
            bytes = arena.used(base);
        }
    };

    bool run(S* grad_x, S* grad_features, S* grad_weight, S* grad_bias, int64_t threads) const {
        Memory memory((all_chunks() * (chunk_size * (1 + parts.groups) + chunk_pixels_size) +
                       parts.blocks * (weight_size + p.groups * entries)) *
                          int64_t(sizeof(C)) + 512);
        if (memory.base == nullptr || offsets.values == nullptr) return false;
        Arena arena(memory.base);
        Sums sums;
        sums.planes = arena.take<C>(all_chunks() * chunk_size);
        sums.pixels = arena.take<C>(all_chunks() * chunk_pixels_size);
        sums.features = arena.take<C>(parts.groups * all_chunks() * chunk_size);
        sums.weight = arena.take<C>(parts.blocks * weight_size);
        sums.bias = arena.take<C>(parts.blocks * p.groups * entries);
        const auto fill = [&](int64_t task, char*) { fill_features(sums, task); };
        const auto work = [&](int64_t task, char* scratch) {
            part(sums, Scratch(*this, scratch), grad_x, task / parts.groups, task % parts.groups);
        };
        const auto finish_features = [&](int64_t task, char* scratch) {
            store_features(sums, task, (C*)scratch, grad_features);
        };
        const auto finish_weight = [&](int64_t group, char*) {
            store_weight(sums, group, grad_weight, grad_bias);
        };
        return run_tasks(all_chunks(), 0, threads, fill) &&
               run_tasks(parts.blocks * parts.groups, Scratch(*this, nullptr).bytes, threads,
                         work) &&
               run_tasks(all_chunks(), chunk_size * int64_t(sizeof(C)), threads,
                         finish_features) &&
               run_tasks(p.groups, 0, threads, finish_weight);
    }

    void fill_features(const Sums& sums, int64_t task) const {
        const int64_t block = task / chunks, index = task % chunks;
        if (index >= chunks_in(block)) return;
        const Span<const S> source = {
            features,
            features + last_element(p.features, p.images, p.hidden, p.out_height, p.out_width) + 1};
        const Chunk chunk = chunk_of(block, index);
        C* planes = sums.planes + task * chunk_size;
        load_feature_planes<S, C>(p, chunk, blocks.first(block), source, planes);
        pixels_of_planes(planes, p.hidden, chunk.pixels(), width,
                         sums.pixels + task * chunk_pixels_size);
    }

    void part(const Sums& sums, const Scratch& own, S* grad_x, int64_t block_part,
              int64_t group_part) const {
        const Slice block_slice(blocks.count, parts.blocks, block_part);
        const Slice group_slice(p.groups, parts.groups, group_part);
        C* grad_features = sums.features + group_part * all_chunks() * chunk_size;
        for (int64_t block = block_slice.first; block < block_slice.last; ++block)
            for (int64_t group = group_slice.first; group < group_slice.last; ++group)
                block_group(sums, own, grad_x, block, group, block == block_slice.first,
                            group == group_slice.first,
                            sums.weight + block_part * weight_size + group * entries * width,
                            sums.bias + (block_part * p.groups + group) * entries, grad_features);
    }

    void block_group(const Sums& sums, const Scratch& own, S* grad_x, int64_t block, int64_t group,
                     bool first_block, bool first_group, C* grad_weight, C* grad_bias,
                     C* grad_features) const {
        const int64_t channel = group * w.group_channels, first_image = blocks.first(block);
        const int64_t images = blocks.size(p, block);
        const int64_t block_size = w.rows(p.out_height) * w.row;
        const Span<const S> source = {
            x, x + last_element(p.x, p.images, p.channels, p.height, p.width) + 1};
        zero(own.blocks, images * w.parts * block_size);
        zero(own.value_planes, PLANE * w.group_channels + 64);
        for (int64_t i = 0; i < images; ++i)
            fill_planes<S, C>(w, shape, source, first_image + i, channel, 0, p.out_height,
                              own.planes + i * shape.size());
        const C* group_weight = computed<S, C>(weight + group * entries * p.hidden,
                                               entries * p.hidden, own.weight);
        const C* group_bias = bias ? computed<S, C>(bias + group * entries, entries,
                                                    own.weight + entries * p.hidden)
                                   : nullptr;
        if (first_block) {
            zero(grad_weight, entries * width);
            zero(grad_bias, entries);
        }
        for (int64_t c = 0; c < chunks_in(block); ++c) {
            const Chunk chunk = chunk_of(block, c);
            const int64_t at = block * chunks + c;
            const int64_t registers = quotient_up(chunk.pixels(), lanes);
            span(p, chunk, group_weight, group_bias, sums.planes + at * chunk_size, own.entries);
            rows(own, chunk, first_image, channel);
            for (int64_t k = 0; k < entries; ++k)
                zero(own.grad_entries + k * PLANE + chunk.pixels(),
                     registers * lanes - chunk.pixels());
            multiply<C>({p.hidden, registers, entries, group_weight, 1, p.hidden, own.grad_entries,
                         PLANE, grad_features + at * chunk_size, PLANE, nullptr, !first_group});
            multiply<C>({entries, width / lanes, chunk.pixels(), own.grad_entries, PLANE, 1,
                         sums.pixels + at * chunk_pixels_size, width, grad_weight, width, nullptr,
                         true});
            for (int64_t k = 0; k < entries; ++k)
                grad_bias[k] += row_sum(own.grad_entries + k * PLANE, registers);
        }
        const InputBand all(p);
        for (int64_t i = 0; i < images; ++i)
            for (int64_t part = 0; part < w.parts; ++part)
                store_block<S, C>(w, all, own.blocks + (i * w.parts + part) * block_size,
                                  first_image + i, channel + part * lanes, w.part_channels(part),
                                  grad_x);
    }

    // Adds a chunk's share of the input's gradient; the gradient of its kernel entries.
    void rows(const Scratch& own, const Chunk& chunk, int64_t first_image, int64_t channel) const {
        const int64_t block_size = w.rows(p.out_height) * w.row;
        const S* end = grad_output +
                       last_element(p.y, p.images, p.channels, p.out_height, p.out_width) + 1;
        for_rows(p, chunk, first_image, [&](int64_t at, int64_t image, int64_t row) {
            const S* from = grad_output + image * p.y.image + channel * p.y.channel +
                            row * p.y.row + chunk.column * p.y.column;
            const int64_t slab = image - first_image;
            for (int64_t part = 0; part < w.parts; ++part) {
                load_pixels<S, C>(from + part * lanes * p.y.channel, end, p.y,
                                  w.part_channels(part), chunk.columns, own.values);
                const C* block = own.blocks + (slab * w.parts + part) * block_size;
                w.window(block, w.rows(p.out_height), row, chunk.column, own.windows);
                scatter(make_row<C>(w, own.windows, {own.entries + at, PLANE, 1}, chunk.columns,
                                    own.values));
            }
            load_planes<S, C>(from, end, p.y.channel, p.y.column, w.group_channels, chunk.columns,
                              own.value_planes, PLANE);
            const C* first = own.planes + slab * shape.size() +
                             row * p.stride_rows * shape.row + chunk.column;
            correlate({first, shape.plane, shape.row, offsets.values, own.value_planes, PLANE,
                       w.group_channels, chunk.columns, p.size, p.dilation_rows,
                       own.grad_entries + at, PLANE});
        });
    }

    void store_features(const Sums& sums, int64_t task, C* sum, S* to) const {
        const int64_t block = task / chunks, index = task % chunks;
        if (index >= chunks_in(block)) return;
        const ImageStrides& s = p.features;
        const Chunk chunk = chunk_of(block, index);
        add_parts(sums.features + task * chunk_size, parts.groups, all_chunks() * chunk_size,
                  chunk_size, sum);
        for_rows(p, chunk, blocks.first(block), [&](int64_t at, int64_t image, int64_t row) {
            S* base = to + image * s.image + row * s.row + chunk.column * s.column;
            for (int64_t i = 0; i < p.hidden; i += lanes)
                for (int64_t j = 0; j < chunk.columns; j += lanes)
                    store_planes(sum + i * PLANE + at + j, at_most(lanes, p.hidden - i),
                                 at_most(lanes, chunk.columns - j),
                                 base + i * s.channel + j * s.column);
        });
    }

    void store_planes(const C* from, int64_t channels, int64_t columns, S* to) const {
        const ImageStrides& s = p.features;
        if (s.channel == 1)
            return transpose_out<S, C>(from, PLANE, channels, columns, to, s.column);
        for (int64_t c = 0; c < channels; ++c)
            store_some<S, C>(to + c * s.channel, load(from + c * PLANE), columns);
    }

    void store_weight(const Sums& sums, int64_t group, S* grad_weight, S* grad_bias) const {
        const C* first = sums.weight + group * entries * width;
        add_parts(first, parts.blocks, weight_size, entries * width, const_cast<C*>(first));
        for (int64_t k = 0; k < entries; ++k)
            for (int64_t i = 0; i < p.hidden; ++i)
                narrow(first[k * width + i], grad_weight + (group * entries + k) * p.hidden + i);
        if (grad_bias == nullptr) return;
        const C* biases = sums.bias + group * entries;
        add_parts(biases, parts.blocks, p.groups * entries, entries, const_cast<C*>(biases));
        for (int64_t k = 0; k < entries; ++k)
            narrow(biases[k], grad_bias + group * entries + k);
    }
};

}  // namespace VARIANT

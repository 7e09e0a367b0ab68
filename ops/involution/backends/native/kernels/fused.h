// Involution from the generator's features: the span convolution's products go into scratch memory
// a chunk of pixels and a group at a time, so the kernel tensor is never stored.
#pragma once

#include "family.h"

namespace VARIANT {

// Small images are taken together, so that products have whole registers of pixels.
struct ImageBlocks {
    int64_t images, count;

    explicit ImageBlocks(const Plan& p) {
        const int64_t pixels = p.out_height * p.out_width;
        images = pixels >= ROW_PIXELS ? 1 : at_least(1, at_most(p.images, 2 * ROW_PIXELS / pixels));
        count = quotient_up(p.images, images);
    }
    int64_t first(int64_t block) const { return block * images; }
    int64_t size(const Plan& p, int64_t block) const {
        return at_most(images, p.images - first(block));
    }
};

// Calls body(first pixel in the chunk, image, row, column, pixels) for each row of a chunk.
template <class Body>
INLINE void for_rows(const Plan& p, const Chunk& chunk, int64_t first_image, const Body& body) {
    for (int64_t r = 0; r < chunk.rows; ++r) {
        const int64_t row = chunk.row + r;
        body(r * chunk.columns, first_image + row / p.out_height, row % p.out_height);
    }
}

// The features of a chunk in planes [hidden][PLANE], zeros behind the pixels.
template <class S, class C>
void load_feature_planes(const Plan& p, const Chunk& chunk, int64_t first_image,
                         Span<const S> features, C* to) {
    const ImageStrides& s = p.features;
    const int64_t pixels = chunk.pixels(), registers = round_up(pixels, Lanes<C>::count);
    for_rows(p, chunk, first_image, [&](int64_t at, int64_t image, int64_t row) {
        const S* from = features.data + image * s.image + row * s.row + chunk.column * s.column;
        load_planes<S, C>(from, features.end, s.channel, s.column, p.hidden, chunk.columns,
                          to + at, PLANE);
    });
    for (int64_t i = 0; i < p.hidden; ++i) zero(to + i * PLANE + pixels, registers - pixels);
}

// Rows of a matrix in the type they are computed in.
template <class S, class C>
INLINE const C* computed(const S* from, int64_t count, C* to) {
    if constexpr (sizeof(S) == sizeof(C)) return (const C*)from;
    copy_entries(from, count, to);
    return to;
}

// The kernel entries of one group for a chunk, in planes: h = weight t + bias.
template <class C>
INLINE void span(const Plan& p, const Chunk& chunk, const C* weight, const C* bias,
                 const C* features, C* h) {
    multiply<C>({p.size * p.size, quotient_up(chunk.pixels(), Lanes<C>::count), p.hidden, weight,
                 p.hidden, 1, features, PLANE, h, PLANE, bias, false});
}

constexpr int64_t WEIGHT_BYTES = 256 << 10;  // of the groups that a task does, to stay in L2

// What makes the features' planes of a chunk; not a template's argument, to build in less time.
template <class C>
class Fill {
  public:
    const int64_t scratch_bytes;

    template <class Body>
    Fill(const Body& body, int64_t scratch)
        : scratch_bytes(scratch), object(&body), function(&call<Body>) {}
    void operator()(const Chunk& chunk, int64_t first_image, C* planes, char* scratch) const {
        function(object, chunk, first_image, planes, scratch);
    }

  private:
    template <class Body>
    static void call(const void* body, const Chunk& chunk, int64_t first_image, C* planes,
                     char* scratch) {
        (*(const Body*)body)(chunk, first_image, planes, scratch);
    }
    const void* object;
    void (*function)(const void*, const Chunk&, int64_t, C*, char*);
};

// y from features whose planes the caller's fill(chunk, first image, planes, scratch) makes. A task
// does a band of a block of images for all groups, some at a time, and makes its own planes; where
// that gives too few tasks for the threads, groups are tasks of their own and planes are made ahead.
template <class S>
struct Forward {
    typedef typename Computed<S>::Type C;

    const Plan& p;
    const S *x, *weight, *bias;
    S* y;
    const Fill<C> fill;
    const Window<C> w;
    const RowFunction<C> function;
    const Chunks cut;
    const ImageBlocks blocks;
    const int64_t chunks, chunk_size, group_weight;
    const int64_t kept;  // padded rows of an image that a chunk needs
    const Split split;
    const int64_t image_size;

    Forward(const Plan& plan, const S* x_, const S* weight_, const S* bias_, S* y_,
            const Fill<C>& fill_, int64_t threads)
        : p(plan), x(x_), weight(weight_), bias(bias_), y(y_), fill(fill_), w(plan, reach(plan.out_width)),
          function(choose_row<C, Entries::planes, false>(plan)), cut(plan.out_width, ROW_PIXELS),
          blocks(plan), chunks(cut.count(blocks.images * plan.out_height)),
          chunk_size(plan.hidden * PLANE), group_weight(w.entries * (plan.hidden + 1)),
          kept(w.rows(at_most(plan.out_height, cut.rows_at_once))),
          split(plan.groups, plan.out_height,
                kept * w.row * w.parts * blocks.images * int64_t(sizeof(C)),
                at_least(1, WEIGHT_BYTES / (group_weight * int64_t(sizeof(C)))),
                blocks.images > 1 ? plan.out_height : cut.rows_at_once, blocks.count, threads),
          image_size(split.groups * w.parts * kept * w.row) {}

    struct Scratch {
        C *blocks, *entries, *out, *weight, *planes;
        const C** windows;
        int64_t* next;
        char* fill;
        int64_t bytes;

        Scratch(const Forward& f, int64_t planes_size, char* base) {
            Arena arena(base);
            blocks = arena.take<C>(f.blocks.images * f.image_size);
            entries = arena.take<C>(KernelReader<S>::scratch(f.p));
            out = arena.take<C>((PLANE + TILE) * f.w.lanes);
            weight = arena.take<C>(f.split.groups * f.group_weight);
            planes = arena.take<C>(planes_size);
            windows = arena.take<const C*>(f.p.size);
            next = arena.take<int64_t>(f.blocks.images);
            fill = arena.take<char>(f.fill.scratch_bytes);
            bytes = arena.used(base);
        }
    };

    // Rows of a task, counted through the images of its block.
    int64_t last_row(const Share& share) const {
        return split.bands > 1 ? share.row_end : blocks.size(p, share.copy) * p.out_height;
    }
    int64_t first_chunk(const Share& share) const { return cut.count(share.row); }
    int64_t last_chunk(const Share& share) const { return cut.count(last_row(share)); }

    bool run(int64_t threads) const {
        const int64_t tasks = blocks.count * split.bands;
        if (split.group_blocks == 1 || threads == 1 || tasks >= 2 * threads) return whole(threads);
        return ahead(threads);
    }

    bool whole(int64_t threads) const {
        const bool at_once = split.group_blocks == 1;
        const int64_t planes_size =
            at_once ? chunk_size : cut.count(blocks.images * split.rows) * chunk_size;
        const auto work = [&](int64_t task, char* base) {
            const Scratch own(*this, planes_size, base);
            for (int64_t part = 0; part < split.group_blocks; ++part) {
                const Share share(split, task * split.group_blocks + part, p.out_height, p.groups);
                if (part == 0 && !at_once)
                    for (int64_t c = first_chunk(share); c < last_chunk(share); ++c)
                        fill_chunk(share, c, own.planes + (c - first_chunk(share)) * chunk_size,
                                   own.fill);
                groups(share, own, own.planes, at_once);
            }
        };
        return run_tasks(blocks.count * split.bands,
                         Scratch(*this, planes_size, nullptr).bytes, threads, work);
    }

    bool ahead(int64_t threads) const {
        Memory memory(blocks.count * chunks * chunk_size * int64_t(sizeof(C)));
        C* const planes = (C*)memory.base;
        if (planes == nullptr) return false;
        const auto make = [&](int64_t task, char* scratch) {
            const int64_t block = task / chunks, index = task % chunks;
            const int64_t rows = blocks.size(p, block) * p.out_height;
            if (index < cut.count(rows))
                fill(Chunk(cut, index, rows, p.out_width), blocks.first(block),
                     planes + task * chunk_size, scratch);
        };
        const auto work = [&](int64_t task, char* base) {
            const Share share(split, task, p.out_height, p.groups);
            const int64_t first = share.copy * chunks + first_chunk(share);
            groups(share, Scratch(*this, 0, base), planes + first * chunk_size, false);
        };
        return run_tasks(blocks.count * chunks, fill.scratch_bytes, threads, make) &&
               run_tasks(split.tasks(blocks.count), Scratch(*this, 0, nullptr).bytes, threads,
                         work);
    }

    void fill_chunk(const Share& share, int64_t index, C* planes, char* scratch) const {
        fill(Chunk(cut, index, last_row(share), p.out_width), blocks.first(share.copy), planes,
             scratch);
    }

    // The share's groups; planes of its chunks, or room for one to fill as they come.
    void groups(const Share& share, const Scratch& own, C* planes, bool fill_planes) const {
        const int64_t rows = share.groups() * w.entries, matrix = w.entries * p.hidden;
        prefetch(weight + share.group * matrix, matrix);
        const C* weights = computed<S, C>(weight + share.group * matrix, rows * p.hidden,
                                          own.weight);
        const C* biases = bias ? computed<S, C>(bias + share.group * w.entries, rows,
                                                own.weight + rows * p.hidden)
                               : nullptr;
        const int64_t first = first_chunk(share);
        for (int64_t i = 0; i < blocks.images; ++i) own.next[i] = share.row * p.stride_rows;
        for (int64_t c = first; c < last_chunk(share); ++c) {
            const Chunk chunk(cut, c, last_row(share), p.out_width);
            if (fill_planes) fill_chunk(share, c, planes, own.fill);
            const C* features = fill_planes ? planes : planes + (c - first) * chunk_size;
            for_rows(p, chunk, 0, [&](int64_t, int64_t image, int64_t row) {
                rolling(share, own, image).reach(row);
            });
            for (int64_t group = 0; group < share.groups(); ++group) {
                if (c == first && group + 1 < share.groups())
                    prefetch(weights + (group + 1) * matrix, matrix);
                span(p, chunk, weights + group * matrix,
                     biases ? biases + group * w.entries : nullptr, features, own.entries);
                aggregate_chunk(share, own, chunk, group);
            }
        }
    }

    RollingBlocks<S, C> rolling(const Share& share, const Scratch& own, int64_t image) const {
        const Span<const S> source = {
            x, x + last_element(p.x, p.images, p.channels, p.height, p.width) + 1};
        return {w,
                source,
                blocks.first(share.copy) + image,
                share.group,
                share.group_end,
                kept,
                own.blocks + image * image_size,
                own.next[image]};
    }

    void aggregate_chunk(const Share& share, const Scratch& own, const Chunk& chunk,
                         int64_t group) const {
        const int64_t first_image = blocks.first(share.copy);
        for_rows(p, chunk, 0, [&](int64_t at, int64_t image, int64_t row) {
            const RollingBlocks<S, C> rows = rolling(share, own, image);
            for (int64_t part = 0; part < w.parts; ++part) {
                const int64_t channel = (share.group + group) * w.group_channels + part * w.lanes;
                rows.window(group * w.parts + part, row, chunk.column, own.windows);
                function(make_row<C>(w, own.windows, {own.entries + at, PLANE, 1}, chunk.columns,
                                     own.out));
                store_pixels<S, C>(own.out, p.y, w.part_channels(part), chunk.columns,
                                   y + (first_image + image) * p.y.image + channel * p.y.channel +
                                       row * p.y.row + chunk.column * p.y.column);
            }
        });
    }
};

template <class S>
bool fused(const Plan& p, const S* x, const S* features, const S* weight, const S* bias, S* y,
           int64_t threads) {
    typedef typename Computed<S>::Type C;
    const Span<const S> source = {
        features,
        features + last_element(p.features, p.images, p.hidden, p.out_height, p.out_width) + 1};
    const auto fill = [&](const Chunk& chunk, int64_t first_image, C* to, char*) {
        load_feature_planes<S, C>(p, chunk, first_image, source, to);
    };
    return Forward<S>(p, x, weight, bias, y, Fill<C>(fill, 0), threads).run(threads);
}

}  // namespace VARIANT

// Batch norm with fixed statistics, a shortcut and ReLU in one pass over pixels of channels.
#pragma once

#include "tasks.h"

namespace VARIANT {

template <class S>
struct Statistics {
    const S *mean, *variance, *gain, *offset;  // [channels]
    double epsilon;
};

template <class S>
class Normaliser {
  public:
    typedef typename Computed<S>::Type C;

    Normaliser(const Rows& plan, const S* x, const S* shortcut, const Statistics<S>& s, S* y)
        : p(plan), x(x), shortcut(shortcut), y(y), width(round_up(p.channels, lanes)),
          memory(2 * width * int64_t(sizeof(C)) + 128) {
        if (memory.base == nullptr) return;
        Arena arena(memory.base);
        scale = arena.take<C>(width);
        offset = arena.take<C>(width);
        for (int64_t c = 0; c < p.channels; ++c) {
            scale[c] = widen(s.gain[c]) / C(__builtin_sqrt(widen(s.variance[c]) + s.epsilon));
            offset[c] = widen(s.offset[c]) - widen(s.mean[c]) * scale[c];
        }
    }

    bool run(int64_t threads) const {
        if (memory.base == nullptr) return false;
        const int64_t step = at_least(1, TASK_NUMBERS / at_least(1, p.channels));
        return run_tasks(quotient_up(p.rows, step), 0, threads, [&](int64_t task, char*) {
            const int64_t end = at_most(p.rows, (task + 1) * step);
            for (int64_t row = task * step; row < end; ++row)
                if (shortcut == nullptr) one<false>(row * p.channels);
                else one<true>(row * p.channels);
        });
    }

  private:
    static constexpr int lanes = Lanes<C>::count;
    static constexpr int64_t TASK_NUMBERS = 64 << 10;

    template <bool ADDS>
    INLINE void one(int64_t at) const {
        int64_t c = 0;
        for (; c + lanes <= p.channels; c += lanes) {
            Vector<C> value = load(x + at + c) * load(scale + c) + load(offset + c);
            if (ADDS) value += load(shortcut + at + c);
            store(y + at + c, p.relu ? rectified(value) : value);
        }
        for (; c < p.channels; ++c) {
            C value = widen(x[at + c]) * scale[c] + offset[c];
            if (ADDS) value += widen(shortcut[at + c]);
            narrow(p.relu && value < C(0) ? C(0) : value, y + at + c);
        }
    }

    static INLINE Vector<C> rectified(Vector<C> value) {
        return value < C(0) ? Vector<C>{} : value;  // a NaN stays
    }

    const Rows& p;
    const S *x, *shortcut;
    S* y;
    const int64_t width;
    Memory memory;
    C *scale, *offset;
};

template <class S>
bool normalise(const Rows& p, const S* x, const S* shortcut, const Statistics<S>& statistics, S* y,
               int64_t threads) {
    return Normaliser<S>(p, x, shortcut, statistics, y).run(threads);
}

}  // namespace VARIANT

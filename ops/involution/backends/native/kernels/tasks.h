// Work cut into tasks that write different results, run by OpenMP threads.
#pragma once

#include <stdlib.h>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "blocks.h"

namespace VARIANT {

INLINE int thread_number() {
#if defined(_OPENMP)
    return omp_get_thread_num();
#else
    return 0;
#endif
}

class Memory {
  public:
    explicit Memory(int64_t bytes) : base((char*)aligned_alloc(64, size_t(round_up(bytes + 1, 64)))) {}
    ~Memory() { free(base); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    char* const base;
};

// body(task, scratch) for each task; false if there was no memory.
template <class Body>
bool run_tasks(int64_t tasks, int64_t scratch_bytes, int64_t threads, const Body& body) {
    const int64_t bytes = round_up(scratch_bytes, 64);
    const int count = int(at_least(1, at_most(threads, tasks)));
    Memory memory(bytes * count);
    if (memory.base == nullptr) return false;
#if defined(_OPENMP)
#pragma omp parallel for schedule(dynamic) num_threads(count) if (count > 1)
#endif
    for (int64_t task = 0; task < tasks; ++task)
        body(task, memory.base + bytes * thread_number());
    return true;
}

constexpr int64_t BLOCK_BYTES = 512 << 10;  // of padded channels, so that they stay in L2

// How images are cut: a task does some groups of a band of rows. Several groups together, because
// their channels and kernel entries lie next to each other in memory.
struct Split {
    int64_t groups, group_blocks, rows, bands;

    // For rolling blocks of `group_bytes` a group. Bands are of whole multiples of `row_step` rows;
    // `copies` tasks there are anyway.
    Split(int64_t all_groups, int64_t all_rows, int64_t group_bytes, int64_t most_groups,
          int64_t row_step, int64_t copies, int64_t threads)
        : groups(at_most(most_groups, BLOCK_BYTES / at_least(1, group_bytes))), rows(all_rows) {
        share_out(all_groups, all_rows, round_up(LEAST_ROWS, row_step), copies, threads);
        rows = at_most(all_rows, round_up(rows, row_step));
        bands = quotient_up(all_rows, rows);
    }

    // For blocks of a band's rows and `overlap` more.
    static Split blocks(int64_t all_groups, int64_t all_rows, int64_t group_row_bytes,
                        int64_t overlap, int64_t copies, int64_t threads) {
        const int64_t least = at_most(all_rows, at_least(LEAST_ROWS, overlap));
        Split split;
        split.groups = at_most(all_groups, 4);
        const int64_t fitting = BLOCK_BYTES / (split.groups * group_row_bytes) - overlap;
        split.rows = at_most(all_rows, at_least(least, fitting));
        if (split.rows == all_rows)
            split.groups =
                at_least(split.groups, BLOCK_BYTES / (group_row_bytes * (all_rows + overlap)));
        split.share_out(all_groups, all_rows, least, copies, threads);
        return split;
    }

    int64_t tasks(int64_t copies) const { return copies * bands * group_blocks; }

  private:
    static constexpr int64_t LEAST_ROWS = 8;  // no band has fewer rows: its overlap is in vain

    Split() = default;

    void share_out(int64_t all_groups, int64_t all_rows, int64_t least_rows, int64_t copies,
                   int64_t threads) {
        const int64_t wanted = threads > 1 ? 2 * threads : 1;
        groups = at_least(1, at_most(all_groups, groups));
        group_blocks = quotient_up(all_groups, groups);
        bands = quotient_up(all_rows, rows);
        const int64_t missing = quotient_up(wanted, at_least(1, copies * group_blocks));
        rows = at_least(at_most(all_rows, least_rows),
                        quotient_up(all_rows, at_least(bands, missing)));
        bands = quotient_up(all_rows, rows);
        const int64_t more = quotient_up(wanted, at_least(1, copies * bands));
        groups = quotient_up(all_groups, at_most(all_groups, at_least(group_blocks, more)));
        group_blocks = quotient_up(all_groups, groups);
    }
};

// One task of a split.
struct Share {
    int64_t copy, row, row_end, group, group_end;

    Share(const Split& split, int64_t task, int64_t all_rows, int64_t all_groups) {
        copy = task / split.group_blocks / split.bands;
        row = task / split.group_blocks % split.bands * split.rows;
        row_end = at_most(row + split.rows, all_rows);
        group = task % split.group_blocks * split.groups;
        group_end = at_most(group + split.groups, all_groups);
    }
    int64_t rows() const { return row_end - row; }
    int64_t groups() const { return group_end - group; }
};

}  // namespace VARIANT

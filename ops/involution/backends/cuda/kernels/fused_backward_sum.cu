// Adds up the rows of a matrix of floats, always in the same order: TURNS threads a column.
#include "platform.h"

typedef STORAGE S;

struct Problem {
    int64 rows, columns, first_columns;  // the first go to `first`, the others to `second`
};

constexpr int COLUMNS = 32;

extern "C" __global__ void __launch_bounds__(COLUMNS * TURNS)
    sum_rows(const Problem p, const float* from, S* first, S* second) {
    float* sums = shared_memory<float>();
    const int own = int(threadIdx.x) % COLUMNS, turn = int(threadIdx.x) / COLUMNS;
    const int64 column = int64(blockIdx.x) * COLUMNS + own;
    float sum = 0;
    if (column < p.columns) {
#pragma unroll 8
        for (int64 row = turn; row < p.rows; row += TURNS) sum += from[row * p.columns + column];
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (turn != 0 || column >= p.columns) return;
    for (int other = 1; other < TURNS; ++other) sum += sums[other * COLUMNS + own];
    if (column < p.first_columns) {
        narrow(sum, first[column]);
    } else {
        narrow(sum, second[column - p.first_columns]);
    }
}

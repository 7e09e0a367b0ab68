// One result of each operator, by its definition: any strides, sizes and window, summed in float.
#ifndef INVOLUTION_PLAIN_H
#define INVOLUTION_PLAIN_H

#include "problem.h"

DEVICE int64 offset(const int64 (&strides)[4], int64 image, int64 channel, int64 row, int64 column) {
    return image * strides[0] + channel * strides[1] + row * strides[2] + column * strides[3];
}

DEVICE int group_channels(const Problem& p) { return int(p.channels) / int(p.groups); }

DEVICE bool inside(int64 place, int64 size) { return place >= 0 && place < size; }

template <class S>
DEVICE float plain_output(const Problem& p, const S* x, const S* kernel, int64 image,
                          int channel, int i, int j) {
    const int size = int(p.kernel_size), group = channel / group_channels(p);
    kernel += image * p.kernel[0] + group * p.kernel[1] + i * p.kernel[4] + j * p.kernel[5];
    float sum = 0;
#pragma unroll 1
    for (int u = 0; u < size; ++u) {
        const int64 row = i * p.stride_y + u * p.dilation_y - p.padding_y;
        if (!inside(row, p.height)) continue;
#pragma unroll 1
        for (int v = 0; v < size; ++v) {
            const int64 column = j * p.stride_x + v * p.dilation_x - p.padding_x;
            if (!inside(column, p.width)) continue;
            sum += widen(kernel[u * p.kernel[2] + v * p.kernel[3]]) *
                   widen(x[offset(p.x, image, channel, row, column)]);
        }
    }
    return sum;
}

template <class S>
DEVICE float plain_grad_input(const Problem& p, const S* grad_output, const S* kernel, int64 image,
                              int channel, int row, int column) {
    const int size = int(p.kernel_size), group = channel / group_channels(p);
    kernel += image * p.kernel[0] + group * p.kernel[1];
    float sum = 0;
#pragma unroll 1
    for (int u = 0; u < size; ++u) {
        int i = row + int(p.padding_y) - u * int(p.dilation_y);
        if (i < 0 || digit(i, int(p.stride_y)) || i >= p.rows) continue;
#pragma unroll 1
        for (int v = 0; v < size; ++v) {
            int j = column + int(p.padding_x) - v * int(p.dilation_x);
            if (j < 0 || digit(j, int(p.stride_x)) || j >= p.columns) continue;
            sum += widen(kernel[u * p.kernel[2] + v * p.kernel[3] + i * p.kernel[4] +
                                j * p.kernel[5]]) *
                   widen(grad_output[offset(p.y, image, channel, i, j)]);
        }
    }
    return sum;
}

template <class S>
DEVICE float plain_grad_kernel(const Problem& p, const S* grad_output, const S* x, int64 image,
                               int group, int u, int v, int i, int j) {
    const int64 row = i * p.stride_y + u * p.dilation_y - p.padding_y;
    const int64 column = j * p.stride_x + v * p.dilation_x - p.padding_x;
    if (!inside(row, p.height) || !inside(column, p.width)) return 0;
    const int count = group_channels(p);
    x += offset(p.x, image, group * count, row, column);
    grad_output += offset(p.y, image, group * count, i, j);
    float sum = 0;
#pragma unroll 4
    for (int c = 0; c < count; ++c) sum += widen(grad_output[c * p.y[1]]) * widen(x[c * p.x[1]]);
    return sum;
}

#endif

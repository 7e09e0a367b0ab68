// Random calls of one variant against plain loops in double, on buffers of exactly the tensors'
// size. Built with sanitizers by test_native_sanitizers.py. Prints the case that went wrong.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "table.h"
#include "vector.h"

extern const Table CHECKED;

namespace {

using VARIANT::bfloat16;
typedef std::vector<double> Numbers;
std::mt19937 randomness(7);

int64_t any(int64_t low, int64_t high) {
    return low + int64_t(randomness() % uint32_t(high - low + 1));
}

void narrow(double value, double* to) { *to = value; }
void narrow(double value, float* to) { *to = float(value); }
void narrow(double value, bfloat16* to) { VARIANT::narrow(float(value), to); }

// A tensor in exactly the memory it needs, with its dimensions in some order in memory.
template <class S, int N>
struct Tensor {
    int64_t sizes[N], strides[N];
    int64_t count = 1;
    S* data;

    Tensor(const int64_t (&shape)[N], const int (&order)[N]) {
        for (int d = N - 1; d >= 0; --d) {
            strides[order[d]] = count;
            sizes[order[d]] = shape[order[d]];
            count *= shape[order[d]];
        }
        data = static_cast<S*>(malloc(size_t(count) * sizeof(S)));
        for (int64_t i = 0; i < count; ++i) narrow(double(any(-64, 64)) / 64, data + i);
    }
    ~Tensor() { free(data); }
    Tensor(const Tensor&) = delete;

    S* at(const int64_t (&index)[N]) const {
        S* element = data;
        for (int d = 0; d < N; ++d) element += index[d] * strides[d];
        return element;
    }
    double operator()(const int64_t (&index)[N]) const { return VARIANT::widen(*at(index)); }
};

template <class S>
using Image = Tensor<S, 4>;
constexpr int layouts[2][4] = {{0, 1, 2, 3}, {0, 2, 3, 1}};
constexpr int kernel_layouts[3][6] = {{0, 1, 2, 3, 4, 5}, {0, 4, 5, 1, 2, 3}, {4, 3, 0, 5, 2, 1}};

template <class S>
struct Case {
    int64_t images, groups, channels, size, height, width, stride, pad, dilation, hidden;
    int64_t out_height, out_width;
    Plan plan = {};

    Case() {
        const int64_t group_channels[] = {1, 3, 4, 8, 16, 17};
        do {
            images = any(1, 3);
            groups = any(1, 3);
            channels = groups * group_channels[any(0, 5)];
            size = any(0, 1) ? 3 : any(1, 5);
            height = any(1, 18);
            width = any(0, 9) ? any(1, 32) : any(120, 140);
            stride = any(1, 3);
            dilation = any(0, 1) ? 1 : any(1, 3);
            pad = any(0, 2) ? size / 2 * dilation : any(0, 4);
            hidden = any(1, 20);
            out_height = (height + 2 * pad - dilation * (size - 1) - 1) / stride + 1;
            out_width = (width + 2 * pad - dilation * (size - 1) - 1) / stride + 1;
        } while (height + 2 * pad < dilation * (size - 1) + 1 ||
                 width + 2 * pad < dilation * (size - 1) + 1);
        plan.storage = sizeof(S) == 4 ? 0 : sizeof(S) == 2 ? 1 : 2;
        plan.images = images, plan.channels = channels, plan.groups = groups, plan.size = size;
        plan.height = height, plan.width = width;
        plan.out_height = out_height, plan.out_width = out_width;
        plan.stride_rows = plan.stride_columns = stride;
        plan.pad_rows = plan.pad_columns = pad;
        plan.dilation_rows = plan.dilation_columns = dilation;
        plan.hidden = hidden;
    }

    // term(image, channel, row and column of output, u, v, row and column of input)
    template <class Term>
    void each(const Term& term) const {
        for (int64_t b = 0; b < images; ++b)
            for (int64_t c = 0; c < channels; ++c)
                for (int64_t i = 0; i < out_height; ++i)
                    for (int64_t j = 0; j < out_width; ++j)
                        for (int64_t u = 0; u < size; ++u)
                            for (int64_t v = 0; v < size; ++v) {
                                const int64_t y = i * stride + u * dilation - pad;
                                const int64_t x = j * stride + v * dilation - pad;
                                if (y >= 0 && y < height && x >= 0 && x < width)
                                    term(b, c, i, j, u, v, y, x);
                            }
    }
};

void strides(const int64_t (&from)[4], ImageStrides* to) {
    *to = {from[0], from[1], from[2], from[3]};
}

template <class S>
struct Checker {
    const char* name;
    const Plan& plan;
    int failures = 0;

    template <int N>
    void compare(const char* what, const Tensor<S, N>& result, const Numbers& wanted) {
        const double tolerance = sizeof(S) == 2 ? 2e-2 : sizeof(S) == 4 ? 1e-4 : 1e-11;
        double largest = 1, worst = 0;
        int64_t index[N] = {};
        for (double want : wanted) {
            largest = std::fmax(largest, std::fabs(want));
            const double error = std::fabs(result(index) - want);
            worst = error <= worst ? worst : error;
            for (int d = N - 1; d >= 0 && ++index[d] == result.sizes[d]; --d) index[d] = 0;
        }
        if (worst <= tolerance * largest) return;
        ++failures;
        printf("%s of %s: error %g of %g; plan", what, name, worst, largest);
        for (const int64_t* n = &plan.images; n <= &plan.hidden; ++n) printf(" %ld", long(*n));
        printf("\n");
    }
};

template <class S, int N>
size_t flat(const Tensor<S, N>& t, const int64_t (&index)[N]) {
    int64_t result = 0;
    for (int d = 0; d < N; ++d) result = result * t.sizes[d] + index[d];
    return size_t(result);
}

template <class S>
int check(const char* name) {
    Case<S> c;
    Plan& p = c.plan;
    const int64_t threads = any(1, 3), per_group = c.channels / c.groups;
    const auto& layout = layouts[any(0, 1)];
    const Image<S> x({c.images, c.channels, c.height, c.width}, layout);
    const Image<S> grad_x({c.images, c.channels, c.height, c.width}, layout);
    const auto& out_layout = layouts[any(0, 1)];
    const Image<S> y({c.images, c.channels, c.out_height, c.out_width}, out_layout);
    const Image<S> grad_y({c.images, c.channels, c.out_height, c.out_width}, out_layout);
    const int64_t kernel_shape[6] = {c.images, c.groups, c.size, c.size, c.out_height, c.out_width};
    const auto& kernel_layout = kernel_layouts[any(0, 2)];
    const Tensor<S, 6> kernel(kernel_shape, kernel_layout), grad_h(kernel_shape, kernel_layout);
    const auto& features_layout = layouts[any(0, 1)];
    const Image<S> features({c.images, c.hidden, c.out_height, c.out_width}, features_layout);
    const Image<S> grad_features({c.images, c.hidden, c.out_height, c.out_width}, features_layout);
    const int order[4] = {0, 1, 2, 3}, order3[3] = {0, 1, 2};
    const Image<S> weight({c.groups, c.size, c.size, c.hidden}, order);
    const Image<S> grad_weight({c.groups, c.size, c.size, c.hidden}, order);
    const Tensor<S, 3> bias({c.groups, c.size, c.size}, order3);
    const Tensor<S, 3> grad_bias({c.groups, c.size, c.size}, order3);
    strides(x.strides, &p.x);
    strides(y.strides, &p.y);
    strides(features.strides, &p.features);
    const int64_t* k = kernel.strides;
    p.kernel = {k[0], k[1], k[2], k[3], k[4], k[5]};
    Checker<S> checker = {name, p};

    Numbers outputs(size_t(y.count)), inputs(size_t(x.count)), entries(size_t(kernel.count));
    c.each([&](auto b, auto ch, auto i, auto j, auto u, auto v, auto row, auto column) {
        const int64_t entry[6] = {b, ch / per_group, u, v, i, j};
        const double h = kernel(entry), g = grad_y({b, ch, i, j}), value = x({b, ch, row, column});
        outputs[flat(y, {b, ch, i, j})] += h * value;
        inputs[flat(x, {b, ch, row, column})] += h * g;
        entries[flat(kernel, entry)] += g * value;
    });
    if (CHECKED.aggregate(&p, x.data, kernel.data, y.data, threads)) return 1;
    checker.compare("aggregate", y, outputs);
    if (CHECKED.grad_input(&p, grad_y.data, kernel.data, grad_x.data, threads)) return 1;
    checker.compare("grad_input", grad_x, inputs);
    if (CHECKED.grad_kernel(&p, grad_y.data, x.data, grad_h.data, threads)) return 1;
    checker.compare("grad_kernel", grad_h, entries);

    Numbers made(size_t(kernel.count));
    int64_t e[6];
    const auto each_entry = [&](const auto& use) {
        for (e[0] = 0; e[0] < c.images; ++e[0])
            for (e[1] = 0; e[1] < c.groups; ++e[1])
                for (e[2] = 0; e[2] < c.size; ++e[2])
                    for (e[3] = 0; e[3] < c.size; ++e[3])
                        for (e[4] = 0; e[4] < c.out_height; ++e[4])
                            for (e[5] = 0; e[5] < c.out_width; ++e[5]) use();
    };
    each_entry([&] {
        double sum = bias({e[1], e[2], e[3]});
        for (int64_t t = 0; t < c.hidden; ++t)
            sum += weight({e[1], e[2], e[3], t}) * features({e[0], t, e[4], e[5]});
        made[flat(kernel, e)] = sum;
    });
    outputs.assign(outputs.size(), 0);
    inputs.assign(inputs.size(), 0);
    c.each([&](auto b, auto ch, auto i, auto j, auto u, auto v, auto row, auto column) {
        const int64_t entry[6] = {b, ch / per_group, u, v, i, j};
        const double h = made[flat(kernel, entry)];
        outputs[flat(y, {b, ch, i, j})] += h * x({b, ch, row, column});
        inputs[flat(x, {b, ch, row, column})] += h * grad_y({b, ch, i, j});
    });
    Numbers to_features(size_t(features.count)), to_weight(size_t(weight.count));
    Numbers to_bias(size_t(bias.count));
    each_entry([&] {
        const double g = entries[flat(kernel, e)];
        to_bias[flat(bias, {e[1], e[2], e[3]})] += g;
        for (int64_t t = 0; t < c.hidden; ++t) {
            to_features[flat(features, {e[0], t, e[4], e[5]})] += g * weight({e[1], e[2], e[3], t});
            to_weight[flat(weight, {e[1], e[2], e[3], t})] += g * features({e[0], t, e[4], e[5]});
        }
    });
    if (CHECKED.fused(&p, x.data, features.data, weight.data, bias.data, y.data, threads)) return 1;
    checker.compare("fused", y, outputs);
    if (CHECKED.fused_backward(&p, grad_y.data, x.data, features.data, weight.data, bias.data,
                               grad_x.data, grad_features.data, grad_weight.data, grad_bias.data,
                               threads))
        return 1;
    checker.compare("fused_backward to x", grad_x, inputs);
    checker.compare("fused_backward to features", grad_features, to_features);
    checker.compare("fused_backward to weight", grad_weight, to_weight);
    checker.compare("fused_backward to bias", grad_bias, to_bias);

    // the generator pools by the stride, to ceil(size / stride): only then is there a bottleneck
    if (c.out_height != (c.height + c.stride - 1) / c.stride ||
        c.out_width != (c.width + c.stride - 1) / c.stride)
        return checker.failures;
    const int line[1] = {0}, matrix[2] = {0, 1};
    const Tensor<S, 2> reduce({c.hidden, c.channels}, matrix);
    const Tensor<S, 1> mean({c.hidden}, line), variance({c.hidden}, line), gain({c.hidden}, line);
    const Tensor<S, 1> offset({c.hidden}, line);
    for (int64_t t = 0; t < c.hidden; ++t) narrow(0.25 + double(t) / 8, variance.data + t);
    outputs.assign(outputs.size(), 0);
    Numbers hidden(size_t(features.count));
    for (int64_t b = 0; b < c.images; ++b)
        for (int64_t t = 0; t < c.hidden; ++t)
            for (int64_t i = 0; i < c.out_height; ++i)
                for (int64_t j = 0; j < c.out_width; ++j) {
                    double sum = 0, pixels = 0;
                    for (int64_t row = i * c.stride; row < (i + 1) * c.stride; ++row)
                        for (int64_t column = j * c.stride; column < (j + 1) * c.stride; ++column) {
                            if (row >= c.height || column >= c.width) continue;
                            ++pixels;
                            for (int64_t ch = 0; ch < c.channels; ++ch)
                                sum += reduce({t, ch}) * x({b, ch, row, column});
                        }
                    const double scale = gain({t}) / std::sqrt(variance({t}) + 1e-5);
                    const double normed = (sum / pixels - mean({t})) * scale + offset({t});
                    hidden[flat(features, {b, t, i, j})] = std::fmax(0, normed);
                }
    each_entry([&] {
        double sum = 0;
        for (int64_t t = 0; t < c.hidden; ++t)
            sum += weight({e[1], e[2], e[3], t}) * hidden[flat(features, {e[0], t, e[4], e[5]})];
        made[flat(kernel, e)] = sum;
    });
    c.each([&](auto b, auto ch, auto i, auto j, auto u, auto v, auto row, auto column) {
        const int64_t entry[6] = {b, ch / per_group, u, v, i, j};
        outputs[flat(y, {b, ch, i, j})] += made[flat(kernel, entry)] * x({b, ch, row, column});
    });
    if (CHECKED.bottleneck(&p, x.data, reduce.data, mean.data, variance.data, gain.data,
                           offset.data, weight.data, nullptr, y.data, 1e-5, threads))
        return 1;
    checker.compare("bottleneck", y, outputs);
    return checker.failures;
}

template <class S>
int check_normalise(const char* type) {
    const int line[1] = {0}, matrix[2] = {0, 1};
    const Rows rows = {sizeof(S) == 4 ? 0 : sizeof(S) == 2 ? 1 : 2, any(1, 40), any(1, 70), any(0, 1)};
    const Tensor<S, 2> x({rows.rows, rows.channels}, matrix);
    const Tensor<S, 2> shortcut({rows.rows, rows.channels}, matrix);
    const Tensor<S, 2> y({rows.rows, rows.channels}, matrix);
    const Tensor<S, 1> mean({rows.channels}, line), variance({rows.channels}, line);
    const Tensor<S, 1> gain({rows.channels}, line), offset({rows.channels}, line);
    for (int64_t c = 0; c < rows.channels; ++c)
        narrow(0.25 + double(c % 8) / 8, variance.data + c);
    const bool adds = any(0, 1) == 1;
    Numbers expected(size_t(x.count));
    for (int64_t i = 0; i < rows.rows; ++i)
        for (int64_t c = 0; c < rows.channels; ++c) {
            const double scale = gain({c}) / std::sqrt(variance({c}) + 1e-5);
            const double sum = (x({i, c}) - mean({c})) * scale + offset({c}) +
                               (adds ? shortcut({i, c}) : 0);
            expected[size_t(i * rows.channels + c)] = rows.relu ? std::fmax(0, sum) : sum;
        }
    if (CHECKED.normalise(&rows, x.data, adds ? shortcut.data : nullptr, mean.data, variance.data,
                          gain.data, offset.data, y.data, 1e-5, any(1, 3)))
        return 1;
    Plan plan = {};
    plan.images = rows.rows, plan.channels = rows.channels;
    Checker<S> checker{type, plan};
    checker.compare("normalise", y, expected);
    return checker.failures;
}

}  // namespace

int main(int count, char** arguments) {
    const int cases = count > 1 ? atoi(arguments[1]) : 20;
    int failures = 0;
    for (int i = 0; i < cases; ++i)
        failures += check<float>("float") + check<bfloat16>("bfloat16") + check<double>("double") +
                    check_normalise<float>("float") + check_normalise<bfloat16>("bfloat16") +
                    check_normalise<double>("double");
    printf("%d cases, %d failures\n", cases, failures);
    return failures != 0;
}

#include "core/engine/roofline.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "core/model/model.h"
#include "core/ops/linear.h"
#include "core/ops/read_rate.h"

namespace tessera {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLeastPasses = 8;
// Passes over a tiny model are shorter than another program keeps a core.
constexpr std::chrono::milliseconds kLeastTime{20};

double best_rate(const std::function<void()>& pass) {
  const Clock::time_point begin = Clock::now();
  double best = 0;
  for (int i = 0; i < kLeastPasses || Clock::now() - begin < kLeastTime; ++i) {
    const Clock::time_point start = Clock::now();
    pass();
    best = std::max(best, 1.0 / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

Result<Roofline> measure_roofline(const Engine& engine) {
  const Model& model = engine.model();
  Roofline roofline;
  if (model.config.experts.count > 0) return roofline;
  const Weights& weights = model.weights;
  std::vector<Product> products;
  int64_t widest = 0, rows = 0;
  const auto add = [&](const PackedMatrix& matrix) {
    if (matrix.rows == 0) return;  // what this kind of layer does not have
    products.push_back({&matrix, {}, nullptr});
    widest = std::max(widest, matrix.width);
    rows += matrix.rows;
    roofline.token_bytes += static_cast<uint64_t>(matrix.tiles()) * matrix.tile_bytes;
  };
  for (const LayerWeights& layer : weights.layers) {
    for (auto matrix : {&layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.conv_in, &layer.conv_out, &layer.gate, &layer.up, &layer.down,
                        &layer.per_layer_gate, &layer.per_layer_output}) {
      add(*matrix);
    }
  }
  add(weights.per_layer_projection);
  add(weights.output);
  auto floats = AlignedBuffer::allocate(static_cast<uint64_t>(widest + rows) * sizeof(float), "roofline");
  Result<InputBuffer> input = InputBuffer::create(static_cast<uint64_t>(widest), model.kernels->code_bytes);
  if (!floats || !input) return floats ? input.error() : floats.error();
  float* row = floats->as<float>();
  std::fill_n(row, widest, 0.5f);
  // The quantised form of a row of equal values is that of every shorter one, too.
  input->quantize(*model.kernels, input->view(row, 1, widest), 0);
  float* out = row + widest;
  for (Product& product : products) {
    product.x = input->view(row, 1, product.weights->width);
    product.out = out;
    out += product.weights->rows;
  }
  const std::span<const Product> all(products);
  roofline.products_tps = best_rate([&] {
    linear(engine.pool(), *model.kernels, all.first(all.size() - 1));
    linear(engine.pool(), *model.kernels, all.last(1));  // apart, so that its many rows are cut into tasks of their own
  });
  // The weights lie in one block; as much of it as a token reads.
  const std::span<const std::byte> bytes(weights.storage.as<std::byte>(), weights.storage.size());
  volatile uint64_t sum = 0;
  roofline.reading_tps =
      best_rate([&] { sum = sum + read_all(engine.pool(), bytes.first(std::min<size_t>(bytes.size(), roofline.token_bytes))); });
  return roofline;
}

}  // namespace tessera

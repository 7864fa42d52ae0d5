#include "core/engine/token_products.h"

#include <algorithm>

#include "core/model/model.h"

namespace tessera {

Result<TokenProducts> TokenProducts::create(const Engine& engine, uint64_t most_bytes) {
  TokenProducts made(engine);
  const Model& model = engine.model();
  if (model.config.experts.count > 0) return made;
  const Weights& weights = model.weights;
  int64_t widest = 0, rows = 0;
  const auto add = [&](const PackedMatrix& matrix) {
    if (matrix.rows == 0 || made.bytes_ >= most_bytes) return;  // no rows: what this kind of layer does not have
    made.products_.push_back({&matrix, {}, nullptr});
    widest = std::max(widest, matrix.width);
    rows += matrix.rows;
    made.bytes_ += matrix.bytes();
  };
  for (const LayerWeights& layer : weights.layers) {
    for (auto matrix : {&layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.conv_in, &layer.conv_out, &layer.gate, &layer.up, &layer.down,
                        &layer.per_layer_gate, &layer.per_layer_output}) {
      add(*matrix);
    }
  }
  add(weights.per_layer_projection);
  made.layers_ = made.products_.size();
  add(weights.output);
  auto floats = AlignedBuffer::allocate(static_cast<uint64_t>(widest + rows) * sizeof(float), "products of a token");
  Result<InputBuffer> input = InputBuffer::create(static_cast<uint64_t>(widest), model.kernels->code_bytes);
  if (!floats || !input) return floats ? input.error() : floats.error();
  made.floats_ = std::move(*floats);
  made.input_ = std::move(*input);
  float* row = made.floats_.as<float>();
  std::fill_n(row, widest, 0.5f);
  // The quantised form of a row of equal values is that of every shorter one, too.
  made.input_.quantize(*model.kernels, made.input_.view(row, 1, widest), 0);
  float* out = row + widest;
  for (Product& product : made.products_) {
    product.x = made.input_.view(row, 1, product.weights->width);
    product.out = out;
    out += product.weights->rows;
  }
  return made;
}

void TokenProducts::run() const {
  const std::span<const Product> all(products_);
  for (const auto part : {all.first(layers_), all.subspan(layers_)}) {
    if (!part.empty()) linear(engine_->pool(), *engine_->model().kernels, part);
  }
}

}  // namespace tessera

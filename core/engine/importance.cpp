#include "core/engine/importance.h"

#include <algorithm>
#include <unordered_map>

#include "core/gguf/gguf_file.h"
#include "core/model/model.h"
#include "core/ops/linear.h"

namespace tessera {
namespace {

/// Adds up the squares of the inputs of every matrix that has a name.
class ColumnObserver final : public ProductObserver {
 public:
  ColumnObserver(const Model& model, const GgufFile& file) : file_(file) {
    for (size_t i = 0; i < model.weights.layers.size(); ++i) {
      name_layer("blk." + std::to_string(i) + ".", model.weights.layers[i]);
    }
  }

  void observe(std::span<const Product> products) override {
    for (const Product& product : products) {
      const auto found = places_.find(product.weights);
      if (found == places_.end()) continue;
      ColumnSums& own = sums[found->second.name];
      const int64_t width = product.x.width;
      float* squares = own.squares.data() + found->second.matrix * width;
      for (int t = 0; t < product.x.tokens; ++t) {
        const float* x = product.x.values + t * width;
        for (int64_t i = 0; i < width; ++i) squares[i] += x[i] * x[i];
      }
      own.counts[found->second.matrix] += static_cast<float>(product.x.tokens);
    }
  }

  std::map<std::string, ColumnSums> sums;

 private:
  struct Place {
    std::string name;
    size_t matrix;  ///< which of the tensor's matrices: the expert
  };

  /// Several matrices of a model may be parts of one tensor; of those that get the same input, one is enough and the others are not named.
  void name_layer(const std::string& block, const LayerWeights& layer) {
    const bool fused = file_.find_tensor(block + "attn_qkv.weight") != nullptr;
    name(layer.wq, block + (fused ? "attn_qkv.weight" : "attn_q.weight"));
    name(layer.wk, block + "attn_k.weight");
    name(layer.wv, block + "attn_v.weight");
    name(layer.wo, block + "attn_output.weight");
    name(layer.conv_in, block + "shortconv.in_proj.weight");
    name(layer.conv_out, block + "shortconv.out_proj.weight");
    name(layer.gate, block + "ffn_gate.weight");
    name(layer.up, block + "ffn_up.weight");
    name(layer.down, block + "ffn_down.weight");
    name(layer.per_layer_gate, block + "inp_gate.weight");
    name(layer.per_layer_output, block + "proj.weight");
    const ExpertWeights& experts = layer.experts;
    for (size_t e = 0; e < experts.gate.size(); ++e) {
      name(experts.gate[e], block + "ffn_gate_exps.weight", e, experts.gate.size());
      name(experts.up[e], block + "ffn_up_exps.weight", e, experts.gate.size());
      name(experts.down[e], block + "ffn_down_exps.weight", e, experts.gate.size());
    }
    name(experts.shared_gate, block + "ffn_gate_shexp.weight");
    name(experts.shared_up, block + "ffn_up_shexp.weight");
    name(experts.shared_down, block + "ffn_down_shexp.weight");
  }
  void name(const PackedMatrix& weights, const std::string& tensor, size_t matrix = 0, size_t matrices = 1) {
    if (weights.rows == 0 || file_.find_tensor(tensor) == nullptr) return;
    places_[&weights] = {tensor, matrix};
    sums[tensor].squares.resize(matrices * static_cast<size_t>(weights.width));
    sums[tensor].counts.resize(matrices);
  }

  const GgufFile& file_;
  std::unordered_map<const PackedMatrix*, Place> places_;
};

/// Takes the observer away again whatever happens in between.
class Observation {
 public:
  Observation(Session& session, ProductObserver& observer) : session_(session) { session_.set_observer(&observer); }
  ~Observation() { session_.set_observer(nullptr); }
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;

 private:
  Session& session_;
};

}  // namespace

Result<ImportanceReport> collect_importance(Session& session, std::vector<std::shared_ptr<const ByteSource>> parts,
                                            std::span<const int32_t> tokens, std::optional<int32_t> bos, int chunk,
                                            const std::function<bool(size_t done, size_t total)>& on_progress) {
  const int shortest = bos ? 3 : 2;
  if (chunk < shortest || tokens.size() < 2) {
    return Error{ErrorCode::kInvalidArgument,
                 "the text has " + std::to_string(tokens.size()) + " tokens in chunks of " + std::to_string(chunk) +
                     ", expected at least 2 and chunks of at least " + std::to_string(shortest),
                 "give a longer text"};
  }
  const auto file = GgufFile::open_split(std::move(parts));
  if (!file) return file.error();
  ColumnObserver observer(session.engine().model(), file.value());
  const Observation observation(session, observer);
  ImportanceReport report;
  const size_t step = static_cast<size_t>(chunk) - (bos ? 1 : 0);
  for (size_t begin = 0; begin < tokens.size(); begin += step) {
    const std::span<const int32_t> fresh = tokens.subspan(begin, std::min(step, tokens.size() - begin));
    if (begin > 0 && fresh.size() < step / 2) break;
    std::vector<int32_t> piece;
    if (bos) piece.push_back(*bos);
    piece.insert(piece.end(), fresh.begin(), fresh.end());
    session.truncate(0);
    if (const auto done = session.sync(piece); !done) return done.error();
    report.chunks += 1;
    if (on_progress && !on_progress(begin + fresh.size(), tokens.size())) return Error{ErrorCode::kAborted, "collecting was stopped", ""};
  }
  report.sums = std::move(observer.sums);
  return report;
}

Result<std::vector<std::byte>> importance_file(const ImportanceReport& report, const std::string& dataset, int chunk) {
  std::vector<std::byte> bytes;
  const auto collect = [&](std::span<const std::byte> piece) -> Result<void> {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return {};
  };
  if (auto done = write_importance(report.sums, dataset, report.chunks, static_cast<uint64_t>(chunk), collect); !done) return done.error();
  return bytes;
}

}  // namespace tessera

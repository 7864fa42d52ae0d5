// Owns the reading of an adapter GGUF: every tensor is checked against the model it is to be added to.
#pragma once

#include <string>
#include <unordered_set>

#include "core/model/lora.h"

namespace tessera {

/// Loads one adapter; keeps the first error and does nothing after it.
class AdapterLoader {
 public:
  /// With `header_only` no value is read: all there is in the end are bytes() and largest_rank().
  AdapterLoader(const GgufFile& file, const Config& config, bool header_only = false)
      : file_(file), config_(config), header_only_(header_only) {}
  Result<Adapter> load();

 private:
  struct Target;
  void check_metadata();
  void load_layer(int layer);
  void load_matrix(const std::string& name, int64_t width, std::span<const Target> targets);
  void load_embedding();
  void refuse_unused();
  const TensorInfo* find(const std::string& name, uint64_t width, uint64_t rows, uint64_t& rank, bool is_a);
  bool count(const TensorInfo& a, const TensorInfo& b, uint64_t rank);
  std::vector<float> read(const TensorInfo& tensor);
  const float* keep(std::vector<float> values);
  void fail(const Error& error) {
    if (result_) result_ = error;
  }

  const GgufFile& file_;
  const Config& config_;
  const bool header_only_;
  Adapter adapter_;
  Result<void> result_;
  std::unordered_set<std::string> used_;
};

}  // namespace tessera

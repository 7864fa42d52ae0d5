#include "core/gguf/importance_file.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/gguf/gguf_file.h"

namespace tessera {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr const char* kHint = "use a file written by `tessera imatrix` or llama-imatrix (GGUF)";

Result<std::vector<float>> read_floats(const GgufFile& file, const TensorInfo& tensor) {
  if (tensor.dtype != DType::kF32) {
    return Error{ErrorCode::kBadFile, "importance file: tensor " + tensor.name + " is not F32", kHint};
  }
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  if (auto done = file.read(tensor, 0, std::as_writable_bytes(std::span(values))); !done) return done.error();
  for (const float value : values) {
    if (!(value >= 0.0f) || !std::isfinite(value)) {
      return Error{ErrorCode::kBadFile, "importance file: tensor " + tensor.name + " holds a value that is negative or not finite", kHint};
    }
  }
  return values;
}

/// Sums of squares → importance with the mean 1.
void normalise(float* values, uint64_t width) {
  double sum = 0;
  for (uint64_t i = 0; i < width; ++i) sum += values[i];
  const double mean = sum / static_cast<double>(width);
  // A column that met only zeros still gets a little: the next text may use it.
  constexpr float kLeast = 1e-6f;
  for (uint64_t i = 0; i < width; ++i) {
    values[i] = mean > 0 && std::isfinite(mean) ? std::max(kLeast, static_cast<float>(values[i] / mean)) : 1.0f;
  }
}

}  // namespace

Result<ImportanceMatrix> ImportanceMatrix::read(std::shared_ptr<const ByteSource> source) {
  auto opened = GgufFile::open(std::move(source));
  if (!opened) return opened.error();
  const GgufFile& file = *opened;
  if (const auto type = file.get_string("general.type"); !type || type.value() != "imatrix") {
    return Error{ErrorCode::kBadFile, "general.type is not \"imatrix\": this is no importance file", kHint};
  }
  ImportanceMatrix matrix;
  if (const auto chunks = file.get_uint("imatrix.chunk_count")) matrix.chunks_ = chunks.value();
  if (const auto names = file.get_strings("imatrix.datasets"); names && !names.value()->empty()) matrix.dataset_ = names.value()->front();
  for (const TensorInfo& tensor : file.tensors()) {
    if (!tensor.name.ends_with(kSums)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSums.size());
    const TensorInfo* counts = file.find_tensor(name + std::string(kCounts));
    if (counts == nullptr || counts->elements() != tensor.rows()) {
      return Error{ErrorCode::kBadFile,
                   "importance file: tensor " + name + std::string(kCounts) + " is missing or does not have one count per matrix", kHint};
    }
    auto values = read_floats(file, tensor);
    if (!values) return values.error();
    if (auto seen = read_floats(file, *counts); !seen) return seen.error();
    for (uint64_t i = 0; i < tensor.rows(); ++i) normalise(values->data() + i * tensor.width(), tensor.width());
    matrix.columns_[name] = {tensor.width(), std::move(*values)};
  }
  if (matrix.columns_.empty()) return Error{ErrorCode::kBadFile, "the importance file holds no NAME.in_sum2 tensor", kHint};
  return matrix;
}

Result<const std::vector<float>*> ImportanceMatrix::columns(const std::string& tensor, uint64_t width, uint64_t rows) const {
  const auto found = columns_.find(tensor);
  if (found == columns_.end()) return nullptr;
  const Columns& own = found->second;
  const uint64_t matrices = own.values.size() / own.width;
  if (own.width != width || rows % matrices != 0) {
    return Error{ErrorCode::kBadFile,
                 "importance of " + tensor + ": " + std::to_string(matrices) + " x " + std::to_string(own.width) +
                     " columns, but the tensor has " + std::to_string(rows) + " rows of " + std::to_string(width),
                 "collect it with this very model"};
  }
  return &own.values;
}

Result<void> write_importance(const std::map<std::string, ColumnSums>& sums, const std::string& dataset, uint64_t chunks,
                              uint64_t chunk_size, const ByteSink& sink) {
  GgufWriter writer;
  writer.set("general.type", std::string("imatrix"));
  writer.set("imatrix.datasets", std::vector<std::string>{dataset});
  writer.set("imatrix.chunk_count", chunks);
  writer.set("imatrix.chunk_size", chunk_size);
  for (const auto& [name, own] : sums) {
    const uint64_t matrices = own.counts.size(), width = own.squares.size() / matrices;
    const auto add = [&](std::string_view ending, const std::vector<float>& values, uint64_t row) -> Result<void> {
      const auto bytes = std::as_bytes(std::span(values));
      return writer.add_tensor(name + std::string(ending), DType::kF32, {row, matrices},
                               std::vector<std::byte>(bytes.begin(), bytes.end()));
    };
    if (auto done = add(kSums, own.squares, width); !done) return done;
    if (auto done = add(kCounts, own.counts, 1); !done) return done;
  }
  return writer.write(sink);
}

}  // namespace tessera

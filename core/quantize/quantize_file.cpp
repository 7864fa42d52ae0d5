#include "core/quantize/quantize_file.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "core/gguf/raw_metadata.h"
#include "core/parallel/thread_pool.h"
#include "core/quantize/search_row.h"
#include "core/quantize/value_columns.h"
#include "core/tensor/dequantize.h"

namespace tessera {
namespace {

constexpr int kMaxThreads = 64;
constexpr uint64_t kBatchBytes = 4 << 20;     // of f32 weights in memory at a time, and of bytes that are copied through
constexpr uint64_t kQuantizationVersion = 2;  // of the block formats, by the GGUF specification
constexpr float kLargestHalf = 65504.0f;      // the largest finite f16, in which scales are stored

enum class Fault : int { kNone, kNotFinite, kTooLarge };

/// Turns one tensor into another format, batch of rows by batch of rows.
class TensorConverter {
 public:
  TensorConverter(const GgufFile& file, const TensorInfo& tensor, DType format, const std::vector<float>* importance, ThreadPool& pool)
      : file_(file), tensor_(tensor), format_(format), importance_(importance), pool_(pool) {}

  /// Where no importance is known: how much more than usual each column counts (value_columns.h).
  void set_emphasis(std::vector<float> emphasis) { emphasis_ = std::move(emphasis); }

  /// `advance` is called with the bytes of input that were used up; its error ends the work.
  Result<void> run(const ByteSink& sink, const std::function<Result<void>(uint64_t bytes)>& advance) {
    const uint64_t width = tensor_.width(), rows = tensor_.rows();
    const uint64_t in_row = row_bytes(tensor_.dtype, width), out_row = row_bytes(format_, width);
    const uint64_t batch = std::clamp<uint64_t>(kBatchBytes / (width * sizeof(float)), 1, rows);
    in_.resize(static_cast<size_t>(batch * in_row));
    weights_.resize(static_cast<size_t>(batch * width));
    out_.resize(static_cast<size_t>(batch * out_row));
    for (uint64_t first = 0; first < rows; first += batch) {
      const uint64_t count = std::min(batch, rows - first);
      if (auto done = file_.read(tensor_, first * in_row, std::span(in_).first(static_cast<size_t>(count * in_row))); !done) return done;
      pool_.run(static_cast<int>(count), [&](int row) { convert_row(first, row); });
      if (fault_ != Fault::kNone) return refusal();
      if (auto done = sink(std::span(out_).first(static_cast<size_t>(count * out_row))); !done) return done;
      if (auto done = advance(count * in_row); !done) return done;
    }
    return {};
  }

 private:
  void convert_row(uint64_t first, int row) {
    const uint64_t width = tensor_.width();
    float* weights = weights_.data() + row * width;
    dequantize_row(tensor_.dtype, in_.data() + row * row_bytes(tensor_.dtype, width), width, weights);
    float largest = 0.0f;
    bool finite = true;
    for (uint64_t i = 0; i < width; ++i) {
      finite = finite && std::isfinite(weights[i]);
      largest = std::max(largest, std::fabs(weights[i]));
    }
    const bool full_range = format_ == DType::kF32 || format_ == DType::kBF16;
    if (!finite || (largest > kLargestHalf && !full_range)) {
      fault_ = finite ? Fault::kTooLarge : Fault::kNotFinite;
      return;
    }
    std::byte* out = out_.data() + row * row_bytes(format_, width);
    if (emphasis_.empty()) {
      search_row(format_, weights, width, importance_of(first + static_cast<uint64_t>(row)), out);
    } else {
      search_row_with_emphasis(format_, weights, width, emphasis_.data(), out);
    }
  }

  /// A tensor of several experts holds their matrices one after another, each with an importance of its own.
  const float* importance_of(uint64_t row) const {
    if (importance_ == nullptr) return nullptr;
    const uint64_t matrices = importance_->size() / tensor_.width();
    return importance_->data() + row / (tensor_.rows() / matrices) * tensor_.width();
  }

  Error refusal() const {
    if (fault_ == Fault::kNotFinite) {
      return {ErrorCode::kBadFile, "tensor " + tensor_.name + " holds a weight that is not a finite number",
              "the model is damaged; convert or download it again"};
    }
    return {ErrorCode::kInvalidArgument,
            "tensor " + tensor_.name + " holds a weight above 65504, which " + std::string(traits(format_).name) + " cannot store",
            "write BF16 or F32"};
  }

  const GgufFile& file_;
  const TensorInfo& tensor_;
  DType format_;
  const std::vector<float>* importance_;
  std::vector<float> emphasis_;
  ThreadPool& pool_;
  std::vector<std::byte> in_, out_;
  std::vector<float> weights_;
  std::atomic<Fault> fault_{Fault::kNone};
};

Result<void> copy_through(const GgufFile& file, const TensorInfo& tensor, const ByteSink& sink,
                          const std::function<Result<void>(uint64_t bytes)>& advance) {
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(kBatchBytes, tensor.bytes)));
  for (uint64_t offset = 0; offset < tensor.bytes; offset += buffer.size()) {
    const auto piece = std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), tensor.bytes - offset)));
    if (auto done = file.read(tensor, offset, piece); !done) return done;
    if (auto done = sink(piece); !done) return done;
    if (auto done = advance(piece.size()); !done) return done;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Quantizer>> Quantizer::open(std::vector<std::shared_ptr<const ByteSource>> parts, QuantizeOptions options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return Error{ErrorCode::kInvalidArgument, "threads is " + std::to_string(options.threads) + ", expected 0 to 64",
                 "0 takes all processors"};
  }
  std::shared_ptr<const ByteSource> first = parts.empty() ? nullptr : parts.front();
  auto file = GgufFile::open_split(std::move(parts));
  if (!file) return file.error();
  std::unique_ptr<Quantizer> quantizer(new Quantizer(std::move(*file), std::move(options)));
  quantizer->first_part_ = std::move(first);
  if (auto done = quantizer->plan(); !done) return done.error();
  return quantizer;
}

Result<void> Quantizer::plan() {
  const auto type = file_type_from_name(options_.type);
  if (!type) return type.error();
  type_ = type.value();
  PlanOptions options{.pure = options_.pure, .has_importance = options_.importance != nullptr, .output_type = {}, .embedding_type = {}};
  for (const auto& [name, target] :
       {std::pair(&options_.output_type, &options.output_type), std::pair(&options_.embedding_type, &options.embedding_type)}) {
    if (name->empty()) continue;
    const auto format = tensor_type_from_name(*name);
    if (!format) return format.error();
    *target = format.value();
  }
  if (options_.importance != nullptr) {
    auto importance = ImportanceMatrix::read(options_.importance);
    if (!importance) return importance.error();
    importance_ = std::move(*importance);
  }
  formats_ = plan_formats(file_.tensors(), model_shape(file_), type_, options);
  return {};
}

uint64_t Quantizer::output_bytes() const {
  uint64_t total = 0;
  for (size_t i = 0; i < formats_.size(); ++i) {
    const TensorInfo& tensor = file_.tensors()[i];
    total += tensor.rows() * row_bytes(formats_[i], tensor.width());
  }
  return total;
}

Result<void> Quantizer::set_metadata(GgufWriter& writer) const {
  auto entries = read_raw_metadata(*first_part_);
  if (!entries) return entries.error();
  for (RawMetadata& entry : *entries) {
    if (entry.key.starts_with("split.")) continue;
    if (entry.key == "general.alignment") {
      const auto alignment = file_.get_uint(entry.key);
      if (!alignment) return alignment.error();
      writer.set(entry.key, alignment.value());
    } else {
      writer.set_raw(entry.key, std::move(entry.value));
    }
  }
  writer.set("general.file_type", uint64_t{type_.number});
  writer.set("general.quantization_version", kQuantizationVersion);
  if (importance_) {
    writer.set("quantize.imatrix.file", options_.importance_name);
    writer.set("quantize.imatrix.dataset", importance_->dataset());
    writer.set("quantize.imatrix.entries_count", uint64_t{importance_->entries()});
    writer.set("quantize.imatrix.chunks_count", importance_->chunks());
  }
  return {};
}

Result<QuantizeReport> Quantizer::write(const ByteSink& sink) {
  QuantizeReport report{.type = std::string(type_.name), .bytes_per_format = {}};
  report.input_bytes = file_.file_bytes();
  report.parameters = file_.parameters();
  uint64_t total = 0, used = 0;
  for (const TensorInfo& tensor : file_.tensors()) total += tensor.bytes;
  const auto advance = [&](uint64_t bytes) -> Result<void> {
    used += bytes;
    if (!options_.on_progress || options_.on_progress(used, total)) return {};
    return Error{ErrorCode::kAborted, "quantisation was stopped", ""};
  };
  ThreadPool pool(options_.threads > 0 ? options_.threads
                                       : std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads));

  GgufWriter writer;
  if (auto done = set_metadata(writer); !done) return done.error();
  for (size_t i = 0; i < formats_.size(); ++i) {
    const TensorInfo& tensor = file_.tensors()[i];
    const DType format = formats_[i];
    const std::vector<float>* importance = nullptr;
    if (importance_) {
      const auto columns = importance_->columns(tensor.name, tensor.width(), tensor.rows());
      if (!columns) return columns.error();
      importance = columns.value();
    }
    const bool converted = format != tensor.dtype;
    report.tensors += 1;
    report.converted += converted ? 1 : 0;
    report.unweighted += converted && importance_ && importance == nullptr ? 1 : 0;
    report.bytes_per_format[std::string(traits(format).name)] += tensor.rows() * row_bytes(format, tensor.width());
    const auto produce = [&, importance, format, converted](const ByteSink& out) -> Result<void> {
      if (!converted) return copy_through(file_, tensor, out, advance);
      TensorConverter converter(file_, tensor, format, importance, pool);
      if (importance == nullptr && is_value_matrix(tensor)) {
        auto emphasis = value_column_emphasis(file_, tensor);
        if (!emphasis) return emphasis.error();
        converter.set_emphasis(std::move(*emphasis));
      }
      return converter.run(out, advance);
    };
    if (auto done = writer.add_tensor(tensor.name, format, tensor.shape, produce); !done) return done.error();
  }
  const auto counted = [&](std::span<const std::byte> bytes) -> Result<void> {
    report.output_bytes += bytes.size();
    return sink(bytes);
  };
  if (auto done = writer.write(counted); !done) return done.error();
  return report;
}

}  // namespace tessera

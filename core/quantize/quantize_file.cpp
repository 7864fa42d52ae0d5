#include "core/quantize/quantize_file.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/half.h"
#include "core/gguf/raw_metadata.h"
#include "core/quantize/search_row.h"
#include "core/quantize/value_columns.h"
#include "core/tensor/dequantize.h"

namespace tessera {
namespace {

constexpr uint64_t kBatchBytes = 4 << 20;     // of f32 weights in memory at a time, and of bytes that are copied through
constexpr uint32_t kQuantizationVersion = 2;  // of the block formats, by the GGUF specification

enum class Fault : int { kNone, kNotFinite, kTooLarge };

uint64_t bytes_in(const TensorInfo& tensor, DType format) { return tensor.rows() * row_bytes(format, tensor.width()); }

/// What the header does not count: all tensors in these formats, each filled up.
uint64_t data_bytes(const GgufFile& file, const std::vector<DType>& formats, uint64_t alignment) {
  uint64_t total = 0;
  for (size_t i = 0; i < formats.size(); ++i) total += padded(bytes_in(file.tensors()[i], formats[i]), alignment);
  return total;
}

Result<void> copy_metadata(const GgufFile& file, const ByteSource& first_part, const FileType& type, GgufWriter& writer) {
  auto entries = read_raw_metadata(first_part);
  if (!entries) return entries.error();
  for (RawMetadata& entry : *entries) {
    if (entry.key.starts_with("split.")) continue;
    if (entry.key == "general.alignment") {
      const auto alignment = file.get_uint(entry.key);
      if (!alignment) return alignment.error();
      writer.set_number(entry.key, static_cast<uint32_t>(alignment.value()));
    } else {
      writer.set_raw(entry.key, std::move(entry.value));
    }
  }
  writer.set_number("general.file_type", type.number);
  writer.set_number("general.quantization_version", kQuantizationVersion);
  return {};
}

Result<void> add_tensors(const GgufFile& file, const std::vector<DType>& formats, GgufWriter& writer) {
  for (size_t i = 0; i < formats.size(); ++i) {
    const TensorInfo& tensor = file.tensors()[i];
    if (auto done = writer.add_tensor(tensor.name, formats[i], tensor.shape, nullptr); !done) return done;
  }
  return {};
}

}  // namespace

/// Writes one tensor, batch of rows by batch of rows, in its own or in another format.
class Quantizer::TensorWriter {
 public:
  TensorWriter(const GgufFile& file, const TensorInfo& tensor, DType format, const std::vector<float>* importance, ThreadPool& pool)
      : file_(file), tensor_(tensor), format_(format), importance_(importance), pool_(pool), batch_(rows_at_once()) {
    in_.resize(static_cast<size_t>(batch_ * row_bytes(tensor.dtype, tensor.width())));
    if (!converts()) return;
    weights_.resize(static_cast<size_t>(batch_ * tensor.width()));
    out_.resize(static_cast<size_t>(batch_ * row_bytes(format, tensor.width())));
  }

  bool done() const { return next_ == tensor_.rows(); }

  /// One batch. Returns the bytes of input that were used up.
  Result<uint64_t> step(const ByteSink& sink) {
    if (next_ == 0 && converts() && importance_ == nullptr && is_value_matrix(tensor_)) {
      auto emphasis = value_column_emphasis(file_, tensor_);
      if (!emphasis) return emphasis.error();
      emphasis_ = std::move(*emphasis);
    }
    const uint64_t width = tensor_.width(), in_row = row_bytes(tensor_.dtype, width);
    const uint64_t first = next_, count = std::min(batch_, tensor_.rows() - first);
    const auto in = std::span(in_).first(static_cast<size_t>(count * in_row));
    if (auto done = file_.read(tensor_, first * in_row, in); !done) return done.error();
    if (converts()) {
      pool_.run(static_cast<int>(count), [&](int row) { convert_row(first, row); });
      if (fault_ != Fault::kNone) return refusal();
    }
    const auto out = std::span<const std::byte>(converts() ? out_ : in_);
    if (auto done = sink(out.first(static_cast<size_t>(count * row_bytes(format_, width)))); !done) return done.error();
    next_ += count;
    return in.size();
  }

 private:
  bool converts() const { return format_ != tensor_.dtype; }

  uint64_t rows_at_once() const {
    const uint64_t row = converts() ? tensor_.width() * sizeof(float) : row_bytes(tensor_.dtype, tensor_.width());
    return std::clamp<uint64_t>(kBatchBytes / row, 1, tensor_.rows());
  }

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
    return {
        ErrorCode::kInvalidArgument,
        "tensor " + tensor_.name + " holds a weight above 65504: such weights become BF16 or F32, not " + std::string(traits(format_).name),
        "write BF16 or F32"};
  }

  const GgufFile& file_;
  const TensorInfo& tensor_;
  DType format_;
  const std::vector<float>* importance_;
  std::vector<float> emphasis_;  ///< where no importance is known: how much more than usual each column counts (value_columns.h)
  ThreadPool& pool_;
  uint64_t batch_;     ///< rows of a step
  uint64_t next_ = 0;  ///< row
  std::vector<std::byte> in_, out_;
  std::vector<float> weights_;
  std::atomic<Fault> fault_{Fault::kNone};
};

Result<QuantizeSizes> quantize_sizes(std::vector<std::shared_ptr<const ByteSource>> parts) {
  const std::shared_ptr<const ByteSource> first = parts.empty() ? nullptr : parts.front();
  const auto opened = GgufFile::open_headers(std::move(parts));
  if (!opened) return opened.error();
  const GgufFile& file = opened.value();
  QuantizeSizes sizes{.format = std::string(file.main_format()), .parameters = file.parameters(), .types = {}};
  const ModelShape shape = model_shape(file);
  const auto formats_of = [&](const FileType& type) { return plan_formats(file.tensors(), shape, type, {}); };
  const FileType& any = file_types().front();  // the header is as long in each
  GgufWriter writer;
  if (auto done = copy_metadata(file, *first, any, writer); !done) return done.error();
  if (auto done = add_tensors(file, formats_of(any), writer); !done) return done.error();
  const auto head = writer.head();
  if (!head) return head.error();
  const uint64_t alignment = writer.alignment().value();
  for (const FileType& type : file_types()) {
    sizes.types.emplace_back(type.name, head.value().size() + data_bytes(file, formats_of(type), alignment));
  }
  return sizes;
}

Quantizer::Quantizer(GgufFile file, QuantizeOptions options) : file_(std::move(file)), options_(std::move(options)) {}

Quantizer::~Quantizer() = default;

Result<std::unique_ptr<Quantizer>> Quantizer::open(std::vector<std::shared_ptr<const ByteSource>> parts, QuantizeOptions options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return Error{ErrorCode::kInvalidArgument, "threads is " + std::to_string(options.threads) + ", expected 0 to 64",
                 "0 takes all processors"};
  }
  const std::shared_ptr<const ByteSource> first = parts.empty() ? nullptr : parts.front();
  auto file = GgufFile::open_split(std::move(parts));
  if (!file) return file.error();
  std::unique_ptr<Quantizer> quantizer(new Quantizer(std::move(*file), std::move(options)));
  if (auto done = quantizer->plan(); !done) return done.error();
  if (auto done = quantizer->prepare_head(*first); !done) return done.error();
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
  formats_ = plan_formats(file_.tensors(), model_shape(file_), type_, options);
  if (auto done = find_importance(); !done) return done;
  report_.type = type_.name;
  report_.tensors = formats_.size();
  report_.input_bytes = file_.file_bytes();
  report_.parameters = file_.parameters();
  for (size_t i = 0; i < formats_.size(); ++i) {
    const TensorInfo& tensor = file_.tensors()[i];
    const bool converted = formats_[i] != tensor.dtype;
    report_.converted += converted ? 1 : 0;
    report_.unweighted += converted && options_.importance && columns_[i] == nullptr ? 1 : 0;
    report_.bytes_per_format[std::string(traits(formats_[i]).name)] += bytes_in(tensor, formats_[i]);
    total_bytes_ += tensor.bytes;
  }
  return {};
}

Result<void> Quantizer::find_importance() {
  columns_.resize(formats_.size(), nullptr);
  if (options_.importance == nullptr) return {};
  for (size_t i = 0; i < columns_.size(); ++i) {
    const TensorInfo& tensor = file_.tensors()[i];
    const auto columns = options_.importance->columns(tensor.name, tensor.width(), tensor.rows());
    if (!columns) return columns.error();
    columns_[i] = columns.value();
  }
  return {};
}

Result<void> Quantizer::prepare_head(const ByteSource& first_part) {
  GgufWriter writer;
  if (auto done = copy_metadata(file_, first_part, type_, writer); !done) return done;
  if (const ImportanceMatrix* importance = options_.importance.get()) {
    writer.set_text("quantize.imatrix.file", options_.importance_name);
    writer.set_text("quantize.imatrix.dataset", importance->dataset());
    writer.set_number("quantize.imatrix.entries_count", static_cast<uint32_t>(importance->entries()));
    writer.set_number("quantize.imatrix.chunks_count", static_cast<uint32_t>(std::min<uint64_t>(importance->chunks(), UINT32_MAX)));
  }
  if (auto done = add_tensors(file_, formats_, writer); !done) return done;
  auto head = writer.head();
  if (!head) return head.error();
  head_ = std::move(*head);
  alignment_ = writer.alignment().value();
  report_.output_bytes = head_.size() + data_bytes(file_, formats_, alignment_);
  return {};
}

Result<bool> Quantizer::step(const ByteSink& sink) {
  if (!head_.empty()) {
    const std::vector<std::byte> head = std::exchange(head_, {});
    if (auto done = sink(head); !done) return done.error();
  } else if (next_ < formats_.size()) {
    const TensorInfo& tensor = file_.tensors()[next_];
    const DType format = formats_[next_];
    if (pool_ == nullptr) {
      pool_ = std::make_unique<ThreadPool>(options_.threads > 0 ? options_.threads : usual_threads());
    }
    if (tensor_ == nullptr) tensor_ = std::make_unique<TensorWriter>(file_, tensor, format, columns_[next_], *pool_);
    const auto used = tensor_->step(sink);
    if (!used) return used.error();
    done_bytes_ += used.value();
    if (tensor_->done()) {
      tensor_.reset();
      ++next_;
      const uint64_t bytes = bytes_in(tensor, format), zeros = padded(bytes, alignment_) - bytes;
      if (zeros > 0) {
        if (auto done = sink(std::vector<std::byte>(static_cast<size_t>(zeros))); !done) return done.error();
      }
    }
  }
  return next_ < formats_.size();
}

Result<void> Quantizer::write(const ByteSink& sink) {
  for (;;) {
    const auto more = step(sink);
    if (!more) return more.error();
    if (options_.on_progress && !options_.on_progress(done_bytes_, total_bytes_)) {
      return Error{ErrorCode::kAborted, "quantisation was stopped", ""};
    }
    if (!more.value()) return {};
  }
}

}  // namespace tessera

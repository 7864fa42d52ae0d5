// Whole files: metadata byte for byte, streaming, split files, importance files, stopping, and every refusal.
#include "core/quantize/quantize_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/rng.h"
#include "core/gguf/raw_metadata.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/quantize.h"
#include "doctest/doctest.h"
#include "tests/core/source_path.h"

using namespace tessera;

namespace {

using Sources = std::vector<std::shared_ptr<const ByteSource>>;

std::shared_ptr<const ByteSource> tiny(const std::string& name) { return map_file(source_path("tests/data/" + name + ".gguf")).value(); }

/// A source that cannot be viewed and that remembers the largest piece asked for.
class StreamSource final : public ByteSource {
 public:
  explicit StreamSource(std::shared_ptr<const ByteSource> inner) : inner_(std::move(inner)) {}
  uint64_t size() const override { return inner_->size(); }
  Result<void> read(uint64_t offset, std::span<std::byte> out) const override {
    largest = std::max<uint64_t>(largest, out.size());
    return inner_->read(offset, out);
  }
  mutable uint64_t largest = 0;

 private:
  std::shared_ptr<const ByteSource> inner_;
};

struct Written {
  std::vector<std::byte> bytes;
  QuantizeReport report;
  uint64_t largest_piece = 0;
};

Result<Written> quantise(Sources parts, QuantizeOptions options) {
  auto quantizer = Quantizer::open(std::move(parts), std::move(options));
  if (!quantizer) return quantizer.error();
  Written written;
  const auto done = (*quantizer)->write([&](std::span<const std::byte> piece) -> Result<void> {
    written.largest_piece = std::max<uint64_t>(written.largest_piece, piece.size());
    written.bytes.insert(written.bytes.end(), piece.begin(), piece.end());
    return {};
  });
  if (!done) return done.error();
  written.report = (*quantizer)->report();
  return written;
}

QuantizeOptions options_for(const std::string& type) {
  QuantizeOptions options;
  options.type = type;
  options.threads = 2;
  return options;
}

GgufFile opened(std::vector<std::byte> bytes) { return GgufFile::open(std::make_shared<MemorySource>(std::move(bytes))).value(); }

std::vector<float> values_of(const GgufFile& file, const TensorInfo& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.bytes));
  REQUIRE(file.read(tensor, 0, bytes).ok());
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  dequantize_row(tensor.dtype, bytes.data(), tensor.elements(), values.data());
  return values;
}

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

/// A one-layer model of F32 tensors, 512 wide; `change` may spoil the weights of blk.0.attn_q.weight.
std::shared_ptr<const ByteSource> small_model(const std::function<void(std::vector<float>&)>& change = {}, uint64_t rows = 64) {
  GgufWriter writer;
  writer.set("general.architecture", std::string("llama"));
  writer.set("general.alignment", uint64_t{64});
  writer.set("llama.block_count", uint64_t{1});
  Rng rng(3);
  for (const char* name : {"token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"}) {
    std::vector<float> weights(512 * rows);
    for (float& weight : weights) weight = rng.uniform() - 0.5f;
    if (change && std::string_view(name) == "blk.0.attn_q.weight") change(weights);
    REQUIRE(writer.add_tensor(name, DType::kF32, {512, rows}, bytes_of(weights)).ok());
  }
  REQUIRE(writer.add_tensor("output_norm.weight", DType::kF32, {512}, bytes_of(std::vector<float>(512, 1.0f))).ok());
  return std::make_shared<MemorySource>(writer.to_bytes().value());
}

template <class T>
void check_refused(const Result<T>& result, ErrorCode code, const std::string& part) {
  REQUIRE(!result.ok());
  CHECK(result.error().code == code);
  CHECK(result.error().message.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("file: every type gives a file that opens, of the size foretold, near to the weights") {
  const GgufFile before = GgufFile::open(tiny("tiny-llama")).value();
  for (const FileType& type : file_types()) {
    INFO(type.name);
    const auto written = quantise({tiny("tiny-llama")}, options_for(std::string(type.name)));
    REQUIRE(written.ok());
    const GgufFile after = opened(written.value().bytes);
    CHECK(after.get_uint("general.file_type").value() == type.number);
    CHECK(after.get_uint("general.quantization_version").value() == 2);
    REQUIRE(after.tensors().size() == before.tensors().size());
    CHECK(written.value().report.output_bytes == written.value().bytes.size());
    for (size_t i = 0; i < before.tensors().size(); ++i) {
      CHECK(after.tensors()[i].name == before.tensors()[i].name);
      CHECK(after.tensors()[i].shape == before.tensors()[i].shape);
      const std::vector<float> old = values_of(before, before.tensors()[i]), now = values_of(after, after.tensors()[i]);
      double error = 0, power = 0;
      for (size_t k = 0; k < old.size(); ++k) {
        error += std::pow(static_cast<double>(old[k]) - now[k], 2);
        power += std::pow(static_cast<double>(old[k]), 2);
      }
      CHECK(error <= 0.13 * power);
    }
  }
}

TEST_CASE("file: the sizes of all types are known from the header") {
  for (const char* name : {"tiny-llama", "tiny-gemma3", "tiny-formats"}) {
    const QuantizeSizes sizes = quantize_sizes({tiny(name)}).value();
    REQUIRE(sizes.types.size() == file_types().size());
    for (const auto& [type, bytes] : sizes.types) {
      INFO(name << " " << type);
      CHECK(bytes == quantise({tiny(name)}, options_for(std::string(type))).value().bytes.size());
    }
    CHECK(sizes.parameters == GgufFile::open(tiny(name)).value().parameters());
  }
  CHECK(quantize_sizes({tiny("tiny-llama")}).value().format == GgufFile::open(tiny("tiny-llama")).value().main_format());
  CHECK(quantize_sizes({}).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("file: step by step it is the same file") {
  auto quantizer = Quantizer::open({small_model({}, 8192)}, options_for("Q4_K_M")).value();
  const QuantizeReport foretold = quantizer->report();
  std::vector<std::byte> bytes;
  uint64_t largest = 0;
  for (bool more = true; more;) {
    const size_t before = bytes.size();
    more = quantizer
               ->step([&](std::span<const std::byte> piece) -> Result<void> {
                 CHECK_FALSE(piece.empty());
                 bytes.insert(bytes.end(), piece.begin(), piece.end());
                 return {};
               })
               .value();
    largest = std::max<uint64_t>(largest, bytes.size() - before);
    CHECK(quantizer->done_bytes() <= quantizer->total_bytes());
  }
  CHECK(quantizer->done_bytes() == quantizer->total_bytes());
  CHECK(largest <= 4 << 20);
  CHECK(bytes.size() == foretold.output_bytes);
  CHECK(bytes == quantise({small_model({}, 8192)}, options_for("Q4_K_M")).value().bytes);
  CHECK_FALSE(quantizer->step([](std::span<const std::byte>) -> Result<void> { return {}; }).value());
}

TEST_CASE("file: metadata is copied byte for byte") {
  const auto source = tiny("tiny-gemma3");
  const auto written = quantise({source}, options_for("Q4_0"));
  REQUIRE(written.ok());
  const auto before = read_raw_metadata(*source).value();
  const auto after = read_raw_metadata(MemorySource(written.value().bytes)).value();
  REQUIRE(before.size() > 20);
  size_t same = 0;
  for (const RawMetadata& entry : before) {
    const auto found = std::find_if(after.begin(), after.end(), [&](const RawMetadata& other) { return other.key == entry.key; });
    REQUIRE(found != after.end());
    if (entry.key == "general.file_type" || entry.key == "general.quantization_version") continue;
    CHECK(found->value == entry.value);
    ++same;
  }
  CHECK(same >= before.size() - 2);
}

TEST_CASE("file: the bytes do not depend on the threads, and a tensor that keeps its format keeps its bytes") {
  QuantizeOptions one = options_for("Q4_K_M"), four = options_for("Q4_K_M");
  one.threads = 1;
  four.threads = 4;
  const auto first = quantise({tiny("tiny-llama")}, one), second = quantise({tiny("tiny-llama")}, four);
  CHECK(first.value().bytes == second.value().bytes);
  const auto twice = quantise({std::make_shared<MemorySource>(first.value().bytes)}, one);
  CHECK(twice.value().bytes == first.value().bytes);
  CHECK(twice.value().report.converted == 0);
}

TEST_CASE("file: a large tensor goes through in pieces") {
  const auto source = std::make_shared<StreamSource>(small_model({}, 8192));  // 16 MB a tensor
  const auto written = quantise({source}, options_for("Q5_1"));
  REQUIRE(written.ok());
  CHECK(source->largest <= 4 << 20);
  CHECK(written.value().largest_piece <= 4 << 20);
  CHECK(opened(written.value().bytes).get_uint("general.alignment").value() == 64);
}

TEST_CASE("file: a split model becomes one file") {
  GgufWriter first, second;
  for (GgufWriter* part : {&first, &second}) {
    part->set("split.no", uint64_t{part == &second});
    part->set("split.count", uint64_t{2});
    part->set("split.tensors.count", uint64_t{2});
  }
  first.set("general.architecture", std::string("llama"));
  const std::vector<float> weights(256 * 2, 0.5f);
  REQUIRE(first.add_tensor("blk.0.attn_q.weight", DType::kF32, {256, 2}, bytes_of(weights)).ok());
  REQUIRE(second.add_tensor("blk.1.attn_q.weight", DType::kF32, {256, 2}, bytes_of(weights)).ok());
  const auto memory = [](const GgufWriter& writer) { return std::make_shared<MemorySource>(writer.to_bytes().value()); };
  const auto written = quantise({memory(first), memory(second)}, options_for("Q8_0"));
  REQUIRE(written.ok());
  const GgufFile file = opened(written.value().bytes);
  CHECK(file.tensors().size() == 2);
  CHECK(file.find("split.count") == nullptr);
}

TEST_CASE("file: importance is used, and must fit") {
  ColumnSums sums{std::vector<float>(512, 1.0f), {10.0f}};
  for (int i = 0; i < 512; i += 2) sums.squares[i] = 500.0f;
  const auto importance = [&](const std::string& name, const ColumnSums& own) {
    std::vector<std::byte> bytes;
    REQUIRE(write_importance({{name, own}}, "text.txt", 3, 512, [&](std::span<const std::byte> piece) -> Result<void> {
              bytes.insert(bytes.end(), piece.begin(), piece.end());
              return {};
            }).ok());
    return ImportanceMatrix::read(std::make_shared<MemorySource>(std::move(bytes)));
  };
  const auto usable = [](Result<ImportanceMatrix> read) { return std::make_shared<ImportanceMatrix>(std::move(read).value()); };
  QuantizeOptions options = options_for("Q4_K_S");
  const auto without = quantise({small_model()}, options);
  options.importance = usable(importance("blk.0.attn_q.weight", sums));
  options.importance_name = "text.imatrix";
  const auto with = quantise({small_model()}, options);
  REQUIRE(with.ok());
  CHECK(with.value().report.unweighted == 2);
  const GgufFile file = opened(with.value().bytes), plain = opened(without.value().bytes);
  CHECK(file.get_string("quantize.imatrix.file").value() == "text.imatrix");
  CHECK(file.get_string("quantize.imatrix.dataset").value() == "text.txt");
  CHECK(file.get_uint("quantize.imatrix.entries_count").value() == 1);
  CHECK(file.get_uint("quantize.imatrix.chunks_count").value() == 3);
  const auto original = GgufFile::open(small_model()).value();
  const auto even_error = [&](const GgufFile& changed) {
    const std::string name = "blk.0.attn_q.weight";
    const auto a = values_of(original, *original.find_tensor(name)), b = values_of(changed, *changed.find_tensor(name));
    double error = 0;
    for (size_t i = 0; i < a.size(); i += 2) error += std::pow(static_cast<double>(a[i]) - b[i], 2);
    return error;
  };
  CHECK(even_error(file) < 0.9 * even_error(plain));

  options.importance = usable(importance("blk.0.attn_q.weight", {std::vector<float>(256, 1.0f), {1.0f}}));
  check_refused(quantise({small_model()}, options), ErrorCode::kBadFile, "256 columns");
  check_refused(importance("blk.0.attn_q.weight", {std::vector<float>(512, -1.0f), {1.0f}}), ErrorCode::kBadFile, "negative");
  check_refused(ImportanceMatrix::read(small_model()), ErrorCode::kBadFile, "imatrix");
}

TEST_CASE("file: refusals name what is wrong") {
  QuantizeOptions unknown = options_for("Q4_X");
  check_refused(quantise({small_model()}, unknown), ErrorCode::kInvalidArgument, "Q4_X");
  unknown = options_for("Q4_0");
  unknown.output_type = "Q9";
  check_refused(quantise({small_model()}, unknown), ErrorCode::kInvalidArgument, "Q9");
  unknown = options_for("Q4_0");
  unknown.threads = 65;
  check_refused(quantise({small_model()}, unknown), ErrorCode::kInvalidArgument, "65");
  check_refused(quantise({}, options_for("Q4_0")), ErrorCode::kInvalidArgument, "no file");

  const auto with_nan = small_model([](std::vector<float>& weights) { weights[1000] = NAN; });
  check_refused(quantise({with_nan}, options_for("Q4_0")), ErrorCode::kBadFile, "blk.0.attn_q.weight");
  const auto huge = small_model([](std::vector<float>& weights) { weights[1000] = 1e6f; });
  check_refused(quantise({huge}, options_for("F16")), ErrorCode::kInvalidArgument, "65504");
  check_refused(quantise({huge}, options_for("Q8_0")), ErrorCode::kInvalidArgument, "such weights become BF16 or F32, not Q8_0");
  CHECK(quantise({huge}, options_for("BF16")).ok());
}

TEST_CASE("file: stopping and a sink that fails end the work") {
  QuantizeOptions options = options_for("Q4_0");
  int calls = 0;
  options.on_progress = [&](uint64_t done, uint64_t total) {
    CHECK(done <= total);
    return ++calls < 2;
  };
  check_refused(quantise({small_model()}, options), ErrorCode::kAborted, "stopped");
  CHECK(calls == 2);
  auto quantizer = Quantizer::open({small_model()}, options_for("Q4_0")).value();
  const auto failed = quantizer->write([](std::span<const std::byte>) -> Result<void> { return Error{ErrorCode::kIo, "full", ""}; });
  REQUIRE(!failed.ok());
  CHECK(failed.error().code == ErrorCode::kIo);
}

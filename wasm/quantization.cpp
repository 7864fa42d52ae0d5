// Owns the Embind surface of quantising: a class beside Runtime, because it needs no engine; translation only.
#include <emscripten/bind.h>

#include "core/quantize/quantize_file.h"
#include "wasm/answer.h"
#include "wasm/js_byte_sink.h"
#include "wasm/js_byte_source.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

Json report_json(const QuantizeReport& report) {
  return Object()
      .add("type", report.type)
      .add("tensors", report.tensors)
      .add("converted", report.converted)
      .add("unweighted", report.unweighted)
      .add("input_bytes", report.input_bytes)
      .add("output_bytes", report.output_bytes)
      .add("parameters", report.parameters)
      .add("bytes_per_type", report.bytes_per_format)
      .json();
}

/// One model on its way into another type. All calls come from the worker's thread.
class Quantization {
 public:
  /// The sizes of all types, from the first bytes of each file: {"format", "parameters", "types": {name: bytes}}.
  std::string sizes(emscripten::val readers) const {
    const Result<QuantizeSizes> found = quantize_sizes(sources_of(readers));
    if (!found) return failure(found.error());
    Object types;
    for (const auto& [name, bytes] : found.value().types) types.add(name.data(), bytes);
    return value(
        Object().add("format", found.value().format).add("parameters", found.value().parameters).add("types", types.json()).json());
  }

  /// Plans the work: `readers` as in sources_of; `importance` has no reader or that of an importance file, whose name goes into the
  /// metadata. Returns the report of what will be written.
  std::string open(emscripten::val readers, const std::string& type, int threads, emscripten::val importance, const std::string& name) {
    QuantizeOptions options;
    options.type = type;
    options.threads = threads;
    for (auto& source : sources_of(importance)) {
      Result<ImportanceMatrix> matrix = ImportanceMatrix::read(std::move(source));
      if (!matrix) return failure(matrix.error());
      options.importance = std::make_shared<ImportanceMatrix>(std::move(*matrix));
      options.importance_name = name;
    }
    Result<std::unique_ptr<Quantizer>> quantizer = Quantizer::open(sources_of(readers), std::move(options));
    if (!quantizer) return failure(quantizer.error());
    quantizer_ = std::move(*quantizer);
    return value(report_json(quantizer_->report()));
  }

  /// The next few megabytes go to `sink`, as in JsByteSink. Returns {"done", "total", "more"}: bytes of the input, and whether to go on.
  std::string step(emscripten::val sink) {
    const Result<bool> more = quantizer_->step(JsByteSink(std::move(sink)));
    if (!more) return failure(more.error());
    return value(Object().add("done", quantizer_->done_bytes()).add("total", quantizer_->total_bytes()).add("more", more.value()).json());
  }

 private:
  std::unique_ptr<Quantizer> quantizer_;
};

}  // namespace
}  // namespace tessera

EMSCRIPTEN_BINDINGS(tessera_quantization) {
  using tessera::Quantization;
  emscripten::class_<Quantization>("Quantization")
      .constructor<>()
      .function("sizes", &Quantization::sizes)
      .function("open", &Quantization::open)
      .function("step", &Quantization::step);
}

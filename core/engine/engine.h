// The core's public face, part one: Engine, a loaded model that is immutable and shared. cli/ and wasm/ include only engine/ headers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"
#include "core/engine/text_model.h"
#include "core/model/kv_type.h"
#include "core/model/layer_range.h"
#include "core/tensor/dtype.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera {

class Adapter;       // core/model
class GgufFile;      // core/gguf
struct Config;       // core/model
struct KernelTable;  // core/kernels
struct Model;        // core/model
class ThreadPool;    // core/parallel

/// How to load a model.
struct EngineOptions {
  int threads = 0;                     ///< 0 = all processors (tune.h finds out how many of them help); else 1…64
  int context_size = 0;                ///< tokens; 0 = min(what the model was trained for, 4096); more than the trained length is an error
  std::optional<KvType> kv_type = {};  ///< nothing: choose_kv_type
  std::string kernels{};               ///< "" = the best this machine runs, else a name of kernel_names()
  LayerRange layers = {};              ///< that this engine computes (parts.h); the rest of the model lies in other memories
  uint64_t most_bytes = 0;             ///< that weights, KV cache and workspace may take together, 0 = no limit: more needs parts
  std::string chat_template{};         ///< Jinja source (chat_template_source) instead of the file's; "" = the file's
  /// Called while loading with bytes done and bytes in all, on the calling thread; return false to abort (kAborted).
  std::function<bool(uint64_t done, uint64_t total)> on_progress{};
};

/// A LoRA adapter as a file.
struct AdapterFile {
  std::string name;                                      ///< of the file, for messages
  std::vector<std::shared_ptr<const ByteSource>> parts;  ///< a GGUF, or the parts of one
  float scale = 1;

  Error failure(const Error& error) const { return {error.code, "lora " + name + ": " + error.message, error.hint}; }
};

/// What every model refuses, before a file is read: kInvalidArgument for kernels that do not run here, numbers out of range and too many
/// adapters.
Result<void> check_options(const EngineOptions& options, std::span<const AdapterFile> adapters);

/// Whether the adapters are GGUF files, whatever they fit. Errors of GgufFile::open_headers.
Result<void> check_headers(std::span<const AdapterFile> adapters);

/// What a loaded model is; JSON field names of `inspect`, `engine.info`.
struct EngineInfo {
  std::string name;          ///< general.name, or ""
  std::string architecture;  ///< general.architecture: "llama", "gemma3", …
  std::string quantization;  ///< the format that holds most weights: "Q4_1"
  uint64_t parameters = 0;
  int context_size = 0;     ///< tokens a session can hold
  int trained_context = 0;  ///< tokens the model was trained for
  int vocab_size = 0;       ///< token ids are 0…vocab_size - 1; also the length of the logits
  int threads = 0;
  std::string kernels;
  int streams = 0;  ///< stretches of a matrix that the products of a token read side by side (KernelTable::streams)
  KvType kv_type = KvType::kF32;
  uint64_t weight_bytes = 0;     ///< packed weights in memory, of this engine's layers
  uint64_t kv_bytes = 0;         ///< K and V of one session at full context, of this engine's layers
  uint64_t workspace_bytes = 0;  ///< activations of one session
  double load_ms = 0;
  bool has_chat_template = false;
  std::string template_error;  ///< why the file's chat template cannot be used, with line and column; "" when it can, or there is none
};

/// Names of the kernel tables this machine can run, best first.
std::vector<std::string> kernel_names();

/// Tokens that a session will hold: `context_size`, or for 0 what the model was trained for, at most 4096. kInvalidArgument for more than
/// it was trained for.
Result<int> choose_context(int context_size, int trained);

/// The asked type, or for nothing Q16_8 where most weights are quantised, since its error is far below that of their 8-bit activations, and
/// F32 where they are floats or the heads do not fit Q16_8.
KvType choose_kv_type(std::optional<KvType> asked, const GgufFile& file, const Config& config);

/// A loaded model. Thread-safe to read, but for use(); its thread pool runs one session's work at a time (callers serialise).
class Engine {
 public:
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Reads, checks and packs a model from one GGUF or the parts of a split one. Errors of GgufFile, Tokenizer and Model;
  /// kInvalidArgument for options, kOutOfMemory when the weights do not fit, or most_bytes are too few, kAborted.
  static Result<std::unique_ptr<Engine>> load(std::vector<std::shared_ptr<const ByteSource>> parts, const EngineOptions& options);

  /// Reads a LoRA adapter (a GGUF, or the parts of one) for this model. The engine stays as it is: an adapter works in the sessions
  /// that it is given to. kBadFile names the first tensor that does not fit.
  Result<std::shared_ptr<const Adapter>> load_adapter(std::vector<std::shared_ptr<const ByteSource>> parts) const;

  const EngineInfo& info() const { return info_; }

  /// Names of the kernel tables that can compute with the weights as they are packed, the one chosen by load first. Tables that do all
  /// of this model's products alike count as one.
  std::vector<std::string> kernel_choices() const;
  /// From now on these kernels and the first `threads` threads compute (more than there are: all); nothing else changes, least of all
  /// the results. Not while a session computes. kInvalidArgument.
  Result<void> use(std::string_view kernels, int threads);
  /// KernelTable::streams from now on. Not while a session computes.
  void use_streams(int streams);

  /// Text → ids. `bos` puts the model's begin token in front.
  std::vector<int32_t> tokenize(std::string_view text, bool parse_special, bool bos) const;
  /// Ids → text; kInvalidArgument for an id outside the vocabulary. `show_special` writes control tokens, too.
  Result<std::string> detokenize(std::span<const int32_t> ids, bool show_special = false) const;

  /// The bytes one token stands for, control tokens as written in the vocabulary; not always valid UTF-8. "" for foreign ids.
  std::string token_bytes(int32_t id) const;

  /// Ids of a chat prompt: `context` holds messages (array of {role, content}), optional tools, add_generation_prompt
  /// (default true) and other template variables; bos_token and eos_token are filled in. Uses the file's template, or
  /// `template_override` (a Jinja source). kTemplate when it fails; kUnsupported when the file has none and none is given.
  Result<std::vector<int32_t>> chat_prompt(const nlohmann::ordered_json& context, std::string_view template_override = "") const;

  /// Ids of a raw prompt: text with special tokens parsed and the begin token the model asks for.
  std::vector<int32_t> raw_prompt(std::string_view text) const;

  /// What ends the model's turn of a chat; see TextModel::turn_ends.
  TurnEnds turn_ends(std::string_view template_override = "") const;

  const Model& model() const { return *model_; }
  const TextModel& text() const { return *text_; }
  const Tokenizer& tokenizer() const { return text_->tokenizer(); }
  ThreadPool& pool() const { return *pool_; }

 private:
  Engine();
  void describe(const GgufFile& file, int context_size, KvType kv_type);
  EngineInfo info_;
  const KernelTable* loaded_kernels_ = nullptr;  ///< whose tiles the weights are packed in
  std::unique_ptr<KernelTable> kernels_;         ///< in use: one of those there are, with the streams that were chosen
  std::vector<DType> formats_;                   ///< of the file's tensors, each once
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<TextModel> text_;
};

}  // namespace tessera

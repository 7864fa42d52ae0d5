// The core's public face, part two: Session, one mutable timeline of tokens with its KV cache, over a shared Engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/engine/engine.h"
#include "core/model/upstream.h"

namespace tessera {

class ForwardPass;      // core/model
class KvCache;          // core/model
class Workspace;        // core/model
class ProductObserver;  // core/ops
struct Profile;         // core/model

/// One conversation's state. Not thread-safe; keep the Engine alive longer than its sessions. Of a model in parts (parts.h) the part with
/// the last layers has the session that others use; those of the parts before it only serve as its Upstream.
class Session final : public Upstream {
 public:
  /// Allocates the KV cache and workspace. kOutOfMemory with the number of bytes asked for; kInvalidArgument for an engine without the
  /// first layers when no `upstream` has them.
  static Result<std::unique_ptr<Session>> create(const Engine& engine, std::shared_ptr<Upstream> upstream = nullptr);
  ~Session() override;

  /// Makes the timeline ready to become `prefix`: checks it, keeps the common part (see truncate), drops the rest, and returns how many
  /// tokens are reused (at most prefix.size() - 1, so that there is something to compute logits from).
  /// kInvalidArgument (empty prefix, id outside the vocabulary), kContextFull (message with both numbers).
  Result<int> rewind_to_common(std::span<const int32_t> prefix);

  /// Computes the next tokens, at most one batch of them (`batch` = 0: the engine's own size), and appends them to the
  /// timeline. Returns how many were taken from the front of `fresh`; once that is all of them, there are logits() after the last
  /// `rows` of those taken (1…kMaxRows). The resulting bits do not depend on the batch. kInvalidArgument, kContextFull.
  /// With a limit it stops after the layer in which `milliseconds` have passed and returns 0; the next call with the same tokens goes
  /// on there, any other use of the session forgets the work.
  Result<int> extend(std::span<const int32_t> fresh, int batch = 0, double milliseconds = kNoLimit, int rows = 1);
  static constexpr int kMaxRows = 8;
  static constexpr double kNoLimit = std::numeric_limits<double>::infinity();

  /// What an extend() that ran out of time has done so far, in tokens: 0…batch.
  float pending() const;

  /// rewind_to_common + extend until the timeline equals `prefix`. Returns the number of reused tokens. kAborted as soon
  /// as `*abort` is seen true between batches: the timeline keeps the part that was computed.
  Result<int> sync(std::span<const int32_t> prefix, const std::atomic<bool>* abort = nullptr);

  /// Logits [vocab_size] after the last token of the timeline, or the one that is `back` before it; valid until the next call that
  /// changes it; empty when they were not computed.
  std::span<const float> logits(int back = 0) const;

  /// From an empty timeline: hands out the logits [vocab] of every position of `tokens`, in order, computing `batch` tokens
  /// at a time (0 = the engine's own size). The timeline holds `tokens` afterwards. Errors of sync; kAborted when `each` returns false.
  Result<void> evaluate(std::span<const int32_t> tokens, int batch,
                        const std::function<bool(int position, std::span<const float> logits)>& each);

  /// Tokens whose KV is held.
  std::span<const int32_t> tokens() const { return tokens_; }
  /// Forgets everything after the first `count` tokens; the logits become empty unless nothing was dropped. Models with sliding
  /// windows can only be taken back a little (KvCache::kMargin): further back, everything is forgotten.
  void truncate(int count);

  /// From now on these adapters, each multiplied by its scale, are part of the model; empty = none. The weights stay where they are, the
  /// timeline is forgotten. They must come from this session's engine. kInvalidArgument (more than 8, a scale that is not finite).
  Result<void> set_adapters(std::vector<std::pair<std::shared_ptr<const Adapter>, float>> adapters);

  const Engine& engine() const { return engine_; }

  /// Forgets the timeline, computes the first `layers` layers (at most all but the last) of `tokens` tokens (1…16) and throws them
  /// away: work like any other, to be timed.
  void rehearse(int tokens, int layers);

  void begin(int position, std::span<const int32_t> tokens) override;
  void step() override;
  void read(std::span<float> x) override;

  /// From now on every computation adds its times to `profile`, which must outlive that; nullptr = no longer.
  void set_profile(Profile* profile);
  /// The same for an observer of the layers' products (not of the output matrix).
  void set_observer(ProductObserver* observer);

 private:
  Session(const Engine& engine, std::shared_ptr<Upstream> upstream);
  Result<void> check(std::span<const int32_t> tokens, size_t timeline) const;
  void start_pass(std::span<const int32_t> batch);
  void end_pass();
  bool compute(std::span<const int32_t> batch, double milliseconds);
  void compute_logits_at(int first, int count);

  const Engine& engine_;
  std::shared_ptr<Upstream> upstream_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<Workspace> workspace_;
  std::vector<int32_t> tokens_;
  std::unique_ptr<ForwardPass> pass_;  ///< a batch that is not through all layers, of pass_tokens_
  std::vector<int32_t> pass_tokens_;
  int rows_ = 0;  ///< logits of the workspace, the last of them those after the last token
};

}  // namespace tessera

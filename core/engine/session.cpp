// Implements the timeline: which tokens' K and V are held, and the logits after the last of them.
#include "core/engine/session.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "core/model/forward.h"

namespace tessera {
namespace {

using Clock = std::chrono::steady_clock;

/// Tokens of one forward pass for the caller's `batch`, 0 being the workspace's own size.
Result<size_t> batch_size(int batch) {
  if (batch < 0) {
    return Error{ErrorCode::kInvalidArgument, "batch is " + std::to_string(batch) + ", expected 0 (automatic) or more", ""};
  }
  return static_cast<size_t>(batch == 0 ? Workspace::kMaxBatch : std::min(batch, Workspace::kMaxBatch));
}

}  // namespace

Session::Session(const Engine& engine, std::shared_ptr<Upstream> upstream) : engine_(engine), upstream_(std::move(upstream)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(const Engine& engine, std::shared_ptr<Upstream> upstream) {
  const Config& config = engine.model().config;
  const LayerRange& range = engine.model().weights.range;
  if ((upstream == nullptr) != (range.first == 0)) {
    return Error{ErrorCode::kInvalidArgument, "the engine's first layer is " + std::to_string(range.first) + " of the model's",
                 "the layers before it, and only these, need an upstream"};
  }
  Result<KvCache> cache = KvCache::create(config, engine.info().context_size, engine.info().kv_type, range);
  if (!cache) {
    return cache.error();
  }
  Result<Workspace> workspace = Workspace::create(config, engine.model().kernels->code_bytes);
  if (!workspace) {
    return workspace.error();
  }
  std::unique_ptr<Session> session(new Session(engine, std::move(upstream)));
  session->cache_ = std::make_unique<KvCache>(std::move(*cache));
  session->workspace_ = std::make_unique<Workspace>(std::move(*workspace));
  return session;
}

/// Checks `tokens` that would make the timeline `timeline` tokens long.
Result<void> Session::check(std::span<const int32_t> tokens, size_t timeline) const {
  const EngineInfo& info = engine_.info();
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt is empty, expected at least one token", "give some text"};
  }
  if (timeline > static_cast<size_t>(info.context_size)) {
    const std::string room = info.context_size < info.trained_context ? "load the model with a larger context (up to " +
                                                                            std::to_string(info.trained_context) + ") or shorten the text"
                                                                      : "shorten the text: the model was trained for no more";
    return Error{ErrorCode::kContextFull,
                 "the text has " + std::to_string(timeline) + " tokens, the context holds " + std::to_string(info.context_size), room};
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= info.vocab_size) {
      return Error{ErrorCode::kInvalidArgument,
                   "token " + std::to_string(i) + " is " + std::to_string(tokens[i]) + ", expected an id from 0 to " +
                       std::to_string(info.vocab_size - 1),
                   "use ids that this model's tokenizer made"};
    }
  }
  return {};
}

Result<int> Session::rewind_to_common(std::span<const int32_t> prefix) {
  if (Result<void> checked = check(prefix, prefix.size()); !checked) {
    return checked.error();
  }
  const size_t limit = std::min(tokens_.size(), prefix.size() - 1);
  const auto [held, wanted] = std::mismatch(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(limit), prefix.begin());
  truncate(static_cast<int>(held - tokens_.begin()));
  return static_cast<int>(tokens_.size());
}

Result<int> Session::extend(std::span<const int32_t> fresh, int batch, double milliseconds, int rows) {
  if (Result<void> checked = check(fresh, tokens_.size() + fresh.size()); !checked) {
    return checked.error();
  }
  const Result<size_t> most = batch_size(batch);
  if (!most) {
    return most.error();
  }
  const std::span<const int32_t> taken = fresh.first(std::min(fresh.size(), most.value()));
  if (!compute(taken, milliseconds)) {
    return 0;
  }
  if (taken.size() == fresh.size()) {
    const int count = std::clamp(rows, 1, std::min(kMaxRows, static_cast<int>(taken.size())));
    compute_logits_at(static_cast<int>(taken.size()) - count, count);
  }
  return static_cast<int>(taken.size());
}

Result<int> Session::sync(std::span<const int32_t> prefix, const std::atomic<bool>* abort) {
  Result<int> reused = rewind_to_common(prefix);
  while (reused && tokens_.size() < prefix.size()) {
    if (abort != nullptr && abort->load(std::memory_order_relaxed)) {
      return Error{ErrorCode::kAborted,
                   "stopped after " + std::to_string(tokens_.size()) + " of " + std::to_string(prefix.size()) + " tokens", ""};
    }
    if (const Result<int> taken = extend(prefix.subspan(tokens_.size())); !taken) {
      return taken.error();
    }
  }
  return reused;
}

static_assert(Session::kMaxRows == Workspace::kMaxLogits);

std::span<const float> Session::logits(int back) const {
  if (back < 0 || back >= rows_) return {};
  const float* row = workspace_->logits + static_cast<std::ptrdiff_t>(rows_ - 1 - back) * engine_.model().config.vocab_size;
  return {row, static_cast<size_t>(engine_.info().vocab_size)};
}

Result<void> Session::evaluate(std::span<const int32_t> tokens, int batch,
                               const std::function<bool(int position, std::span<const float> logits)>& each) {
  if (Result<void> checked = check(tokens, tokens.size()); !checked) {
    return checked.error();
  }
  const Result<size_t> most = batch_size(batch);
  if (!most) {
    return most.error();
  }
  truncate(0);
  while (tokens_.size() < tokens.size()) {
    const auto start = static_cast<int>(tokens_.size());
    const std::span<const int32_t> taken = tokens.subspan(tokens_.size(), std::min(most.value(), tokens.size() - tokens_.size()));
    compute(taken, kNoLimit);
    const auto count = static_cast<int>(taken.size());
    for (int first = 0; first < count; first += Workspace::kMaxLogits) {
      const int rows = std::min(Workspace::kMaxLogits, count - first);
      compute_logits_at(first, rows);
      for (int i = 0; i < rows; ++i) {
        if (!each(start + first + i, logits(rows - 1 - i))) {
          return Error{ErrorCode::kAborted, "stopped after " + std::to_string(start + first + i + 1) + " tokens", ""};
        }
      }
    }
  }
  return {};
}

void Session::truncate(int count) {
  pass_.reset();
  size_t kept = std::min(tokens_.size(), static_cast<size_t>(std::max(count, 0)));
  if (kept < tokens_.size()) {
    if (!cache_->holds(static_cast<int>(kept))) {
      kept = 0;
    }
    tokens_.resize(kept);
    cache_->truncate(static_cast<int>(kept));
    rows_ = 0;
  }
}

Result<void> Session::set_adapters(std::vector<std::pair<std::shared_ptr<const Adapter>, float>> adapters) {
  std::vector<ActiveAdapter> active;
  for (auto& [adapter, scale] : adapters) {
    active.push_back({std::move(adapter), scale});
  }
  Result<AdapterSet> set = AdapterSet::create(std::move(active), Workspace::kMaxBatch);
  if (!set) {
    return set.error();
  }
  truncate(0);
  workspace_->adapters = std::move(*set);
  return {};
}

void Session::set_profile(Profile* profile) { workspace_->profile = profile; }

void Session::set_observer(ProductObserver* observer) { workspace_->input.observer = observer; }

void Session::rehearse(int tokens, int layers) {
  truncate(0);
  const std::vector<int32_t> batch(static_cast<size_t>(std::clamp(tokens, 1, std::min(16, engine_.info().context_size))), 0);
  ForwardPass pass(engine_.model(), engine_.pool(), batch, *cache_, *workspace_);
  const int most = std::min(layers, static_cast<int>(engine_.model().weights.layers.size()) - 1);
  for (int layer = 0; layer < most; ++layer) pass.step();
}

float Session::pending() const { return pass_ == nullptr ? 0.0f : pass_->share() * static_cast<float>(pass_->tokens()); }

/// Appends one batch to the timeline, whose logits are not computed yet; false when the time was over before.
bool Session::compute(std::span<const int32_t> batch, double milliseconds) {
  const Clock::time_point start = Clock::now();
  rows_ = 0;
  if (pass_ == nullptr || !std::ranges::equal(pass_tokens_, batch)) {
    start_pass(batch);
  }
  while (!pass_->done()) {
    pass_->step();
    if (!pass_->done() && std::chrono::duration<double, std::milli>(Clock::now() - start).count() >= milliseconds) {
      return false;
    }
  }
  end_pass();
  return true;
}

void Session::start_pass(std::span<const int32_t> batch) {
  pass_tokens_.assign(batch.begin(), batch.end());
  pass_ = std::make_unique<ForwardPass>(engine_.model(), engine_.pool(), batch, *cache_, *workspace_, upstream_.get());
}

void Session::end_pass() {
  pass_.reset();
  tokens_.insert(tokens_.end(), pass_tokens_.begin(), pass_tokens_.end());
}

void Session::begin(int position, std::span<const int32_t> tokens) {
  truncate(position);
  start_pass(tokens);
}

void Session::step() {
  pass_->step();
  if (pass_->done()) end_pass();
}

void Session::read(std::span<float> x) { std::copy_n(workspace_->x, x.size(), x.begin()); }

/// Logits of rows [first, first + count) of the last batch.
void Session::compute_logits_at(int first, int count) {
  compute_logits(engine_.model(), engine_.pool(), first, count, *workspace_);
  rows_ = count;
}

}  // namespace tessera

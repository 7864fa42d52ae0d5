// Owns the clock that tells where a forward pass spends its time.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace tessera {

/// Kinds of work in a forward pass.
enum class Work { kEmbedding, kNorm, kProducts, kRope, kAttention, kActivation, kOutput };
inline constexpr int kWorkKinds = 7;

/// Field names of the profile in `bench --profile --json`.
constexpr std::array<std::string_view, kWorkKinds> kWorkNames = {"embedding", "norm",       "products", "rope",
                                                                 "attention", "activation", "output"};

/// Wall time per kind, in milliseconds. kNorm: norms, residual sums and the quantisation behind them; kProducts: the layers' matrix
/// products; kRope: rotation and writing to the KV cache; kAttention: short convolutions, too; kActivation: SiLU or GELU with its
/// quantisation, choosing experts and adding them up; kOutput: last norm and output matrix.
struct Profile {
  std::array<double, kWorkKinds> milliseconds{};

  double total() const {
    double sum = 0;
    for (double part : milliseconds) sum += part;
    return sum;
  }
  /// Part of the time that is not matrix products, 0…1; 0 without any time.
  double overhead() const {
    const double all = total();
    const double products = milliseconds[static_cast<int>(Work::kProducts)] + milliseconds[static_cast<int>(Work::kOutput)];
    return all > 0 ? (all - products) / all : 0;
  }
};

/// Adds the time from its creation to its end to a profile; does nothing, not even read the clock, without one.
class WorkTimer {
 public:
  WorkTimer(Profile* profile, Work work) : profile_(profile), work_(work) {
    if (profile_ != nullptr) start_ = Clock::now();
  }
  ~WorkTimer() {
    if (profile_ == nullptr) return;
    profile_->milliseconds[static_cast<int>(work_)] += std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
  }
  WorkTimer(const WorkTimer&) = delete;
  WorkTimer& operator=(const WorkTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  Profile* profile_;
  Work work_;
  Clock::time_point start_;
};

/// Time that tasks of a phase spend on work of another kind: the sum over all threads. Does nothing without a profile.
class SharedTime {
 public:
  using Clock = std::chrono::steady_clock;
  explicit SharedTime(Profile* profile) : profile_(profile) {}

  Clock::time_point start() const { return profile_ != nullptr ? Clock::now() : Clock::time_point{}; }
  void stop(Clock::time_point start) {
    if (profile_ != nullptr) nanoseconds_.fetch_add(std::chrono::nanoseconds(Clock::now() - start).count(), std::memory_order_relaxed);
  }
  /// Counts it as `to` instead of `from`; each thread had its part of it.
  void move(Work from, Work to, int threads) {
    if (profile_ == nullptr) return;
    const double milliseconds = static_cast<double>(nanoseconds_.load()) / 1e6 / threads;
    profile_->milliseconds[static_cast<int>(from)] -= milliseconds;
    profile_->milliseconds[static_cast<int>(to)] += milliseconds;
  }

 private:
  Profile* profile_;
  std::atomic<int64_t> nanoseconds_{0};
};

}  // namespace tessera

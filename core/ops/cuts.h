// Owns how products are cut into tasks: shares of threads and their pieces, rows where tokens are few, rows and tokens where they are many.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/kernels/kernels.h"
#include "core/parallel/thread_pool.h"

namespace tessera {

/// Some of a row of things.
struct Stretch {
  int64_t first, end;
  int64_t length() const { return end - first; }
};

/// Cuts a row of cells into tasks: the share of a thread (thread_pool.h) into a half, a quarter, … and the last piece twice. The first
/// tasks are long stretches of memory and cost little in all; the last ones are short, so that threads which are not equally fast end at
/// nearly the same time.
class Cuts {
 public:
  /// No piece of less than about `least` cells; one thread has nobody to end with, and takes all as one piece.
  Cuts(int64_t cells, int threads, int64_t least) : cells_(cells), threads_(threads) {
    for (int64_t rest = cells / threads; threads > 1 && rest >= 2 * least; rest /= 2) ++pieces_;
  }
  int tasks() const { return threads_ * pieces_; }
  /// The cells of the thread that the task was made for.
  Stretch share(int task) const {
    const int thread = task / pieces_;
    return {cells_ * thread / threads_, cells_ * (thread + 1) / threads_};
  }
  /// The task's piece of the `steps` in which that share is gone through.
  Stretch piece(int task, int64_t steps) const {
    const int piece = task % pieces_;
    return {steps - (steps >> piece), piece + 1 == pieces_ ? steps : steps - (steps >> (piece + 1))};
  }

 private:
  int64_t cells_;
  int threads_, pieces_ = 1;
};

/// A multiple of every kGemmTokens. A task's tokens in groups of these cost nothing, as the kernels take no more of them at once.
inline constexpr int kTokenGroup = 12;
inline bool are_few(int tokens) { return tokens < 2 * kTokenGroup; }

/// A thread's share of a matrix where tokens are few and the time goes into reading the weights: whole blocks of tiles, as kMostStreams
/// stretches of equal length where it is worth while, which a step takes a block further each; what they leave over is one more step.
/// The pieces of a share go on where the one before ended in each stretch: each place in memory that is new takes what fetches ahead some
/// time, in all three to seven percent of decoding with two threads (docs/performance-log.md).
class Walk {
 public:
  /// Blocks of `tiles` tiles each; the end of the last one may hang over the matrix.
  Walk(const PackedMatrix& w, const Stretch& blocks, int64_t tiles, int streams) : blocks_(blocks), tiles_(tiles), end_(w.tiles()) {
    // Within one page of memory streams would hide each other from what fetches ahead.
    constexpr int64_t kPageBytes = 4096;
    const int64_t whole = std::min(blocks.end, end_ / tiles) - blocks.first, apart = std::max<int64_t>(whole, 0) / kMostStreams;
    if (streams == kMostStreams && apart * tiles * static_cast<int64_t>(w.tile_bytes) >= kPageBytes) apart_ = apart;
  }
  /// Without streams a step is as long.
  int64_t steps() const { return (blocks_.length() + kMostStreams - 1) / kMostStreams; }

  /// Calls each(TileRange) for the steps.
  template <class Each>
  void take(const Stretch& steps, const Each& each) const {
    if (steps.first < std::min(apart_, steps.end)) {
      const int64_t first = blocks_.first + steps.first, end = blocks_.first + std::min(apart_, steps.end);
      each(TileRange{first * tiles_, end * tiles_, apart_ * tiles_});
    }
    const int64_t first = blocks_.first + kMostStreams * std::max(apart_, steps.first);
    const int64_t end = std::min(blocks_.end, blocks_.first + kMostStreams * steps.end);
    if (first < end) each(TileRange{first * tiles_, std::min(end_, end * tiles_)});
  }

 private:
  Stretch blocks_;
  int64_t tiles_, end_, apart_ = 0;
};

/// Rows in units (tiles, or blocks of 32 rows), and tokens; the end of these may lie behind the last.
struct Part {
  int64_t first_unit, end_unit;
  int first_token, end_token;
};

/// What a group of tokens is multiplied by at once: it stays in the second cache of a processor for the next group.
inline constexpr uint64_t kStripBytes = 512 << 10;

/// Spreads products over the threads where tokens are many and the time goes into multiplying: a strip of rows goes through the tokens in
/// groups, then the next strip does, and a task is a stretch of that way, cut wherever shares are equal.
class Grid {
 public:
  /// `bytes` of weights in all. A task is about `least` units of one group or more; its ends are multiples of `multiple`.
  Grid(int64_t units, uint64_t bytes, int tokens, int threads, int64_t least, int64_t multiple)
      : units_(units),
        groups_((tokens + kTokenGroup - 1) / kTokenGroup),
        strip_(units / std::clamp<int64_t>(bytes / kStripBytes, 1, units)),
        multiple_(multiple),
        cuts_((units * groups_ + multiple - 1) / multiple, threads, least / multiple) {}

  template <class Multiply>
  void run(ThreadPool& pool, const Multiply& multiply) const {
    pool.run(cuts_.tasks(), [&](int task) {
      const Stretch share = cuts_.share(task), piece = cuts_.piece(task, share.length());
      const int64_t end = std::min(units_ * groups_, (share.first + piece.end) * multiple_);
      for (int64_t at = (share.first + piece.first) * multiple_; at < end;) {
        const int64_t first = at / (strip_ * groups_) * strip_, strip = std::min(strip_, units_ - first), rest = at - first * groups_;
        const int64_t group = rest / strip, unit = rest % strip;
        // Whole groups at once, or a part of one.
        const int64_t whole = unit == 0 ? (std::min(end, (first + strip) * groups_) - at) / strip : 0;
        const int64_t units = std::min(strip - unit, end - at), groups = std::max<int64_t>(1, whole);
        multiply(Part{first + unit, first + unit + units, static_cast<int>(group * kTokenGroup),
                      static_cast<int>((group + groups) * kTokenGroup)});
        at += units * groups;
      }
    });
  }

 private:
  int64_t units_, groups_, strip_, multiple_;
  Cuts cuts_;
};

}  // namespace tessera

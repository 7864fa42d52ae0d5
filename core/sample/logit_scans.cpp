#include "core/sample/logit_scans.h"

#include <algorithm>
#include <limits>

#include "core/base/math.h"

// A compiler's vectors do these loops, each over so many values at once.

namespace tessera {

namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest(), kHighest = std::numeric_limits<float>::max();

}  // namespace

size_t first_above(std::span<const float> values, size_t from, float bound) {
  constexpr size_t kBlock = 64;  // nearly all are below
  for (; from + kBlock <= values.size(); from += kBlock) {
    int above = 0;
    for (size_t i = 0; i < kBlock; ++i) above |= values[from + i] > bound ? 1 : 0;
    if (above != 0) break;
  }
  while (from < values.size() && !(values[from] > bound)) ++from;
  return from;
}

void copy_finite(std::span<const float> values, std::span<float> out) {
  const float* from = values.data();
  float* to = out.data();
  for (size_t i = 0; i < out.size(); ++i) {
    const float number = from[i] > kLowest ? from[i] : kLowest;
    to[i] = number < kHighest ? number : kHighest;
  }
}

float largest(std::span<const float> values) {
  constexpr size_t kLanes = 16;
  float best[kLanes];
  std::fill_n(best, kLanes, kLowest);
  size_t at = 0;
  for (; at + kLanes <= values.size(); at += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) best[i] = values[at + i] > best[i] ? values[at + i] : best[i];
  }
  for (; at < values.size(); ++at) best[0] = values[at] > best[0] ? values[at] : best[0];
  return *std::max_element(best, best + kLanes);
}

void weigh_all(std::span<const float> values, float best, std::span<float> out) {
  float* weights = out.data();
  for (size_t i = 0; i < values.size(); ++i) weights[i] = exp_f32(values[i] - best);
}

}  // namespace tessera

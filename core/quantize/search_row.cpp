// One function per block format: from a block's weights and their importance to its bytes.
#include "core/quantize/search_row.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/half.h"
#include "core/quantize/super_block_fit.h"
#include "core/tensor/block_packing.h"
#include "core/tensor/blocks.h"
#include "core/tensor/quantize.h"

namespace tessera {
namespace {

/// Levels that the largest weight starts at: around the lowest level, which reaches furthest, and around the highest.
template <int per_side>
constexpr std::array<float, 2 * per_side> signed_starts(float lowest, float highest, float step) {
  std::array<float, 2 * per_side> starts{};
  for (int i = 0; i < per_side; ++i) {
    const float shift = step * static_cast<float>(i - per_side / 2);
    starts[2 * i] = lowest + shift;
    starts[2 * i + 1] = highest + shift;
  }
  return starts;
}

/// Factors around 1 on the scale that spans a group: above 1 clips it.
template <int count>
constexpr std::array<float, count> factors(float first, float step) {
  std::array<float, count> starts{};
  for (int i = 0; i < count; ++i) starts[i] = first + step * static_cast<float>(i);
  return starts;
}

constexpr auto kStartsQ4 = signed_starts<11>(-8.0f, 7.5f, 0.25f);
constexpr auto kStartsQ5 = signed_starts<9>(-16.0f, 15.5f, 0.3f);
constexpr auto kStartsQ8 = signed_starts<5>(-127.0f, 127.0f, 0.5f);
constexpr auto kStartsQ3K = signed_starts<9>(-4.0f, 3.5f, 0.3f);
constexpr auto kStartsQ6K = signed_starts<9>(-32.0f, 31.5f, 0.3f);
constexpr auto kStartsNonLinear4 = signed_starts<7>(-125.0f, 115.0f, 7.0f);
constexpr auto kStartsAffine4 = factors<16>(0.92f, 0.02f);
constexpr auto kStartsAffine5 = factors<16>(0.96f, 0.01f);
constexpr auto kStartsAffine2 = factors<20>(0.8f, 0.06f);

using Group32 = Group<32>;

float stored(float value) { return f16_to_f32(f32_to_f16(value)); }

/// Scale as it is stored, and codes, of one block of 32 without an offset.
template <class Levels>
uint16_t search_symmetric(const Group32& group, const Levels& levels, std::span<const float> starts, uint8_t codes[32]) {
  const uint16_t d = f32_to_f16(fit_scale(group, levels, starts));
  fit_codes<32>(group.x, levels, f16_to_f32(d), 0.0f, codes);
  return d;
}

void search_affine(const Group32& group, const LinearLevels& levels, std::span<const float> starts, uint8_t codes[32], uint16_t& d,
                   uint16_t& m) {
  const AffineFit fit = fit_affine(group, levels, starts, true);
  // The best offset may lie below the lowest weight, where a half-precision number may be infinite already.
  d = f32_to_f16(fit.d);
  m = f32_to_f16(std::clamp(fit.m, -kLargestHalf, kLargestHalf));
  fit_codes<32>(group.x, levels, f16_to_f32(d), f16_to_f32(m), codes);
}

void search(const float* x, const float* w, BlockQ4_0& block) {
  uint8_t codes[32];
  block.d = search_symmetric(Group32{x, w}, LinearLevels{-8, 7}, kStartsQ4, codes);
  pack_nibbles(codes, block.qs);
}

void search(const float* x, const float* w, BlockQ4_1& block) {
  uint8_t codes[32];
  search_affine(Group32{x, w}, LinearLevels{0, 15}, kStartsAffine4, codes, block.d, block.m);
  pack_nibbles(codes, block.qs);
}

void search(const float* x, const float* w, BlockQ5_0& block) {
  uint8_t codes[32];
  block.d = search_symmetric(Group32{x, w}, LinearLevels{-16, 15}, kStartsQ5, codes);
  pack_nibbles(codes, block.qs);
  pack_fifth_bits(codes, block.qh);
}

void search(const float* x, const float* w, BlockQ5_1& block) {
  uint8_t codes[32];
  search_affine(Group32{x, w}, LinearLevels{0, 31}, kStartsAffine5, codes, block.d, block.m);
  pack_nibbles(codes, block.qs);
  pack_fifth_bits(codes, block.qh);
}

void search(const float* x, const float* w, BlockQ8_0& block) {
  // Eight bits leave so small an error that single-precision sums do not rank scales: the errors themselves are compared.
  const LinearLevels levels{-127, 127};
  const Group32 group{x, w};
  const float peak = signed_peak_of<32>(x);
  float best = stored(peak / 127.0f), best_error = fit_error(group, levels, best, 0.0f);
  for (const float start : kStartsQ8) {
    const FitSums sums = fit_sums(group, levels, start * inverse_or_zero(peak), 0.0f);
    const float d = stored(sums.qq > 0.0f ? sums.xq / sums.qq : 0.0f), error = fit_error(group, levels, d, 0.0f);
    if (error < best_error) {
      best = d;
      best_error = error;
    }
  }
  block.d = f32_to_f16(best);
  uint8_t codes[32];
  fit_codes<32>(x, levels, best, 0.0f, codes);
  for (int i = 0; i < 32; ++i) block.qs[i] = static_cast<int8_t>(codes[i] - 127);
}

void search(const float* x, const float* w, BlockIQ4_NL& block) {
  uint8_t codes[32];
  block.d = search_symmetric(Group32{x, w}, TableLevels{}, kStartsNonLinear4, codes);
  pack_nibbles(codes, block.qs);
}

void search(const float* x, const float* w, BlockQ2_K& block) {
  uint8_t codes[256];
  const auto fit = fit_affine_block<16>(x, w, LinearLevels{0, 3}, kStartsAffine2, 15, codes);
  block.d = fit.d;
  block.dmin = fit.dmin;
  for (int g = 0; g < 16; ++g) block.scales[g] = static_cast<uint8_t>(fit.scales[g] | (fit.minima[g] << 4));
  pack_two_bits(codes, block.qs);
}

void search(const float* x, const float* w, BlockQ3_K& block) {
  uint8_t codes[256];
  const auto fit = fit_symmetric_block<16>(x, w, LinearLevels{-4, 3}, kStartsQ3K, -32, 31, codes);
  block.d = fit.d;
  pack_scales_k3(fit.scales, block.scales);
  pack_two_bits(codes, block.qs);
  pack_third_bits(codes, block.hmask);
}

void search(const float* x, const float* w, BlockQ4_K& block) {
  uint8_t codes[256];
  const auto fit = fit_affine_block<32>(x, w, LinearLevels{0, 15}, kStartsAffine4, 63, codes);
  block.d = fit.d;
  block.dmin = fit.dmin;
  pack_scales_k4(fit.scales, fit.minima, block.scales);
  pack_nibbles_k(codes, block.qs);
}

void search(const float* x, const float* w, BlockQ5_K& block) {
  uint8_t codes[256];
  const auto fit = fit_affine_block<32>(x, w, LinearLevels{0, 31}, kStartsAffine5, 63, codes);
  block.d = fit.d;
  block.dmin = fit.dmin;
  pack_scales_k4(fit.scales, fit.minima, block.scales);
  pack_nibbles_k(codes, block.qs);
  pack_fifth_bits_k(codes, block.qh);
}

void search(const float* x, const float* w, BlockQ6_K& block) {
  uint8_t codes[256];
  const auto fit = fit_symmetric_block<16>(x, w, LinearLevels{-32, 31}, kStartsQ6K, -128, 127, codes);
  block.d = fit.d;
  std::memcpy(block.scales, fit.scales, sizeof(block.scales));
  pack_codes_q6(codes, block.ql, block.qh);
}

void search(const float* x, const float* w, BlockIQ4_XS& block) {
  uint8_t codes[256];
  const auto fit = fit_symmetric_block<32>(x, w, TableLevels{}, kStartsNonLinear4, -32, 31, codes);
  block.d = fit.d;
  pack_scales_iq4_xs(fit.scales, block);
  for (int g = 0; g < 8; ++g) pack_nibbles(codes + 32 * g, block.qs + 16 * g);
}

/// What a weight counts without an importance matrix: an equal share, and a part that grows with the weight itself, as large weights tend
/// to meet large activations. In a group: equal_share * (root mean square)^power + |x|^power.
struct OwnImportance {
  float equal_share;
  int power;  // 1 or 2
};
constexpr OwnImportance kMagnitude{1.0f, 1};
/// Two bits a weight are so few that the large weights need most of the care.
constexpr OwnImportance kMagnitudeQ2K{0.2f, 1};
/// The codebook's levels are far apart at its ends, where the large weights lie: with kMagnitude texts known by heart suffered
/// (docs/quantize.md).
constexpr OwnImportance kSquares{0.6f, 2};

void own_importance(const float* x, int count, const OwnImportance& own, float* w) {
  float squares = 0.0f;
  for (int i = 0; i < count; ++i) squares += x[i] * x[i];
  const float mean = squares / static_cast<float>(count);
  const float equal = own.equal_share * (own.power == 2 ? mean : std::sqrt(mean));
  for (int i = 0; i < count; ++i) w[i] = equal + (own.power == 2 ? x[i] * x[i] : std::fabs(x[i]));
}

/// What is known of a row's columns [width]; either may be nullptr, and `emphasis` is ignored where there is an importance.
struct ColumnWeights {
  const float* importance;
  const float* emphasis;
};

template <class Block, int weights>
void each_block(const float* in, uint64_t width, const ColumnWeights& columns, std::byte* out, const OwnImportance& own = kMagnitude) {
  alignas(16) float w[weights];
  for (uint64_t i = 0; i < width / weights; ++i) {
    const float* x = in + i * weights;
    if (columns.importance != nullptr) {
      std::memcpy(w, columns.importance + i * weights, sizeof(w));
    } else {
      own_importance(x, weights, own, w);
      if (columns.emphasis != nullptr) {
        for (int k = 0; k < weights; ++k) w[k] *= columns.emphasis[i * weights + static_cast<uint64_t>(k)];
      }
    }
    Block block;
    search(x, w, block);
    std::memcpy(out + i * sizeof(Block), &block, sizeof(Block));
  }
}

void search_blocks(DType dtype, const float* in, uint64_t width, const ColumnWeights& columns, std::byte* out) {
  switch (dtype) {
    case DType::kQ4_0: each_block<BlockQ4_0, 32>(in, width, columns, out); return;
    case DType::kQ4_1: each_block<BlockQ4_1, 32>(in, width, columns, out); return;
    case DType::kQ5_0: each_block<BlockQ5_0, 32>(in, width, columns, out); return;
    case DType::kQ5_1: each_block<BlockQ5_1, 32>(in, width, columns, out); return;
    case DType::kQ8_0: each_block<BlockQ8_0, 32>(in, width, columns, out); return;
    case DType::kQ2_K: each_block<BlockQ2_K, 256>(in, width, columns, out, kMagnitudeQ2K); return;
    case DType::kQ3_K: each_block<BlockQ3_K, 256>(in, width, columns, out); return;
    case DType::kQ4_K: each_block<BlockQ4_K, 256>(in, width, columns, out); return;
    case DType::kQ5_K: each_block<BlockQ5_K, 256>(in, width, columns, out); return;
    case DType::kQ6_K: each_block<BlockQ6_K, 256>(in, width, columns, out); return;
    case DType::kIQ4_NL: each_block<BlockIQ4_NL, 32>(in, width, columns, out, kSquares); return;
    case DType::kIQ4_XS: each_block<BlockIQ4_XS, 256>(in, width, columns, out, kSquares); return;
    default: quantize_row(dtype, in, width, out); return;
  }
}

}  // namespace

void search_row(DType dtype, const float* in, uint64_t width, const float* importance, std::byte* out) {
  search_blocks(dtype, in, width, {importance, nullptr}, out);
}

void search_row_with_emphasis(DType dtype, const float* in, uint64_t width, const float* emphasis, std::byte* out) {
  search_blocks(dtype, in, width, {nullptr, emphasis}, out);
}

}  // namespace tessera

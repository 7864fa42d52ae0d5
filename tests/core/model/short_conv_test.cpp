// The short convolution: every channel against plain loops over the whole sequence, bit for bit, in any batches and ranges of channels.
#include "core/model/short_conv.h"

#include "core/base/rng.h"
#include "tests/core/model/loaded.h"

namespace tessera {
namespace {

using namespace testing;

constexpr int kWidth = 64, kTokens = 600;

std::vector<float> random_values(int count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.next() % 2001) / 1000.0f - 1.0f;
  return values;
}

Config conv_config(int length) {
  Config config;
  config.layers = 2;
  config.width = kWidth;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.conv_layers = {false, true};
  config.conv_length = length;
  return config;
}

std::vector<float> expected(int length, const std::vector<float>& taps, const std::vector<float>& mixed) {
  std::vector<float> out(kTokens * kWidth);
  for (int p = 0; p < kTokens; ++p) {
    for (int i = 0; i < kWidth; ++i) {
      float sum = 0.0f;
      for (int j = 0; j < length; ++j) {
        const int seen = p - length + 1 + j;
        if (seen < 0) continue;
        const float* row = mixed.data() + seen * 3 * kWidth;
        const float input = row[i] * row[2 * kWidth + i];
        sum = sum + taps[j * kWidth + i] * input;
      }
      out[p * kWidth + i] = mixed[p * 3 * kWidth + kWidth + i] * sum;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("a short convolution gives the bits of plain loops, whatever the batches and tasks") {
  const auto mixed = random_values(kTokens * 3 * kWidth, 1);
  for (const int length : {1, 3, 8}) {
    CAPTURE(length);
    const auto taps = random_values(length * kWidth, 2);
    const auto wanted = expected(length, taps, mixed);
    const Config config = conv_config(length);
    for (const int batch : {1, 7, 128}) {
      for (const int span : {32, kWidth}) {
        auto cache = KvCache::create(config, kTokens, KvType::kF32);
        REQUIRE(cache);
        std::vector<float> out(kTokens * kWidth);
        for (int first = 0; first < kTokens; first += batch) {
          const int tokens = std::min(batch, kTokens - first);
          cache->prepare(first + tokens);
          const ShortConvBatch part{1, first, tokens, taps.data(), mixed.data() + first * 3 * kWidth, out.data() + first * kWidth};
          for (int begin = 0; begin < kWidth; begin += span) short_conv(config, *cache, part, begin, begin + span);
          cache->commit(first + tokens);
        }
        CHECK(same_bits(out, wanted));
      }
    }
  }
}

TEST_CASE("a short convolution's ring: what it takes, and how far back it reaches") {
  const Config config = conv_config(3);
  const uint64_t attention = KvCache::bytes(config, kTokens, KvType::kF32, {0, 1}), rows = 2 + KvCache::kMargin;
  CHECK(KvCache::bytes(config, kTokens, KvType::kF32, {1, 2}) == rows * kWidth * sizeof(float));
  CHECK(KvCache::bytes(config, 100, KvType::kF32, {1, 2}) == 100 * kWidth * sizeof(float));
  CHECK(KvCache::bytes(config, kTokens, KvType::kF32) == attention + rows * kWidth * sizeof(float));
  // The part without the convolution's layer knows of it, too.
  for (const LayerRange range : {LayerRange{}, LayerRange{0, 1}, LayerRange{1, 2}}) {
    auto cache = KvCache::create(config, kTokens, KvType::kF32, range);
    REQUIRE(cache);
    cache->prepare(200);
    cache->commit(200);
    CHECK(cache->holds(1));
    cache->prepare(500);
    CHECK(cache->holds(500 - KvCache::kMargin));
    CHECK_FALSE(cache->holds(499 - KvCache::kMargin));
    CHECK(cache->holds(0));
  }
}

}  // namespace tessera

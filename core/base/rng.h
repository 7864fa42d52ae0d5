// Owns randomness: a small generator that gives the same numbers on every platform.
#pragma once

#include <cstdint>

namespace tessera {

/// PCG32 (O'Neill 2014, pcg-random.org): 64-bit state, 32-bit output. Not for cryptography.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(0) {
    next();
    state_ += seed;
    next();
  }

  /// Uniform over all 32-bit values.
  uint32_t next() {
    const uint64_t old = state_;
    state_ = old * 6364136223846793005ull + 1442695040888963407ull;
    const auto xorshifted = static_cast<uint32_t>(((old >> 18u) ^ old) >> 27u);
    const auto rotation = static_cast<uint32_t>(old >> 59u);
    return (xorshifted >> rotation) | (xorshifted << ((32u - rotation) & 31u));
  }

  /// Uniform in [0, 1) with 24 bits.
  float uniform() { return static_cast<float>(next() >> 8) * 0x1p-24f; }

 private:
  uint64_t state_;
};

}  // namespace tessera

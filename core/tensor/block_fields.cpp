#include "core/tensor/block_fields.h"

namespace tessera {
namespace {

// Digit n (0…4) of a byte: the byte is its five digits as a fraction of 3^5 scaled to 256, so multiplying moves the point.
int ternary_digit(uint8_t byte, int n) {
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  return static_cast<uint8_t>(byte * kPowers[n]) * 3 >> 8;
}

}  // namespace

int ternary_code(const BlockTQ1_0& block, int index) {
  if (index < 160) return ternary_digit(block.qs[index % 32], index / 32);
  if (index < 240) return ternary_digit(block.qs[32 + index % 16], (index - 160) / 16);
  return ternary_digit(block.qh[index % 4], (index - 240) / 4);
}

}  // namespace tessera

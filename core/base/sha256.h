// Owns SHA-256, computed piece by piece. Source: FIPS 180-4.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tessera {

/// One running hash. Not thread-safe.
class Sha256 {
 public:
  /// Adds bytes; any number of calls of any size give the hash of the whole.
  void update(std::span<const std::byte> bytes);

  /// The hash of all bytes so far as 64 lower-case hexadecimal digits. More may be added afterwards.
  std::string hex() const;

 private:
  void compress(const std::byte* block);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};  ///< the bytes of an unfinished block: total_ % 64 of them
  uint64_t total_ = 0;
};

/// The hash of one span.
inline std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

}  // namespace tessera

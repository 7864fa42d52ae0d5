// Owns the one way bytes enter the core: a mapped file, a browser file handle, a list of shards or a test buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace tessera {

/// Random-access, read-only bytes. Implementations are safe to read from several threads unless they say otherwise.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Total length in bytes; constant over the object's life.
  virtual uint64_t size() const = 0;

  /// Fills `out` from `offset`. kIo when the range leaves the source or the device fails; `out` is then unspecified.
  virtual Result<void> read(uint64_t offset, std::span<std::byte> out) const = 0;

  /// The bytes in place when the source is already in memory, else an empty span: callers must then read().
  virtual std::span<const std::byte> view(uint64_t offset, uint64_t length) const {
    (void)offset;
    (void)length;
    return {};
  }

  /// Says that these bytes, seen by view(), are not needed any more: what they take may be given back. They can still be read.
  virtual void release(uint64_t offset, uint64_t length) const {
    (void)offset;
    (void)length;
  }
};

/// Bytes owned by the source; for tests, fuzzing and small files.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<void> read(uint64_t offset, std::span<std::byte> out) const override;
  std::span<const std::byte> view(uint64_t offset, uint64_t length) const override;

 private:
  std::vector<std::byte> bytes_;
};

/// Several sources laid end to end: downloaded shards that together are one file.
class ConcatSource final : public ByteSource {
 public:
  explicit ConcatSource(std::vector<std::shared_ptr<const ByteSource>> parts);
  uint64_t size() const override { return starts_.back(); }
  Result<void> read(uint64_t offset, std::span<std::byte> out) const override;
  std::span<const std::byte> view(uint64_t offset, uint64_t length) const override;
  void release(uint64_t offset, uint64_t length) const override;

 private:
  size_t part_at(uint64_t offset) const;  ///< the part that holds this byte

  std::vector<std::shared_ptr<const ByteSource>> parts_;
  std::vector<uint64_t> starts_;  ///< [parts + 1] offset of each part; the last entry is the total
};

#ifndef __EMSCRIPTEN__
/// A file mapped read-only into memory. kNotFound when it cannot be opened, kIo when it cannot be mapped. Not in the WebAssembly build.
Result<std::shared_ptr<const ByteSource>> map_file(const std::string& path);
#endif

}  // namespace tessera

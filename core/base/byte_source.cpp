#include "core/base/byte_source.h"

#include <algorithm>
#include <cstring>

namespace tessera {
namespace {

Error out_of_range(uint64_t offset, uint64_t length, uint64_t size) {
  return {ErrorCode::kIo,
          "read of " + std::to_string(length) + " bytes at offset " + std::to_string(offset) + " leaves the source of " +
              std::to_string(size) + " bytes",
          "the file is shorter than its header says; download it again"};
}

bool in_range(uint64_t offset, uint64_t length, uint64_t size) { return offset <= size && length <= size - offset; }

}  // namespace

Result<void> MemorySource::read(uint64_t offset, std::span<std::byte> out) const {
  if (!in_range(offset, out.size(), size())) return out_of_range(offset, out.size(), size());
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

std::span<const std::byte> MemorySource::view(uint64_t offset, uint64_t length) const {
  if (!in_range(offset, length, size())) return {};
  return std::span(bytes_).subspan(offset, length);
}

ConcatSource::ConcatSource(std::vector<std::shared_ptr<const ByteSource>> parts) : parts_(std::move(parts)), starts_{0} {
  for (const auto& part : parts_) starts_.push_back(starts_.back() + part->size());
}

size_t ConcatSource::part_at(uint64_t offset) const {
  return std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin() - 1;
}

Result<void> ConcatSource::read(uint64_t offset, std::span<std::byte> out) const {
  if (!in_range(offset, out.size(), size())) return out_of_range(offset, out.size(), size());
  size_t part = part_at(offset);
  while (!out.empty()) {
    const uint64_t local = offset - starts_[part];
    const uint64_t length = std::min<uint64_t>(out.size(), parts_[part]->size() - local);
    if (auto done = parts_[part]->read(local, out.first(length)); !done) return done;
    out = out.subspan(length);
    offset += length;
    ++part;
  }
  return {};
}

std::span<const std::byte> ConcatSource::view(uint64_t offset, uint64_t length) const {
  if (!in_range(offset, length, size()) || length == 0) return {};
  const size_t part = part_at(offset);
  return parts_[part]->view(offset - starts_[part], length);
}

void ConcatSource::release(uint64_t offset, uint64_t length) const {
  if (!in_range(offset, length, size()) || length == 0) return;
  const size_t part = part_at(offset);
  parts_[part]->release(offset - starts_[part], length);
}

}  // namespace tessera

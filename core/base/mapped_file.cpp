// The native ByteSource: a file mapped read-only. Excluded from the WebAssembly build, which has no file system.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/byte_source.h"

namespace tessera {
namespace {

class MappedFile final : public ByteSource {
 public:
  MappedFile(const std::byte* data, uint64_t size) : data_(data), size_(size) {}
  ~MappedFile() override {
    if (size_ > 0) munmap(const_cast<std::byte*>(data_), size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  uint64_t size() const override { return size_; }

  Result<void> read(uint64_t offset, std::span<std::byte> out) const override {
    const auto bytes = view(offset, out.size());
    if (bytes.size() != out.size()) {
      return Error{ErrorCode::kIo,
                   "read of " + std::to_string(out.size()) + " bytes at offset " + std::to_string(offset) + " leaves the file of " +
                       std::to_string(size_) + " bytes",
                   "the file is shorter than its header says; download it again"};
    }
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size());
    return {};
  }

  std::span<const std::byte> view(uint64_t offset, uint64_t length) const override {
    if (offset > size_ || length > size_ - offset) return {};
    return {data_ + offset, static_cast<size_t>(length)};
  }

  void release(uint64_t offset, uint64_t length) const override {
    // Whole pages within: their neighbours may still be needed.
    static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t first = (offset + page - 1) / page * page, end = (offset + length) / page * page;
    if (first < end && end <= size_) madvise(const_cast<std::byte*>(data_) + first, end - first, MADV_DONTNEED);
  }

 private:
  const std::byte* data_;
  uint64_t size_;
};

}  // namespace

Result<std::shared_ptr<const ByteSource>> map_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Error{ErrorCode::kNotFound, "cannot open " + path + ": " + std::strerror(errno), "check the path and its permissions"};
  }
  struct stat info{};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return Error{ErrorCode::kIo, path + " is not a regular file", "give the path of a file"};
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  const std::byte* data = nullptr;
  if (size > 0) {
    void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
      const int reason = errno;
      close(fd);
      return Error{ErrorCode::kIo, "cannot map " + path + ": " + std::strerror(reason), ""};
    }
    data = static_cast<const std::byte*>(mapped);
  }
  close(fd);
  return std::shared_ptr<const ByteSource>(std::make_shared<MappedFile>(data, size));
}

}  // namespace tessera

// The native ByteSource: a file mapped read-only, to be seen in place; what is copied comes through its descriptor, as the kernel may map
// two megabytes around each byte that is touched. Excluded from the WebAssembly build, which has no file system.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/byte_source.h"

namespace tessera {
namespace {

class MappedFile final : public ByteSource {
 public:
  MappedFile(int descriptor, const std::byte* data, uint64_t size) : descriptor_(descriptor), data_(data), size_(size) {}
  ~MappedFile() override {
    if (size_ > 0) munmap(const_cast<std::byte*>(data_), size_);
    close(descriptor_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  uint64_t size() const override { return size_; }

  Result<void> read(uint64_t offset, std::span<std::byte> out) const override {
    const auto error = [&](const std::string& reason, const std::string& hint) {
      return Error{ErrorCode::kIo, "read of " + std::to_string(out.size()) + " bytes at offset " + std::to_string(offset) + reason, hint};
    };
    if (offset > size_ || out.size() > size_ - offset) {
      return error(" leaves the file of " + std::to_string(size_) + " bytes",
                   "the file is shorter than its header says; download it again");
    }
    for (size_t done = 0; done < out.size();) {
      const ssize_t got = pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return error(std::string(": ") + std::strerror(errno), "check the disk of the file");
      if (got == 0) return error(": the file became shorter", "start again when nothing writes to it");
      done += static_cast<size_t>(got);
    }
    return {};
  }

  std::span<const std::byte> view(uint64_t offset, uint64_t length) const override {
    if (offset > size_ || length > size_ - offset) return {};
    return {data_ + offset, static_cast<size_t>(length)};
  }

  void release(uint64_t offset, uint64_t length) const override {
    // A fault may map all of the large page that the page cache holds around it, so what was released before comes back with its
    // neighbour. Large pages are hence released whole: who still needs a part of one faults again, which costs less than keeping it.
    constexpr uint64_t kLargePage = uint64_t{2} << 20;
    const uint64_t first = offset / kLargePage * kLargePage;
    const uint64_t end = std::min(size_, (offset + length + kLargePage - 1) / kLargePage * kLargePage);
    if (first < end) madvise(const_cast<std::byte*>(data_) + first, end - first, MADV_DONTNEED);
  }

 private:
  int descriptor_;
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
  return std::shared_ptr<const ByteSource>(std::make_shared<MappedFile>(fd, data, size));
}

}  // namespace tessera

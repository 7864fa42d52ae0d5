// Owns a file that appears under its name only when it is whole.
#pragma once

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace tessera::cli {

/// Refuses to write `path` where one of `inputs` has that name: the first byte written would destroy it. kInvalidArgument.
Result<void> check_not_read(const std::string& path, const std::vector<std::string>& inputs);

/// Refuses before long work what OutputFile must not write: over one of `inputs`, in place of what is no regular file (a pipe, a device),
/// or while there is a NAME.part, which may be another run's. kInvalidArgument.
Result<void> check_output(const std::string& name, const std::vector<std::string>& inputs);

/// Writes to NAME.part; commit() gives it its name and replaces what was there. Without commit() the part is removed and NAME is untouched.
/// NAME is what `path` names: of a symbolic link, where it leads.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Errors of check_output; kIo when the file cannot be made, or when its disk has fewer than `bytes` free.
  Result<void> open(uint64_t bytes);
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> commit();

 private:
  Error failure(const std::string& what) const;

  std::string path_, part_;
  std::FILE* file_ = nullptr;
};

}  // namespace tessera::cli

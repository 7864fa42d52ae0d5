#include "core/cli/output_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/cli/console.h"

namespace tessera::cli {

namespace {

/// The file that is written by writing to `path`: where a symbolic link leads, whether or not there is something yet. A link in a circle
/// remains one.
std::string target_of(std::filesystem::path path) {
  constexpr int kMostLinks = 40;
  std::error_code unknown;
  for (int links = 0; links < kMostLinks && std::filesystem::is_symlink(path, unknown); ++links) {
    path = path.parent_path() / std::filesystem::read_symlink(path, unknown);
  }
  return path.string();
}

}  // namespace

Result<void> check_not_read(const std::string& path, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    std::error_code absent;
    if (std::filesystem::equivalent(input, path, absent)) {
      return Error{ErrorCode::kInvalidArgument, "the output would be written over " + input + ", which is read",
                   "choose another name for the output"};
    }
  }
  return {};
}

Result<void> check_output(const std::string& name, const std::vector<std::string>& inputs) {
  const std::string path = target_of(name);
  const std::string part = path + ".part";
  for (const std::string& written : {path, part}) {
    if (Result<void> unread = check_not_read(written, inputs); !unread) {
      return unread;
    }
  }
  std::error_code unknown;
  const std::filesystem::file_status status = std::filesystem::symlink_status(path, unknown);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return Error{ErrorCode::kInvalidArgument, path + " is not a regular file, it would not be written to but replaced",
                 "give the path of a file"};
  }
  if (std::filesystem::exists(std::filesystem::symlink_status(part, unknown))) {
    return Error{ErrorCode::kInvalidArgument, part + " exists already: another run is writing it, or one was killed",
                 "remove it if no other run is writing it, or choose another name for the output"};
  }
  return {};
}

OutputFile::OutputFile(const std::string& path) : path_(target_of(path)), part_(path_ + ".part") {}

OutputFile::~OutputFile() {
  if (file_ == nullptr) {
    return;
  }
  std::fclose(file_);
  std::remove(part_.c_str());
}

Error OutputFile::failure(const std::string& what) const {
  const int reason = errno;
  return {ErrorCode::kIo, what + ": " + std::strerror(reason), reason == ENOSPC ? "free some space, or write to another disk" : ""};
}

Result<void> OutputFile::open(uint64_t bytes) {
  if (Result<void> usable = check_output(path_, {}); !usable) {
    return usable;
  }
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  std::error_code unknown;
  const std::filesystem::space_info space = std::filesystem::space(folder.empty() ? "." : folder, unknown);
  if (!unknown && space.available < bytes) {
    return Error{ErrorCode::kIo,
                 path_ + " needs " + human_bytes(bytes) + ", but only " + human_bytes(space.available) + " are free on its disk",
                 "free some space, or write to another disk"};
  }
  file_ = std::fopen(part_.c_str(), "wbx");  // another run may have made it since
  return file_ != nullptr ? Result<void>() : failure("cannot write " + part_);
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  return std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size() ? Result<void>() : failure("cannot write all of " + part_);
}

Result<void> OutputFile::commit() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) {
    return failure("cannot write all of " + part_);
  }
  if (std::rename(part_.c_str(), path_.c_str()) != 0) {
    return failure("cannot rename " + part_ + " to " + path_);
  }
  std::fclose(file_);
  file_ = nullptr;
  return {};
}

}  // namespace tessera::cli

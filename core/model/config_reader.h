// Owns the checked reading of `{architecture}.*` metadata: numbers come back in their range, the first error is kept.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"

namespace tessera {

/// Reads keys named without their `{architecture}.`. After an error every call returns something harmless.
class ConfigReader {
 public:
  ConfigReader(const GgufFile& file, const std::string& architecture) : file_(file), prefix_(architecture + ".") {}

  const GgufFile& file() const { return file_; }
  bool has(const std::string& key) { return file_.find(name(key)) != nullptr; }
  /// True if the file has the key and no call has asked for it yet.
  bool unread(const std::string& key) const { return !asked_.contains(prefix_ + key) && file_.find(prefix_ + key) != nullptr; }

  /// A count in [1, limit]; kNotFound when absent, kBadFile when outside.
  int count(const std::string& key, int64_t limit);
  /// The same, but absent is `fallback`.
  int count_or(const std::string& key, int64_t limit, int fallback) { return has(key) ? count(key, limit) : fallback; }
  /// A count in [0, limit]; absent is 0.
  int count_or_none(const std::string& key, int64_t limit);
  bool is_array(const std::string& key) { return static_cast<bool>(file_.get_ints(name(key))); }
  /// An array of `size` counts in [0, limit]; kNotFound when absent, kBadFile otherwise.
  std::vector<int> counts(const std::string& key, int size, int64_t limit);
  /// A finite, positive number; kNotFound when absent, kBadFile otherwise.
  double number(const std::string& key);
  double number_or(const std::string& key, double fallback) { return has(key) ? number(key) : fallback; }
  /// A finite number ≥ 0; absent is 0.
  double number_or_none(const std::string& key);
  std::string text_or(const std::string& key, std::string fallback);
  bool flag_or(const std::string& key, bool fallback);
  /// attention.sliding_window_pattern, as Config::window_pattern: that number, or a flag for each layer (1 = local); absent is `fallback`.
  /// kUnsupported where the flags are not those of every n-th layer being global.
  int window_pattern(int layers, int fallback);

  /// kUnsupported: "{what}".
  void refuse(const std::string& what) { keep({ErrorCode::kUnsupported, what, "use a model without it"}); }
  /// kBadFile: "{key} is {found}, expected {expected}".
  void reject(const std::string& key, const std::string& found, const std::string& expected);
  void keep(const Error& error) {
    if (result_) result_ = error;
  }
  const Result<void>& result() const { return result_; }

 private:
  /// The key's whole name; it counts as asked for.
  const std::string& name(const std::string& key) { return *asked_.insert(prefix_ + key).first; }
  int count_from(const std::string& key, int64_t least, int64_t limit);
  double number_from(const std::string& key, bool zero_is_fine);

  const GgufFile& file_;
  std::string prefix_;
  std::set<std::string> asked_;
  Result<void> result_;
};

}  // namespace tessera

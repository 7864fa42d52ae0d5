#include "core/model/config_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace tessera {

void ConfigReader::reject(const std::string& key, const std::string& found, const std::string& expected) {
  keep({ErrorCode::kBadFile, prefix_ + key + " is " + found + ", expected " + expected, "the file is damaged or made for another program"});
}

int ConfigReader::count_from(const std::string& key, int64_t least, int64_t limit) {
  const auto harmless = static_cast<int>(least);
  const auto found = file_.get_uint(name(key));
  if (!found) {
    keep(found.error());
    return harmless;
  }
  const uint64_t value = found.value();
  if (value < static_cast<uint64_t>(least) || value > static_cast<uint64_t>(limit)) {
    reject(key, std::to_string(value), std::to_string(least) + " to " + std::to_string(limit));
    return harmless;
  }
  return static_cast<int>(value);
}

int ConfigReader::count(const std::string& key, int64_t limit) { return count_from(key, 1, limit); }

int ConfigReader::count_or_none(const std::string& key, int64_t limit) { return has(key) ? count_from(key, 0, limit) : 0; }

std::vector<int> ConfigReader::counts(const std::string& key, int size, int64_t limit) {
  std::vector<int> found;
  const auto numbers = file_.get_ints(name(key));
  if (!numbers) {
    keep(numbers.error());
  } else if (numbers.value()->size() != static_cast<size_t>(size)) {
    reject(key, "an array of " + std::to_string(numbers.value()->size()), "one of " + std::to_string(size));
  } else {
    for (const int64_t number : *numbers.value()) {
      const bool inside = number >= 0 && number <= limit;
      if (!inside) reject(key + "[" + std::to_string(found.size()) + "]", std::to_string(number), "0 to " + std::to_string(limit));
      found.push_back(inside ? static_cast<int>(number) : 0);
    }
  }
  found.resize(size);
  return found;
}

double ConfigReader::number_from(const std::string& key, bool zero_is_fine) {
  const auto found = file_.get_float(name(key));
  if (!found) {
    keep(found.error());
    return 1.0;
  }
  const double value = found.value();
  if (!std::isfinite(value) || value < 0.0 || (value == 0.0 && !zero_is_fine)) {
    reject(key, std::to_string(value), zero_is_fine ? "a number that is not negative" : "a positive number");
    return 1.0;
  }
  return value;
}

double ConfigReader::number(const std::string& key) { return number_from(key, false); }

double ConfigReader::number_or_none(const std::string& key) { return has(key) ? number_from(key, true) : 0.0; }

std::string ConfigReader::text_or(const std::string& key, std::string fallback) {
  if (!has(key)) return fallback;
  const auto found = file_.get_string(name(key));
  if (!found) keep(found.error());
  return found ? found.value() : fallback;
}

bool ConfigReader::flag_or(const std::string& key, bool fallback) {
  if (!has(key)) return fallback;
  const auto found = file_.get_bool(name(key));
  if (!found) keep(found.error());
  return found ? found.value() : fallback;
}

int ConfigReader::window_pattern(int layers, int fallback) {
  const std::string key = "attention.sliding_window_pattern";
  const auto flags = file_.get_ints(name(key));
  if (!flags) return count_or(key, 4096, fallback);
  const std::vector<int64_t>& local = *flags.value();
  const auto period = static_cast<int>(std::ranges::find(local, 0) - local.begin()) + 1;
  bool regular = std::cmp_equal(local.size(), layers);
  for (int layer = 0; regular && layer < layers; ++layer) regular = (local[layer] != 0) == ((layer + 1) % period != 0);
  if (!regular) refuse("sliding windows in another order than every n-th layer being global");
  return period;
}

}  // namespace tessera

#include "core/grammar/token_texts.h"

#include <algorithm>
#include <limits>

#include "core/base/heap_sort.h"

namespace tessera::grammar {

TokenTexts::TokenTexts(int32_t count, const std::function<std::string(int32_t)>& text_of) : count_(count) {
  for (int32_t id = 0; id < count; ++id) {
    const std::string text = text_of(id);
    if (text.empty() || text.size() > std::numeric_limits<uint16_t>::max()) continue;
    tokens_.push_back({id, static_cast<uint32_t>(bytes_.size()), static_cast<uint16_t>(text.size()), 0});
    bytes_ += text;
    longest_ = std::max(longest_, text.size());
  }
  heap_sort(tokens_.begin(), tokens_.end(), [this](const Token& a, const Token& b) {
    const int order = text(a).compare(text(b));
    return order != 0 ? order < 0 : a.id < b.id;
  });
  for (size_t i = 1; i < tokens_.size(); ++i) {
    const std::string_view before = text(tokens_[i - 1]), own = text(tokens_[i]);
    const auto differ = std::mismatch(before.begin(), before.end(), own.begin(), own.end());
    tokens_[i].shared = static_cast<uint16_t>(differ.second - own.begin());
  }
}

}  // namespace tessera::grammar

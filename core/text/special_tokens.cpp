#include "core/text/special_tokens.h"

#include <algorithm>

#include "core/base/utf8.h"

namespace tessera {
namespace {

void insert_sorted(auto& sorted, auto value) {
  const auto place = std::lower_bound(sorted.begin(), sorted.end(), value);
  if (place == sorted.end() || *place != value) sorted.insert(place, value);
}

bool is_ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

void SpecialTokens::add(std::string_view text, int32_t id, Rule rule) {
  int32_t node = -1;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    int32_t next = i == 0 ? roots_[byte] : child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      nodes_.push_back({byte, {}});
      int32_t& link = i == 0 ? roots_[byte] : nodes_[node].first_child;
      nodes_[next].next_sibling = i == 0 ? -1 : link;
      link = next;
    }
    node = next;
  }
  if (node < 0) return;
  nodes_[node].id = id;
  nodes_[node].rule = rule;
  const bool bracketed = text[0] == '<' || text[0] == '[';
  if (!rule.always || rule.ends_turn || bracketed) insert_sorted(first_characters_, decode_utf8(text).code_point);
  if (rule.always && bracketed) insert_sorted(bracketed_, id);
}

int32_t SpecialTokens::child(int32_t node, uint8_t byte) const {
  int32_t next = nodes_[node].first_child;
  while (next >= 0 && nodes_[next].byte != byte) next = nodes_[next].next_sibling;
  return next;
}

SpecialTokens::Match SpecialTokens::longest_match(std::string_view text, const Permission& permission) const {
  const auto allowed = [&](const Node& node) {
    if (!permission.barred) return permission.control || node.rule.always;
    return node.rule.always && !node.rule.ends_turn && !std::binary_search(permission.markers.begin(), permission.markers.end(), node.id);
  };
  Match best;
  int32_t node = roots_[static_cast<uint8_t>(text[0])];
  for (size_t length = 1; node >= 0; ++length) {
    const Node& here = nodes_[node];
    if (here.id >= 0 && allowed(here)) best = {&here, length};
    if (length == text.size()) break;
    node = child(node, static_cast<uint8_t>(text[length]));
  }
  return best;
}

std::vector<TextFragment> SpecialTokens::split(std::string_view text, bool parse_special, std::span<const size_t> barred) const {
  if (barred.empty() || bracketed_.empty()) return split(text, parse_special, barred, {});
  // Which of the tokens in brackets the template itself has written is seen by leaving all others out.
  std::vector<int32_t> markers;
  for (const TextFragment& fragment : split(text, parse_special, barred, bracketed_)) {
    if (std::binary_search(bracketed_.begin(), bracketed_.end(), fragment.id)) insert_sorted(markers, fragment.id);
  }
  return split(text, parse_special, barred, markers);
}

std::vector<TextFragment> SpecialTokens::split(std::string_view text, bool parse_special, std::span<const size_t> barred,
                                               std::span<const int32_t> markers) const {
  std::vector<TextFragment> fragments;
  size_t start = 0;  // of the text not yet handed out
  size_t next_barred = 0;
  for (size_t position = 0; position < text.size();) {
    while (next_barred < barred.size() && barred[next_barred] < position) ++next_barred;
    const bool is_barred = next_barred < barred.size() && barred[next_barred] == position;
    const Match match = longest_match(text.substr(position), {parse_special, is_barred, markers});
    if (match.node == nullptr) {
      ++position;
      continue;
    }
    if (position > start) fragments.push_back({-1, text.substr(start, position - start)});
    fragments.push_back({match.node->id, text.substr(position, match.length)});
    position += match.length;
    while (match.node->rule.eats_spaces && position < text.size() && is_ascii_space(text[position])) ++position;
    start = position;
  }
  if (start < text.size()) fragments.push_back({-1, text.substr(start)});
  return fragments;
}

}  // namespace tessera

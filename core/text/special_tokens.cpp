#include "core/text/special_tokens.h"

#include <algorithm>

#include "core/base/utf8.h"

namespace tessera {
namespace {

bool is_bracketed(std::string_view text) { return text[0] == '<' || text[0] == '['; }

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
  const std::string_view first = text.substr(0, decode_utf8(text).length);
  const bool barred = !rule.always || rule.ends_turn || is_bracketed(text);
  if (barred && first_characters_.find(first) == std::string::npos) first_characters_ += first;
}

int32_t SpecialTokens::child(int32_t node, uint8_t byte) const {
  int32_t next = nodes_[node].first_child;
  while (next >= 0 && nodes_[next].byte != byte) next = nodes_[next].next_sibling;
  return next;
}

SpecialTokens::Match SpecialTokens::longest_match(std::string_view text, const Permission& permission) const {
  const auto allowed = [&](const Node& node) {
    if (!permission.barred) return permission.control || node.rule.always;
    if (!node.rule.always || node.rule.ends_turn) return false;
    if (!permission.brackets && is_bracketed(text)) return false;
    return std::find(permission.markers.begin(), permission.markers.end(), node.id) == permission.markers.end();
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
  std::vector<int32_t> markers;
  if (!barred.empty()) {
    // Which of the tokens in brackets the template itself has written is seen by leaving all others out.
    for (const TextFragment& fragment : split(text, barred, {parse_special, false, false, {}})) {
      const bool known = std::find(markers.begin(), markers.end(), fragment.id) != markers.end();
      if (fragment.id >= 0 && is_bracketed(fragment.text) && !known) markers.push_back(fragment.id);
    }
  }
  return split(text, barred, {parse_special, false, true, markers});
}

std::vector<TextFragment> SpecialTokens::split(std::string_view text, std::span<const size_t> barred, Permission permission) const {
  std::vector<TextFragment> fragments;
  size_t start = 0;  // of the text not yet handed out
  size_t next_barred = 0;
  for (size_t position = 0; position < text.size();) {
    while (next_barred < barred.size() && barred[next_barred] < position) ++next_barred;
    permission.barred = next_barred < barred.size() && barred[next_barred] == position;
    const Match match = longest_match(text.substr(position), permission);
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

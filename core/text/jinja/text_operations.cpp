// Owns text operations that str methods and filters share.
#include "core/text/jinja/string_methods.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string replace_text(Budget& budget, std::string_view text, std::string_view from, std::string_view to, int64_t count) {
  std::string out;
  if (!budget.charge_search(text.size(), from.size())) return out;
  uint64_t left = count < 0 ? UINT64_MAX : static_cast<uint64_t>(count);
  size_t at = 0;
  while (left > 0 && out.size() <= budget.limits().text_bytes) {
    const size_t hit = text.find(from, at);
    if (hit == std::string_view::npos) break;
    --left;
    out += text.substr(at, hit - at);
    out += to;
    at = hit + from.size();
    if (!from.empty()) continue;
    if (at == text.size()) return out;  // an empty `from` also matches at the end, once
    const size_t length = decode_first(text.substr(at)).length;
    out += text.substr(at, length);
    at += length;
  }
  out += text.substr(at);
  return out;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_first(text.substr(at));
    const bool is_break = (c.value >= 0x0A && c.value <= 0x0D) || (c.value >= 0x1C && c.value <= 0x1E) || c.value == 0x85 ||
                          c.value == 0x2028 || c.value == 0x2029;
    if (is_break) {
      const size_t end = at + c.length + (text.substr(at, 2) == "\r\n" ? 1 : 0);
      lines.push_back(text.substr(begin, (keep_ends ? end : at) - begin));
      at = end;
      begin = at;
    } else {
      at += c.length;
    }
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string title_case(std::string_view text) {
  std::string out;
  bool inside_word = false;
  for (; !text.empty(); text.remove_prefix(decode_first(text).length)) {
    const CodePoint c = decode_first(text);
    const std::string_view letter = text.substr(0, c.length);
    out += inside_word ? to_lower(letter) : to_capitalized(letter);
    inside_word = is_cased(c.value);
  }
  return out;
}

}  // namespace tessera::jinja

// Source: the regular expression and the steps of textwrap.TextWrapper in Python's standard library.
#include "core/text/jinja/word_wrap.h"

#include <algorithm>

#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

/// Characters begin…end - 1 of the line.
struct Chunk {
  size_t begin;
  size_t end;
  size_t size() const { return end - begin; }
};

class LineWrapper {
 public:
  LineWrapper(const CharacterClasses& classes, std::string_view line, const WrapStyle& style)
      : classes_(classes), line_(line), style_(style) {
    for (size_t offset = 0; offset < line.size(); offset += decode_first(line.substr(offset)).length) {
      offsets_.push_back(offset);
      characters_.push_back(decode_first(line.substr(offset)).value);
    }
    offsets_.push_back(line.size());
    // From the end: how many dashes stand from here on.
    dashes_.resize(characters_.size() + 1);
    for (size_t i = characters_.size(); i > 0; --i) dashes_[i - 1] = characters_[i - 1] == '-' ? dashes_[i] + 1 : 0;
  }

  std::vector<std::string> wrap() {
    std::vector<Chunk> chunks = split();
    std::reverse(chunks.begin(), chunks.end());
    std::vector<std::string> lines;
    while (!chunks.empty()) {
      if (!lines.empty() && is_blank(chunks.back())) chunks.pop_back();
      Chunk now = {chunks.empty() ? 0 : chunks.back().begin, chunks.empty() ? 0 : chunks.back().begin};
      size_t last = now.begin;  // where the chunk begins that was taken last
      while (!chunks.empty() && now.size() + chunks.back().size() <= style_.width) {
        last = now.end;
        now.end = chunks.back().end;
        chunks.pop_back();
      }
      if (!chunks.empty() && chunks.back().size() > style_.width) {
        if (style_.break_long_words || now.size() == 0) last = now.end;  // as Python, also when there is no room for a single character
        take_of_long(chunks, now);
      }
      if (now.size() > 0 && is_blank({last, now.end})) now.end = last;
      if (now.size() > 0) lines.emplace_back(line_.substr(offsets_[now.begin], offsets_[now.end] - offsets_[now.begin]));
    }
    return lines;
  }

 private:
  bool is_wrap_space(size_t i) const {
    const char32_t c = characters_[i];
    return (c >= 9 && c <= 13) || c == ' ';
  }
  bool is_word(size_t i) const { return i < characters_.size() && is_word_character(classes_, characters_[i]); }
  bool is_letter(size_t i) const {
    return i < characters_.size() && (characters_[i] == '_' || (classes_.of(characters_[i]) & kLetter) != 0);
  }
  bool is_word_or_mark(size_t i) const {
    return is_word(i) ||
           (characters_[i] < 128 && std::string_view("!\"'&.,?").find(static_cast<char>(characters_[i])) != std::string_view::npos);
  }
  bool is_blank(Chunk chunk) const {
    return std::all_of(characters_.begin() + static_cast<std::ptrdiff_t>(chunk.begin),
                       characters_.begin() + static_cast<std::ptrdiff_t>(chunk.end), is_space);
  }
  bool has_long_dash(size_t i) const { return dashes_[i] >= 2 && is_word(i + dashes_[i]); }

  /// Whether a word may be broken behind the hyphen at `i`.
  bool breaks_behind(size_t i) const {
    const bool before = i >= 2 && is_letter(i - 1) && (is_letter(i - 2) || (i >= 3 && characters_[i - 2] == '-' && is_letter(i - 3)));
    const bool after =
        is_letter(i + 1) && (is_letter(i + 2) || (i + 2 < characters_.size() && characters_[i + 2] == '-' && is_letter(i + 3)));
    return characters_[i] == '-' && before && after;
  }

  size_t end_of_chunk(size_t begin) const {
    size_t end = begin;
    if (is_wrap_space(begin)) {
      while (end < characters_.size() && is_wrap_space(end)) ++end;
      return end;
    }
    if (style_.break_on_hyphens && begin > 0 && is_word_or_mark(begin - 1) && has_long_dash(begin)) return begin + dashes_[begin];
    for (++end; end < characters_.size() && !is_wrap_space(end); ++end) {
      if (!style_.break_on_hyphens) continue;
      if (breaks_behind(end)) return end + 1;
      if (is_word_or_mark(end - 1) && has_long_dash(end)) break;
    }
    return end;
  }

  std::vector<Chunk> split() const {
    std::vector<Chunk> chunks;
    for (size_t begin = 0; begin < characters_.size(); begin = chunks.back().end) chunks.push_back({begin, end_of_chunk(begin)});
    return chunks;
  }

  /// The last chunk alone is wider than a line.
  void take_of_long(std::vector<Chunk>& chunks, Chunk& now) const {
    Chunk& chunk = chunks.back();
    const size_t room = style_.width - now.size();
    if (style_.break_long_words) {
      size_t taken = room;
      if (style_.break_on_hyphens && chunk.size() > room) {
        for (size_t i = room; i > 1 && taken == room; --i) {
          if (characters_[chunk.begin + i - 1] != '-') continue;
          const auto first = characters_.begin() + static_cast<std::ptrdiff_t>(chunk.begin);
          if (std::any_of(first, first + static_cast<std::ptrdiff_t>(i - 1), [](char32_t c) { return c != '-'; })) taken = i;
          break;
        }
      }
      now.end = chunk.begin + taken;
      chunk.begin += taken;
    } else if (now.size() == 0) {
      now = chunk;
      chunks.pop_back();
    }
  }

  const CharacterClasses& classes_;
  std::string_view line_;
  const WrapStyle& style_;
  std::vector<size_t> offsets_;  ///< of each character, and the end
  std::u32string characters_;
  std::vector<size_t> dashes_;
};

}  // namespace

std::vector<std::string> wrap_line(const CharacterClasses& classes, std::string_view line, const WrapStyle& style) {
  return LineWrapper(classes, line, style).wrap();
}

}  // namespace tessera::jinja

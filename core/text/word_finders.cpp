// Owns the matching of words, character by character.
#include "core/text/word_finders.h"

#include <algorithm>

#include "core/base/utf8.h"

namespace tessera {
namespace {

/// One character of the text; at its end class and length are 0.
struct Char {
  uint32_t code_point;
  ClassSet type;
  uint8_t length;
};

Char char_at(const Characters& characters, size_t position) {
  if (position >= characters.text.size()) return {0, 0, 0};
  const auto byte = static_cast<uint8_t>(characters.text[position]);
  if (byte < 0x80) return {byte, characters.classes->of(byte), 1};
  const Utf8Step step = decode_utf8(characters.text.substr(position));
  return {step.code_point, characters.classes->of(step.code_point), step.length};
}

bool is_newline(const Char& c) { return c.code_point == '\n' || c.code_point == '\r'; }
bool is_space(const Char& c) { return c.type & kSpace; }

/// The same without its class where the stage has no use for that.
Char char_at(const Characters& characters, size_t position, const Stage& stage) {
  if (stage.word != 0 || position >= characters.text.size()) return char_at(characters, position);
  const Utf8Step step = decode_utf8(characters.text.substr(position));
  return {step.code_point, 0, step.length};
}

/// Whether the stage's runs consist of such characters.
bool is_wanted(const Char& c, const Stage& stage) {
  if (c.length == 0) return false;
  const auto range =
      std::partition_point(stage.ranges.begin(), stage.ranges.end(), [&](const CodeRange& r) { return r.last < c.code_point; });
  const bool inside = range != stage.ranges.end() && range->first <= c.code_point;
  if (stage.word == 0) return inside;
  return !inside && ((c.type & stage.word) || (stage.ascii_signs && c.code_point < 128 && (c.type & kSign)));
}

/// End of the run of characters from `position` that satisfy `wanted`, at most `limit` of them.
template <class Predicate>
size_t run_end(const Characters& characters, size_t position, Predicate wanted, size_t limit = SIZE_MAX) {
  while (limit-- > 0) {
    const Char c = char_at(characters, position);
    if (c.length == 0 || !wanted(c)) break;
    position += c.length;
  }
  return position;
}

size_t class_end(const Characters& characters, size_t position, ClassSet classes, size_t limit = SIZE_MAX) {
  return run_end(characters, position, [classes](const Char& c) { return c.type & classes; }, limit);
}

/// Length of 's|'t|'re|'ve|'m|'ll|'d at `position`; 0 when none of them is there.
size_t contraction_length(std::string_view text, size_t position, bool ignore_case) {
  if (position >= text.size() || text[position] != '\'') return 0;
  const auto letter = [&](size_t i) {
    if (position + i >= text.size()) return '\0';
    const char c = text[position + i];
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = letter(2);
  const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return two ? 3 : 0;
}

/// \s+(?!\S)|\s+ from a white-space character on: a run before a visible character leaves its last character to that word.
/// With `to_newline` first \s*[\r\n]+: through the last line break of the run.
size_t space_end(const Characters& characters, size_t position, bool to_newline) {
  size_t after_newline = position, last = position, end = position;
  for (Char c = char_at(characters, position); is_space(c); c = char_at(characters, end)) {
    last = end;
    end += c.length;
    if (is_newline(c)) after_newline = end;
  }
  if (to_newline && after_newline > position) return after_newline;
  return end == characters.text.size() || last == position ? end : last;
}

constexpr ClassSet kCapitalPart = kUpper | kCaseless | kMark;
constexpr ClassSet kSmallPart = kLower | kCaseless | kMark;

/// U*L+ from `start` on; `start` when it does not match. U* takes all it can and gives back as little as L+ needs.
size_t small_word_end(const Characters& characters, size_t start) {
  size_t end = start, shared = start, after_shared = start;  // the last character so far that L+ could take, too
  for (Char c = char_at(characters, start); c.type & kCapitalPart; c = char_at(characters, end)) {
    if (c.type & kSmallPart) {
      shared = end;
      after_shared = end + c.length;
    }
    end += c.length;
  }
  if (char_at(characters, end).type & kSmallPart) return class_end(characters, end, kSmallPart);
  return after_shared > shared ? after_shared : start;
}

/// LEAD?U*L+|LEAD?U+L*; `from` when neither matches.
size_t cased_word_end(const Characters& characters, size_t from, size_t after_lead) {
  for (const bool small : {true, false}) {
    for (const size_t start : {after_lead, from}) {
      const size_t end =
          small ? small_word_end(characters, start) : class_end(characters, class_end(characters, start, kCapitalPart), kSmallPart);
      // U+ is not empty: a word of small letters alone has matched before.
      if (end > start) return end;
    }
  }
  return from;
}

/// The end of the word at `from`, with the character that may stand before it; `from` when there is none.
size_t word_end(const Characters& characters, size_t from, const Char& first, const Stage& stage) {
  const bool leads = (first.type & stage.lead) && !is_newline(first);
  const size_t after_lead = leads ? from + first.length : from;
  size_t end = from;
  if (stage.cased) {
    end = cased_word_end(characters, from, after_lead);
  } else {
    end = class_end(characters, after_lead, stage.word);
    if (end == after_lead) end = class_end(characters, from, stage.word);
  }
  if (end > from && stage.contractions == Contractions::kBehind) end += contraction_length(characters.text, end, true);
  return end;
}

/// The match that begins at `from`; `from` when none does.
size_t match_end(const Characters& characters, size_t from, const Stage& stage) {
  const std::string_view text = characters.text;
  if (stage.contractions == Contractions::kBefore) {
    if (const size_t length = contraction_length(text, from, true)) return from + length;
  }
  const Char first = char_at(characters, from);
  if (stage.ascii_signs && first.code_point < 128 && (first.type & (kPunctuation | kSign))) {
    const size_t end = run_end(characters, from + 1, [](const Char& c) { return c.code_point < 128 && (c.type & kLetter); });
    if (end > from + 1) return end;
  }
  if (const size_t end = word_end(characters, from, first, stage); end > from) return end;
  if ((first.type & kNumber) && stage.limit > 0) return class_end(characters, from, kNumber, stage.limit);
  const size_t symbols = first.code_point == ' ' ? from + 1 : from;
  if (const size_t end = class_end(characters, symbols, stage.symbols); end > symbols) {
    return std::min(text.find_first_not_of(stage.tail, end), text.size());
  }
  return space_end(characters, from, true);
}

}  // namespace

WordSpan find_gpt2_word(const Characters& characters, size_t from, const Stage&) {
  if (const size_t length = contraction_length(characters.text, from, false)) return {from, from + length};
  const size_t start = characters.text[from] == ' ' ? from + 1 : from;
  for (const ClassSet classes : {kLetter, kNumber, ClassSet{kMark | kPunctuation | kSign | kOther}}) {
    if (const size_t end = class_end(characters, start, classes); end > start) return {from, end};
  }
  return {from, space_end(characters, from, false)};
}

WordSpan find_word(const Characters& characters, size_t from, const Stage& stage) {
  for (size_t begin = from; begin < characters.text.size(); begin += char_at(characters, begin).length) {
    if (const size_t end = match_end(characters, begin, stage); end > begin) return {begin, end};
  }
  return {characters.text.size(), characters.text.size()};
}

WordSpan find_run(const Characters& characters, size_t from, const Stage& stage) {
  size_t begin = from;
  Char c = char_at(characters, begin, stage);
  for (; c.length > 0 && !is_wanted(c, stage); c = char_at(characters, begin, stage)) begin += c.length;
  size_t end = begin;
  for (size_t left = stage.limit; left > 0 && is_wanted(c, stage); --left, c = char_at(characters, end, stage)) end += c.length;
  return {begin, end};
}

WordSpan find_spaced_run(const Characters& characters, size_t from, const Stage& stage) {
  size_t begin = from;
  for (size_t position = from;;) {
    Char c = char_at(characters, position, stage);
    if (c.length == 0) return {position, position};
    if (is_wanted(c, stage)) {
      for (; is_wanted(c, stage); c = char_at(characters, position, stage)) position += c.length;
      return {begin, position};
    }
    const bool leads = stage.lead == 0 ? c.code_point == ' ' : characters.classes->of(c.code_point) & stage.lead;
    begin = leads ? position : position + c.length;
    position += c.length;
  }
}

WordSpan find_digit_triple(const Characters& characters, size_t from, const Stage&) {
  for (size_t count = 0; from < characters.text.size();) {
    const char c = characters.text[from++];
    count = c >= '0' && c <= '9' ? count + 1 : 0;
    if (count == 3) return {from - 3, from};
  }
  return {characters.text.size(), characters.text.size()};
}

WordSpan find_trailing_space(const Characters& characters, size_t from, const Stage&) {
  size_t begin = from;
  for (size_t position = from; position < characters.text.size();) {
    const Char c = char_at(characters, position);
    position += c.length;
    if (!is_space(c)) begin = position;
  }
  return {begin, characters.text.size()};
}

}  // namespace tessera

#include "core/text/pre_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "core/base/utf8.h"
#include "core/text/unicode_tables.h"

namespace tessera {
namespace {

/// One character of the text, or length 0 at its end.
struct Char {
  uint32_t code_point;
  uint8_t type;  ///< character_class
  uint8_t length;
};

Char char_at(std::string_view text, size_t position) {
  if (position >= text.size()) return {0, 0, 0};
  const auto byte = static_cast<uint8_t>(text[position]);
  if (byte < 0x80) return {byte, character_class(byte), 1};
  const Utf8Step step = decode_utf8(text.substr(position));
  return {step.code_point, character_class(step.code_point), step.length};
}

bool is_letter(const Char& c) { return c.type == kLetter; }
bool is_number(const Char& c) { return c.type == kNumber; }
bool is_space(const Char& c) { return c.type == kSpace; }
/// [^\s\p{L}\p{N}]
bool is_symbol(const Char& c) { return c.length != 0 && c.type == 0; }
bool is_newline(const Char& c) { return c.code_point == '\n' || c.code_point == '\r'; }

/// End of the run of characters from `position` that satisfy `wanted`, at most `limit` of them.
template <class Predicate>
size_t run_end(std::string_view text, size_t position, Predicate wanted, size_t limit = SIZE_MAX) {
  while (limit-- > 0) {
    const Char c = char_at(text, position);
    if (c.length == 0 || !wanted(c)) break;
    position += c.length;
  }
  return position;
}

/// 's|'t|'re|'ve|'m|'ll|'d from an apostrophe on; 0 when none of them is there.
size_t contraction_length(std::string_view text, size_t position, bool ignore_case) {
  if (text[position] != '\'') return 0;
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
size_t space_end(std::string_view text, size_t position) {
  size_t last = position;
  size_t end = position;
  for (Char c = char_at(text, position); is_space(c); c = char_at(text, end)) {
    last = end;
    end += c.length;
  }
  return end == text.size() || last == position ? end : last;
}

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// Source: GPT-2's encoder.py.
WordSpan find_gpt2(std::string_view text, size_t from) {
  if (from == text.size()) return {from, from};
  if (const size_t length = contraction_length(text, from, false)) return {from, from + length};
  const size_t start = text[from] == ' ' ? from + 1 : from;
  const Char c = char_at(text, start);
  if (is_letter(c)) return {from, run_end(text, start, is_letter)};
  if (is_number(c)) return {from, run_end(text, start, is_number)};
  if (is_symbol(c)) return {from, run_end(text, start, is_symbol)};
  return {from, space_end(text, from)};
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,D}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
/// Source: tokenizer.json of Llama 3 (D = 3) and Qwen 2 (D = 1).
template <size_t kDigits>
WordSpan find_llama3(std::string_view text, size_t from) {
  if (from == text.size()) return {from, from};
  if (const size_t length = contraction_length(text, from, true)) return {from, from + length};
  const Char first = char_at(text, from);
  if (is_letter(first)) return {from, run_end(text, from, is_letter)};
  if (is_number(first)) return {from, run_end(text, from, is_number, kDigits)};
  const Char second = char_at(text, from + first.length);
  if (!is_newline(first) && is_letter(second)) return {from, run_end(text, from + first.length, is_letter)};
  const size_t symbols = first.code_point == ' ' ? from + 1 : from;
  if (is_symbol(char_at(text, symbols))) return {from, run_end(text, run_end(text, symbols, is_symbol), is_newline)};

  // White space from here on: through the last line break of the run if it has one.
  size_t after_newline = from;
  size_t end = from;
  for (Char c = first; is_space(c); c = char_at(text, end)) {
    end += c.length;
    if (is_newline(c)) after_newline = end;
  }
  return {from, after_newline > from ? after_newline : space_end(text, from)};
}

/// The next run of `wanted`, at most `limit` characters long.
template <class Predicate>
WordSpan find_run(std::string_view text, size_t from, Predicate wanted, size_t limit = SIZE_MAX) {
  const size_t begin = run_end(text, from, [&](const Char& c) { return !wanted(c); });
  return {begin, run_end(text, begin, wanted, limit)};
}

/// \s?[wanted]+
template <class Predicate>
WordSpan find_spaced_run(std::string_view text, size_t from, Predicate wanted) {
  size_t begin = from;
  for (size_t position = from;;) {
    const Char c = char_at(text, position);
    if (c.length == 0) return {text.size(), text.size()};
    if (wanted(c)) return {begin, run_end(text, position, wanted)};
    position += c.length;
    begin = is_space(c) ? position - c.length : position;
  }
}

WordSpan find_single_number(std::string_view text, size_t from) { return find_run(text, from, is_number, 1); }
WordSpan find_numbers(std::string_view text, size_t from) { return find_run(text, from, is_number); }
WordSpan find_single_newline(std::string_view text, size_t from) { return find_run(text, from, is_newline, 1); }

/// \s+$
WordSpan find_trailing_space(std::string_view text, size_t from) {
  size_t begin = from;
  for (size_t position = from; position < text.size();) {
    const Char c = char_at(text, position);
    position += c.length;
    if (!is_space(c)) begin = position;
  }
  return {begin, text.size()};
}

struct Range {
  uint32_t first;
  uint32_t last;
};

bool in_ranges(std::span<const Range> ranges, uint32_t code_point) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code_point, [](uint32_t c, const Range& r) { return c < r.first; });
  return after != ranges.begin() && code_point <= std::prev(after)->last;
}

// The cased letters that DeepSeek LLM's tokenizer.json lists one by one (an older Unicode without mathematical letters).
constexpr Range kDeepSeekLetters[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},       {0xd8, 0xf6},       {0xf8, 0x1ba},
    {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x377},     {0x37b, 0x37d},
    {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},     {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},
    {0x3f7, 0x481},     {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},
    {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},
    {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},
    {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
    {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},   {0x10400, 0x1044f},
    {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
};
constexpr Range kDeepSeekPunctuation[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                          {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
constexpr Range kDeepSeekAsian[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};

WordSpan find_deepseek_letters(std::string_view text, size_t from) {
  return find_spaced_run(text, from, [](const Char& c) { return in_ranges(kDeepSeekLetters, c.code_point); });
}

WordSpan find_deepseek_punctuation(std::string_view text, size_t from) {
  return find_spaced_run(text, from, [](const Char& c) { return in_ranges(kDeepSeekPunctuation, c.code_point); });
}

WordSpan find_deepseek_asian(std::string_view text, size_t from) {
  return find_run(text, from, [](const Char& c) { return in_ranges(kDeepSeekAsian, c.code_point); });
}

constexpr WordFinder kGpt2[] = {find_gpt2};
constexpr WordFinder kSmolLm[] = {find_single_number, find_gpt2};
constexpr WordFinder kLlama3[] = {find_llama3<3>};
constexpr WordFinder kQwen2[] = {find_llama3<1>};
constexpr WordFinder kDeepSeekLlm[] = {find_single_newline, find_deepseek_letters, find_deepseek_punctuation,
                                       find_trailing_space, find_deepseek_asian,   find_numbers};

constexpr PreTokenizer kPreTokenizers[] = {
    {.name = "gpt-2", .stages = kGpt2, .ignore_merges = false, .adds_bos = false},
    {.name = "smollm", .stages = kSmolLm, .ignore_merges = false, .adds_bos = false},
    {.name = "llama-bpe", .stages = kLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "qwen2", .stages = kQwen2, .ignore_merges = false, .adds_bos = false},
    {.name = "deepseek-llm", .stages = kDeepSeekLlm, .ignore_merges = false, .adds_bos = false},
};

void split_stages(std::span<const WordFinder> stages, std::string_view text, const std::function<void(std::string_view)>& word) {
  if (stages.empty()) return word(text);
  for (size_t position = 0; position < text.size();) {
    const WordSpan found = stages[0](text, position);
    if (found.begin > position) split_stages(stages.subspan(1), text.substr(position, found.begin - position), word);
    if (found.end > found.begin) split_stages(stages.subspan(1), text.substr(found.begin, found.end - found.begin), word);
    position = found.end;
  }
}

}  // namespace

void PreTokenizer::split(std::string_view text, const std::function<void(std::string_view)>& word) const {
  split_stages(stages, text, word);
}

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& candidate : kPreTokenizers) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

std::string known_pre_tokenizers() {
  std::string names;
  for (const PreTokenizer& candidate : kPreTokenizers) {
    if (!names.empty()) names += ", ";
    names += candidate.name;
  }
  return names;
}

}  // namespace tessera

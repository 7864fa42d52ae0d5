#include "core/base/utf8.h"

namespace tessera {
namespace {

constexpr uint32_t kReplacement = 0xfffd;

/// What a first byte promises: bytes in all (0 = not a first byte) and the range of the second byte, which is where
/// overlong forms, surrogates and too large values show.
struct Lead {
  uint8_t length;
  uint8_t second_low;
  uint8_t second_high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

Utf8Step decode_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const Lead lead = lead_of(byte(0));
  if (lead.length == 0) return {kReplacement, 1, Utf8Step::Kind::kInvalid};
  if (lead.length == 1) return {byte(0), 1, Utf8Step::Kind::kValid};
  uint32_t code_point = byte(0) & (0x7fu >> lead.length);
  for (uint8_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {kReplacement, i, Utf8Step::Kind::kIncomplete};
    const uint8_t low = i == 1 ? lead.second_low : 0x80;
    const uint8_t high = i == 1 ? lead.second_high : 0xbf;
    if (byte(i) < low || byte(i) > high) return {kReplacement, i, Utf8Step::Kind::kInvalid};
    code_point = (code_point << 6) | (byte(i) & 0x3fu);
  }
  return {code_point, lead.length, Utf8Step::Kind::kValid};
}

void append_utf8(std::string& out, uint32_t code_point) {
  if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point < 0xe000)) code_point = kReplacement;
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(static_cast<uint8_t>(byte))); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3f));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    const Utf8Step step = decode_utf8(text.substr(position));
    if (step.kind != Utf8Step::Kind::kValid) break;
    position += step.length;
  }
  return position;
}

size_t decidable_utf8_prefix(std::string_view text) {
  // An incomplete character has at most three bytes, and none of them but the first can begin one.
  const size_t earliest = text.size() > 3 ? text.size() - 3 : 0;
  for (size_t start = text.size(); start-- > earliest;) {
    const auto byte = static_cast<uint8_t>(text[start]);
    if (byte >= 0x80 && byte < 0xc0) continue;
    return decode_utf8(text.substr(start)).kind == Utf8Step::Kind::kIncomplete ? start : text.size();
  }
  return text.size();
}

}  // namespace tessera

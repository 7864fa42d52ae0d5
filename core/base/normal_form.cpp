#include "core/base/normal_form.h"

#include "core/base/utf8.h"

namespace tessera {

std::string to_nfc(std::string_view text) {
  // No character before this one has marks before it or changes.
  constexpr uint32_t kFirstMark = 0x300;
  std::string out;
  size_t begin = 0;
  bool changes = false;
  const auto flush = [&](size_t end) {
    const std::string_view part = text.substr(begin, end - begin);
    if (changes) {
      out += compose_utf8(part);
    } else {
      out += part;
    }
    begin = end;
    changes = false;
  };
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text.substr(at));
    if (step.kind == Utf8Step::Kind::kValid) {
      changes = changes || step.code_point >= kFirstMark;
    } else {
      flush(at);
      out += text.substr(at, step.length);
      begin = at + step.length;
    }
    at += step.length;
  }
  flush(text.size());
  return out;
}

}  // namespace tessera

// Owns Python's json.dumps for the `tojson` filter.
#include <algorithm>
#include <cmath>

#include "core/text/jinja/operators.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

void append_unicode_escape(std::string& out, uint32_t unit) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\u";
  for (unsigned shift = 16; shift > 0; shift -= 4) out += kHex[(unit >> (shift - 4)) & 15u];
}

std::string json_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return real_text(value);
}

class JsonWriter {
 public:
  JsonWriter(Budget& budget, const JsonStyle& style) : budget_(budget), style_(style) {}

  Result<std::string> write(const Value& value) {
    Result<void> done = append(value, 0);
    if (!done) return done.error();
    if (!budget_.charge_text(out_.size())) return budget_.error();
    return std::move(out_);
  }

 private:
  Result<void> append(const Value& value, size_t level) {
    if (out_.size() > budget_.limits().text_bytes) budget_.charge_text(out_.size());
    if (!budget_.charge(1)) return budget_.error();
    switch (value.kind()) {
      case Kind::kNone: out_ += "null"; return {};
      case Kind::kBool: out_ += value.as_bool() ? "true" : "false"; return {};
      case Kind::kInt: out_ += std::to_string(value.as_integer()); return {};
      case Kind::kFloat: out_ += json_real(value.as_real()); return {};
      case Kind::kString:
        if (!budget_.charge_bytes(value.text().size())) return budget_.error();
        out_ += json_quoted(value.text(), style_.ensure_ascii);
        return {};
      case Kind::kSequence: {
        const SequenceType type = value.as_sequence().type;
        if (type == SequenceType::kList || type == SequenceType::kTuple) return append_list(value.as_sequence().items, level);
        break;
      }
      case Kind::kDict: return append_dict(value.as_dict(), level);
      default: break;
    }
    return failure("Object of type ", type_name(value), " is not JSON serializable");
  }

  void new_line(size_t level) {
    if (!style_.indent) return;
    out_ += '\n';
    for (size_t i = 0; i < level; ++i) out_ += *style_.indent;
  }

  Result<void> append_list(const std::vector<Value>& items, size_t level) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level + 1);
      Result<void> done = append(items[i], level + 1);
      if (!done) return done;
    }
    if (!items.empty()) new_line(level);
    out_ += ']';
    return {};
  }

  Result<void> append_dict(const DictData& dict, size_t level) {
    std::vector<std::pair<std::string, const Value*>> members;
    for (const auto& [key, item] : dict.entries()) {
      Result<std::string> name = key_text(key);
      if (!name) return name.error();
      members.emplace_back(std::move(*name), &item);
    }
    if (style_.sort_keys) {
      std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    out_ += '{';
    bool first = true;
    for (const auto& [name, item] : members) {
      if (!first) out_ += style_.item_separator;
      first = false;
      new_line(level + 1);
      out_ += json_quoted(name, style_.ensure_ascii) + style_.key_separator;
      Result<void> done = append(*item, level + 1);
      if (!done) return done;
    }
    if (!members.empty()) new_line(level);
    out_ += '}';
    return {};
  }

  static Result<std::string> key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::kString: return key.text();
      case Kind::kNone: return std::string("null");
      case Kind::kBool: return std::string(key.as_bool() ? "true" : "false");
      case Kind::kInt: return std::to_string(key.as_integer());
      case Kind::kFloat: return json_real(key.as_real());
      default: return failure("keys must be str, int, float, bool or None, not ", type_name(key));
    }
  }

  Budget& budget_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string json_quoted(std::string_view text, bool ensure_ascii) {
  constexpr std::string_view kPlain = "\"\\\n\r\t\f\b";
  constexpr std::string_view kLetters = "\"\\nrtfb";
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (; !text.empty(); text.remove_prefix(decode_first(text).length)) {
    const CodePoint c = decode_first(text);
    const size_t known = c.length == 1 ? kPlain.find(text[0]) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out += '\\';
      out += kLetters[known];
    } else if (c.value < 0x20 || (ensure_ascii && c.value > 0x7E && c.value < 0x10000)) {
      append_unicode_escape(out, c.value);
    } else if (ensure_ascii && c.value >= 0x10000) {
      append_unicode_escape(out, 0xD800 + ((c.value - 0x10000) >> 10u));
      append_unicode_escape(out, 0xDC00 + ((c.value - 0x10000) & 0x3FFu));
    } else {
      out += text.substr(0, c.length);
    }
  }
  return out + '"';
}

Result<std::string> to_json(Budget& budget, const Value& value, const JsonStyle& style) { return JsonWriter(budget, style).write(value); }

}  // namespace tessera::jinja

// Owns Python's str() and repr() of template values.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/text/jinja/loop.h"
#include "core/text/jinja/operators.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

/// Python quotes with ' unless the text has a ' and no ".
void append_quoted(std::string& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  constexpr std::string_view kHex = "0123456789abcdef";
  out += quote;
  for (; !text.empty(); text.remove_prefix(decode_first(text).length)) {
    const CodePoint c = decode_first(text);
    if (c.value == static_cast<unsigned char>(quote) || c.value == '\\') {
      out += '\\';
      out += text[0];
    } else if (c.value == '\n' || c.value == '\r' || c.value == '\t') {
      out += c.value == '\n' ? "\\n" : c.value == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c.value)) {
      out += text.substr(0, c.length);
    } else {
      const int digits = c.value < 0x100 ? 2 : c.value < 0x10000 ? 4 : 8;
      out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
      for (int digit = digits - 1; digit >= 0; --digit) out += kHex[(c.value >> (4u * static_cast<unsigned>(digit))) & 15u];
    }
  }
  out += quote;
}

/// Writes repr() of nested values into one text.
class ReprWriter {
 public:
  explicit ReprWriter(Budget& budget) : budget_(budget) {}

  std::string write(const Value& value) {
    append(value, 0);
    budget_.charge_text(out_.size());
    return std::move(out_);
  }

 private:
  void append(const Value& value, int depth) {
    constexpr int kMaxDepth = 200;  // only a namespace that holds itself gets here
    if (depth > kMaxDepth) budget_.exhaust("a text of a value that contains itself");
    if (out_.size() > budget_.limits().text_bytes || !budget_.charge(1)) {
      budget_.charge_text(out_.size());
      return;
    }
    switch (value.kind()) {
      case Kind::kUndefined: out_ += "Undefined"; break;
      case Kind::kNone: out_ += "None"; break;
      case Kind::kBool: out_ += value.as_bool() ? "True" : "False"; break;
      case Kind::kInt: out_ += std::to_string(value.as_integer()); break;
      case Kind::kFloat: out_ += real_text(value.as_real()); break;
      case Kind::kString: append_string(value); break;
      case Kind::kSequence: append_sequence(value.as_sequence(), depth); break;
      case Kind::kDict: append_dict(value.as_dict(), depth); break;
      case Kind::kNamespace:
        out_ += "<Namespace ";
        append_dict(value.as_namespace().attributes, depth);
        out_ += '>';
        break;
      case Kind::kFunction: append_function(value.as_function()); break;
      case Kind::kLoop: {
        const LoopData& loop = value.as_loop();
        out_ += join_text("<LoopContext ", loop.index + 1, "/", loop.items.size(), ">");
        break;
      }
    }
  }

  void append_function(const FunctionData& function) {
    if (!function.macro) {
      out_ += join_text("<function ", function.name, ">");
    } else if (function.name == "caller") {
      out_ += "<Macro anonymous>";
    } else {
      out_ += "<Macro ";
      append_quoted(out_, function.name);
      out_ += '>';
    }
  }

  void append_string(const Value& value) {
    if (!budget_.charge_bytes(value.text().size())) return;
    if (value.is_markup()) out_ += "Markup(";
    append_quoted(out_, value.text());
    if (value.is_markup()) out_ += ')';
  }

  void append_items(const std::vector<Value>& items, int depth) {
    for (size_t i = 0; i < items.size() && !budget_.exhausted(); ++i) {
      if (i > 0) out_ += ", ";
      append(items[i], depth + 1);
    }
  }

  void append_sequence(const SequenceData& data, int depth) {
    switch (data.type) {
      case SequenceType::kTuple:
        out_ += '(';
        append_items(data.items, depth);
        out_ += data.items.size() == 1 ? ",)" : ")";
        return;
      case SequenceType::kGenerator: out_ += "<generator object>"; return;
      case SequenceType::kRange: out_ += data.label; return;
      case SequenceType::kKeys: out_ += "dict_keys("; break;
      case SequenceType::kValues: out_ += "dict_values("; break;
      case SequenceType::kItems: out_ += "dict_items("; break;
      case SequenceType::kList: break;
    }
    out_ += '[';
    append_items(data.items, depth);
    out_ += data.type == SequenceType::kList ? "]" : "])";
  }

  void append_dict(const DictData& data, int depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, item] : data.entries()) {
      if (budget_.exhausted()) return;
      if (!first) out_ += ", ";
      first = false;
      append(key, depth + 1);
      out_ += ": ";
      append(item, depth + 1);
    }
    out_ += '}';
  }

  Budget& budget_;
  std::string out_;
};

}  // namespace

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // The shortest digits that read back as the same number. std::to_chars would do it in one call, for 55 KB gzip in each WebAssembly
  // module.
  char buffer[32];
  int length = 0;
  for (int precision = 0; precision <= 16; ++precision) {
    length = std::snprintf(buffer, sizeof(buffer), "%.*e", precision, value);
    if (std::strtod(buffer, nullptr) == value) break;
  }
  std::string_view text(buffer, static_cast<size_t>(length));
  std::string out = text.starts_with('-') ? "-" : "";
  if (!out.empty()) text.remove_prefix(1);
  const size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(), exponent);
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {  // Python's repr switches to an exponent here
    out += digits[0];
    if (count > 1) out += join_text(".", digits.substr(1));
    const std::string magnitude = std::to_string(std::abs(exponent));
    return out + (exponent < 0 ? "e-" : "e+") + (magnitude.size() < 2 ? "0" : "") + magnitude;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
}

std::string to_repr(Budget& budget, const Value& value) { return ReprWriter(budget).write(value); }

std::string to_str(Budget& budget, const Value& value) {
  if (value.is_undefined()) return {};
  if (!value.is_string()) return to_repr(budget, value);
  budget.charge_text(value.text().size());
  return value.text();
}

std::string soft_text(Runtime& runtime, const Value& value) { return to_str(runtime.budget, value); }

}  // namespace tessera::jinja

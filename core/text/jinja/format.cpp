// Owns Python's two text formatters: `pattern % values` and `pattern.format(...)`.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/text/jinja/operators.h"
#include "core/text/jinja/unicode.h"

namespace tessera::jinja {
namespace {

constexpr int64_t kMaxWidth = 10'000;
constexpr int64_t kMaxPrecision = 300;

/// [[fill]align][sign][#][0][width][,][.precision][type]
struct FormatSpec {
  std::string fill = " ";
  char align = 0;  ///< '<', '>', '^', '=' or 0 for the type's own
  char sign = '-';
  bool alternate = false;
  bool grouped = false;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

/// Reads digits, at most up to `limit`; kTemplate above.
Result<int64_t> read_number(std::string_view& text, int64_t limit) {
  int64_t value = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    value = value * 10 + (text[0] - '0');
    if (value > limit) return failure("a width or precision above ", limit);
    text.remove_prefix(1);
  }
  return value;
}

std::string with_groups(std::string digits) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string padded(const FormatSpec& spec, const std::string& sign, const std::string& body, char default_align) {
  const auto length = static_cast<int64_t>(count_code_points(body) + sign.size());
  const int64_t missing = std::max<int64_t>(spec.width - length, 0);
  const char align = spec.align != 0 ? spec.align : default_align;
  const int64_t before = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  std::string out;
  for (int64_t i = 0; i < before; ++i) out += spec.fill;
  out += sign;
  for (int64_t i = 0; align == '=' && i < missing; ++i) out += spec.fill;
  out += body;
  for (int64_t i = before; align != '=' && i < missing; ++i) out += spec.fill;
  return out;
}

std::string in_radix(uint64_t value, unsigned radix, bool upper) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out.insert(out.begin(), digits[value % radix]);
    value /= radix;
  } while (value > 0);
  return out;
}

std::string sign_text(const FormatSpec& spec, bool negative) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

std::string format_integer(const FormatSpec& spec, int64_t value) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string prefix = sign_text(spec, value < 0);
  const unsigned radix = spec.type == 'x' || spec.type == 'X' ? 16 : spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 10;
  if (spec.alternate && radix != 10) prefix += std::string("0") + spec.type;
  std::string body = in_radix(magnitude, radix, spec.type == 'X');
  if (spec.grouped) body = with_groups(std::move(body));
  return padded(spec, prefix, body, '>');
}

std::string printed(const char* pattern, int precision, double value) {
  char buffer[700];
  const int length = std::snprintf(buffer, sizeof(buffer), pattern, precision, value);
  return std::string(buffer, static_cast<size_t>(std::max(length, 0)));
}

/// %g as Python has it without a type: never like an integer, so that ".0" counts as a digit and the exponent comes one digit earlier.
std::string untyped_real(double magnitude, int precision, bool alternate) {
  const int digits = std::max(precision, 1);
  const std::string scientific = printed(alternate ? "%#.*e" : "%.*e", digits - 1, magnitude);
  const size_t e = scientific.find('e');
  if (std::atoi(scientific.c_str() + e + 1) == digits - 1) {
    if (alternate || digits == 1) return scientific;
    const size_t last = scientific.find_last_not_of('0', e - 1);
    return scientific.substr(0, scientific[last] == '.' ? last : last + 1) + scientific.substr(e);
  }
  const std::string body = printed(alternate ? "%#.*g" : "%.*g", digits, magnitude);
  return body.find_first_of(".e") == std::string::npos ? body + ".0" : body;
}

std::string format_real(const FormatSpec& spec, double value) {
  const bool percent = spec.type == '%';
  const double magnitude = std::abs(percent ? value * 100 : value);
  std::string body;
  if (spec.type == 0 && spec.precision < 0) {
    body = real_text(magnitude);
  } else if (!std::isfinite(magnitude)) {
    body = std::isnan(magnitude) ? "nan" : "inf";
  } else if (spec.type == 0) {
    body = untyped_real(magnitude, static_cast<int>(spec.precision), spec.alternate);
  } else {
    const std::string pattern = std::string(spec.alternate ? "%#.*" : "%.*") + (percent ? 'f' : spec.type);
    body = printed(pattern.c_str(), static_cast<int>(spec.precision < 0 ? 6 : spec.precision), magnitude);
  }
  if (spec.grouped) body = with_groups(std::move(body));
  if (percent) body += '%';
  return padded(spec, sign_text(spec, std::signbit(value) && !std::isnan(value)), body, '>');
}

std::string format_text(const FormatSpec& spec, std::string text) {
  if (spec.precision >= 0) text.resize(offset_of_code_point(text, static_cast<size_t>(spec.precision)));
  return padded(spec, "", text, '<');
}

bool is_real_type(char type) { return type != 0 && std::string_view("eEfFgG%").find(type) != std::string_view::npos; }
bool is_integer_type(char type) { return type != 0 && std::string_view("dxXobi").find(type) != std::string_view::npos; }

// ---- pattern % values ----

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& values) : runtime_(runtime), values_(values) {
    if (values.is(Kind::kSequence) && values.as_sequence().type == SequenceType::kTuple) {
      items_ = values.as_sequence().items;
    } else {
      items_ = {values};
    }
  }

  Result<std::string> run(std::string_view pattern) {
    std::string out;
    while (!pattern.empty()) {
      const size_t percent = std::min(pattern.find('%'), pattern.size());
      out += pattern.substr(0, percent);
      pattern.remove_prefix(percent);
      if (pattern.empty()) break;
      pattern.remove_prefix(1);
      Result<std::string> piece = conversion(pattern);
      if (!piece) return piece;
      out += *piece;
      if (!runtime_.budget.charge_bytes(piece->size()) || out.size() > runtime_.budget.limits().text_bytes) break;
    }
    // Whatever has subscripts counts as a mapping, whose entries need not all be used.
    const bool is_list = values_.is(Kind::kSequence) &&
                         (values_.as_sequence().type == SequenceType::kList || values_.as_sequence().type == SequenceType::kRange);
    const bool unused = next_ < items_.size() && !used_names_ && !values_.is(Kind::kDict) && !is_list;
    if (unused) return failure("not all arguments converted during string formatting");
    return out;
  }

 private:
  Result<Value> next_value() {
    if (next_ >= items_.size()) return failure("not enough arguments for format string");
    return items_[next_++];
  }

  Result<std::string> conversion(std::string_view& pattern) {
    FormatSpec spec;
    Value value;
    if (pattern.starts_with('(')) {
      const size_t close = pattern.find(')');
      if (close == std::string_view::npos) return failure("incomplete format key");
      if (!values_.is(Kind::kDict)) return failure("format requires a mapping");
      const Value* named = values_.as_dict().find(pattern.substr(1, close - 1));
      if (!named) return failure("'", std::string(pattern.substr(1, close - 1)), "'");
      value = *named;
      used_names_ = true;
      pattern.remove_prefix(close + 1);
    }
    Result<void> flags = read_flags(pattern, spec);
    if (!flags) return flags.error();
    if (pattern.empty()) return failure("incomplete format");
    spec.type = pattern[0];
    pattern.remove_prefix(1);
    if (spec.type == '%') return std::string("%");
    if (value.is_missing()) {
      Result<Value> next = next_value();
      if (!next) return next.error();
      value = *next;
    }
    return apply(spec, value);
  }

  Result<void> read_flags(std::string_view& pattern, FormatSpec& spec) {
    spec.align = '>';
    for (; !pattern.empty() && std::string_view("-+ #0").find(pattern[0]) != std::string_view::npos; pattern.remove_prefix(1)) {
      const char flag = pattern[0];
      if (flag == '-') spec.align = '<';
      if (flag == '0' && spec.align != '<') spec.fill.assign(1, '0');
      if (flag == '#') spec.alternate = true;
      if (flag == '+' || flag == ' ') spec.sign = flag;
    }
    Result<int64_t> width = read_number(pattern, kMaxWidth);
    if (!width) return width.error();
    spec.width = *width;
    if (!pattern.starts_with('.')) return {};
    pattern.remove_prefix(1);
    Result<int64_t> precision = read_number(pattern, kMaxPrecision);
    if (!precision) return precision.error();
    spec.precision = *precision;
    return {};
  }

  Result<std::string> apply(FormatSpec spec, const Value& value) {
    if (spec.type == 's' || spec.type == 'r') {
      spec.fill.assign(1, ' ');
      return format_text(spec, spec.type == 's' ? to_str(runtime_.budget, value) : to_repr(runtime_.budget, value));
    }
    if (value.is_undefined()) return failure(value.undefined_reason());
    if (spec.fill == "0") spec.align = '=';
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    if (spec.type != 'b' && is_integer_type(spec.type)) {
      if (value.is_integral()) return format_integer(spec, value.as_integer());
      if (value.is(Kind::kFloat) && spec.type == 'd' && std::abs(value.as_real()) < 9e18) {
        return format_integer(spec, static_cast<int64_t>(value.as_real()));
      }
      return failure("%", spec.type, " format: a real number is required, not ", type_name(value));
    }
    if (is_real_type(spec.type)) {
      if (value.is_number()) return format_real(spec, value.as_real());
      return failure("must be real number, not ", type_name(value));
    }
    return failure("unsupported format character '", spec.type, "'");
  }

  Runtime& runtime_;
  const Value& values_;
  std::vector<Value> items_;
  size_t next_ = 0;
  bool used_names_ = false;
};

// ---- pattern.format(...) ----

Result<FormatSpec> parse_spec(std::string_view text) {
  FormatSpec spec;
  constexpr std::string_view kAligns = "<>^=";
  if (!text.empty()) {
    const size_t length = decode_first(text).length;
    if (text.size() > length && kAligns.find(text[length]) != std::string_view::npos) {
      spec.fill = text.substr(0, length);
      spec.align = text[length];
      text.remove_prefix(length + 1);
    } else if (kAligns.find(text[0]) != std::string_view::npos) {
      spec.align = text[0];
      text.remove_prefix(1);
    }
  }
  const auto take = [&](std::string_view any_of) {
    if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return '\0';
    const char taken = text[0];
    text.remove_prefix(1);
    return taken;
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (take("0") != 0 && spec.align == 0) {
    spec.fill.assign(1, '0');
    spec.align = '=';
  }
  Result<int64_t> width = read_number(text, kMaxWidth);
  if (!width) return width.error();
  spec.width = *width;
  spec.grouped = take(",") != 0;
  if (take(".") != 0) {
    Result<int64_t> precision = read_number(text, kMaxPrecision);
    if (!precision) return precision.error();
    spec.precision = *precision;
  }
  if (!text.empty()) {
    spec.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty()) return failure("Invalid format specifier");
  return spec;
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

  Result<std::string> run(std::string_view pattern) {
    std::string out;
    while (!pattern.empty() && out.size() <= runtime_.budget.limits().text_bytes) {
      const size_t brace = std::min(pattern.find_first_of("{}"), pattern.size());
      out += pattern.substr(0, brace);
      pattern.remove_prefix(brace);
      if (pattern.empty()) break;
      if (pattern.size() > 1 && pattern[1] == pattern[0]) {
        out += pattern[0];
        pattern.remove_prefix(2);
        continue;
      }
      if (pattern[0] == '}') return failure("Single '}' encountered in format string");
      const size_t close = pattern.find('}');
      if (close == std::string_view::npos) return failure("expected '}' before end of string");
      Result<std::string> piece = field(pattern.substr(1, close - 1));
      if (!piece) return piece;
      out += *piece;
      if (!runtime_.budget.charge_bytes(piece->size())) return runtime_.budget.error();
      pattern.remove_prefix(close + 1);
    }
    return out;
  }

 private:
  /// "name.attribute[index]!conversion:spec"
  Result<std::string> field(std::string_view text) {
    const size_t colon = std::min(text.find(':'), text.size());
    std::string_view path = text.substr(0, colon);
    const std::string_view spec_text = colon < text.size() ? text.substr(colon + 1) : std::string_view();
    char conversion = 0;
    if (path.size() >= 2 && path[path.size() - 2] == '!') {
      conversion = path.back();
      path.remove_suffix(2);
    }
    Result<Value> value = lookup(path);
    if (!value) return value.error();
    Result<FormatSpec> spec = parse_spec(spec_text);
    if (!spec) return spec.error();
    if (conversion == 'r') return format_text(*spec, to_repr(runtime_.budget, *value));
    if (conversion == 's') return format_text(*spec, to_str(runtime_.budget, *value));
    if (conversion != 0) return failure("unknown conversion '!", conversion, "'");
    return apply(*spec, *value);
  }

  Result<Value> lookup(std::string_view path) {
    const size_t end = std::min(path.find_first_of(".["), path.size());
    const std::string_view name = path.substr(0, end);
    path.remove_prefix(end);
    Result<Value> value = root(name);
    while (value && !path.empty()) {
      if (path[0] == '.') {
        const size_t stop = std::min(path.find_first_of(".[", 1), path.size());
        value = attribute(runtime_.budget, *value, path.substr(1, stop - 1));
        path.remove_prefix(stop);
        continue;
      }
      const size_t stop = path.find(']');
      if (path[0] != '[' || stop == std::string_view::npos) return failure("bad field in format string");
      std::string_view key = path.substr(1, stop - 1);
      const bool is_index = !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos && key.size() < 10;
      Result<int64_t> index = is_index ? read_number(key, INT32_MAX) : Result<int64_t>(0);
      if (!index) return index.error();
      value = subscript(runtime_.budget, *value, is_index ? Value::integer(*index) : Value::string(std::string(key)));
      path.remove_prefix(stop + 1);
    }
    return value;
  }

  Result<Value> root(std::string_view name) {
    const bool is_index = name.find_first_not_of("0123456789") == std::string_view::npos;
    if (is_index) {
      Result<int64_t> index = name.empty() ? Result<int64_t>(static_cast<int64_t>(automatic_++)) : read_number(name, INT32_MAX);
      if (!index) return index.error();
      if (static_cast<size_t>(*index) < arguments_.positional.size()) return arguments_.positional[static_cast<size_t>(*index)];
      return failure("tuple index out of range");
    }
    if (!runtime_.budget.charge(arguments_.named.size())) return runtime_.budget.error();
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    return failure("'", name, "'");
  }

  Result<std::string> apply(const FormatSpec& spec, const Value& value) {
    if (value.is_number() && is_real_type(spec.type)) return format_real(spec, value.as_real());
    if (value.is(Kind::kFloat) && spec.type == 0) return format_real(spec, value.as_real());
    if (value.is_integral() && (is_integer_type(spec.type) || (spec.type == 0 && value.is(Kind::kInt)))) {
      return format_integer(spec, value.as_integer());
    }
    if (spec.type != 0 && spec.type != 's') {
      return failure("Unknown format code '", spec.type, "' for object of type '", type_name(value), "'");
    }
    return format_text(spec, to_str(runtime_.budget, value));
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  size_t automatic_ = 0;
};

}  // namespace

Result<std::string> percent_format(Runtime& runtime, const std::string& pattern, const Value& values) {
  if (!runtime.budget.charge_bytes(pattern.size())) return runtime.budget.error();
  return PercentFormatter(runtime, values).run(pattern);
}

Result<std::string> brace_format(Runtime& runtime, const std::string& pattern, const Arguments& arguments) {
  return BraceFormatter(runtime, arguments).run(pattern);
}

}  // namespace tessera::jinja

// Implements schemas as rules: a method for each type, and the keywords that each of them reads.
#include "core/grammar/json_schema.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/heap_sort.h"
#include "core/base/utf8.h"
#include "core/grammar/json_rules.h"
#include "core/grammar/pattern.h"
#include "nlohmann/json.hpp"

namespace tessera::grammar {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::span<const std::string_view>;

constexpr std::string_view kDescribing[] = {"title",    "description", "default",     "examples",   "example",  "$schema",  "$id",
                                            "$comment", "$defs",       "definitions", "deprecated", "readOnly", "writeOnly"};
constexpr std::string_view kOfObjects[] = {"properties", "required", "additionalProperties"};
constexpr std::string_view kOfArrays[] = {"items", "prefixItems", "minItems", "maxItems"};
constexpr std::string_view kOfStrings[] = {"minLength", "maxLength", "pattern", "format"};
constexpr std::string_view kOfIntegers[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
constexpr Words kOfTypes[] = {kOfObjects, kOfArrays, kOfStrings, kOfIntegers};
constexpr int kMostCount = 100000;
constexpr int kMostSchemas = 20000;  // looked at: references beside other keywords are written out at each place

bool holds(Words words, std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); }

/// An object's keys and values, in its order.
const Json::object_t& entries(const Json& object) { return object.get_ref<const Json::object_t&>(); }

/// The value of an object's key; null without it.
const Json* find_key(const Json& object, std::string_view key) {
  for (const auto& [name, value] : entries(object)) {
    if (name == key) return &value;
  }
  return nullptr;
}
bool has(const Json& object, std::string_view key) { return find_key(object, key) != nullptr; }

/// Whether values lie in one another more than `levels` deep.
bool deeper_than(int levels, const Json& json) {
  if (!json.is_structured()) return false;
  return levels == 0 || std::any_of(json.begin(), json.end(), [levels](const Json& part) { return deeper_than(levels - 1, part); });
}

/// `key` as a part of a place in a schema (JSON pointer, RFC 6901).
std::string pointer_part(std::string_view key) {
  std::string part = "/";
  for (const char c : key) part += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return part;
}

/// All methods give something empty after fail().
class SchemaReader {
 public:
  explicit SchemaReader(const Json& root) : root_(root), rules_(JsonRules::all()), json_(rules_) {}

  Result<Rules> read() {
    if (deeper_than(2 * kMostDepth, root_))
      fail(ErrorCode::kInvalidArgument, "#", "nested more than " + std::to_string(2 * kMostDepth) + " deep");
    places_.emplace_back("#", 0);
    rules_.set(0, value(root_, "#", 0));
    if (failure_) return std::move(*failure_);
    return std::move(rules_);
  }

 private:
  using Place = const std::string&;

  Expression fail(ErrorCode code, Place place, const std::string& message) {
    if (!failure_) failure_ = Error{code, "json_schema, " + place + ": " + message, "docs/grammar.md lists what there is"};
    return {};
  }
  Expression unsupported(Place place, std::string_view what, std::string_view which = {}) {
    return fail(ErrorCode::kUnsupported, place, "'" + std::string(what) + std::string(which) + "' is not supported here");
  }
  Expression wrong(Place place, std::string_view key, std::string_view expected, std::string_view number = {}) {
    return fail(ErrorCode::kInvalidArgument, place, "'" + std::string(key) + "' has to be " + std::string(expected) + std::string(number));
  }

  /// False for a keyword that is not `own`, in none of the lists, and does not only describe.
  bool knows(const Json& schema, Place place, std::string_view own, std::span<const Words> lists = {}) {
    for (const auto& [key, value] : entries(schema)) {
      bool known = key == own || key == "type" || key.starts_with("x-") || holds(kDescribing, key);
      for (const Words& words : lists) known = known || holds(words, key);
      if (!known) unsupported(place, key);
    }
    return !failure_;
  }

  /// Counts what is looked at; false when it is too much, or something was wrong before.
  bool goes_on(Place place, int depth) {
    if (depth > kMostDepth) fail(ErrorCode::kInvalidArgument, place, "more than " + std::to_string(kMostDepth) + " schemas in one another");
    if (++schemas_ > kMostSchemas)
      fail(ErrorCode::kInvalidArgument, place, "more than " + std::to_string(kMostSchemas) + " schemas with those that are referred to");
    return !failure_;
  }

  Expression value(const Json& schema, Place place, int depth) {
    if (!goes_on(place, depth)) return {};
    if (schema.is_boolean() && schema.get<bool>()) return json_.of("value");
    if (!schema.is_object()) return fail(ErrorCode::kInvalidArgument, place, "a schema has to be an object, or true");
    if (has(schema, "$ref") || has(schema, "allOf")) return combined(schema, place, depth);
    for (const char* key : {"anyOf", "oneOf"}) {
      if (has(schema, key)) return any_of(schema, key, place, depth);
    }
    if (has(schema, "const")) return enumerated(schema, "const", Json::array({*find_key(schema, "const")}), place);
    if (has(schema, "enum")) return enumerated(schema, "enum", *find_key(schema, "enum"), place);
    return typed(schema, place, depth);
  }

  Expression json_text(const Json& value) { return rules_.text(value.dump(-1, ' ', false, Json::error_handler_t::replace)); }

  static bool is_of(std::string_view type, const Json& value) {
    return (type == "integer" && (value.is_number_integer() || (value.is_number() && std::floor(value.get<double>()) == value))) ||
           (type == "number" && value.is_number()) || type == std::string_view(value.type_name());
  }

  /// Those of the values that are of the schema's type.
  Expression enumerated(const Json& schema, std::string_view key, const Json& values, Place place) {
    if (!values.is_array() || values.empty()) return wrong(place, key, "an array of values");
    if (!knows(schema, place, key)) return {};
    const std::vector<std::string> types = has(schema, "type") ? types_of(schema, place) : std::vector<std::string>();
    std::vector<Expression> parts;
    for (const Json& value : values) {
      const bool fits = std::any_of(types.begin(), types.end(), [&](const std::string& type) { return is_of(type, value); });
      if (types.empty() || fits) parts.push_back(json_text(value));
    }
    return parts.empty() ? wrong(place, key, "of the schema's type") : rules_.choice(std::move(parts));
  }

  Expression any_of(const Json& schema, const char* key, Place place, int depth) {
    const Json& schemas = *find_key(schema, key);
    if (!schemas.is_array() || schemas.empty()) return wrong(place, key, "an array of schemas");
    if (!knows(schema, place, key)) return {};
    std::vector<Expression> parts;
    for (size_t i = 0; i < schemas.size(); ++i) {
      Json part = schemas[i];
      if (const Json* type = find_key(schema, "type"); type && part.is_object()) {
        if (!has(part, "type")) part["type"] = *type;
        if (part["type"] != *type || has(part, "$ref") || has(part, "allOf")) return unsupported(place, "type beside other types");
      }
      parts.push_back(value(part, place + "/" + key + "/" + std::to_string(i), depth + 1));
    }
    return rules_.choice(std::move(parts));
  }

  /// A reference alone is a call of the rule that it names; beside other keywords, and in allOf, all become one schema.
  Expression combined(const Json& schema, Place place, int depth) {
    if (has(schema, "$ref") && knows_only_reference(schema)) return reference(*find_key(schema, "$ref"), place, depth);
    Json merged = Json::object();
    merge(schema, merged, place, depth);
    return failure_ ? 0 : value(merged, place, depth + 1);
  }

  static bool knows_only_reference(const Json& schema) {
    for (const auto& [key, value] : entries(schema)) {
      if (key != "$ref" && !holds(kDescribing, key)) return false;
    }
    return true;
  }

  void merge(const Json& schema, Json& into, Place place, int depth) {
    if (!goes_on(place, depth)) return;
    if (!schema.is_object()) {
      fail(ErrorCode::kInvalidArgument, place, "these schemas cannot be put together");
      return;
    }
    for (const auto& [key, value] : entries(schema)) {
      if (holds(kDescribing, key)) continue;
      if (key == "$ref") {
        const Json* target = find(value, place);
        if (target) merge(*target, into, place, depth + 1);
      } else if (key == "allOf") {
        if (!value.is_array() || value.empty()) {
          wrong(place, "allOf", "an array of schemas");
          return;
        }
        for (const Json& part : value) merge(part, into, place, depth + 1);
      } else if (!has(into, key)) {
        into[key] = value;
      } else if (key == "properties" && value.is_object() && into[key].is_object()) {
        for (const auto& [name, property] : entries(value)) {
          Json& known = into[key][name];
          if (!known.is_null() && known != property) unsupported(place, "allOf with two schemas of the property ", name);
          known = property;
        }
      } else if (key == "required" && value.is_array() && into[key].is_array()) {
        into[key].insert(into[key].end(), value.begin(), value.end());
      } else if (into[key] != value) {
        unsupported(place, "allOf with two values of ", key);
      }
    }
  }

  /// The schema that a reference within this document names; null after fail().
  const Json* find(const Json& reference, Place place) {
    const std::string path = reference.is_string() ? reference.get<std::string>() : "";
    const Json* found = path.starts_with("#") && (path.size() == 1 || path[1] == '/') ? &root_ : nullptr;
    for (size_t at = 1; found && at < path.size();) {
      const size_t end = std::min(path.find('/', at + 1), path.size());
      std::string key = path.substr(at + 1, end - at - 1);
      for (const auto& [from, to] : {std::pair{"~1", "/"}, std::pair{"~0", "~"}}) {
        for (size_t sign = key.find(from); sign != std::string::npos; sign = key.find(from, sign + 1)) key.replace(sign, 2, to);
      }
      if (found->is_object() && has(*found, key)) {
        found = find_key(*found, key);
      } else {
        const bool index = found->is_array() && !key.empty() && key.size() < 6 && key.find_first_not_of("0123456789") == std::string::npos;
        found = index && std::stoul(key) < found->size() ? &(*found)[std::stoul(key)] : nullptr;
      }
      at = end;
    }
    if (!found) fail(ErrorCode::kInvalidArgument, place, "$ref " + reference.dump() + " is nothing in this schema; others are not read");
    return found;
  }

  Expression reference(const Json& reference, Place place, int depth) {
    const Json* target = find(reference, place);
    if (!target) return {};
    const std::string name = reference.get<std::string>();
    const auto known = std::find_if(places_.begin(), places_.end(), [&](const auto& place) { return place.first == name; });
    if (known != places_.end()) return rules_.call(known->second);
    const int rule = rules_.add(name);  // before what it holds, which may refer to it
    places_.emplace_back(name, rule);
    rules_.set(rule, value(*target, name, depth + 1));
    return rules_.call(rule);
  }

  Expression typed(const Json& schema, Place place, int depth) {
    std::vector<std::string> types = types_of(schema, place);
    std::vector<Expression> parts;
    for (const std::string& type : types) {
      if (!failure_) parts.push_back(of_type(type, schema, place, depth, types.size() > 1));
    }
    return rules_.choice(std::move(parts));
  }

  /// The types that `type` lists, or that the keywords are for; {"any"} where nothing says.
  std::vector<std::string> types_of(const Json& schema, Place place) {
    if (!has(schema, "type")) {
      static constexpr std::string_view kTypes[] = {"object", "array", "string"};
      for (size_t i = 0; i < std::size(kTypes); ++i) {
        for (const std::string_view word : kOfTypes[i]) {
          if (has(schema, word)) return {std::string(kTypes[i])};
        }
      }
      return {"any"};
    }
    const Json& type = *find_key(schema, "type");
    if (type.is_string()) return {type.get<std::string>()};
    std::vector<std::string> types;
    if (type.is_array() && !type.empty()) {
      for (const Json& one : type) types.push_back(one.is_string() ? one.get<std::string>() : "");
    } else {
      wrong(place, "type", "a type or an array of types");
    }
    return types;
  }

  /// Of several types each reads its own keywords, and any of them may be there.
  Expression of_type(const std::string& type, const Json& schema, Place place, int depth, bool several) {
    const auto has_only = [&](Words words) {
      return knows(schema, place, "", several ? std::span<const Words>(kOfTypes) : std::span<const Words>(&words, 1));
    };
    if (type == "object") return has_only(kOfObjects) ? object(schema, place, depth) : 0;
    if (type == "array") return has_only(kOfArrays) ? array(schema, place, depth) : 0;
    if (type == "string") return has_only(kOfStrings) ? string(schema, place) : 0;
    if (type == "integer") return has_only(kOfIntegers) ? integer(schema, place) : 0;
    if (!has_only({})) return {};
    if (type == "number") {
      const auto bound =
          std::find_if(std::begin(kOfIntegers), std::end(kOfIntegers), [&](std::string_view word) { return has(schema, word); });
      return bound == std::end(kOfIntegers) ? json_.of("number") : unsupported(place, *bound);
    }
    if (type == "boolean" || type == "null") return json_.of(type);
    if (type == "any") return json_.of("value");
    return wrong(place, "type", "object, array, string, integer, number, boolean or null");
  }

  /// A count ≥ 0, or `otherwise` where it is not there.
  int count(const Json& schema, const char* key, int otherwise, Place place) {
    if (!has(schema, key)) return otherwise;
    const Json& value = *find_key(schema, key);
    if (!value.is_number_integer() || value < 0 || value > kMostCount) {
      wrong(place, key, "a whole number from 0 to ", std::to_string(kMostCount));
      return otherwise;
    }
    return value.get<int>();
  }

  Expression string(const Json& schema, Place place) {
    const int least = count(schema, "minLength", 0, place), most = count(schema, "maxLength", Rules::kUnbounded, place);
    const bool bounded = least > 0 || most != Rules::kUnbounded;
    if (most != Rules::kUnbounded && most < least) return wrong(place, "maxLength", "at least minLength");
    if (has(schema, "pattern") + has(schema, "format") + bounded > 1) {
      return unsupported(place, "more than one of pattern, format and a length");
    }
    if (bounded) return json_.quoted(rules_.repeat(json_.of("character"), least, most));
    for (const char* key : {"pattern", "format"}) {
      if (!has(schema, key)) continue;
      if (!find_key(schema, key)->is_string()) return wrong(place, key, "a string");
      const std::string given = find_key(schema, key)->get<std::string>();
      const std::string source = key == std::string_view("format") ? format_pattern(given) : given;
      if (source.empty() && key == std::string_view("format")) return unsupported(place, "format ", given);
      const Result<Expression> parsed = string_pattern(source, rules_);
      if (!parsed) return fail(parsed.error().code, place, parsed.error().message);
      return json_.quoted(parsed.value());
    }
    return json_.of("string");
  }

  Expression integer(const Json& schema, Place place) {
    std::optional<int64_t> least, most;
    const auto bound = [&](const char* key, std::optional<int64_t>& out, int64_t inwards, bool greatest) {
      if (!has(schema, key)) return;
      const Json& value = *find_key(schema, key);
      constexpr double kLargest = 9007199254740991;  // 2^53 - 1; what is farther out is no bound
      const double number = value.is_number() ? value.get<double>() : 0.5;
      if (greatest ? number < -kLargest : number > kLargest) return;
      if (std::floor(number) != number || std::fabs(number) > kLargest) {
        wrong(place, key, "a whole number of at most 2^53");
        return;
      }
      const int64_t found = static_cast<int64_t>(number) + inwards;
      out = !out ? found : greatest ? std::max(*out, found) : std::min(*out, found);
    };
    bound("minimum", least, 0, true);
    bound("exclusiveMinimum", least, 1, true);
    bound("maximum", most, 0, false);
    bound("exclusiveMaximum", most, -1, false);
    if (least && most && *most < *least) return wrong(place, "maximum", "at least the minimum");
    return least || most ? json_.integers(least, most) : json_.of("integer");
  }

  Expression array(const Json& schema, Place place, int depth) {
    const Json none = Json::array();
    const Json& items = has(schema, "items") ? *find_key(schema, "items") : none;
    const bool tuple = items.is_array() && has(schema, "items");  // draft 7
    const Json& first = tuple ? items : has(schema, "prefixItems") ? *find_key(schema, "prefixItems") : none;
    if (!first.is_array()) return wrong(place, "prefixItems", "an array of schemas");
    if (tuple && has(schema, "prefixItems")) return unsupported(place, "prefixItems beside items");
    const int least = count(schema, "minItems", 0, place), most = count(schema, "maxItems", Rules::kUnbounded, place);
    if (most != Rules::kUnbounded && most < least) return wrong(place, "maxItems", "at least minItems");
    if (!first.empty()) {
      if (least > 0 || most != Rules::kUnbounded || (!tuple && !items.is_array() && !items.is_boolean())) {
        return unsupported(place, "prefixItems beside items, minItems or maxItems");
      }
      std::vector<Expression> parts = {rules_.text("["), json_.of("space")};
      for (size_t i = 0; i < first.size(); ++i) {
        if (i > 0) parts.push_back(json_.of("comma"));
        parts.push_back(value(first[i], place + "/prefixItems/" + std::to_string(i), depth + 1));
      }
      parts.push_back(json_.of("space"));
      parts.push_back(rules_.text("]"));
      return rules_.sequence(std::move(parts));
    }
    if (most == 0) return rules_.sequence({rules_.text("["), json_.of("space"), rules_.text("]")});
    const bool any = !has(schema, "items") || tuple;
    const Expression item = json_.named(place + "/items", any ? json_.of("value") : value(items, place + "/items", depth + 1));
    const Expression more =
        rules_.repeat(rules_.sequence({json_.of("comma"), item}), std::max(least - 1, 0), most == Rules::kUnbounded ? most : most - 1);
    Expression filled = rules_.sequence({item, more, json_.of("space")});
    return rules_.sequence({rules_.text("["), json_.of("space"), least > 0 ? filled : rules_.optional(filled), rules_.text("]")});
  }

  struct Member {
    std::string key;
    Expression written;  ///< "key": value
    bool required;
  };

  Expression object(const Json& schema, Place place, int depth) {
    const Json none = Json::object();
    const Json& properties = has(schema, "properties") ? *find_key(schema, "properties") : none;
    if (!properties.is_object()) return wrong(place, "properties", "an object of schemas");
    std::vector<std::string> required;
    if (has(schema, "required")) {
      const Json& names = *find_key(schema, "required");
      if (!names.is_array() || std::any_of(names.begin(), names.end(), [](const Json& name) { return !name.is_string(); })) {
        return wrong(place, "required", "an array of names");
      }
      for (const Json& name : names) required.push_back(name.get<std::string>());
    }
    const Json* more = find_key(schema, "additionalProperties");
    std::vector<Member> members;
    for (const auto& [key, property] : entries(properties)) {
      const std::string there = place + "/properties" + pointer_part(key);
      const bool needed = std::erase(required, key) > 0;
      members.push_back(member(key, value(property, there, depth + 1), needed, there));
    }
    while (!required.empty()) {
      const std::string key = required.front();
      if (more && more->is_boolean() && !more->get<bool>()) return wrong(place, "required", "among the properties: there are no others");
      members.push_back(member(key, more ? value(*more, place, depth + 1) : json_.of("value"), true, place + pointer_part(key)));
      std::erase(required, key);
    }
    const Json any = members.empty();  // {"type": "object"} alone is any object
    const Expression others = other_members(members, more ? *more : any, place, depth);
    if (failure_) return {};
    return rules_.sequence({rules_.text("{"), json_.of("space"), listed(members, others, place), rules_.text("}")});
  }

  Member member(const std::string& key, Expression value, bool required, Place place) {
    Expression written = rules_.sequence({json_text(key), json_.of("colon"), value});
    return {key, json_.named(place, written), required};
  }

  /// A key that is none of the known: a tree of their characters, a rule for each that they begin with. None of its characters are
  /// escapes, so that no known key can be written as one, and those that need them are out of its way.
  Expression other_key(const std::vector<Member>& known) {
    const CodePoints plain = plain_characters();
    std::vector<std::vector<uint32_t>> keys;
    for (const Member& member : known) {
      std::vector<uint32_t> key;
      for (std::string_view rest = member.key; !rest.empty(); rest.remove_prefix(decode_utf8(rest).length)) {
        key.push_back(decode_utf8(rest).code_point);
      }
      const auto written = [&plain](uint32_t c) { return !common(plain, {{c, c}}).empty(); };
      if (std::all_of(key.begin(), key.end(), written)) keys.push_back(std::move(key));
    }
    heap_sort(keys.begin(), keys.end());
    struct Branch {
      size_t first, end, depth;  // keys that begin alike
      int rule;
    };
    const int start = rules_.add("another key");
    for (std::vector<Branch> open = {{0, keys.size(), 0, start}}; !open.empty();) {
      const Branch branch = open.back();
      open.pop_back();
      size_t i = branch.first;
      while (i < branch.end && keys[i].size() == branch.depth) ++i;
      const bool is_known = i > branch.first;
      std::vector<CodePointRange> begun;
      std::vector<Expression> ways;
      while (i < branch.end) {
        const uint32_t next = keys[i][branch.depth];
        const int rule = rules_.add("another key");
        open.push_back({i, i, branch.depth + 1, rule});
        while (i < branch.end && keys[i][branch.depth] == next) ++i;
        open.back().end = i;
        ways.push_back(rules_.sequence({rules_.one_of({{next, next}}), rules_.call(rule)}));
        begun.push_back({next, next});
      }
      const Expression different = rules_.one_of(common(plain, all_but(united(std::move(begun)))));
      ways.push_back(rules_.sequence({different, rules_.repeat(rules_.one_of(plain), 0, Rules::kUnbounded)}));
      if (!is_known) ways.push_back(0);
      rules_.set(branch.rule, rules_.choice(std::move(ways)));
    }
    return rules_.call(start);
  }

  static constexpr Expression kNoOthers = -1;

  /// A member with a key that is none of the known; kNoOthers where there may be none.
  Expression other_members(const std::vector<Member>& known, const Json& schema, Place place, int depth) {
    if (schema.is_boolean() && !schema.get<bool>()) return kNoOthers;
    const std::string there = place + "/additionalProperties";
    Expression other = value(schema, there, depth + 1);
    const Expression key = known.empty() ? json_.of("string") : json_.quoted(other_key(known));
    return json_.named(there, rules_.sequence({key, json_.of("colon"), other}));
  }

  /// The members in order with commas between: what may follow once something is written, and while nothing is, from each on.
  Expression listed(const std::vector<Member>& members, Expression others, Place place) {
    const bool closed = others == kNoOthers;
    const Expression more = closed ? 0 : rules_.repeat(rules_.sequence({json_.of("comma"), others}), 0, Rules::kUnbounded);
    Expression after = json_.named(place + " after", rules_.sequence({more, json_.of("space")}));
    Expression from = closed ? 0 : rules_.optional(rules_.sequence({others, after}));
    for (auto one = members.rbegin(); one != members.rend(); ++one) {
      Expression with = rules_.sequence({one->written, after});
      Expression then = rules_.sequence({json_.of("comma"), with});
      from = json_.named(place + " from " + one->key, one->required ? with : rules_.choice({with, from}));
      after = json_.named(place + " after " + one->key, one->required ? then : rules_.choice({then, after}));
    }
    return from;
  }

  const Json& root_;
  Rules rules_;
  JsonRules json_;
  std::vector<std::pair<std::string, int>> places_;  ///< rules of references
  int schemas_ = 0;
  std::optional<Error> failure_;
};

}  // namespace

Result<Rules> schema_rules(const Json& schema) { return SchemaReader(schema).read(); }

}  // namespace tessera::grammar

// Owns the values of a template: Python's None, bool, int, float, str, list, tuple, dict, and what only templates have.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/result.h"
#include "core/text/jinja/budget.h"
#include "core/text/jinja/message.h"
#include "nlohmann/json_fwd.hpp"

namespace tessera::jinja {

/// Makes another text of each text in variables, keys included.
using TextChange = std::function<std::string(const std::string& text)>;

class Value;
struct SequenceData;
class DictData;
struct NamespaceData;
struct FunctionData;
struct LoopData;

/// A Python str; `markup` marks text that the `safe` and `escape` filters made (markupsafe.Markup).
struct StringData {
  std::string text;  ///< UTF-8; lengths and indices count code points
  bool markup = false;
};

enum class Kind : uint8_t { kUndefined, kNone, kBool, kInt, kFloat, kString, kSequence, kDict, kNamespace, kFunction, kLoop };

/// One immutable value (namespaces and generators excepted); copying shares. Not safe to share between threads while rendering.
class Value {
 public:
  /// An undefined value without a reason: an argument that was not given.
  Value() = default;
  static Value none() { return Value(std::monostate{}); }
  static Value undefined(std::string reason) { return Value(std::make_shared<const std::string>(std::move(reason))); }
  static Value string(std::string text, bool markup = false) {
    return Value(std::make_shared<const StringData>(StringData{std::move(text), markup}));
  }
  static Value boolean(bool value) { return Value(value); }
  static Value integer(int64_t value) { return Value(value); }
  static Value real(double value) { return Value(value); }
  static Value sequence(std::shared_ptr<SequenceData> data) { return Value(std::move(data)); }
  static Value dict(std::shared_ptr<const DictData> data) { return Value(std::move(data)); }
  static Value name_space(std::shared_ptr<NamespaceData> data) { return Value(std::move(data)); }
  static Value function(std::shared_ptr<const FunctionData> data) { return Value(std::move(data)); }
  static Value loop(std::shared_ptr<LoopData> data) { return Value(std::move(data)); }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool is_undefined() const { return is(Kind::kUndefined); }
  bool is_string() const { return is(Kind::kString); }
  bool is_missing() const { return is_undefined() && !std::get_if<0>(&data_)->get(); }
  bool is_number() const { return is(Kind::kBool) || is(Kind::kInt) || is(Kind::kFloat); }
  bool is_integral() const { return is(Kind::kBool) || is(Kind::kInt); }

  // The accessors need the matching kind (as_integer and as_real also take the narrower numbers).
  const std::string& undefined_reason() const;
  bool as_bool() const { return *std::get_if<bool>(&data_); }
  int64_t as_integer() const { return is(Kind::kBool) ? as_bool() : *std::get_if<int64_t>(&data_); }
  double as_real() const { return is_integral() ? static_cast<double>(as_integer()) : *std::get_if<double>(&data_); }
  const std::string& text() const { return (*std::get_if<StringPointer>(&data_))->text; }
  bool is_markup() const { return is_string() && (*std::get_if<StringPointer>(&data_))->markup; }
  SequenceData& as_sequence() const { return **std::get_if<std::shared_ptr<SequenceData>>(&data_); }
  const DictData& as_dict() const { return **std::get_if<std::shared_ptr<const DictData>>(&data_); }
  NamespaceData& as_namespace() const { return **std::get_if<std::shared_ptr<NamespaceData>>(&data_); }
  const FunctionData& as_function() const { return **std::get_if<std::shared_ptr<const FunctionData>>(&data_); }
  LoopData& as_loop() const { return **std::get_if<std::shared_ptr<LoopData>>(&data_); }

  /// Python's bool(): false for undefined, None, zero, and the empty str, list, tuple and dict.
  bool truthy() const;
  /// Python's `is`: the same object, or the same small constant.
  bool same_object(const Value& other) const { return data_ == other.data_; }

 private:
  using StringPointer = std::shared_ptr<const StringData>;
  using Data = std::variant<std::shared_ptr<const std::string>, std::monostate, bool, int64_t, double, StringPointer,
                            std::shared_ptr<SequenceData>, std::shared_ptr<const DictData>, std::shared_ptr<NamespaceData>,
                            std::shared_ptr<const FunctionData>, std::shared_ptr<LoopData>>;
  template <class T>
  explicit Value(T data) : data_(std::move(data)) {}
  Data data_;
};

enum class SequenceType : uint8_t { kList, kTuple, kGenerator, kRange, kKeys, kValues, kItems };

/// A list and its relatives. A generator has no length, is always true and hands out each item once.
struct SequenceData {
  std::vector<Value> items;
  SequenceType type = SequenceType::kList;
  int depth = 1;          ///< nesting of containers below and including this one
  size_t taken = 0;       ///< items a generator has handed out
  std::string label;      ///< what a range prints as
  bool is_group = false;  ///< a tuple of groupby, whose items are also its attributes grouper and list
};

/// A dict in insertion order; keys are compared as in Python (1, 1.0 and True are one key).
class DictData {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }
  /// Null when absent. Only the look-up of a value pays for reading the key.
  const Value* find(std::string_view key) const;
  const Value* find(Budget& budget, const Value& key) const;
  /// Adds or replaces. False when the key is not hashable (a list, a dict) or not paid for.
  bool set(Budget& budget, const Value& key, Value value);
  void set(std::string_view key, Value value) { put(canonical(key), Value::string(std::string(key)), std::move(value)); }
  /// Forgets everything and returns it, so that a cycle through a namespace can be cut.
  std::vector<Entry> release();

 private:
  static std::string canonical(std::string_view key) { return join_text("s", key); }
  void put(std::string canonical, const Value& key, Value value);
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;  ///< canonical key → entry
  int depth_ = 1;
};

struct NamespaceData {
  DictData attributes;
};

/// Containers below and including this value; 0 for a value that is none.
int depth_of(const Value& value);

// What is made when the budget is exhausted is empty.
/// Makes a list (or relative) and pays for it; the budget is exhausted when it nests too deeply.
Value make_sequence(Budget& budget, std::vector<Value> items, SequenceType type = SequenceType::kList);
Value make_dict(Budget& budget, DictData entries);
/// Makes a text and pays for it.
Value make_string(Budget& budget, std::string text, bool markup = false);
/// Makes an undefined value and pays for its reason.
Value make_undefined(Budget& budget, std::string reason);

/// The items `for` walks over: of a sequence, the keys of a dict, the characters of a str, none of undefined. A generator is used up.
/// kTemplate for what is not iterable.
Result<std::vector<Value>> iterate(Budget& budget, const Value& value);

/// Python's type name, as in its error messages: "str", "dict", "NoneType".
std::string_view type_name(const Value& value);

/// kTemplate when the document nests too deeply.
Result<Value> from_json(Budget& budget, const nlohmann::ordered_json& json, const TextChange* change = nullptr);

}  // namespace tessera::jinja

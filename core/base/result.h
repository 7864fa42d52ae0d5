// Owns the error vocabulary of the core: every fallible function returns Result<T> and never throws, prints or exits.
#pragma once

#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace tessera {

/// What went wrong, as a stable machine-readable name (see error_code_name).
enum class ErrorCode {
  kInvalidArgument,  ///< the caller passed a value outside the documented range
  kNotFound,         ///< a named thing (file, tensor, metadata key, command) is absent
  kIo,               ///< reading or writing bytes failed
  kBadFile,          ///< bytes from outside do not follow their format
  kUnsupported,      ///< well-formed, but this build cannot do it
  kOutOfMemory,      ///< an allocation was refused
  kContextFull,      ///< the token sequence does not fit the context
  kAborted,          ///< the caller asked to stop
  kTemplate,         ///< a chat template failed; the message has line and column
  kInternal,         ///< our own bug, reported instead of crashing
};

/// snake_case name of the code, as shown to users and sent to JavaScript: "bad_file", "context_full", …
std::string_view error_code_name(ErrorCode code);

/// One failure. `message` names the field, what was found and what was expected; `hint` says what to do (may be empty).
struct Error {
  ErrorCode code;
  std::string message;
  std::string hint;
};

/// A value or an Error. Check with `if (!result)`, then use value() or error().
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  bool ok() const { return state_.index() == 0; }

  T& value() & { return *checked(); }
  const T& value() const& { return *const_cast<Result*>(this)->checked(); }
  T&& value() && { return std::move(*checked()); }
  T* operator->() { return checked(); }
  T& operator*() & { return *checked(); }

  const Error& error() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  T* checked() {
    assert(ok());
    return std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

/// Success without a value, or an Error. `return {};` is success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : failed_(true), error_(std::move(error)) {}
  explicit operator bool() const { return !failed_; }
  bool ok() const { return !failed_; }
  const Error& error() const {
    assert(failed_);
    return error_;
  }

 private:
  bool failed_ = false;
  Error error_{ErrorCode::kInternal, {}, {}};
};

}  // namespace tessera

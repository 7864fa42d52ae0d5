// Owns a grammar made ready to be followed byte by byte: the nodes of its rules.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/grammar/rules.h"

namespace tessera::grammar {

/// One step of a rule.
struct Node {
  enum class Kind : uint8_t {
    kEnd,    ///< the rule is over
    kBytes,  ///< a byte first…last, then `next`
    kFork,   ///< goes on at any of the `count` nodes that begin at `next` of the fork list
    kCall,   ///< the rule that begins at `rule`, then `next`
  };
  Kind kind = Kind::kEnd;
  uint8_t first = 0;
  uint8_t last = 0;
  int32_t next = 0;
  int32_t count = 0;
  int32_t rule = 0;
};

/// The nodes of all rules. Immutable; safe to read from several threads.
class Automaton {
 public:
  /// kInvalidArgument for a rule that begins with itself (no byte would ever be read) and for more than kMostNodes steps.
  static Result<Automaton> compile(const Rules& rules);
  static constexpr size_t kMostNodes = 500000;
  static constexpr int32_t kEnd = 0;  ///< the node at the end of every rule

  const Node& node(int32_t place) const { return nodes_[static_cast<size_t>(place)]; }
  int32_t fork(int32_t place) const { return forks_[static_cast<size_t>(place)]; }
  /// The first node of what a text has to be.
  int32_t start() const { return start_; }

  /// Bytes that no node tells apart share a class, 0…classes() - 1.
  int byte_class(uint8_t byte) const { return classes_[byte]; }
  int classes() const { return class_count_; }

 private:
  bool full() const { return nodes_.size() + forks_.size() > kMostNodes; }
  int32_t add(const Node& node);
  int32_t add_fork(const std::vector<int32_t>& targets);
  int32_t add(const Rules& rules, Expression expression, int32_t next);
  int32_t add_repeat(const Rules& rules, const Rules::Part& repeat, int32_t next);
  void classify_bytes();
  std::string left_recursive_rule(const Rules& rules, const std::vector<int32_t>& starts) const;

  std::vector<Node> nodes_;
  std::vector<int32_t> forks_;
  std::array<uint8_t, 256> classes_{};
  int class_count_ = 0;
  int32_t start_ = 0;
};

}  // namespace tessera::grammar

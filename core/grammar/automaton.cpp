#include "core/grammar/automaton.h"

#include <algorithm>
#include <utility>

namespace tessera::grammar {

int32_t Automaton::add(const Node& node) {
  if (!full()) nodes_.push_back(node);  // what is one too many says so
  return static_cast<int32_t>(nodes_.size()) - 1;
}

int32_t Automaton::add_fork(const std::vector<int32_t>& targets) {
  if (targets.size() == 1) return targets.front();
  const auto begin = static_cast<int32_t>(forks_.size());
  forks_.insert(forks_.end(), targets.begin(), targets.end());
  return add({.kind = Node::Kind::kFork, .next = begin, .count = static_cast<int32_t>(targets.size())});
}

/// The first node of the expression, after which `next` follows.
int32_t Automaton::add(const Rules& rules, Expression expression, int32_t next) {
  if (full()) return kEnd;
  const Rules::Part& part = rules.part(expression);
  std::vector<int32_t> targets;
  switch (part.kind) {
    case Rules::Kind::kText:
      for (auto c = part.text.rbegin(); c != part.text.rend(); ++c) {
        const auto byte = static_cast<uint8_t>(*c);
        next = add({.kind = Node::Kind::kBytes, .first = byte, .last = byte, .next = next});
      }
      return next;
    case Rules::Kind::kOneOf:
      for (const std::vector<ByteRange>& bytes : utf8_sequences(part.characters)) {
        int32_t target = next;
        for (auto range = bytes.rbegin(); range != bytes.rend(); ++range) {
          target = add({.kind = Node::Kind::kBytes, .first = range->first, .last = range->last, .next = target});
        }
        targets.push_back(target);
      }
      return add_fork(targets);
    case Rules::Kind::kSequence:
      for (auto inside = part.inside.rbegin(); inside != part.inside.rend(); ++inside) next = add(rules, *inside, next);
      return next;
    case Rules::Kind::kChoice:
      for (const Expression inside : part.inside) targets.push_back(add(rules, inside, next));
      return add_fork(targets);
    case Rules::Kind::kRepeat: return add_repeat(rules, part, next);
    case Rules::Kind::kRule: break;
  }
  return add({.kind = Node::Kind::kCall, .next = next, .rule = part.rule});  // compile() puts the rule's first node there
}

int32_t Automaton::add_repeat(const Rules& rules, const Rules::Part& repeat, int32_t next) {
  const Expression inside = repeat.inside.front();
  const int32_t after = next;
  if (repeat.most == Rules::kUnbounded) {
    const auto targets = static_cast<int32_t>(forks_.size());
    forks_.insert(forks_.end(), 2, after);
    next = add({.kind = Node::Kind::kFork, .next = targets, .count = 2});
    const int32_t again = add(rules, inside, next);
    forks_[static_cast<size_t>(targets)] = again;
  }
  for (int i = repeat.least; i < repeat.most && !full(); ++i) {
    const int32_t again = add(rules, inside, next);
    if (again == next) break;  // of nothing, as often as one likes
    next = add_fork({again, after});
  }
  for (int i = 0; i < repeat.least && !full(); ++i) {
    const int32_t before = next;
    next = add(rules, inside, before);
    if (next == before) break;
  }
  return next;
}

Result<Automaton> Automaton::compile(const Rules& rules) {
  Automaton automaton;
  automaton.add(Node{});
  std::vector<int32_t> starts;
  for (const Rules::Rule& rule : rules.rules()) starts.push_back(automaton.add(rules, rule.body, kEnd));
  if (automaton.full()) {
    return Error{ErrorCode::kInvalidArgument, "grammar: more than " + std::to_string(kMostNodes) + " steps",
                 "ask for fewer repetitions, or for one without an end"};
  }
  if (const std::string name = automaton.left_recursive_rule(rules, starts); !name.empty()) {
    return Error{ErrorCode::kInvalidArgument, "grammar: rule '" + name + "' begins with itself",
                 "put what it has to begin with in front, or write a repetition"};
  }
  for (Node& node : automaton.nodes_) {
    if (node.kind == Node::Kind::kCall) node.rule = starts[static_cast<size_t>(node.rule)];
  }
  automaton.start_ = starts.front();
  automaton.classify_bytes();
  return automaton;
}

/// A rule that calls itself before any byte is read, or "". While calls still have the rules' numbers.
std::string Automaton::left_recursive_rule(const Rules& rules, const std::vector<int32_t>& starts) const {
  const size_t count = starts.size();
  std::vector<uint8_t> empty(count);               // may be of no bytes
  std::vector<std::vector<int32_t>> first(count);  // what it may call first
  std::vector<size_t> seen(nodes_.size());
  size_t round = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t r = 0; r < count; ++r) {
      first[r].clear();
      ++round;
      uint8_t ends = 0;
      for (std::vector<int32_t> open = {starts[r]}; !open.empty();) {
        const int32_t place = open.back();
        open.pop_back();
        if (std::exchange(seen[static_cast<size_t>(place)], round) == round) continue;
        const Node& node = this->node(place);
        if (node.kind == Node::Kind::kEnd) ends = 1;
        for (int32_t i = 0; node.kind == Node::Kind::kFork && i < node.count; ++i) open.push_back(fork(node.next + i));
        if (node.kind != Node::Kind::kCall) continue;
        first[r].push_back(node.rule);
        if (empty[static_cast<size_t>(node.rule)] != 0) open.push_back(node.next);
      }
      changed = changed || ends != empty[r];
      empty[r] = ends;
    }
  }
  // Rules whose first calls all lead to an end are taken away; what is left goes in circles.
  std::vector<std::vector<int32_t>> callers(count);
  std::vector<size_t> calls(count);
  std::vector<int32_t> open;
  for (size_t r = 0; r < count; ++r) {
    calls[r] = first[r].size();
    for (const int32_t called : first[r]) callers[static_cast<size_t>(called)].push_back(static_cast<int32_t>(r));
    if (calls[r] == 0) open.push_back(static_cast<int32_t>(r));
  }
  while (!open.empty()) {
    const auto done = static_cast<size_t>(open.back());
    open.pop_back();
    for (const int32_t caller : callers[done]) {
      if (--calls[static_cast<size_t>(caller)] == 0) open.push_back(caller);
    }
  }
  const auto left = std::find_if(calls.begin(), calls.end(), [](size_t open_calls) { return open_calls > 0; });
  if (left == calls.end()) return {};
  auto r = static_cast<size_t>(left - calls.begin());
  for (size_t step = 0; step < count; ++step) {  // after that many it is in a circle, wherever it began
    r = static_cast<size_t>(
        *std::find_if(first[r].begin(), first[r].end(), [&](int32_t called) { return calls[static_cast<size_t>(called)] > 0; }));
  }
  return rules.rule(static_cast<int>(r)).name;
}

void Automaton::classify_bytes() {
  std::array<bool, 257> begins{};
  begins[0] = true;
  for (const Node& node : nodes_) {
    if (node.kind != Node::Kind::kBytes) continue;
    begins[node.first] = true;
    begins[node.last + 1] = true;
  }
  int place = -1;
  for (size_t byte = 0; byte < classes_.size(); ++byte) {
    place += begins[byte] ? 1 : 0;
    classes_[byte] = static_cast<uint8_t>(place);
  }
  class_count_ = place + 1;
}

}  // namespace tessera::grammar

// Tests the merging loop against the plain quadratic definition of byte-pair merging on random rules.
#include "core/text/merge_queue.h"

#include <map>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "doctest/doctest.h"

using namespace tessera;

namespace {

using Rules = std::map<std::string, float>;  ///< merged text → priority

/// Again and again: of all neighbours the best pair, of equals the leftmost.
std::vector<std::string> merge_plainly(std::vector<std::string> parts, const Rules& rules) {
  for (;;) {
    size_t best = parts.size();
    float best_priority = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto rule = rules.find(parts[i] + parts[i + 1]);
      if (rule == rules.end() || (best < parts.size() && rule->second <= best_priority)) continue;
      best = i;
      best_priority = rule->second;
    }
    if (best == parts.size()) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

}  // namespace

TEST_CASE("the queue merges what the definition merges") {
  Rng rng(11);
  MergeQueue queue;
  for (int round = 0; round < 500; ++round) {
    Rules rules;
    for (uint32_t count = rng.next() % 40; count > 0; --count) {
      std::string text;
      for (uint32_t length = 2 + rng.next() % 4; length > 0; --length) text += static_cast<char>('a' + rng.next() % 3);
      rules[text] = static_cast<float>(static_cast<int>(rng.next() % 9) - 4);  // ties, zero and both signs
    }
    std::string word;
    std::vector<std::string> letters;
    for (uint32_t length = rng.next() % 50; length > 0; --length) letters.emplace_back(1, static_cast<char>('a' + rng.next() % 3));
    queue.clear();
    for (const std::string& letter : letters) {
      queue.push(static_cast<uint32_t>(word.size()), 1, 0);
      word += letter;
    }
    std::vector<std::string> merged;
    queue.run(
        [&](const MergeSymbol& left, const MergeSymbol& right) -> std::optional<MergeResult> {
          const auto rule = rules.find(word.substr(left.begin, left.length + right.length));
          if (rule == rules.end()) return std::nullopt;
          return MergeResult{rule->second, 0};
        },
        [&](const MergeSymbol& symbol) { merged.push_back(word.substr(symbol.begin, symbol.length)); });
    CHECK(merged == merge_plainly(letters, rules));
  }
}

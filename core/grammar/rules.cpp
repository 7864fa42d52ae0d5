#include "core/grammar/rules.h"

namespace tessera::grammar {

Expression Rules::add_part(Part part) {
  parts_.push_back(std::move(part));
  return static_cast<Expression>(parts_.size()) - 1;
}

Expression Rules::text(std::string_view bytes) { return add_part({.kind = Kind::kText, .text = std::string(bytes)}); }

Expression Rules::one_of(CodePoints set) { return add_part({.kind = Kind::kOneOf, .characters = std::move(set)}); }

Expression Rules::sequence(std::vector<Expression> inside) {
  return inside.size() == 1 ? inside.front() : add_part({.kind = Kind::kSequence, .inside = std::move(inside)});
}

Expression Rules::choice(std::vector<Expression> inside) {
  return inside.size() == 1 ? inside.front() : add_part({.kind = Kind::kChoice, .inside = std::move(inside)});
}

Expression Rules::repeat(Expression inside, int least, int most) {
  return add_part({.kind = Kind::kRepeat, .inside = {inside}, .least = least, .most = most});
}

Expression Rules::call(int rule) { return add_part({.kind = Kind::kRule, .rule = rule}); }

int Rules::add(std::string_view name, Expression body) {
  rules_.push_back({std::string(name), body});
  return static_cast<int>(rules_.size()) - 1;
}

}  // namespace tessera::grammar

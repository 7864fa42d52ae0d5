#include "core/grammar/rules.h"

namespace tessera::grammar {

Rules::Part& Rules::add_part(Kind kind) {
  Part& part = parts_.emplace_back();
  part.kind = kind;
  return part;
}

Expression Rules::text(std::string_view bytes) {
  add_part(Kind::kText).text = bytes;
  return static_cast<Expression>(parts_.size()) - 1;
}

Expression Rules::one_of(CodePoints set) {
  add_part(Kind::kOneOf).characters = std::move(set);
  return static_cast<Expression>(parts_.size()) - 1;
}

Expression Rules::sequence(std::vector<Expression> inside) {
  if (inside.size() == 1) return inside.front();
  add_part(Kind::kSequence).inside = std::move(inside);
  return static_cast<Expression>(parts_.size()) - 1;
}

Expression Rules::choice(std::vector<Expression> inside) {
  if (inside.size() == 1) return inside.front();
  add_part(Kind::kChoice).inside = std::move(inside);
  return static_cast<Expression>(parts_.size()) - 1;
}

Expression Rules::repeat(Expression inside, int least, int most) {
  Part& part = add_part(Kind::kRepeat);
  part.inside = {inside};
  part.least = least;
  part.most = most;
  return static_cast<Expression>(parts_.size()) - 1;
}

Expression Rules::call(int rule) {
  add_part(Kind::kRule).rule = rule;
  return static_cast<Expression>(parts_.size()) - 1;
}

int Rules::add(std::string_view name, Expression body) {
  rules_.push_back({std::string(name), body});
  return static_cast<int>(rules_.size()) - 1;
}

}  // namespace tessera::grammar

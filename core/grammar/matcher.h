// Owns following a text through a grammar, byte by byte: the places of the grammar where it may be, as states that are found once.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/grammar/automaton.h"

namespace tessera::grammar {

/// The states of one text. Not thread-safe. A state is all places where the text so far may have led; each with the calls of rules that
/// it has come through. States are numbers, equal ones the same number, and what follows is looked up after the first time.
class Matcher {
 public:
  static constexpr int kNone = -1;

  explicit Matcher(std::shared_ptr<const Automaton> automaton);

  /// The state of the empty text.
  int start() const { return 0; }
  /// The state after one more byte; kNone where the grammar has no such text.
  int next(int state, uint8_t byte);
  /// Whether the text may end here, and whether anything may follow.
  bool may_end(int state) const { return states_[static_cast<size_t>(state)].may_end; }
  bool may_go_on(int state) const { return !states_[static_cast<size_t>(state)].places.empty(); }

  /// True once a text was not followed any farther, since allow() was called: the grammar says the same in too many ways. kMostPlaces at
  /// a time are too many, and so are more in all than were allowed.
  bool gave_up() const { return gave_up_; }
  static constexpr size_t kMostPlaces = 20000;
  void allow(size_t places) {
    allowed_ = places;
    gave_up_ = !may_go_on(0) && !may_end(0);  // where the beginning was given up, so is all
  }

  /// Forgets all states but one, which gets the number that is returned. To be called now and then: what was found adds up.
  int forget_others(int state);
  size_t states() const { return states_.size(); }
  /// Of all states.
  size_t places() const { return places_; }

 private:
  /// Calls that have not returned: where to go on, and what called there (kNone: nothing).
  struct Frame {
    int32_t next;
    int32_t caller;
  };
  /// A node that wants a byte, and the frame that it is in.
  struct Place {
    int32_t node;
    int32_t frame;
    auto operator<=>(const Place&) const = default;
  };
  struct State {
    std::vector<Place> places;  ///< sorted
    std::vector<int32_t> next;  ///< by class of byte; kUnknown: not looked for yet
    bool may_end = false;
    int32_t alike = kNone;  ///< an older state with the same hash
  };
  using Numbers = std::unordered_map<uint64_t, int32_t>;
  static constexpr int32_t kUnknown = -2;

  int32_t frame_of(int32_t next, int32_t caller);
  int intern(std::vector<Place> open);
  void expand(Place from, std::vector<Place>& open, State& state);

  std::shared_ptr<const Automaton> automaton_;
  std::vector<Frame> frames_;
  Numbers frame_numbers_;
  std::vector<State> states_;
  Numbers state_numbers_;  ///< of the newest state, by hash of the places
  size_t allowed_ = std::numeric_limits<size_t>::max();
  size_t places_ = 0;
  bool gave_up_ = false;
};

}  // namespace tessera::grammar

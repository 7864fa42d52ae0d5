#include "core/grammar/matcher.h"

#include <algorithm>
#include <utility>

#include "core/base/heap_sort.h"

namespace tessera::grammar {
namespace {

uint64_t key_of(int32_t a, int32_t b) { return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b); }

}  // namespace

Matcher::Matcher(std::shared_ptr<const Automaton> automaton) : automaton_(std::move(automaton)) { intern({{automaton_->start(), kNone}}); }

int32_t Matcher::frame_of(int32_t next, int32_t caller) {
  // A call at a rule's end need not come back: lists written as recursion stay flat.
  if (next == Automaton::kEnd) return caller;
  const auto [entry, fresh] = frame_numbers_.emplace(key_of(next, caller), static_cast<int32_t>(frames_.size()));
  if (fresh) frames_.push_back({next, caller});
  return entry->second;
}

/// What follows `from` without a byte goes to `open`, what wants one into the state.
void Matcher::expand(Place from, std::vector<Place>& open, State& state) {
  const Node& node = automaton_->node(from.node);
  switch (node.kind) {
    case Node::Kind::kBytes: state.places.push_back(from); break;
    case Node::Kind::kFork:
      for (int32_t i = 0; i < node.count; ++i) open.push_back({automaton_->fork(node.next + i), from.frame});
      break;
    case Node::Kind::kCall: open.push_back({node.rule, frame_of(node.next, from.frame)}); break;
    case Node::Kind::kEnd:
      if (from.frame == kNone) {
        state.may_end = true;
      } else {
        const Frame frame = frames_[static_cast<size_t>(from.frame)];
        open.push_back({frame.next, frame.caller});
      }
      break;
  }
}

/// The number of the state that these places, and what follows them without a byte, are; kNone for no place at all.
int Matcher::intern(std::vector<Place> open) {
  State state;
  Numbers seen;
  while (!open.empty()) {
    const Place place = open.back();
    open.pop_back();
    if (!seen.emplace(key_of(place.node, place.frame), 0).second) continue;
    if (seen.size() > std::min(kMostPlaces, allowed_)) {
      gave_up_ = true;
      if (!states_.empty()) return kNone;
      state = {};  // of a beginning that is given up there is a state, with nothing behind it
      break;
    }
    expand(place, open, state);
  }
  allowed_ -= std::min(allowed_, seen.size());
  if (state.places.empty() && !state.may_end && !states_.empty()) return kNone;
  heap_sort(state.places.begin(), state.places.end());
  uint64_t hash = state.may_end ? 1 : 0;
  for (const Place& place : state.places) hash = (hash ^ key_of(place.node, place.frame)) * 0x9e3779b97f4a7c15u + (hash >> 29);
  const auto number = static_cast<int32_t>(states_.size());
  const auto [newest, fresh] = state_numbers_.emplace(hash, number);
  for (int32_t known = fresh ? kNone : newest->second; known != kNone; known = states_[static_cast<size_t>(known)].alike) {
    const State& other = states_[static_cast<size_t>(known)];
    if (other.places == state.places && other.may_end == state.may_end) return known;
  }
  if (!fresh) state.alike = std::exchange(newest->second, number);
  state.next.assign(static_cast<size_t>(automaton_->classes()), kUnknown);
  places_ += state.places.size();
  states_.push_back(std::move(state));
  return number;
}

int Matcher::next(int state, uint8_t byte) {
  const auto byte_class = static_cast<size_t>(automaton_->byte_class(byte));
  const int32_t known = states_[static_cast<size_t>(state)].next[byte_class];
  if (known != kUnknown) return known;
  std::vector<Place> open;
  for (const Place& place : states_[static_cast<size_t>(state)].places) {
    const Node& node = automaton_->node(place.node);
    if (node.first <= byte && byte <= node.last) open.push_back({node.next, place.frame});
  }
  const bool before = std::exchange(gave_up_, false);
  const int found = open.empty() ? kNone : intern(std::move(open));
  if (!gave_up_) states_[static_cast<size_t>(state)].next[byte_class] = found;
  gave_up_ = gave_up_ || before;
  return found;
}

int Matcher::forget_others(int state) {
  State kept = std::move(states_[static_cast<size_t>(state)]);
  const std::vector<Frame> frames = std::exchange(frames_, {});
  frame_numbers_.clear();
  states_.clear();
  state_numbers_.clear();
  places_ = kept.places.size();
  std::vector<int32_t> numbers(frames.size(), kUnknown);
  const auto copy = [&](int32_t frame) {
    std::vector<int32_t> chain;
    for (; frame != kNone && numbers[static_cast<size_t>(frame)] == kUnknown; frame = frames[static_cast<size_t>(frame)].caller) {
      chain.push_back(frame);
    }
    int32_t copied = frame == kNone ? kNone : numbers[static_cast<size_t>(frame)];
    for (auto link = chain.rbegin(); link != chain.rend(); ++link) {
      copied = frame_of(frames[static_cast<size_t>(*link)].next, copied);
      numbers[static_cast<size_t>(*link)] = copied;
    }
    return copied;
  };
  for (Place& place : kept.places) place.frame = copy(place.frame);
  heap_sort(kept.places.begin(), kept.places.end());
  intern({{automaton_->start(), kNone}});
  std::fill(kept.next.begin(), kept.next.end(), kUnknown);
  kept.alike = kNone;
  states_.push_back(std::move(kept));
  return static_cast<int>(states_.size()) - 1;
}

}  // namespace tessera::grammar

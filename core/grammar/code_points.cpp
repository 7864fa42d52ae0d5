#include "core/grammar/code_points.h"

#include <algorithm>
#include <string>

#include "core/base/heap_sort.h"
#include "core/base/utf8.h"

namespace tessera::grammar {
namespace {

constexpr uint32_t kLast = 0x10ffff, kFirstSurrogate = 0xd800, kLastSurrogate = 0xdfff;

/// A range whose code points all take as many bytes; its last bytes run freely where those before them differ.
void add_sequences(CodePointRange range, std::vector<std::vector<ByteRange>>& out) {
  for (int bits = 6; bits <= 18; bits += 6) {
    const uint32_t low = (1u << bits) - 1;
    if ((range.first & ~low) == (range.last & ~low)) break;
    if ((range.first & low) != 0) {
      add_sequences({range.first, range.first | low}, out);
      return add_sequences({(range.first | low) + 1, range.last}, out);
    }
    if ((range.last & low) != low) {
      add_sequences({range.first, (range.last & ~low) - 1}, out);
      return add_sequences({range.last & ~low, range.last}, out);
    }
  }
  std::string first, last;
  append_utf8(first, range.first);
  append_utf8(last, range.last);
  std::vector<ByteRange> sequence;
  for (size_t i = 0; i < first.size(); ++i) sequence.push_back({static_cast<uint8_t>(first[i]), static_cast<uint8_t>(last[i])});
  out.push_back(std::move(sequence));
}

}  // namespace

CodePoints united(std::vector<CodePointRange> ranges) {
  heap_sort(ranges.begin(), ranges.end(), [](const CodePointRange& a, const CodePointRange& b) { return a.first < b.first; });
  CodePoints set;
  for (const CodePointRange& range : ranges) {
    if (!set.empty() && range.first <= set.back().last + 1) {
      set.back().last = std::max(set.back().last, range.last);
    } else {
      set.push_back(range);
    }
  }
  return set;
}

CodePoints all_but(const CodePoints& set) {
  CodePoints rest;
  uint32_t next = 0;
  for (const CodePointRange& range : set) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) rest.push_back({next, kLast});
  return rest;
}

CodePoints common(const CodePoints& a, const CodePoints& b) {
  CodePoints both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const uint32_t first = std::max(a[i].first, b[j].first), last = std::min(a[i].last, b[j].last);
    if (first <= last) both.push_back({first, last});
    a[i].last < b[j].last ? ++i : ++j;
  }
  return both;
}

std::vector<std::vector<ByteRange>> utf8_sequences(const CodePoints& set) {
  static const CodePoints kLengths = {
      {0, 0x7f}, {0x80, 0x7ff}, {0x800, kFirstSurrogate - 1}, {kLastSurrogate + 1, 0xffff}, {0x10000, kLast}};
  std::vector<std::vector<ByteRange>> sequences;
  for (const CodePointRange& range : common(set, kLengths)) add_sequences(range, sequences);
  return sequences;
}

}  // namespace tessera::grammar

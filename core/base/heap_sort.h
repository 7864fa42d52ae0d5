// Owns a sort that is small when compiled: std::sort takes two kilobytes of a downloaded module for each kind of element and order.
#pragma once

#include <algorithm>
#include <functional>

namespace tessera {

/// Sorts like std::sort, in O(n log n); for orders that leave no two elements equal the result is the same.
template <class Iterator, class Order = std::less<>>
void heap_sort(Iterator first, Iterator last, Order order = {}) {
  std::make_heap(first, last, order);
  std::sort_heap(first, last, order);
}

}  // namespace tessera

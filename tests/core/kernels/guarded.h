// Owns memory whose end lies against a page that nobody may touch: a kernel that reads or writes past its operand dies at once.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <vector>

#include "doctest/doctest.h"

namespace tessera {

template <class T>
class Guarded {
 public:
  explicit Guarded(size_t count) : count_(count) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = count * sizeof(T), pages = (bytes + page - 1) / page * page;
    mapped_ = pages + page;
    base_ = static_cast<std::byte*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base_ != MAP_FAILED);
    REQUIRE(mprotect(base_ + pages, page, PROT_NONE) == 0);
    data_ = reinterpret_cast<T*>(base_ + pages - bytes);
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) { std::memcpy(data_, values.data(), values.size() * sizeof(T)); }
  ~Guarded() { munmap(base_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return data_; }
  std::vector<T> copy() const { return {data_, data_ + count_}; }

 private:
  std::byte* base_ = nullptr;
  T* data_ = nullptr;
  size_t count_ = 0, mapped_ = 0;
};

}  // namespace tessera

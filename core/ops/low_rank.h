// Owns low-rank terms of matrix products (LoRA, Hu et al. 2021): y += scale · B · (A · x), in f32.
//
// The arithmetic: t[k] = Σ A[k][i]·x[i], one i after another; d[r] = Σ B[r][k]·t[k], one k after another; y[r] = y[r] + scale·d[r].
#pragma once

#include <cstdint>

namespace tessera {

/// One low-rank term. Both factors lie so that a loop's lanes are its results. A view; the adapter owns the floats.
struct LowRank {
  int rank = 0;              ///< 0: there is no such term
  int64_t width = 0;         ///< of x
  int64_t rows = 0;          ///< of y
  const float* a = nullptr;  ///< [width][rank]: A transposed
  const float* b = nullptr;  ///< [rank][rows]: B transposed
};

/// t [rank] = A · x [width].
void low_rank_inner(const LowRank& term, const float* x, float* t);

/// y[r] += scale · (B · t)[r] for rows first ≤ r < end; y [rows].
void low_rank_add(const LowRank& term, const float* t, float scale, int64_t first, int64_t end, float* y);

}  // namespace tessera

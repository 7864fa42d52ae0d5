// Owns the matrix-product loops, written once and instantiated by each SIMD file with its own vocabulary struct `Isa`.
//
// An Isa has lanes = rows of a tile, and these types and functions (all static, inline):
//   F32 / I32        one float / int32 per row          zero_f32 zero_i32 splat_f32 splat_i32 add mul mul_i32 sub_i32 to_float
//   Bytes            4 codes per row                     load_bytes low_nibbles high_nibbles high_bits<bits>(Bytes, group)
//   Codes, Signed    Bytes made ready for dot            prepare(Bytes), prepare_signed(Bytes)
//   Act              4 activations, the same in each row load_act(int8_t*)
//   Sum              running dot of Codes and Act        zero_sum dot(Sum, Codes, Act) widen(Sum) -> I32
//   SignedSum        the same for Signed                 zero_signed_sum dot_signed widen_signed
//   kSignedOffset    what prepare_signed adds to the codes of a Signed
//   kSumLimit        a Sum may add kSumLimit / max_code products before it must be widened (0: never)
//   loads            load_f16 load_bf16 load_f32 (one per row -> F32), load_u8 load_i8 (one per row -> F32 / I32), store
//   kGemmTokens                                          tokens of one register block; one tile at a time, because memory is fastest
//                                                        when a thread reads it as one stream
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/kernels/kernels.h"
#include "core/kernels/layout.h"

namespace tessera {

/// Block `block` of one token's activations, as the tails of all formats need it.
struct ActivationBlock {
  float scale;
  float scaled_sum;
  int32_t half_sums[2];
};

template <class Isa, DType kDType>
struct BlockLoops {
  static constexpr PackedLayout kLayout = packed_layout(kDType);
  static constexpr int kRows = Isa::kRows;
  // Products of one Sum before it must be widened, and whether a whole block fits into one. Q6_K scales its halves apart.
  static constexpr int kCapacity = Isa::kSumLimit == 0 ? 8 : Isa::kSumLimit / kLayout.max_code;
  static constexpr bool kOneSum = kLayout.signed_codes || (kCapacity >= 8 && kDType != DType::kQ6_K);
  using F32 = typename Isa::F32;
  using I32 = typename Isa::I32;

  // Integer dots of both 16-weight halves of a block, for kTokens activations. With two halves their sums stay apart (Q6_K).
  template <int kTokens>
  struct Sums {
    I32 low[kTokens];
    I32 high[kTokens];
  };

  static const std::byte* field(const std::byte* base, int offset) { return base + static_cast<ptrdiff_t>(kRows) * offset; }

  static typename Isa::Codes low_codes(const std::byte* block, typename Isa::Bytes nibbles, int step) {
    return Isa::prepare(with_high_bits(block, Isa::low_nibbles(nibbles), step));
  }
  static typename Isa::Codes high_codes(const std::byte* block, typename Isa::Bytes nibbles, int step) {
    return Isa::prepare(with_high_bits(block, Isa::high_nibbles(nibbles), step + 4));
  }
  // Adds the bits above the nibble to codes 4·word … 4·word+3 of each row.
  static typename Isa::Bytes with_high_bits(const std::byte* block, typename Isa::Bytes nibbles, int word) {
    if constexpr (kLayout.high_bits == 1) {
      return Isa::or_bytes(nibbles, Isa::template high_bits<1>(Isa::load_bytes(field(block, kLayout.high_at)), word));
    } else if constexpr (kLayout.high_bits == 2) {
      const std::byte* high = field(block, kLayout.high_at + 4 * (word / 4));
      return Isa::or_bytes(nibbles, Isa::template high_bits<2>(Isa::load_bytes(high), word % 4));
    } else {
      (void)block;
      (void)word;
      return nibbles;
    }
  }

  template <int kTokens>
  static Sums<kTokens> dot_signed_block(const std::byte* block, const int8_t* const* codes) {
    typename Isa::SignedSum sums[kTokens];
    for (int t = 0; t < kTokens; ++t) sums[t] = Isa::zero_signed_sum();
    for (int word = 0; word < 8; ++word) {
      const auto weights = Isa::prepare_signed(Isa::load_bytes(field(block, kLayout.codes_at + 4 * word)));
      for (int t = 0; t < kTokens; ++t) sums[t] = Isa::dot_signed(sums[t], weights, Isa::load_act(codes[t] + 4 * word));
    }
    Sums<kTokens> result;
    for (int t = 0; t < kTokens; ++t) {
      result.low[t] = Isa::widen_signed(sums[t]);
      result.high[t] = Isa::zero_i32();
    }
    return result;
  }

  template <int kTokens>
  static Sums<kTokens> dot_nibble_block(const std::byte* block, const int8_t* const* codes) {
    // Nibble words 0…3 hold weights 4s… in their low and 16+4s… in their high halves; one running sum for each half.
    static_assert(kCapacity >= 2);
    typename Isa::Sum low[kTokens], high[kTokens];
    Sums<kTokens> result;
    for (int t = 0; t < kTokens; ++t) low[t] = high[t] = Isa::zero_sum();
    for (int step = 0; step < 4; ++step) {
      const auto nibbles = Isa::load_bytes(field(block, kLayout.codes_at + 4 * step));
      const auto first = low_codes(block, nibbles, step);
      const auto second = high_codes(block, nibbles, step);
      for (int t = 0; t < kTokens; ++t) {
        low[t] = Isa::dot(low[t], first, Isa::load_act(codes[t] + 4 * step));
        auto& other = kOneSum ? low[t] : high[t];
        other = Isa::dot(other, second, Isa::load_act(codes[t] + 16 + 4 * step));
      }
      if constexpr (kCapacity < 4) {
        if (step == 1) {
          for (int t = 0; t < kTokens; ++t) {
            result.low[t] = Isa::widen(low[t]);
            result.high[t] = Isa::widen(high[t]);
            low[t] = high[t] = Isa::zero_sum();
          }
        }
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      if constexpr (kCapacity < 4) {
        result.low[t] = Isa::add_i32(result.low[t], Isa::widen(low[t]));
        result.high[t] = Isa::add_i32(result.high[t], Isa::widen(high[t]));
      } else {
        result.low[t] = Isa::widen(low[t]);
        result.high[t] = kOneSum ? Isa::zero_i32() : Isa::widen(high[t]);
      }
    }
    return result;
  }

  // The exact integer sum of one block: offsets taken off and the two 16-weight scales of Q6_K applied.
  static I32 block_total(const std::byte* block, I32 low, I32 high, const ActivationBlock& act) {
    if constexpr (kDType == DType::kQ6_K) {
      low = Isa::sub_i32(low, Isa::splat_i32(kLayout.offset * act.half_sums[0]));
      high = Isa::sub_i32(high, Isa::splat_i32(kLayout.offset * act.half_sums[1]));
      return Isa::add_i32(Isa::mul_i32(low, Isa::load_i8(field(block, 0))), Isa::mul_i32(high, Isa::load_i8(field(block, 1))));
    } else {
      (void)block;
      I32 total = kOneSum ? low : Isa::add_i32(low, high);
      constexpr int kOffset = kLayout.signed_codes ? Isa::kSignedOffset : kLayout.offset;
      if constexpr (kOffset != 0) total = Isa::sub_i32(total, Isa::splat_i32(kOffset * (act.half_sums[0] + act.half_sums[1])));
      return total;
    }
  }

  static F32 block_scale(const std::byte* header, const std::byte* block) {
    if constexpr (kDType == DType::kQ4_K || kDType == DType::kQ5_K) {
      return Isa::mul(Isa::load_f16(field(header, 0)), Isa::load_u8(field(block, 0)));
    } else {
      return Isa::load_f16(field(kLayout.header_bytes > 0 ? header : block, 0));
    }
  }

  static F32 block_min(const std::byte* header, const std::byte* block) {
    if constexpr (kDType == DType::kQ4_K || kDType == DType::kQ5_K) {
      return Isa::negate(Isa::mul(Isa::load_f16(field(header, 2)), Isa::load_u8(field(block, 1))));
    } else {
      return Isa::load_f16(field(block, 2));
    }
  }

  // kRows output rows times kTokens tokens; accumulators stay in registers.
  template <int kTokens>
  static void tile(const PackedMatrix& w, const Activations& x, int64_t tile_index, int first_token, float* out, int64_t out_stride) {
    const int64_t blocks = x.width / kActivationBlock;
    const int8_t* codes[kTokens];
    for (int t = 0; t < kTokens; ++t) codes[t] = x.codes + (first_token + t) * x.width;
    F32 acc[kTokens];
    for (int t = 0; t < kTokens; ++t) acc[t] = Isa::zero_f32();
    const std::byte* header = w.data + tile_index * w.tile_bytes;
    for (int64_t b = 0; b < blocks; header += kRows * kLayout.super_bytes()) {
      for (int in_super = 0; in_super < kLayout.blocks; ++in_super, ++b) {
        const std::byte* block = field(header, kLayout.header_bytes + in_super * kLayout.block_bytes);
        Sums<kTokens> sums;
        if constexpr (kLayout.signed_codes) {
          sums = dot_signed_block<kTokens>(block, codes);
        } else {
          sums = dot_nibble_block<kTokens>(block, codes);
        }
        const F32 scale = block_scale(header, block);
        for (int t = 0; t < kTokens; ++t) {
          const int64_t at = (first_token + t) * blocks + b;
          const ActivationBlock act{x.scales[at], x.scaled_sums[at], {x.half_sums[2 * at], x.half_sums[2 * at + 1]}};
          const I32 total = block_total(block, sums.low[t], sums.high[t], act);
          acc[t] = Isa::add(acc[t], Isa::mul(Isa::to_float(total), Isa::mul(scale, Isa::splat_f32(act.scale))));
          if constexpr (kLayout.has_min) {
            acc[t] = Isa::add(acc[t], Isa::mul(block_min(header, block), Isa::splat_f32(act.scaled_sum)));
          }
          codes[t] += kActivationBlock;
        }
      }
    }
    for (int t = 0; t < kTokens; ++t) store_rows(w, tile_index, acc[t], out + (first_token + t) * out_stride);
  }

  // Writes one tile's rows of one token; the last tile may hang over the matrix.
  static void store_rows(const PackedMatrix& w, int64_t tile_index, F32 values, float* out) {
    const int64_t row = tile_index * kRows;
    if (row + kRows <= w.rows) {
      Isa::store(out + row, values);
    } else {
      float rest[kRows];
      Isa::store(rest, values);
      for (int64_t i = 0; row + i < w.rows; ++i) out[row + i] = rest[i];
    }
  }
};

/// Float formats: lanes are rows, the width is walked element by element.
template <class Isa, DType kDType>
struct FloatLoops {
  static constexpr int kRows = Isa::kRows;
  static constexpr int kElementBytes = kDType == DType::kF32 ? 4 : 2;
  using F32 = typename Isa::F32;

  static F32 load(const std::byte* at) {
    if constexpr (kDType == DType::kF32) return Isa::load_f32(at);
    if constexpr (kDType == DType::kF16) return Isa::load_f16(at);
    if constexpr (kDType == DType::kBF16) return Isa::load_bf16(at);
  }

  template <int kTokens>
  static void tile(const PackedMatrix& w, const Activations& x, int64_t tile_index, int first_token, float* out, int64_t out_stride) {
    F32 acc[kTokens];
    for (int t = 0; t < kTokens; ++t) acc[t] = Isa::zero_f32();
    const std::byte* column = w.data + tile_index * w.tile_bytes;
    for (int64_t k = 0; k < x.width; ++k, column += kRows * kElementBytes) {
      const F32 weights = load(column);
      for (int t = 0; t < kTokens; ++t) {
        acc[t] = Isa::add(acc[t], Isa::mul(weights, Isa::splat_f32(x.values[(first_token + t) * x.width + k])));
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      BlockLoops<Isa, kDType>::store_rows(w, tile_index, acc[t], out + (first_token + t) * out_stride);
    }
  }
};

/// The MatmulFn of one format: register blocks of tokens first, then what is left over.
template <class Isa, class Loops>
void matmul(const PackedMatrix& w, const Activations& x, int64_t first_tile, int64_t last_tile, float* out, int64_t out_stride) {
  int token = 0;
  for (; token + Isa::kGemmTokens <= x.tokens; token += Isa::kGemmTokens) {
    for (int64_t tile = first_tile; tile < last_tile; ++tile) Loops::template tile<Isa::kGemmTokens>(w, x, tile, token, out, out_stride);
  }
  for (; token < x.tokens; ++token) {
    for (int64_t tile = first_tile; tile < last_tile; ++tile) Loops::template tile<1>(w, x, tile, token, out, out_stride);
  }
}

/// matmul[] of a KernelTable with every format this build reads.
template <class Isa>
constexpr std::array<MatmulFn, 32> matmul_table() {
  std::array<MatmulFn, 32> table{};
  const auto blocks = [&]<DType... kDTypes>() { ((table[static_cast<uint32_t>(kDTypes)] = matmul<Isa, BlockLoops<Isa, kDTypes>>), ...); };
  blocks.template
  operator()<DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K>();
  table[static_cast<uint32_t>(DType::kF32)] = matmul<Isa, FloatLoops<Isa, DType::kF32>>;
  table[static_cast<uint32_t>(DType::kF16)] = matmul<Isa, FloatLoops<Isa, DType::kF16>>;
  table[static_cast<uint32_t>(DType::kBF16)] = matmul<Isa, FloatLoops<Isa, DType::kBF16>>;
  return table;
}

}  // namespace tessera

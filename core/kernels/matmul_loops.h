// Owns the matrix-product loops, written once and instantiated by each SIMD file with its own vocabulary struct `Isa`.
//
// An Isa has lanes = rows of a tile, and these types and functions (all static, inline):
//   F32 / I32        one float / int32 per row          zero_f32 zero_i32 splat_f32 splat_i32 add mul mul_i32 sub_i32 to_float
//                    nibble<n>(I32)                      bits 4n…4n+3 of each
//   Bytes            4 codes per row                     load_bytes or_bytes look_up(Bytes 0…15, int8_t table[16])
//                    move_bits(Bytes, from, n, to)       n bits of each byte, `from` on, moved to bit `to`, all others cleared
//   Codes, Signed    Bytes made ready for dot            prepare(Bytes), prepare_signed(Bytes)
//   Act              4 activations, the same in each row load_act(ActCode*)
//   ActCode          how an activation's code is kept: int8_t, or int16_t in the order that KernelTable::code_bytes tells
//   PanelForm        how a panel of several tokens keeps activations for dot: PlainForm, or another with Code,
//                    make(ActCode[32], Code[32]), load(Code*) -> what dot takes of four activations, and kInPlace: whether they are
//                    kept as they are, so that a single token needs no panel
//   SignedPanelForm  the same for dot_signed
//   Sum              running dot of Codes and Act        zero_sum dot(Sum, Codes, Act) widen(Sum) -> I32
//   SignedSum        the same for Signed                 zero_signed_sum dot_signed widen_signed
//   kSignedOffset    what prepare_signed adds to the codes of a Signed
//   kSumLimit        a Sum may add kSumLimit / max_code products before it must be widened (0: never, it is an I32)
//   take_magic(I32)  what was added to the bits of kRoundMagic, as an F32; only where kSumLimit is 0
//   keep_order(Sum&) nothing, or a border that the compiler moves no other dot over: where it would finish one token, or tile, after the
//                    other, holding a block's codes in registers that it does not have (WebAssembly: a fifth to a third slower)
//   loads            load_f16 load_bf16 load_f32 (one per row -> F32), load_floats, load_i8 (one per row -> I32), store
//                    load_two_u8(at, F32[2])             two u8 per row, the first of all rows before the second; load_two_i8(at, I32[2])
//                    load_power                          one u8 per row, the exponent of an F32: 2^(e - 127), 0 for e = 0
//   kGemmTokens      tokens of one register block: of one tile, where a single token's is of kMostStreams. As many sums as wait for
//                    themselves less than for the multipliers: where a dot takes five cycles and two can begin in each, more than ten
// Loops over registers are unrolled by pragma: the WebAssembly build unrolls no others, since every byte of it is downloaded.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/kernels/activation_panel.h"
#include "core/kernels/code_words.h"
#include "core/kernels/kernels.h"
#include "core/kernels/layout.h"

namespace tessera {

/// How a panel of several tokens keeps activations: as they are.
template <class Isa>
struct PlainForm {
  static constexpr bool kInPlace = true;
  using Code = typename Isa::ActCode;
  static void make(const Code* codes, Code* out) { std::memcpy(out, codes, kActivationBlock * sizeof(Code)); }
  static auto load(const Code* at) { return Isa::load_act(at); }
};

/// load_two_u8 and load_two_i8 of an Isa that knows nothing better than one load after the other.
template <class Isa>
struct SeparateLoads {
  template <class F32>
  static void load_two_u8(const std::byte* at, F32 (&to)[2]) {
    to[0] = Isa::load_u8(at);
    to[1] = Isa::load_u8(at + Isa::kRows);
  }
  template <class I32>
  static void load_two_i8(const std::byte* at, I32 (&to)[2]) {
    to[0] = Isa::load_i8(at);
    to[1] = Isa::load_i8(at + Isa::kRows);
  }
};

/// The dots of an Isa for unsigned codes, and for those with a sign.
template <class Isa>
struct UnsignedDots {
  using PanelForm = typename Isa::PanelForm;
  using Codes = typename Isa::Codes;
  using Sum = typename Isa::Sum;
  static Codes prepare(typename Isa::Bytes a) { return Isa::prepare(a); }
  static Sum zero() { return Isa::zero_sum(); }
  static Sum dot(Sum sum, const Codes& codes, const typename Isa::Act& act) { return Isa::dot(sum, codes, act); }
  static typename Isa::I32 widen(Sum sum) { return Isa::widen(sum); }
};
template <class Isa>
struct SignedDots {
  using PanelForm = typename Isa::SignedPanelForm;
  using Codes = typename Isa::Signed;
  using Sum = typename Isa::SignedSum;
  static Codes prepare(typename Isa::Bytes a) { return Isa::prepare_signed(a); }
  static Sum zero() { return Isa::zero_signed_sum(); }
  template <class Act>
  static Sum dot(Sum sum, const Codes& codes, const Act& act) {
    return Isa::dot_signed(sum, codes, act);
  }
  static typename Isa::I32 widen(Sum sum) { return Isa::widen_signed(sum); }
};

/// kCount tiles, a stride apart.
template <int kCount>
struct Tiles {
  static constexpr int kTiles = kCount;
  int64_t first;
  int64_t stride;
  int64_t operator[](int i) const { return first + i * stride; }
  const std::byte* data(const PackedMatrix& w, int i) const { return w.data + (*this)[i] * w.tile_bytes; }
};

/// Calls each(Tiles) for all tiles of the range. Several tiles at once are as many streams of memory, which on some processors come twice
/// as fast as one, and share the loads of a token's activations (docs/performance.md).
template <int kTiles, class Each>
void for_tiles(const TileRange& range, const Each& each) {
  static_assert(kTiles == 1 || kTiles == kMostStreams);
  if constexpr (kTiles > 1) {
    if (range.stride > 0) {
      for (int64_t i = range.first; i < range.end; ++i) each(Tiles<kTiles>{i, range.stride});
      return;
    }
  }
  for (int s = 0; s < range.stretches(); ++s) {
    for (int64_t i = range.first; i < range.end; ++i) each(Tiles<1>{i + s * range.stride, 0});
  }
}

template <class Isa, DType kDType>
struct BlockLoops {
  static constexpr PackedLayout kLayout = packed_layout(kDType);
  static constexpr int kRows = Isa::kRows;
  static constexpr bool kSigned = kLayout.signed_codes;
  // Products of one Sum before it must be widened, and whether a whole block fits into one.
  static constexpr int kCapacity = Isa::kSumLimit == 0 || kSigned ? 8 : Isa::kSumLimit / kLayout.max_code;
  static constexpr bool kOneSum = kCapacity >= 8 && !kLayout.halves();
  using F32 = typename Isa::F32;
  using I32 = typename Isa::I32;

  using Dots = std::conditional_t<kSigned, SignedDots<Isa>, UnsignedDots<Isa>>;
  using Codes = typename Dots::Codes;
  using Plain = PlainForm<Isa>;

  // What is taken off each code.
  static constexpr int kOffset = kSigned ? Isa::kSignedOffset : kLayout.offset;
  // Dots that add in 32 bits begin with what the offset makes of the block, which then takes no step of its own; to others it is added.
  static constexpr bool kWideSums = Isa::kSumLimit == 0;
  static constexpr bool kBeginAtOffset = kOffset != 0 && kWideSums, kAddOffset = kOffset != 0 && !kWideSums;
  // They begin at kRoundMagic as well where a block's sum is turned into a float as it is: then a subtraction does that, of which more can
  // begin in a cycle than of conversions. Exact below 2^22.
  static constexpr bool kBeginAtMagic = kWideSums && !kLayout.halves();
  static constexpr int32_t kMagic = kBeginAtMagic ? std::bit_cast<int32_t>(kRoundMagic) : 0;
  static_assert(kActivationBlock * 128 * 127 < 1 << 22);

  // What the products need to know of a block of one token.
  static ActivationBlock activation_block(float scale, float scaled_sum, const int32_t* half_sums) {
    constexpr int kFactor = kOffset != 0 ? -kOffset : 1;
    if constexpr (kLayout.halves()) {
      return {scale, scaled_sum, {kFactor * half_sums[0], kFactor * half_sums[1]}};
    } else {
      return {scale, scaled_sum, {kMagic + kFactor * (half_sums[0] + half_sums[1]), 0}};
    }
  }

  // What a sum of dots begins with, `sum` of an ActivationBlock.
  static typename Dots::Sum begin(int32_t sum) {
    if constexpr (kBeginAtOffset) {
      return Isa::splat_i32(sum);
    } else if constexpr (kBeginAtMagic) {
      return Isa::splat_i32(kMagic);
    } else {
      return Dots::zero();
    }
  }

  // Integer dots of a block's halves of 16 weights, for each tile and token; only the sum of both counts where halves() is false.
  template <int kTiles, int kTokens>
  struct Sums {
    I32 low[kTiles][kTokens];
    I32 high[kTiles][kTokens];
  };

  static constexpr ptrdiff_t field_bytes(int bytes) { return static_cast<ptrdiff_t>(kRows) * bytes; }
  static const std::byte* field(const std::byte* base, int offset) { return base + field_bytes(offset); }

  // Codes 4·word … 4·word+3 of each row.
  static Codes load_codes(const std::byte* block, int word) {
    typename Isa::Bytes codes = load_code_word<Isa, kLayout.code_bits>(field(block, kLayout.codes_at), word);
    if constexpr (kLayout.table != CodeTable::kNone) codes = Isa::look_up(codes, table_values(kLayout.table));
    return Dots::prepare(codes);
  }

  // One block of each tile times the same block of the tokens.
  template <int kTiles, class Input>
  static Sums<kTiles, Input::kTokens> dot_blocks(const std::byte* const (&blocks)[kTiles], const Input& input, int64_t b) {
    static_assert(kCapacity >= 2);
    constexpr int kTokens = Input::kTokens;
    // A dot that adds in 32 bits waits some cycles for the one before it: where there is no other sum, they take turns with two.
    constexpr bool kTwoSums = !kOneSum || (kTiles * kTokens == 1 && Isa::kSumLimit == 0);
    typename Dots::Sum low[kTiles][kTokens], high[kTiles][kTokens];
    Sums<kTiles, kTokens> result;
    const auto each = [](auto&& of) {
#pragma GCC unroll 4
      for (int i = 0; i < kTiles; ++i) {
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) of(i, t);
      }
    };
    each([&](int i, int t) {
      low[i][t] = begin(input.tail(b, t).sums[0]);
      high[i][t] = kLayout.halves() ? begin(input.tail(b, t).sums[1]) : Dots::zero();
    });
    // One token's 32-bit sums of several tiles are up to a quarter faster with the border; 16-bit sums and those of halves are not.
    constexpr bool kKeepOrder = kTokens > 1 || (kTiles > 1 && kOneSum && Isa::kSumLimit == 0);
    // One word of each half a step where both lie in the same word of nibbles or bits. Others have less to hold in registers.
    constexpr int kWords = kTokens > 1 && (kLayout.code_bits == 8 || (kLayout.code_bits > 4 && kWideSums)) ? 1 : 2;
#pragma GCC unroll 8
    for (int step = 0; step < 8 / kWords; ++step) {
#pragma GCC unroll 4
      for (int i = 0; i < kTiles; ++i) {
        Codes words[kWords];
#pragma GCC unroll 2
        for (int half = 0; half < kWords; ++half) words[half] = load_codes(blocks[i], step + 4 * half);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
          for (int half = 0; half < kWords; ++half) {
            auto& sum = step + 4 * half >= 4 && kTwoSums ? high[i][t] : low[i][t];
            sum = Dots::dot(sum, words[half], input.act(b, t, step + 4 * half));
            if constexpr (kKeepOrder) {
              if (half == kWords - 1) Isa::keep_order(sum);
            }
          }
        }
      }
      if constexpr (kCapacity < 4) {
        if (step == 1) {
          each([&](int i, int t) {
            result.low[i][t] = Dots::widen(low[i][t]);
            result.high[i][t] = Dots::widen(high[i][t]);
            low[i][t] = high[i][t] = Dots::zero();
          });
        }
      }
    }
    each([&](int i, int t) {
      if constexpr (kCapacity < 4) {
        result.low[i][t] = Isa::add_i32(result.low[i][t], Dots::widen(low[i][t]));
        result.high[i][t] = Isa::add_i32(result.high[i][t], Dots::widen(high[i][t]));
      } else {
        result.low[i][t] = Dots::widen(low[i][t]);
        result.high[i][t] = kTwoSums ? Dots::widen(high[i][t]) : Isa::zero_i32();
        if constexpr (kOneSum && kTwoSums) result.low[i][t] = Isa::add_i32(result.low[i][t], result.high[i][t]);
      }
    });
    return result;
  }

  // What a super-block's blocks have in common; the minimum is taken off.
  struct Header {
    F32 scale;
    F32 minimum;
  };
  static Header load_header(const std::byte* header) {
    Header result = {Isa::zero_f32(), Isa::zero_f32()};
    if constexpr (kLayout.header_bytes > 0) {
      result.scale = kLayout.scale == ScaleForm::kF32 ? Isa::load_f32(header) : Isa::load_f16(header);
      if constexpr (kLayout.has_min) result.minimum = Isa::negate(Isa::load_f16(field(header, 2)));
    }
    return result;
  }

  // Factors of a block's sums. That of the minimum is added; the integer ones are those of each half.
  struct Factors {
    F32 scale;
    F32 minimum;
    I32 halves[2];
    I32 half_minima[2];
  };
  static Factors load_factors(const Header& header, const std::byte* block) {
    Factors result = {header.scale, header.minimum, {Isa::zero_i32(), Isa::zero_i32()}, {Isa::zero_i32(), Isa::zero_i32()}};
    if constexpr (kLayout.scale == ScaleForm::kE8M0) {
      // 2^(e - 128) also where e = 0 and e = 1 make it too small for a normal f32.
      result.scale = Isa::mul(Isa::max(Isa::load_power(block), Isa::splat_f32(0x1p-127f)), Isa::splat_f32(0.5f));
    } else if constexpr (kLayout.scale == ScaleForm::kTimesU8) {
      F32 two[2];
      Isa::load_two_u8(block, two);
      result.scale = Isa::mul(header.scale, two[0]);
      result.minimum = Isa::mul(header.minimum, two[1]);
    } else if constexpr (kLayout.scale == ScaleForm::kTimesI8) {
      result.scale = Isa::mul(header.scale, Isa::to_float(Isa::load_i8(block)));
    } else if constexpr (kLayout.halves()) {
      Isa::load_two_i8(block, result.halves);
      if constexpr (kLayout.scale == ScaleForm::kHalfNibbles) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          result.half_minima[half] = Isa::template nibble<1>(result.halves[half]);
          result.halves[half] = Isa::template nibble<0>(result.halves[half]);
        }
      }
    } else if constexpr (kLayout.header_bytes == 0) {
      result.scale = Isa::load_f16(block);
      if constexpr (kLayout.has_min) result.minimum = Isa::load_f16(field(block, 2));
    }
    return result;
  }

  // The exact sum of one block: offsets taken off, integer scales of the halves applied.
  static F32 block_total(const Factors& factors, I32 low, I32 high, const ActivationBlock& act) {
    if constexpr (kLayout.halves()) {
      if constexpr (kAddOffset) {
        low = Isa::add_i32(low, Isa::splat_i32(act.sums[0]));
        high = Isa::add_i32(high, Isa::splat_i32(act.sums[1]));
      }
      return Isa::to_float(Isa::add_i32(Isa::mul_i32(low, factors.halves[0]), Isa::mul_i32(high, factors.halves[1])));
    } else {
      (void)factors;
      I32 total = kOneSum ? low : Isa::add_i32(low, high);
      if constexpr (kAddOffset) total = Isa::add_i32(total, Isa::splat_i32(act.sums[0]));
      if constexpr (kBeginAtMagic) {
        return Isa::take_magic(total);
      } else {
        return Isa::to_float(total);
      }
    }
  }

  // What the minimum of the block adds for one token.
  static F32 min_product(const Factors& factors, const ActivationBlock& act) {
    if constexpr (kLayout.scale == ScaleForm::kHalfNibbles) {
      const I32 sum = Isa::add_i32(Isa::mul_i32(factors.half_minima[0], Isa::splat_i32(act.sums[0])),
                                   Isa::mul_i32(factors.half_minima[1], Isa::splat_i32(act.sums[1])));
      return Isa::mul(factors.minimum, Isa::mul(Isa::splat_f32(act.scale), Isa::to_float(sum)));
    } else {
      return Isa::mul(factors.minimum, Isa::splat_f32(act.scaled_sum));
    }
  }

  // Adds the products of blocks [first, end) of the tiles' rows to `out` [count][out_stride]; the first blocks begin at zero.
  template <int kTiles, class Input>
  static void add_tiles(const PackedMatrix& w, const Tiles<kTiles>& tiles, const Input& input, int64_t first, int64_t end, int count,
                        float* out, int64_t out_stride) {
    constexpr int kTokens = Input::kTokens;
    constexpr ptrdiff_t kSuperBytes = field_bytes(kLayout.super_bytes());
    F32 acc[kTiles][kTokens];
    const std::byte* headers[kTiles];
#pragma GCC unroll 4
    for (int i = 0; i < kTiles; ++i) {
      headers[i] = tiles.data(w, i) + kSuperBytes * (first / kLayout.blocks);
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        acc[i][t] = first == 0 || t >= count ? Isa::zero_f32() : load_rows(w, tiles[i], out + t * out_stride);
      }
    }
    const auto load_super = [&](ptrdiff_t super, Header(&of)[kTiles]) {
#pragma GCC unroll 4
      for (int i = 0; i < kTiles; ++i) of[i] = load_header(headers[i] + super);
    };
    const auto add_block = [&](const Header(&of)[kTiles], ptrdiff_t super, int in_super, int64_t b) {
      const std::byte* blocks[kTiles];
#pragma GCC unroll 4
      for (int i = 0; i < kTiles; ++i) blocks[i] = field(headers[i] + super, kLayout.header_bytes + in_super * kLayout.block_bytes);
      const Sums<kTiles, kTokens> sums = dot_blocks(blocks, input, b);
#pragma GCC unroll 4
      for (int i = 0; i < kTiles; ++i) {
        const Factors factors = load_factors(of[i], blocks[i]);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
          const ActivationBlock& act = input.tail(b, t);
          const F32 total = block_total(factors, sums.low[i][t], sums.high[i][t], act);
          acc[i][t] = Isa::add(acc[i][t], Isa::mul(total, Isa::mul(factors.scale, Isa::splat_f32(act.scale))));
          if constexpr (kLayout.has_min) acc[i][t] = Isa::add(acc[i][t], min_product(factors, act));
        }
      }
    };
    const int64_t length = end - first;
    if constexpr (kTokens == 1) {
      ptrdiff_t super = 0;
      for (int64_t b = 0; b < length; super += kSuperBytes) {
        Header of[kTiles];
        load_super(super, of);
        for (int in_super = 0; in_super < kLayout.blocks; ++in_super, ++b) add_block(of, super, in_super, b);
      }
    } else {
      // The accumulators of a loop within the loop would go through memory at its borders.
      for (int64_t b = 0; b < length; ++b) {
        const ptrdiff_t super = kSuperBytes * (b / kLayout.blocks);
        Header of[kTiles];
        load_super(super, of);
        add_block(of, super, static_cast<int>(b % kLayout.blocks), b);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kTiles; ++i) {
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        if (t < count) store_rows(w, tiles[i], acc[i][t], out + t * out_stride);
      }
    }
  }

  // The range's tiles times `count` ≤ kTokens tokens, in the time of kTokens; out [count][out_stride].
  template <int kTokens>
  static void multiply(const PackedMatrix& w, const Activations& x, int token, int count, const TileRange& range, float* out,
                       int64_t out_stride) {
    constexpr int kTiles = kTokens == 1 ? kMostStreams : 1;
    const int64_t blocks = x.width / kActivationBlock;
    if constexpr (kTokens == 1 && Dots::PanelForm::kInPlace) {
      const OneToken<BlockLoops> input(x, token);
      for_tiles<kTiles>(range, [&](auto tiles) { add_tiles(w, tiles, input, 0, blocks, count, out, out_stride); });
    } else {
      ActivationPanel<BlockLoops, kTokens> panel;
      for (int64_t first = 0; first < blocks; first += panel.kMaxBlocks) {
        const int64_t end = std::min<int64_t>(blocks, first + panel.kMaxBlocks);
        panel.take(x, token, count, first, end);
        for_tiles<kTiles>(range, [&](auto tiles) { add_tiles(w, tiles, panel, first, end, count, out, out_stride); });
      }
    }
  }

  // One tile's rows of one token; the last tile may hang over the matrix.
  static void store_rows(const PackedMatrix& w, int64_t tile, F32 values, float* out) {
    const int64_t row = tile * kRows;
    if (row + kRows <= w.rows) {
      Isa::store(out + row, values);
    } else {
      float rest[kRows];
      Isa::store(rest, values);
      for (int64_t i = 0; row + i < w.rows; ++i) out[row + i] = rest[i];
    }
  }
  static F32 load_rows(const PackedMatrix& w, int64_t tile, const float* out) {
    const int64_t row = tile * kRows;
    if (row + kRows <= w.rows) return Isa::load_floats(out + row);
    float rest[kRows] = {};
    for (int64_t i = 0; row + i < w.rows; ++i) rest[i] = out[row + i];
    return Isa::load_floats(rest);
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

  // As in BlockLoops.
  template <int kTokens>
  static void multiply(const PackedMatrix& w, const Activations& x, int token, int count, const TileRange& range, float* out,
                       int64_t out_stride) {
    // A sum waits for the one before it in its row, so a single token needs several tiles to be as fast as memory.
    constexpr int kTiles = kTokens == 1 ? kMostStreams : 1;
    const float* values[kTokens];
    for (int t = 0; t < kTokens; ++t) values[t] = x.values + (token + std::min(t, count - 1)) * x.width;
    for_tiles<kTiles>(range, [&](auto tiles) {
      constexpr int kCount = decltype(tiles)::kTiles;
      F32 acc[kCount][kTokens];
      const std::byte* columns[kCount];
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) {
        columns[i] = tiles.data(w, i);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) acc[i][t] = Isa::zero_f32();
      }
      for (int64_t k = 0; k < x.width; ++k) {
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) {
          const F32 weights = load(columns[i]);
          columns[i] += kRows * kElementBytes;
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t) acc[i][t] = Isa::add(acc[i][t], Isa::mul(weights, Isa::splat_f32(values[t][k])));
        }
      }
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
          if (t < count) BlockLoops<Isa, kDType>::store_rows(w, tiles[i], acc[i][t], out + t * out_stride);
        }
      }
    });
  }
};

/// Tokens of the second register block, for what the first leaves over.
inline constexpr int kFewTokens = 4;

/// The MatmulFn of one format: register blocks of tokens, the last of which need not be full; one token or two by themselves.
template <class Isa, class Loops>
void matmul(const PackedMatrix& w, const Activations& x, const TileRange& range, float* out, int64_t out_stride) {
  constexpr int kTokens = Isa::kGemmTokens;
  for (int token = 0; token < x.tokens;) {
    const int left = x.tokens - token;
    const auto take = [&]<int kBlock>() {
      const int count = std::min(left, kBlock);
      Loops::template multiply<kBlock>(w, x, token, count, range, out + token * out_stride, out_stride);
      token += count;
    };
    // By what they take: two thirds of a block cost as much as all of it, and so do three tokens of four.
    if (3 * left > 2 * kTokens) {
      take.template operator()<kTokens>();
    } else if (left >= kFewTokens - 1) {
      take.template operator()<kFewTokens>();
    } else {
      take.template operator()<1>();
    }
  }
}

template <class Isa, DType... kDTypes>
constexpr void set_matmuls(MatmulTable& table) {
  ((table[static_cast<uint32_t>(kDTypes)] = matmul<Isa, BlockLoops<Isa, kDTypes>>), ...);
}

/// Puts the loops of an Isa for every block format into a table.
template <class Isa>
constexpr void set_block_matmuls(MatmulTable& table) {
  set_matmuls<Isa, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
              DType::kQ5_K, DType::kQ6_K, DType::kQ8_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kTQ2_0, DType::kMXFP4>(table);
  table[static_cast<uint32_t>(DType::kTQ1_0)] = table[static_cast<uint32_t>(DType::kTQ2_0)];  // packed alike
}

/// matmul[] of a KernelTable with every format this build reads.
template <class Isa>
constexpr MatmulTable matmul_table() {
  MatmulTable table{};
  set_block_matmuls<Isa>(table);
  table[static_cast<uint32_t>(DType::kF32)] = matmul<Isa, FloatLoops<Isa, DType::kF32>>;
  table[static_cast<uint32_t>(DType::kF16)] = matmul<Isa, FloatLoops<Isa, DType::kF16>>;
  table[static_cast<uint32_t>(DType::kBF16)] = matmul<Isa, FloatLoops<Isa, DType::kBF16>>;
  return table;
}

}  // namespace tessera

// Owns the plain C++ kernels: the reference that every SIMD table must equal bit for bit. Written apart from the SIMD loops on purpose.
#include <cmath>
#include <limits>

#include "core/base/half.h"
#include "core/base/math.h"
#include "core/kernels/pack.h"
#include "core/kernels/tables.h"

namespace tessera {
namespace {

constexpr int kTileRows = 4;

float sum_lanes(float (&lanes)[16]) {
  for (int half = 8; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] = lanes[j] + lanes[j + half];
  }
  return lanes[0];
}

float dot(const float* a, const float* b, int64_t n) {
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i % 16] = lanes[i % 16] + a[i] * b[i];
  return sum_lanes(lanes);
}

void quantize_row(const float* x, int64_t width, std::byte* code_row, float* scales, int32_t* half_sums, float* scaled_sums) {
  auto* codes = reinterpret_cast<int8_t*>(code_row);
  for (int64_t b = 0; b < width / kActivationBlock; ++b) {
    const float* block = x + b * kActivationBlock;
    float amax = 0.0f;
    for (int i = 0; i < kActivationBlock; ++i) amax = std::fabs(block[i]) > amax ? std::fabs(block[i]) : amax;
    const float inverse = amax > 0.0f ? 127.0f / amax : 0.0f;
    half_sums[2 * b] = half_sums[2 * b + 1] = 0;
    for (int i = 0; i < kActivationBlock; ++i) {
      const auto code = static_cast<int8_t>(round_nearest(block[i] * inverse));
      codes[b * kActivationBlock + i] = code;
      half_sums[2 * b + i / 16] += code;
    }
    scales[b] = amax / 127.0f;
    scaled_sums[b] = scales[b] * static_cast<float>(half_sums[2 * b] + half_sums[2 * b + 1]);
  }
}

// One weight row against every token, block after block.
void matmul_row(const PackedMatrix& w, const Activations& x, int64_t row, float* out, int64_t out_stride) {
  const int64_t blocks = x.width / kActivationBlock;
  for (int t = 0; t < x.tokens; ++t) out[t * out_stride + row] = 0.0f;
  for (int64_t b = 0; b < blocks; ++b) {
    const BlockCodes weights = read_block(w, row, b);
    for (int t = 0; t < x.tokens; ++t) {
      const auto* codes = reinterpret_cast<const int8_t*>(x.codes + t * x.width + b * kActivationBlock);
      int32_t low = 0, high = 0;
      for (int i = 0; i < 16; ++i) low += weights.codes[i] * codes[i];
      for (int i = 16; i < 32; ++i) high += weights.codes[i] * codes[i];
      const int32_t total = low * weights.half_scale[0] + high * weights.half_scale[1];
      float& acc = out[t * out_stride + row];
      acc = acc + static_cast<float>(total) * (weights.scale * x.scales[t * blocks + b]);
      if (weights.has_min) {
        const int32_t* sums = x.half_sums + 2 * (t * blocks + b);
        const int32_t sum = weights.half_min[0] * sums[0] + weights.half_min[1] * sums[1];
        acc = acc + weights.min * (x.scales[t * blocks + b] * static_cast<float>(sum));
      }
    }
  }
}

// Calls each(row) for the rows of the range.
template <class Each>
void for_rows(const PackedMatrix& w, const TileRange& tiles, const Each& each) {
  for (int s = 0; s < tiles.stretches(); ++s) {
    const int64_t first = (tiles.first + s * tiles.stride) * kTileRows, end = (tiles.end + s * tiles.stride) * kTileRows;
    for (int64_t row = first; row < std::min(end, w.rows); ++row) each(row);
  }
}

void matmul_quantized(const PackedMatrix& w, const Activations& x, const TileRange& tiles, float* out, int64_t out_stride) {
  for_rows(w, tiles, [&](int64_t row) { matmul_row(w, x, row, out, out_stride); });
}

void matmul_float(const PackedMatrix& w, const Activations& x, const TileRange& tiles, float* out, int64_t out_stride) {
  for_rows(w, tiles, [&](int64_t row) {
    for (int t = 0; t < x.tokens; ++t) {
      float acc = 0.0f;
      for (int64_t k = 0; k < x.width; ++k) acc = acc + read_element(w, row, k) * x.values[t * x.width + k];
      out[t * out_stride + row] = acc;
    }
  });
}

constexpr MatmulTable scalar_matmul_table() {
  MatmulTable table{};
  for (DType dtype :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K,
        DType::kQ6_K, DType::kQ8_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kTQ1_0, DType::kTQ2_0, DType::kMXFP4}) {
    table[static_cast<uint32_t>(dtype)] = matmul_quantized;
  }
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) table[static_cast<uint32_t>(dtype)] = matmul_float;
  return table;
}

void rms_norm(const float* x, const float* weight, int64_t n, float epsilon, float* out) {
  const float scale = 1.0f / std::sqrt(dot(x, x, n) / static_cast<float>(n) + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void silu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = silu(gate[i]) * up[i];
}

void gelu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = gelu_tanh(gate[i]) * up[i];
}

void clamped_swiglu(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = tessera::clamped_swiglu(gate[i], up[i]);
}

void attend_one(const float* query, const CacheChunk& chunk, int begin, int end, int head_dim, float softcap, AttentionState& state,
                float* accumulator) {
  float weights[kAttentionChunk] = {};
  float maximum = state.maximum;
  for (int c = begin; c < end; ++c) {
    for (int d = 0; d < head_dim; ++d)
      weights[c] = weights[c] + query[d] * chunk.keys[(c / kAttentionPanel * head_dim + d) * kAttentionPanel + c % kAttentionPanel];
    if (softcap > 0.0f) weights[c] = soft_cap(weights[c], softcap);
    maximum = weights[c] > maximum ? weights[c] : maximum;
  }
  float lanes[16] = {};
  for (int c = begin; c < end; ++c) {
    weights[c] = exp_f32(weights[c] - maximum);
    lanes[c % 16] = lanes[c % 16] + weights[c];
  }
  const float rescale = exp_f32(state.maximum - maximum);
  state.sum = state.sum * rescale + sum_lanes(lanes);
  state.maximum = maximum;
  for (int d = 0; d < head_dim; ++d) {
    float acc = accumulator[d] * rescale;
    const float* column = chunk.values + d / kAttentionPanel * kAttentionPanel * kAttentionChunk + d % kAttentionPanel;
    for (int c = begin; c < end; ++c) acc = acc + weights[c] * column[c * kAttentionPanel];
    accumulator[d] = acc;
  }
}

void attend(const float* queries, int heads, const CacheChunk& chunk, int begin, int end, int head_dim, float softcap,
            AttentionState* states, float* accumulators) {
  for (int h = 0; h < heads; ++h) {
    attend_one(queries + h * head_dim, chunk, begin, end, head_dim, softcap, states[h], accumulators + h * head_dim);
  }
}

float quantize_words(const float* x, int64_t n, int max_code, int16_t* codes) {
  float amax = kLeastMagnitude;
  for (int64_t i = 0; i < n; ++i) amax = std::fabs(x[i]) > amax ? std::fabs(x[i]) : amax;
  const float factor = static_cast<float>(max_code) / amax;
  for (int64_t i = 0; i < n; ++i) codes[i] = static_cast<int16_t>(round_nearest(x[i] * factor));
  return amax / static_cast<float>(max_code);
}

void attend_segment_one(const int16_t* query, float query_scale, const QuantizedSegment& segment, int begin, int end, int head_dim,
                        float softcap, AttentionState& state, float* sums) {
  float scores[kAttentionSegment] = {};
  float maximum = -std::numeric_limits<float>::infinity();
  for (int c = begin; c < end; ++c) {
    const KeyPanel panel = key_panel(segment.keys, c, head_dim);
    const int column = c % kAttentionPanel;
    int32_t dot = 0;
    for (int d = 0; d < head_dim; ++d) dot += query[d] * panel.codes[(d / 2 * kAttentionPanel + column) * 2 + d % 2];
    const auto exact = static_cast<float>(dot);
    scores[c] = softcap > 0.0f ? soft_cap(exact * (query_scale * panel.key_scales[column]), softcap) * kLog2E
                               : exact * (query_scale * kLog2E * panel.key_scales[column]);
    scores[c] = scores[c] + panel.value_log2[column];
    maximum = scores[c] > maximum ? scores[c] : maximum;
  }
  float lanes[16] = {};
  int16_t codes[kAttentionSegment] = {};
  for (int c = begin; c < end; ++c) {
    const float weight = exp2_weight(scores[c] - maximum);
    codes[c] = static_cast<int16_t>(round_nearest(weight));
    lanes[c % 16] = lanes[c % 16] + weight * key_panel(segment.keys, c, head_dim).value_inverses[c % kAttentionPanel];
  }
  state = {(maximum - static_cast<float>(kWeightBits)) * kLn2, sum_lanes(lanes)};
  for (int d = 0; d < head_dim; ++d) {
    int32_t sum = 0;
    for (int c = begin; c < end; ++c) sum += codes[c] * segment.values[value_index(c, d)];
    sums[d] = static_cast<float>(sum);
  }
}

void attend_segment(const QuantizedQueries& queries, int heads, const QuantizedSegment& segment, int begin, int end, int head_dim,
                    float softcap, AttentionState* states, float* sums) {
  for (int h = 0; h < heads; ++h) {
    attend_segment_one(queries.codes + h * head_dim, queries.scales[h], segment, begin, end, head_dim, softcap, states[h],
                       sums + h * head_dim);
  }
}

void widen_f16(const uint16_t* in, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = f16_to_f32(in[i]);
}

}  // namespace

const KernelTable kScalarKernels = {
    .name = "scalar",
    .tile_rows = kTileRows,
    .code_bytes = 1,
    .quantize_row = quantize_row,
    .matmul = scalar_matmul_table(),
    .rms_norm = rms_norm,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .clamped_swiglu = clamped_swiglu,
    .attend = attend,
    .quantize_words = quantize_words,
    .attend_segment = attend_segment,
    .widen_f16 = widen_f16,
};

}  // namespace tessera

// Owns the list of number formats that the K and V cache can have.
#pragma once

#include <optional>
#include <string_view>

namespace tessera {

/// Number format of the K and V cache: 4, 2, 1.125 or 1.5 bytes a value. Q16_8 has integer codes, of 16 bits in K and 8 in V, with a scale
/// for each head and position: fast, because attention works on the codes (core/kernels/kernels.h).
enum class KvType { kF32, kF16, kQ8_0, kQ16_8 };

/// "f32", "f16", "q8_0", "q16_8".
std::string_view kv_type_name(KvType type);
std::optional<KvType> kv_type_from_name(std::string_view name);

}  // namespace tessera

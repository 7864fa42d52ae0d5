// Owns the list of number formats that the K and V cache can have.
#pragma once

#include <optional>
#include <string_view>

namespace tessera {

/// Number format of the K and V cache: 4, 2 or 1.125 bytes a value.
enum class KvType { kF32, kF16, kQ8_0 };

/// "f32", "f16", "q8_0".
std::string_view kv_type_name(KvType type);
std::optional<KvType> kv_type_from_name(std::string_view name);

}  // namespace tessera

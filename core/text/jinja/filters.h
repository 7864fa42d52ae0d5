// Owns the list of filter tables: one per family, in its own file.
#pragma once

#include <span>

#include "core/text/jinja/builtin.h"

namespace tessera::jinja {

std::span<const Builtin> text_filters();      ///< str → str, and conversions to text
std::span<const Builtin> value_filters();     ///< numbers, defaults, lengths, dicts
std::span<const Builtin> layout_filters();    ///< text laid out in lines and columns, for pages and addresses
std::span<const Builtin> sequence_filters();  ///< lists → lists and items

}  // namespace tessera::jinja

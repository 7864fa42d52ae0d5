// Owns text operations that str methods and filters share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/jinja/budget.h"

namespace tessera::jinja {

/// markupsafe.escape: & < > ' " as entities.
std::string escape_html(std::string_view text);

/// str.replace; count < 0 replaces all.
std::string replace_text(Budget& budget, std::string_view text, std::string_view from, std::string_view to, int64_t count);

/// str.splitlines.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

/// str.title: each run of letters capitalised.
std::string title_case(std::string_view text);

}  // namespace tessera::jinja

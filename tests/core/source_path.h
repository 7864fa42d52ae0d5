// Where the repository's files are for the tests, wherever they are run from.
#pragma once

#include <string>

namespace tessera {

/// Absolute path of a file or folder of the repository, named relative to its root.
std::string source_path(const std::string& relative);

}  // namespace tessera

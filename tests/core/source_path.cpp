// The one file that is compiled with the clone's own path, so that a compiler cache can serve all others to every clone.
#include "tests/core/source_path.h"

namespace tessera {

std::string source_path(const std::string& relative) { return TESSERA_SOURCE_DIR "/" + relative; }

}  // namespace tessera

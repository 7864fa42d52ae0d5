// Owns the metadata of a GGUF as bytes, for files that are written anew with everything that is not known here kept as it was.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/base/byte_source.h"
#include "core/base/result.h"

namespace tessera {

/// One entry of the metadata section.
struct RawMetadata {
  std::string key;
  std::vector<std::byte> value;  ///< value type and value, as they lie in the file
};

/// All entries in file order. The source must have passed GgufFile::open (or be a part of what passed open_split): counts are not
/// checked a second time. Errors of reading.
Result<std::vector<RawMetadata>> read_raw_metadata(const ByteSource& source);

}  // namespace tessera

#include "core/base/result.h"

namespace tessera {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kBadFile: return "bad_file";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kOutOfMemory: return "out_of_memory";
    case ErrorCode::kContextFull: return "context_full";
    case ErrorCode::kAborted: return "aborted";
    case ErrorCode::kTemplate: return "template";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

}  // namespace tessera

// The core's public face, part eight: a short trial of what this device computes fastest with. It never changes what comes out.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/engine/session.h"

namespace tessera {

/// What is already known; the rest is tried out.
struct TuneOptions {
  std::string kernels;  ///< a name of Engine::kernel_choices(); "" = try them
  int threads = 0;      ///< 1…64, more than the engine has are all it has; 0 = try, whatever it computes with now
  int streams = 0;      ///< 1 or kMostStreams (KernelTable::streams); 0 = try
  int processors = 0;   ///< more threads than these must be clearly faster, when they are tried; 0 = as many as the system tells
};

/// Sets kernels, threads and streams of the engine, and so its info(). Kernels are tried for 50 ms, on one thread, each number of threads
/// for 20 ms; with large models for five rounds of a layer of a batch and four of a single token. Then whether the products of a token are
/// faster in streams, ten times over 48 MB of weights. All that is computed is thrown away; the session must be `engine`'s, and its
/// timeline is forgotten. kInvalidArgument, kOutOfMemory.
Result<void> tune(Engine& engine, Session& session, const TuneOptions& options);

}  // namespace tessera

// Owns a loaded model: what it is (Config), what it knows (Weights) and the kernels it runs on. Immutable after load.
#pragma once

#include <memory>

#include "core/model/config.h"
#include "core/model/weights.h"

namespace tessera {

struct Model {
  Config config;
  Weights weights;
  const KernelTable* kernels = nullptr;
};

}  // namespace tessera

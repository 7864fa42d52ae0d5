// Hunyuan, dense: norms on the heads of q and k behind rope. Its NTK alpha is part of rope.freq_base, as converters write it.
#include "core/model/architectures/architectures.h"

namespace tessera {

void read_hunyuan_dense(ConfigReader& in, Config& config) {
  config.rope.split_halves = true;
  config.qk_norm = QkNorm::kHeadBehindRope;
  if (in.number_or_none("rope.scaling.alpha") > 0) in.refuse("a rope.scaling.alpha that is not part of rope.freq_base");
}

}  // namespace tessera

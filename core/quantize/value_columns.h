// Owns the guess at how much the columns of an attention's value matrix matter where no importance file says it.
//
// Nearly every head of a trained model gives most of its attention to the first token, whose hidden state is a few enormous channels
// ("attention sinks", Xiao et al., arXiv:2309.17453; "massive activations", Sun et al., arXiv:2402.17762). Its value is added to every
// other token's output, and training has kept it small by making the columns that meet those channels tiny. An error in such a column,
// weighed like any other, is multiplied by the enormous channel and shifts every position of every layer. So columns count by how small
// they are.
#pragma once

#include <vector>

#include "core/base/result.h"
#include "core/gguf/gguf_file.h"

namespace tessera {

/// Whether the tensor is a value matrix, "blk.N.attn_v.weight".
bool is_value_matrix(const TensorInfo& tensor);

/// By how much more an error in each column [width] of `tensor` [rows, width] counts than the search would think by itself: (half the mean
/// of all w² / mean w² of the column)², from 1 to 1024; empty if all weights are zero or one is not finite. Reads the tensor once, a few
/// megabytes at a time. Errors of reading.
Result<std::vector<float>> value_column_emphasis(const GgufFile& file, const TensorInfo& tensor);

}  // namespace tessera

#include "core/text/tokenizer.h"

#include <utility>

#include "core/text/byte_pair.h"
#include "core/text/sentencepiece.h"
#include "core/text/stream_decoder.h"

namespace tessera {

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_gguf(const GgufFile& file) {
  Result<std::string> model = file.get_string("tokenizer.ggml.model");
  if (!model) return model.error();
  const bool byte_level = *model == "gpt2";
  if (!byte_level && *model != "llama" && *model != "gemma4" && *model != "t5") {
    return Error{ErrorCode::kUnsupported, "tokenizer.ggml.model is \"" + *model + "\", expected gpt2, llama, gemma4 or t5",
                 "Byte-level BPE and SentencePiece (BPE and Unigram) vocabularies are supported."};
  }
  Result<Vocab> vocab = Vocab::from_gguf(file);
  if (!vocab) return vocab.error();
  return byte_level ? BytePairTokenizer::make(file, std::move(*vocab)) : SentencePieceTokenizer::make(file, std::move(*vocab));
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool show_special) const {
  StreamDecoder decoder(*this, true, show_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text += decoder.finish();
}

}  // namespace tessera

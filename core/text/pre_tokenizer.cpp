#include "core/text/pre_tokenizer.h"

#include <algorithm>

#include "core/text/word_finders.h"

namespace tessera {
namespace {

// Sources: the pre_tokenizer of each family's tokenizer.json; the names are those that conversion to GGUF writes.

// The cased letters that DeepSeek LLM's tokenizer.json lists one by one (an older Unicode without mathematical letters).
constexpr CodeRange kDeepSeekLetters[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},       {0xd8, 0xf6},       {0xf8, 0x1ba},
    {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x377},     {0x37b, 0x37d},
    {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},     {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},
    {0x3f7, 0x481},     {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},
    {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},
    {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},
    {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
    {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},   {0x10400, 0x1044f},
    {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
};
constexpr CodeRange kDeepSeekPunctuation[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                              {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
constexpr CodeRange kDeepSeekAsian[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
constexpr CodeRange kHanAndKana[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};
constexpr CodeRange kLineBreaks[] = {{0xa, 0xa}, {0xd, 0xd}};
// ( ) | . , ! ? … 。 ， 、 । ۔ ،
constexpr CodeRange kBloomStops[] = {{0x21, 0x21},   {0x28, 0x29},   {0x2c, 0x2c},   {0x2e, 0x2e},     {0x3f, 0x3f},     {0x7c, 0x7c},
                                     {0x60c, 0x60c}, {0x6d4, 0x6d4}, {0x964, 0x964}, {0x2026, 0x2026}, {0x3001, 0x3002}, {0xff0c, 0xff0c}};

constexpr ClassSet kNoWord = kMark | kPunctuation | kSign | kOther;  // [^\s\p{L}\p{N}]
constexpr ClassSet kLead = kNoWord | kSpace;                         // [^\r\n\p{L}\p{N}]: line breaks never lead
constexpr ClassSet kAll = kLetter | kNumber | kLead;

constexpr Stage kGpt2Words = {.find = find_gpt2_word};
constexpr Stage kEachNumber = {.find = find_run, .word = kNumber, .limit = 1};
constexpr Stage kNumbers = {.find = find_run, .word = kNumber};
constexpr Stage kEachNewline = {.find = find_run, .limit = 1, .ranges = kLineBreaks};
constexpr Stage kDeepSeekAsia = {.find = find_run, .ranges = kDeepSeekAsian};
constexpr Stage kBloomWords = {.find = find_spaced_run, .word = kAll & ~kSpace, .ranges = kBloomStops};

constexpr Stage llama3_words(uint32_t digits) {
  return {.find = find_word, .word = kLetter, .lead = kLead, .symbols = kNoWord, .limit = digits, .contractions = Contractions::kBefore};
}
constexpr Stage cased_words(uint32_t digits, Contractions contractions) {
  return {
      .find = find_word, .lead = kLead, .symbols = kNoWord, .limit = digits, .contractions = contractions, .cased = true, .tail = "\r\n/"};
}

constexpr Stage kGpt2[] = {kGpt2Words};
constexpr Stage kSmolLm[] = {kEachNumber, kGpt2Words};
constexpr Stage kLlama3[] = {llama3_words(3)};
constexpr Stage kQwen2[] = {llama3_words(1)};
constexpr Stage kQwen35[] = {{.find = find_word,
                              .word = kLetter | kMark,
                              .lead = kLead,
                              .symbols = kNoWord & ~kMark,
                              .limit = 1,
                              .contractions = Contractions::kBefore}};
constexpr Stage kSeedCoder[] = {
    {.find = find_word, .word = kLetter, .lead = kLead, .symbols = kNoWord, .limit = 1, .contractions = Contractions::kBefore, .tail = ""}};
constexpr Stage kTekken[] = {cased_words(1, Contractions::kNone)};
constexpr Stage kGpt4o[] = {cased_words(3, Contractions::kBehind)};
constexpr Stage kDeepSeekLlm[] = {kEachNewline,
                                  {.find = find_spaced_run, .lead = kSpace, .ranges = kDeepSeekLetters},
                                  {.find = find_spaced_run, .lead = kSpace, .ranges = kDeepSeekPunctuation},
                                  {.find = find_trailing_space},
                                  kDeepSeekAsia,
                                  kNumbers};
constexpr Stage kDeepSeekCoder[] = {kEachNewline,
                                    {.find = find_spaced_run, .word = kLetter, .lead = kSpace},
                                    {.find = find_spaced_run, .word = kPunctuation, .lead = kSpace},
                                    kDeepSeekAsia,
                                    kEachNumber};
constexpr Stage kDeepSeek3[] = {{.find = find_run, .word = kNumber, .limit = 3},
                                {.find = find_run, .ranges = kHanAndKana},
                                {.find = find_word,
                                 .word = kLetter | kMark,
                                 .lead = kMark | kNumber | kSpace | kOther,
                                 .symbols = kPunctuation | kSign,
                                 .limit = 0,
                                 .ascii_signs = true}};
constexpr Stage kFalcon[] = {
    {.find = find_run, .word = kPunctuation, .ascii_signs = true}, kGpt2Words, kNumbers, {.find = find_digit_triple}};
// llama.cpp's own, for a file whose converter knew none: Falcon's without the grave accent.
constexpr CodeRange kGraveAccent[] = {{0x60, 0x60}};
constexpr Stage kDefault[] = {{.find = find_run, .word = kPunctuation, .ranges = kGraveAccent, .ascii_signs = true},
                              kGpt2Words,
                              kNumbers,
                              {.find = find_digit_triple}};
constexpr Stage kBloom[] = {kBloomWords};
constexpr Stage kViking[] = {kBloomWords, kEachNumber};

constexpr PreTokenizerRules kRules[] = {
    {.names = "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat mellum a.x-4.0", .stages = kGpt2},
    {.names = "smollm starcoder refact command-r codeshell exaone minerva-7b", .stages = kSmolLm},
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
     .stages = kLlama3,
     .ignore_merges = true,
     .adds_bos = true},
    {.names = "dbrx smaug-bpe chatglm-bpe glm4", .stages = kLlama3},
    {.names = "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan solar-open grok-2 kormo bailingmoe bailingmoe2 llada-moe", .stages = kQwen2},
    {.names = "qwen35", .stages = kQwen35},
    {.names = "seed-coder", .stages = kSeedCoder},
    {.names = "tekken", .stages = kTekken, .ignore_merges = true, .adds_bos = true},
    {.names = "gpt-4o llama4 kanana2", .stages = kGpt4o},
    {.names = "deepseek-llm", .stages = kDeepSeekLlm},
    {.names = "deepseek-coder", .stages = kDeepSeekCoder},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm", .stages = kDeepSeek3},
    {.names = "falcon", .stages = kFalcon},
    {.names = "default", .stages = kDefault},
    {.names = "bloom poro-chat gpt3-finnish", .stages = kBloom},
    {.names = "viking", .stages = kViking},
};

using Word = std::function<void(std::string_view)>;

void split_stages(std::span<const Stage> stages, const Characters& characters, const Word& word) {
  if (stages.empty()) return word(characters.text);
  const std::string_view text = characters.text;
  const auto pass_on = [&](size_t begin, size_t end) {
    if (end > begin) split_stages(stages.subspan(1), {text.substr(begin, end - begin), characters.classes}, word);
  };
  for (size_t position = 0; position < text.size();) {
    const WordSpan found = stages[0].find(characters, position, stages[0]);
    pass_on(position, found.begin);
    pass_on(found.begin, found.end);
    position = found.end;
  }
}

}  // namespace

const PreTokenizerRules* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizerRules& rules : kRules) {
    for (std::string_view names = rules.names; !names.empty();) {
      const std::string_view first = names.substr(0, names.find(' '));
      if (first == name) return &rules;
      names.remove_prefix(std::min(first.size() + 1, names.size()));
    }
  }
  return nullptr;
}

std::string known_pre_tokenizers() {
  std::string names;
  for (const PreTokenizerRules& rules : kRules) {
    if (!names.empty()) names += ' ';
    names += rules.names;
  }
  return names;
}

void PreTokenizer::split(std::string_view text, const Word& word) const { split_stages(rules_.stages, {text, &classes_}, word); }

}  // namespace tessera

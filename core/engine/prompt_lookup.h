// Owns guesses at the next tokens of an answer, from what stood behind its last words before.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tessera {

/// Prompt lookup decoding ("Inference with Reference", Yang et al. 2023; Saxena 2023): an answer that quotes its prompt or itself, edited
/// code or a corrected text, mostly goes on as the text did where its last tokens stood before. A few tokens computed at once take less
/// time than one by one, so such a guess is computed with the last token, and what is drawn then says how much of it counts. Logits are
/// the same bits in every batch, so an answer is the same with and without. Not thread-safe.
///
/// Whether a guess is worth while is learned: how many of its tokens usually are right, from all guesses, made use of or not, and what
/// computing one costs here.
class PromptLookup {
 public:
  /// Tokens of a guess. With the one before them they fill the smaller register block of products (kernels/matmul_loops.h).
  static constexpr int kTokens = 3;

  /// `prompt` is what stands before the answer; both together have at most `most` tokens.
  PromptLookup(std::span<const int32_t> prompt, int most);

  /// The answer goes on with this token.
  void accept(int32_t token);

  /// kTokens tokens that likely come next, worth computing with the last one; else none. Valid until accept().
  std::span<const int32_t> guess() const;

  /// Computing the last token took so long, by itself or with a guess behind it.
  void took(double milliseconds, bool with_guess);

 private:
  struct Guess {
    std::array<int32_t, kTokens> tokens;
    int level;  // by how much agrees before it
  };
  // Tokens that must agree before a guess, and how many are compared: the longer the quotation, the likelier it goes on.
  static constexpr int kLeast = 3, kMost = 6;
  static constexpr int kLevels = 3;
  static constexpr double kUsualCost = 2.2;

  void add(int32_t token);
  void find();
  void judge(int32_t token);

  std::vector<int32_t> text_;
  std::vector<int32_t> ends_;    // by the hash of kLeast tokens: where they, or others, ended last in text_; 0 = nowhere
  std::optional<Guess> guess_;   // at what follows text_
  std::optional<Guess> judged_;  // an earlier guess of which not all is known
  int right_ = 0;                // tokens of judged_ that came
  std::array<double, kLevels> usually_right_ = {1.5, 1.5, 1.5};  // tokens of a guess; at first about what a guess costs
  double alone_ms_ = 0;                                          // of a token by itself, 0 = not known
  double cost_ = kUsualCost;                                     // of a token with a guess, in tokens by themselves
};

}  // namespace tessera

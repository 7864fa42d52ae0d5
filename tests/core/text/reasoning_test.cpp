// Tests the splitting of reasoning and answer, whatever stretches the text arrives in.
#include "core/text/reasoning.h"

#include "doctest/doctest.h"

using namespace tessera;

namespace {

/// Both parts of `text`, given in stretches of `step` bytes: "reasoning|answer".
std::string split(std::string_view text, size_t step, std::string_view prompt = {}) {
  ReasoningSplitter splitter(prompt);
  ReasoningParts all;
  const auto add = [&](const ReasoningParts& parts) {
    all.reasoning += parts.reasoning;
    all.answer += parts.answer;
  };
  for (size_t at = 0; at < text.size(); at += step) add(splitter.push(text.substr(at, step)));
  add(splitter.finish());
  return all.reasoning + "|" + all.answer;
}

void check(std::string_view text, std::string_view expected, std::string_view prompt = {}) {
  CAPTURE(text);
  for (size_t step = 1; step <= text.size() + 1; ++step) {
    CAPTURE(step);
    CHECK(split(text, step, prompt) == expected);
  }
}

}  // namespace

TEST_CASE("reasoning at the beginning is split off, and the white space around it is dropped") {
  check("<think>\nLet me see.\n\nYes.\n</think>\n\nThe answer.\n", "Let me see.\n\nYes.|The answer.\n");
  check("\n <think>a</think>b", "a|b");
  check("<think>\n\n</think>\n\nok", "|ok");
  check("<thinking>a <think> b</thinking> c", "a <think> b|c");
  check("<seed:think>a</think>b</seed:think>c", "a</think>b|c");
  check("[THINK]a[/THINK]b", "a|b");
}

TEST_CASE("an answer without reasoning is left alone") {
  check("", "|");
  check("  hello <think>no</think> ", "|  hello <think>no</think> ");
  check("\n\n", "|\n\n");
  check("<thin", "|<thin");
  check("<thinks>a</thinks>", "|<thinks>a</thinks>");
  check("<html>", "|<html>");
  check("a</think>b", "|a</think>b");
}

TEST_CASE("what only looks like the end is reasoning") {
  check("<think>a </thin b <//think> </think>c</think>d", "a </thin b <//think>|c</think>d");
  check("<think>a</</think>b", "a</|b");
  check("<think>a <b> c", "a <b> c|");
  check("<think>a\n </thi", "a\n </thi|");
  check("<think>cut off\n\n", "cut off|");
}

TEST_CASE("a prompt may have opened the reasoning") {
  check("Hm.\n</think>\n\nYes.", "Hm.|Yes.", "<user>Q<assistant><think>\n");
  check("Yes.", "|Yes.", "<assistant><think>\n\n</think>\n\n");
  CHECK(ReasoningSplitter("x<think>\n").inside());
  CHECK_FALSE(ReasoningSplitter("<think>x").inside());
}

TEST_CASE("messages: what comes before the final channel is reasoning, headers belong to neither part") {
  const std::string_view prompt = "<|start|>user<|message|>Q<|end|><|start|>assistant";
  const auto check_messages = [&](std::string_view text, std::string_view expected) { check(text, expected, prompt); };
  check_messages("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes. <b>", "Hm.|Yes. <b>");
  check_messages("<|channel|>final<|message|>Yes.", "|Yes.");
  check_messages("<|message|>Yes.", "|Yes.");
  check_messages("<|channel|>analysis<|message|>a <|e b<|end|><|start|>assistant<|channel|>commentary<|message|> c\n<|end|>",
                 "a <|e b\n\nc|");
  check_messages("<|channel|>analysis<|message|>cut <|en", "cut <|en|");
  check_messages("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|chan", "a|");
  check_messages("<|channel|>anal", "|");
  check_messages("plain text", "|plain text");
  check_messages("<", "|<");
  check_messages("", "|");
  check("<|channel|>analysis<|message|>a", "|<|channel|>analysis<|message|>a");  // nothing in the prompt says so
}

TEST_CASE("text comes out as soon as it is certain") {
  ReasoningSplitter splitter;
  CHECK(splitter.push("<think>one two").reasoning == "one two");
  CHECK(splitter.inside());
  CHECK(splitter.push(" \n").reasoning.empty());
  CHECK(splitter.push("three <").reasoning == " \nthree");
  CHECK(splitter.push("b></think>").reasoning == " <b>");
  CHECK_FALSE(splitter.inside());
  CHECK(splitter.push("\n").answer.empty());
  CHECK(splitter.push("four ").answer == "four ");
  CHECK(splitter.push("\n").answer == "\n");
}

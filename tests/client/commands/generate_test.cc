#include "client/commands/generate.h"

#include <atomic>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using WriteGenerated = std::function<bool(const v1::StreamGenerateResponse&)>;

v1::StreamGenerateResponse Piece(const std::string& text, int num_tokens) {
  v1::StreamGenerateResponse piece;
  piece.set_text(text);
  piece.set_num_generated_tokens(num_tokens);
  return piece;
}

class GenerateTest : public testing::Test {
 protected:
  GenerateTest() {
    fake_.scripts.generate = [this](const auto& request,
                                    const WriteGenerated& write) {
      request_ = request;
      write(Piece("Could you", 2));
      v1::StreamGenerateResponse last = Piece(" please\x1b[2J?", 4);
      last.set_finish_reason(v1::FINISH_REASON_LENGTH);
      write(last);
      return absl::OkStatus();
    };
  }

  RunResult Run(std::vector<std::string> arguments, RunOptions options = {}) {
    arguments.insert(arguments.begin(), "generate");
    return RunClient(fake_.address(), std::move(arguments), options);
  }

  // What the scripts touch outlives the server, which waits for them.
  Interrupt interrupt_;
  FakeAttune fake_;
  v1::StreamGenerateRequest request_;
};

TEST_F(GenerateTest, StreamsTheTextAsItIs) {
  const RunResult run = Run({"tone", "--text", "Do it.", "--seed", "3"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "Could you please\x1b[2J?\n");
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(request_.target().prompt(), "prompts/tone");
  EXPECT_EQ(request_.fields().fields().at("text").string_value(), "Do it.");
  EXPECT_EQ(request_.decoding().seed(), 3u);
}

TEST_F(GenerateTest, LetsNoTextSteerATerminal) {
  RunOptions options;
  options.terminal = true;

  const RunResult run = Run({"tone", "--text", "Do it."}, options);

  EXPECT_EQ(run.out, "Could you please�[2J?\n");
  EXPECT_EQ(run.err, "(4 tokens, cut at --max-new-tokens)\n");
}

TEST_F(GenerateTest, AsJsonPrintsAPieceALine) {
  EXPECT_EQ(Run({"tone", "--field", "text=a", "-o", "json"}).out,
            "{\"text\":\"Could you\",\"numGeneratedTokens\":2}\n"
            "{\"text\":\" please\\u001b[2J?\",\"numGeneratedTokens\":4,"
            "\"finishReason\":\"FINISH_REASON_LENGTH\"}\n");
}

TEST_F(GenerateTest, TriesAgainBeforeTheFirstPiece) {
  std::atomic<int> streams = 0;
  fake_.scripts.generate = [&](const auto&, const WriteGenerated& write) {
    if (++streams == 1) return MakeError(Reason::kDraining, "shutting down");
    write(Piece("x", 1));
    return absl::OkStatus();
  };

  EXPECT_EQ(Run({"tone", "--text", "a"}).out, "x\n");
  EXPECT_EQ(streams, 2);
}

TEST_F(GenerateTest, NeverPrintsTheBeginningTwice) {
  std::atomic<int> streams = 0;
  fake_.scripts.generate = [&](const auto&, const WriteGenerated& write) {
    ++streams;
    write(Piece("x", 1));
    return MakeError(Reason::kWorkerLost, "the worker went away");
  };

  const RunResult run = Run({"tone", "--text", "a"});

  EXPECT_EQ(streams, 1);
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.out, "x\n");
  EXPECT_THAT(run.err, HasSubstr("the stream broke off: the worker went away"));
}

TEST_F(GenerateTest, AnInterruptStopsIt) {
  fake_.scripts.generate = [&](const auto&, const WriteGenerated& write) {
    interrupt_.Raise();
    while (write(Piece("x", 1))) {
    }
    return absl::OkStatus();
  };
  RunOptions options;
  options.interrupt = &interrupt_;

  const RunResult run = Run({"tone", "--text", "a"}, options);

  EXPECT_EQ(run.exit_code, 130);
  EXPECT_EQ(run.err, "interrupted\n");
}

TEST_F(GenerateTest, TakesOneInput) {
  EXPECT_EQ(Run({"tone"}).exit_code, 2);
  EXPECT_EQ(Run({"tone", "--text", "a", "--text", "b"}).exit_code, 2);
}

TEST_F(GenerateTest, ATextInBracketsIsOneText) {
  EXPECT_EQ(Run({"tone", "--text", "[a,b]"}).exit_code, 0);
  EXPECT_EQ(request_.fields().fields().at("text").string_value(), "[a,b]");
}

TEST_F(GenerateTest, AClassifierCannotGenerate) {
  fake_.scripts.generate = [](const auto&, const WriteGenerated&) {
    return MakeError(Reason::kIllegalState,
                     "prompts/p classifies: use Predict");
  };

  EXPECT_EQ(Run({"p", "--text", "a"}).exit_code, 3);
}

}  // namespace
}  // namespace attune::client

#include "worker/tasks/tag_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

constexpr double kSure = -0.1;
constexpr double kUnlikely = -4;

std::unique_ptr<const TaskProgram> PlaceProgram() {
  auto program = TaskProgram::Compile(TagTask({"B-LOC", "I-LOC", "O"}),
                                      TinyModel("encoder"), 0);
  EXPECT_OK(program);
  return *std::move(program);
}

TEST(MakeTagAnswer, NamesEntitiesWithTheirPlaces) {
  const auto program = PlaceProgram();
  TaskInput input =
      *program->PrepareInput(R"({"tokens": "In São Paulo ."})", 0);

  const attune::v1::TagAnswer answer =
      MakeTagAnswer(*program, input.words,
                    {{kUnlikely, kUnlikely, kSure},
                     {std::log(0.5), kUnlikely, kUnlikely},
                     {kUnlikely, std::log(0.9), kUnlikely},
                     {kUnlikely, kUnlikely, kSure}});

  ASSERT_EQ(answer.tokens_size(), 4);
  EXPECT_EQ(answer.tokens(1).token(), "São");
  EXPECT_EQ(answer.tokens(1).tag(), "B-LOC");
  EXPECT_NEAR(answer.tokens(1).score(), 0.5, 1e-12);
  ASSERT_EQ(answer.entities_size(), 1);
  const attune::v1::Entity& entity = answer.entities(0);
  EXPECT_EQ(entity.type(), "LOC");
  EXPECT_EQ(entity.text(), "São Paulo");
  EXPECT_EQ(entity.first_token(), 1);
  EXPECT_EQ(entity.end_token(), 3);
  EXPECT_EQ(entity.begin(), 3);  // in characters
  EXPECT_EQ(entity.end(), 12);
  EXPECT_NEAR(entity.score(), 0.7, 1e-12);
}

TEST(MakeTagAnswer, AWordThatWasCutOffHasNoScore) {
  const auto program = PlaceProgram();
  TaskInput input = *program->PrepareInput(R"({"tokens": "a b"})", 0);
  input.words.words[1].token = -1;

  const attune::v1::TagAnswer answer =
      MakeTagAnswer(*program, input.words, {{kSure, kUnlikely, kUnlikely}});

  ASSERT_EQ(answer.tokens_size(), 2);
  EXPECT_EQ(answer.tokens(1).tag(), "O");
  EXPECT_EQ(answer.tokens(1).score(), 0);
  EXPECT_EQ(answer.entities(0).text(), "a");
}

}  // namespace
}  // namespace attune::worker

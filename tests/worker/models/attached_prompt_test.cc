#include "worker/models/attached_prompt.h"

#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_bert.h"
#include "tests/testing/tiny_llama.h"
#include "worker/models/model_store.h"

namespace attune::worker {
namespace {

TEST(AttachedPrompt, IsKeysAndValuesOfACausalModel) {
  const TempDirectory models;
  ASSERT_OK(WriteTinyLlama(models / "tiny"));
  ModelStore store({.directory = models.path()});
  const auto model = *store.Load("tiny");

  const auto prompt = AttachPrompt(*model, at::ones({3, 32}));

  ASSERT_OK(prompt);
  ASSERT_NE(prompt->prefix, nullptr);
  EXPECT_EQ(prompt->prefix->length(), 3);
  EXPECT_EQ(prompt->length(), 3);
  EXPECT_FALSE(prompt->rows.defined());
  EXPECT_EQ(prompt->num_bytes(), prompt->prefix->num_bytes());
}

TEST(AttachedPrompt, AtMarksIsRowsThatAreNoLengthInFront) {
  const TempDirectory models;
  ASSERT_OK(WriteTinyLlama(models / "tiny"));
  ModelStore store({.directory = models.path()});
  const auto model = *store.Load("tiny");

  const auto prompt =
      AttachPrompt(*model, at::ones({3, 32}), {}, /*at_marks=*/true);

  ASSERT_OK(prompt);
  EXPECT_EQ(prompt->prefix, nullptr);
  EXPECT_TRUE(prompt->marked_rows.equal(at::ones({3, 32})));
  EXPECT_EQ(prompt->length(), 0);
  EXPECT_EQ(prompt->num_bytes(), 3 * 32 * sizeof(float));
}

TEST(AttachedPrompt, IsRowsAndAHeadOfAnEncoder) {
  const TempDirectory models;
  ASSERT_OK(WriteTinyBert(models / "encoder"));
  ModelStore store({.directory = models.path()});
  const auto model = *store.Load("encoder");
  const ClassifierHead head = {at::ones({2, 32}).requires_grad_(),
                               at::ones({2})};

  const auto prompt = AttachPrompt(*model, at::ones({3, 32}), head);

  ASSERT_OK(prompt);
  EXPECT_EQ(prompt->prefix, nullptr);
  EXPECT_TRUE(prompt->rows.equal(at::ones({3, 32})));
  EXPECT_EQ(prompt->length(), 3);
  EXPECT_EQ(prompt->head.num_labels(), 2);
  EXPECT_FALSE(prompt->head.weight.requires_grad());
  EXPECT_EQ(prompt->num_bytes(), (3 * 32 + 2 * 32 + 2) * sizeof(float));
}

}  // namespace
}  // namespace attune::worker

// What a tuning job does to the model that it tunes a prompt for: nothing.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/recording_listener.h"
#include "worker/tuning/attempt.h"

namespace attune::worker {
namespace {

// Its bytes; other than with equal(), -0 is not 0 and NaN is NaN.
std::string BytesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return std::string(static_cast<const char*>(flat.const_data_ptr()),
                     flat.nbytes());
}

// rows: [n, embedding_dim] -> the last hidden states of the model, all rows in
// one segment, and the keys and values that every layer makes of them.
std::vector<at::Tensor> HiddenStates(const LoadedModel& loaded,
                                     const at::Tensor& rows) {
  const Segment all = {.begin = 0, .length = rows.size(0)};
  std::vector<at::Tensor> states;
  switch (loaded.info.config.kind) {
    case ModelKind::kCausal:
      states.push_back(*loaded.causal().Forward({rows, {all}}));
      break;
    case ModelKind::kEncoder:
      states.push_back(*loaded.encoder().Forward(
          {.embeddings = rows, .segments = {all}, .token_types = {}}));
      break;
    case ModelKind::kEncoderDecoder: {
      const at::Tensor memory = *loaded.encoder_decoder().Encode(
          {.embeddings = rows, .segments = {all}, .token_types = {}});
      DecoderRows decoder;
      decoder.rows = {rows, {all}};
      decoder.memories = {{.begin = 0, .length = memory.size(0)}};
      decoder.memory = memory;
      states.push_back(memory);
      states.push_back(*loaded.encoder_decoder().Decode(decoder));
      break;
    }
  }
  const auto block = *loaded.model->BuildPrefix(rows);
  for (int64_t layer = 0; layer < block->num_layers(); ++layer) {
    states.push_back(block->keys(layer));
    states.push_back(block->values(layer));
  }
  return states;
}

// Bytes that would tell of a change: the token table, the output layer, and
// what all layers make of fixed rows.
std::vector<std::string> ShowModel(const std::string& id) {
  const at::NoGradGuard no_grad;
  const std::shared_ptr<const LoadedModel> loaded = TinyModel(id);
  const ModelConfig& config = loaded->info.config;
  std::vector<std::string> bytes;
  bytes.push_back(
      BytesOf(loaded->model->Embed(at::arange(config.vocab_size, at::kLong))));
  if (config.kind != ModelKind::kEncoder) {
    bytes.push_back(
        BytesOf(loaded->language().Logits(at::eye(config.dim, at::kFloat))));
  }
  const at::Tensor rows = loaded->model->Embed(
      at::tensor(std::vector<int64_t>{30, 31, 7, 99, 12, 55, 30}));
  for (const at::Tensor& state : HiddenStates(*loaded, rows)) {
    bytes.push_back(BytesOf(state));
  }
  return bytes;
}

AttemptInput JobOn(const std::string& model, bool prefix) {
  AttemptInput input;
  input.attempt = 1;
  input.job.set_name("tuningJobs/frozen");
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.set_prompt("prompts/frozen");
  spec.set_base_model(absl::StrCat("models/", model));
  *spec.mutable_task() = LabelTask({});
  spec.mutable_task()->set_template_("{{ text }}");
  if (prefix) {
    spec.mutable_method()->mutable_prefix_tuning()->set_num_virtual_tokens(4);
  } else {
    spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(4);
  }
  spec.mutable_training()->set_max_steps(10);
  spec.mutable_training()->set_batch_size(8);
  spec.mutable_training()->mutable_learning_rate()->set_value(0.1);
  for (int i = 0; i < 40; ++i) {
    input.rows.push_back(absl::StrCat(R"({"text": ")", i, R"(", "label": ")",
                                      i % 2 == 0 ? "left" : "right", "\"}"));
  }
  return input;
}

TEST(FrozenModel, KeepsEveryByteThroughAJob) {
  for (const char* model : {"tiny", "encoder", "t5"}) {
    // Held, so that the job runs on this very copy.
    const std::shared_ptr<const LoadedModel> held = TinyModel(model);
    const std::vector<std::string> before = ShowModel(model);
    for (const bool prefix : {false, true}) {
      SCOPED_TRACE(absl::StrCat(model, prefix ? " prefix" : " prompt"));
      const FakeClock clock;
      RecordingListener listener;

      const absl::StatusOr<AttemptResult> result =
          RunAttempt(JobOn(model, prefix), TinyModels(), clock, listener);

      ASSERT_OK(result);
      // Something was trained, in this copy of the model.
      EXPECT_GT(listener.reports.back().prompt_drift(), 0.01);
      ASSERT_EQ(TinyModel(model), held);
      const std::vector<std::string> after = ShowModel(model);
      ASSERT_EQ(after.size(), before.size());
      for (size_t i = 0; i < before.size(); ++i) {
        EXPECT_TRUE(after[i] == before[i]) << "part " << i << " changed";
      }
    }
  }
}

// What the test above compares does tell.
TEST(FrozenModel, AnotherModelHasOtherBytes) {
  const std::vector<std::string> tiny = ShowModel("tiny");
  const std::vector<std::string> other = ShowModel("other");

  ASSERT_EQ(tiny.size(), other.size());
  for (size_t i = 0; i < tiny.size(); ++i) {
    EXPECT_TRUE(tiny[i] != other[i]) << "part " << i;
  }
}

}  // namespace
}  // namespace attune::worker

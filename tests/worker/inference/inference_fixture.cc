#include "tests/worker/inference/inference_fixture.h"

#include <ATen/Context.h>
#include <ATen/ops/randn.h>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/tiny_llama.h"
#include "worker/prompts/prompt_codec.h"

namespace attune::worker {

absl::StatusOr<Artifact> FakeArtifactSource::Fetch(const std::string& digest,
                                                   absl::Time) {
  absl::MutexLock lock(&mutex_);
  ++num_fetches_;
  const auto open = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !blocked_;
  };
  mutex_.Await(absl::Condition(&open));
  const auto found = artifacts_.find(digest);
  if (found == artifacts_.end()) {
    return NotFound("artifact", digest);
  }
  return found->second;
}

std::string FakeArtifactSource::Add(Artifact artifact) {
  const std::string digest = ArtifactDigest(artifact);
  absl::MutexLock lock(&mutex_);
  artifacts_[digest] = std::move(artifact);
  return digest;
}

void FakeArtifactSource::SetBlocked(bool blocked) {
  absl::MutexLock lock(&mutex_);
  blocked_ = blocked;
}

int FakeArtifactSource::num_fetches() const {
  absl::MutexLock lock(&mutex_);
  return num_fetches_;
}

namespace {

std::string WriteModel(const TempDirectory& directory) {
  const absl::Status status = WriteTinyLlama(directory / "tiny");
  EXPECT_TRUE(status.ok()) << status;
  return directory.path();
}

}  // namespace

InferenceFixture::InferenceFixture()
    : models_({.directory = WriteModel(directory_)}) {}

InferenceTarget InferenceFixture::Classification(
    const std::vector<std::string>& labels) {
  InferenceTarget target;
  target.model = "models/tiny";
  target.task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  target.task.set_template_("Text: {{ text }}\nLabel:");
  for (const std::string& label : labels) {
    attune::v1::LabelWords& words = *target.task.add_labels();
    words.set_label(label);
    words.add_words(label);
  }
  return target;
}

InferenceTarget InferenceFixture::MultipleChoice() {
  InferenceTarget target;
  target.model = "models/tiny";
  target.task.set_type(attune::v1::TASK_TYPE_MULTIPLE_CHOICE);
  target.task.set_template_("{{ text }}");
  return target;
}

InferenceTarget InferenceFixture::Generation(int max_new_tokens) {
  InferenceTarget target;
  target.model = "models/tiny";
  target.task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  target.task.set_template_("{{ text }}");
  target.task.mutable_decoding()->set_max_new_tokens(max_new_tokens);
  return target;
}

InferenceTarget InferenceFixture::WithPrompt(InferenceTarget target, int seed) {
  const auto model = Model();
  at::manual_seed(seed);
  const auto prompt =
      SoftPrompt::Create(at::randn({4, model->info.config.embedding_dim}));
  EXPECT_TRUE(prompt.ok()) << prompt.status();
  v1::PromptManifest manifest;
  manifest.set_format_version(kPromptFormatVersion);
  manifest.set_base_model("models/tiny");
  manifest.set_model_fingerprint(model->info.fingerprint);
  *manifest.mutable_task() = target.task;
  const auto artifact =
      EncodePrompt({*prompt, {}, {}, {}, manifest}, model->info.config);
  EXPECT_TRUE(artifact.ok()) << artifact.status();
  target.artifact_digest = artifacts_.Add(*artifact);
  target.prompt_version = absl::StrCat("prompts/p", seed, "/versions/1");
  target.model_fingerprint = model->info.fingerprint;
  return target;
}

InferenceInput InferenceFixture::Text(const std::string& text, size_t target) {
  InferenceInput input;
  input.target = target;
  (*input.fields.mutable_fields())["text"].set_string_value(text);
  return input;
}

InferenceInput InferenceFixture::TextWithChoices(
    const std::string& text, const std::vector<std::string>& choices,
    size_t target) {
  InferenceInput input = Text(text, target);
  auto& list =
      *(*input.fields.mutable_fields())["choices"].mutable_list_value();
  for (const std::string& choice : choices) {
    list.add_values()->set_string_value(choice);
  }
  return input;
}

std::shared_ptr<const LoadedModel> InferenceFixture::Model() {
  const auto model = models_.Load("tiny");
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

}  // namespace attune::worker

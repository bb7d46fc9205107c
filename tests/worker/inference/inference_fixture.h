#ifndef ATTUNE_TESTS_WORKER_INFERENCE_INFERENCE_FIXTURE_H_
#define ATTUNE_TESTS_WORKER_INFERENCE_INFERENCE_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "proto/cc/metrics.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_directory.h"
#include "worker/inference/artifact_source.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/inference_metrics.h"
#include "worker/inference/target_resolver.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// Artifacts from memory. Fetches wait while the source is blocked.
class FakeArtifactSource final : public ArtifactSource {
 public:
  absl::StatusOr<Artifact> Fetch(const std::string& digest,
                                 absl::Time deadline) override;

  // Returns the artifact's digest.
  std::string Add(Artifact artifact);
  void SetBlocked(bool blocked);
  int num_fetches() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, Artifact> artifacts_ ABSL_GUARDED_BY(mutex_);
  bool blocked_ ABSL_GUARDED_BY(mutex_) = false;
  int num_fetches_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A directory with the tiny model models/tiny, and targets for it.
class InferenceFixture : public testing::Test {
 protected:
  InferenceFixture();

  // A classification of {{ text }} with these labels by the bare base model.
  static InferenceTarget Classification(const std::vector<std::string>& labels);
  // A multiple choice for {{ text }}.
  static InferenceTarget MultipleChoice();
  // A generation from {{ text }}, without end but for `max_new_tokens`.
  static InferenceTarget Generation(int max_new_tokens);
  // The same with a soft prompt of 4 rows, which differ by `seed`.
  InferenceTarget WithPrompt(InferenceTarget target, int seed);

  static InferenceInput Text(const std::string& text, size_t target = 0);
  // The same with choices.
  static InferenceInput TextWithChoices(const std::string& text,
                                        const std::vector<std::string>& choices,
                                        size_t target = 0);

  std::shared_ptr<const LoadedModel> Model();

  TempDirectory directory_;
  ModelStore models_;
  FakeArtifactSource artifacts_;
  FakeClock clock_;
  Metrics metrics_;
  InferenceMetrics inference_metrics_{metrics_};
  TargetResolver resolver_{{}, models_, artifacts_, inference_metrics_, clock_};
};

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_INFERENCE_INFERENCE_FIXTURE_H_

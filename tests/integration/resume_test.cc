// A job whose worker is killed again and again ends with the very bytes of one
// that nothing disturbed. The seed can be given: ATTUNE_RESUME_SEED.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::IsEmpty;

constexpr int kKills = 5;
// Enough for all kills, each after a checkpoint of its own, on a machine that
// takes up to a thousand steps of the decoder from one event to the next, which
// are a second apart.
constexpr int kDecoderSteps = 5000;
constexpr int kEncoderSteps = 2500;
constexpr int kValidationInterval = 100;

uint64_t ResumeSeed() {
  const char* text = std::getenv("ATTUNE_RESUME_SEED");
  uint64_t seed = 0;
  return text != nullptr && absl::SimpleAtoi(text, &seed)
             ? seed
             : std::random_device{}();
}

class Resume : public ServiceTest {
 protected:
  void SetUp() override {
    ServicePair::Options options;
    options.all_kinds = true;
    ASSERT_TRUE(Start(options));
    const uint64_t seed = ResumeSeed();
    std::cout << "ATTUNE_RESUME_SEED=" << seed << std::endl;
    RecordProperty("seed", absl::StrCat(seed));
    random_.seed(seed);
  }

  // A long job that also keeps a best prompt on its way.
  static v1::TuningJobSpec JobFor(const std::string& prompt,
                                  const std::string& model, int max_steps) {
    v1::TuningJobSpec spec = LongReviewJob(prompt, max_steps);
    spec.set_base_model(absl::StrCat("models/", model));
    spec.mutable_training()->set_validation_interval_steps(kValidationInterval);
    spec.mutable_training()->set_seed(7);
    return spec;
  }

  // Runs the job and kills its worker kKills times, at steps behind a
  // checkpoint that no attempt before had.
  v1::TuningJob RunWithKills(const v1::TuningJobSpec& spec) {
    const auto created = api().CreateJob(spec);
    EXPECT_TRUE(created.ok()) << created.failure();
    JobFollower follower = Follow(created.value);
    std::uniform_int_distribution<int> further(1, 2 * kCheckpointInterval);
    for (int kill = 0; kill < kKills; ++kill) {
      const int wanted =
          follower.step() + kCheckpointInterval + further(random_);
      const auto event = follower.WaitForStep(wanted, kPatience);
      EXPECT_TRUE(event.ok()) << event.status();
      if (!event.ok()) return {};
      EXPECT_FALSE(follower.ended());
      std::cout << "killed at step " << follower.step() << std::endl;
      pair().KillWorker();
      const absl::Status started = pair().StartWorker();
      EXPECT_TRUE(started.ok()) << started;
      if (!started.ok()) return {};
    }
    const auto end = follower.WaitForEnd(kPatience);
    EXPECT_TRUE(end.ok()) << end.status();
    ExpectSoundEvents(follower.events());
    return api().GetJob(created.value.name()).value;
  }

  // The tensors of a version, by the names of their files.
  std::map<std::string, std::string> TensorFiles(const std::string& version) {
    const auto download = api().DownloadVersion(version);
    EXPECT_TRUE(download.ok()) << download.failure();
    EXPECT_THAT(download.value.wrong, IsEmpty());
    std::map<std::string, std::string> tensors;
    for (const auto& [name, bytes] : download.value.files) {
      if (absl::EndsWith(name, ".safetensors")) tensors[name] = bytes;
    }
    return tensors;
  }

  // Runs `spec` for two prompts, once in peace.
  void ExpectSameBytes(v1::TuningJobSpec spec, size_t num_files) {
    spec.set_prompt("prompts/whole");
    const v1::TuningJob whole = MustSucceed(spec).job;
    spec.set_prompt("prompts/killed");
    const v1::TuningJob killed = RunWithKills(spec);

    ASSERT_EQ(killed.state(), v1::TuningJob::STATE_SUCCEEDED)
        << killed.error().ShortDebugString();
    EXPECT_GT(killed.attempt(), kKills);
    EXPECT_EQ(killed.report().num_steps(), spec.training().max_steps());
    EXPECT_EQ(killed.report().best_step(), whole.report().best_step());
    EXPECT_EQ(killed.report().best_validation_metric(),
              whole.report().best_validation_metric());
    EXPECT_EQ(killed.report().after().loss(), whole.report().after().loss());
    const auto expected = TensorFiles(whole.prompt_version());
    const auto actual = TensorFiles(killed.prompt_version());
    EXPECT_EQ(expected.size(), num_files);
    ASSERT_EQ(actual.size(), expected.size());
    for (const auto& [name, bytes] : expected) {
      ASSERT_EQ(actual.count(name), 1u) << name;
      EXPECT_TRUE(actual.at(name) == bytes) << name << " differs";
    }
  }

  std::mt19937_64 random_;
};

TEST_F(Resume, APrefixOfADecoderEndsInTheSameBytes) {
  v1::TuningJobSpec spec = JobFor("whole", "tiny", kDecoderSteps);
  spec.mutable_method()->mutable_prefix_tuning()->set_num_virtual_tokens(4);

  ExpectSameBytes(spec, /*num_files=*/1);
}

TEST_F(Resume, APromptAndAHeadOfAnEncoderEndInTheSameBytes) {
  ExpectSameBytes(JobFor("whole", "encoder", kEncoderSteps), /*num_files=*/2);
}

}  // namespace
}  // namespace attune::integration

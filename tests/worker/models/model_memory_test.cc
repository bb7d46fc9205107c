#include <malloc.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/models/real_models.h"
#include "tests/worker/models/resident_memory.h"
#include "worker/models/fingerprint.h"
#include "worker/models/model_store.h"

namespace attune::worker {
namespace {

constexpr char kModelId[] = "smollm2-135m-instruct";
constexpr int64_t kMegabyte = 1 << 20;
// Tokeniser, file headers, the pages of code that loading is the first to run.
constexpr int64_t kOverhead = 100 * kMegabyte;

// Sets the peak of the resident size back to what it is now.
void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// The weights are mapped, copied tensor by tensor and the file's pages given
// back: at no moment do they lie in memory twice.
class ModelMemory : public testing::TestWithParam<at::ScalarType> {};

TEST_P(ModelMemory, LoadingTakesNoMoreThanTheWeightsAtAnyMoment) {
  const std::string path = Concat(RealModelsDirectory(), "/", kModelId);
  if (!HasRealModel(kModelId)) {
    GTEST_SKIP() << kModelId << " is not in " << RealModelsDirectory()
                 << "; deploy/import_model.sh puts it there";
  }
  const TempDirectory cache;
  // What tests before this one freed would be used again, and not be counted.
  malloc_trim(0);
  ResetPeak();
  const int64_t before = ResidentBytes("VmRSS:");

  // As at the first start, when no digest is known yet.
  ASSERT_OK(Fingerprint({path + "/model.safetensors"}, cache / "sha256.json"));
  ModelStore store({.directory = RealModelsDirectory(), .dtype = GetParam()});
  const auto model = store.Load(kModelId);

  ASSERT_OK(model);
  const int64_t peak = ResidentBytes("VmHWM:") - before;
  const int64_t resident = ResidentBytes("VmRSS:") - before;
  const int64_t weights = (*model)->info.num_parameters *
                          static_cast<int64_t>(c10::elementSize(GetParam()));
  RecordProperty("peak_mb", Concat(peak / kMegabyte));
  RecordProperty("resident_mb", Concat(resident / kMegabyte));
  EXPECT_LE(peak, weights * 13 / 10 + kOverhead);
  EXPECT_GE(resident, weights);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ModelMemory,
                         testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace attune::worker

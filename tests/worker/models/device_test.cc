#include "worker/models/device.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

TEST(OpenDevice, OpensTheCpu) {
  const auto device = OpenDevice("cpu");

  ASSERT_OK(device);
  EXPECT_TRUE(device->is_cpu());
}

TEST(OpenDevice, RefusesOtherNames) {
  for (const char* name : {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1",
                           "cuda:1x", "CPU", "cuda:99999999999", "cuda:128"}) {
    EXPECT_THAT(OpenDevice(name),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("neither 'cpu' nor 'cuda:N'")))
        << name;
  }
}

TEST(OpenDevice, SaysWhatCudaLacks) {
  const auto device = OpenDevice("cuda:127");

  // No machine has 128 GPUs: library, driver or device is missing.
  EXPECT_THAT(device, StatusIs(absl::StatusCode::kFailedPrecondition,
                               testing::AnyOf(HasSubstr("libtorch_cuda"),
                                              HasSubstr("driver"),
                                              HasSubstr("cuda:127"))));
}

TEST(ChooseDtype, KnowsItsNames) {
  const c10::Device cpu(c10::kCPU);

  EXPECT_EQ(*ChooseDtype("fp32", cpu), c10::ScalarType::Float);
  EXPECT_EQ(*ChooseDtype("float32", cpu), c10::ScalarType::Float);
  EXPECT_EQ(*ChooseDtype("bf16", cpu), c10::ScalarType::BFloat16);
  EXPECT_EQ(*ChooseDtype("bfloat16", cpu), c10::ScalarType::BFloat16);
  EXPECT_THAT(
      ChooseDtype("fp16", cpu),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dtype 'fp16'")));
}

TEST(ChooseDtype, AutoFollowsTheHardware) {
  EXPECT_EQ(*ChooseDtype("auto", c10::Device(c10::kCPU)),
            CpuHasBf16() ? c10::ScalarType::BFloat16 : c10::ScalarType::Float);
  EXPECT_EQ(*ChooseDtype("auto", c10::Device(c10::kCUDA, 0)),
            c10::ScalarType::BFloat16);
}

}  // namespace
}  // namespace attune::worker

#include "worker/models/torch_errors.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "absl/status/statusor.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(TorchErrors, PassValuesThrough) {
  EXPECT_EQ(
      *CatchTorchErrors("test", []() -> absl::StatusOr<int> { return 7; }), 7);
}

TEST(TorchErrors, BecomeInternalErrorsWithoutABacktrace) {
  const absl::Status status = CatchTorchErrors("a step", []() -> absl::Status {
    TORCH_CHECK(false, "shapes do not match");
    return absl::OkStatus();
  });

  EXPECT_THAT(status, ReasonIs(Reason::kInternal,
                               AllOf(HasSubstr("a step: shapes do not match"),
                                     Not(HasSubstr("frame #")))));
}

TEST(TorchErrors, FailedAllocationsAreNamed) {
  const auto fails_with = [](const std::string& message) {
    return CatchTorchErrors(
        "a step", [&]() -> absl::Status { throw std::runtime_error(message); });
  };

  EXPECT_THAT(fails_with("DefaultCPUAllocator: can't allocate memory: you "
                         "tried to allocate 9 bytes"),
              ReasonIs(Reason::kOutOfMemory, HasSubstr("batch_size")));
  EXPECT_THAT(fails_with("DefaultCPUAllocator: not enough memory"),
              ReasonIs(Reason::kOutOfMemory, HasSubstr("a step")));
  EXPECT_THAT(fails_with("something else"),
              ReasonIs(Reason::kInternal, HasSubstr("something else")));
}

TEST(TorchErrors, BadAllocIsOutOfMemory) {
  EXPECT_THAT(CatchTorchErrors(
                  "a step", []() -> absl::Status { throw std::bad_alloc(); }),
              ReasonIs(Reason::kOutOfMemory, HasSubstr("a step")));
}

TEST(TorchErrors, NamesMemoryErrorsOfTheModel) {
  EXPECT_THAT(
      NameMemoryErrors(absl::InternalError("forward: not enough memory")),
      ReasonIs(Reason::kOutOfMemory, HasSubstr("forward")));
  EXPECT_EQ(NameMemoryErrors(absl::InternalError("forward: other")),
            absl::InternalError("forward: other"));
  EXPECT_EQ(NameMemoryErrors(absl::CancelledError("out of memory")),
            absl::CancelledError("out of memory"));
}

}  // namespace
}  // namespace attune::worker

#include "worker/models/pickle_objects.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(PickleObjects, KnowsTheNamesOnTheListOnly) {
  EXPECT_OK(PickleObjects::Global("collections", "OrderedDict"));
  EXPECT_OK(PickleObjects::Global("torch._utils", "_rebuild_tensor_v2"));
  const auto half = PickleObjects::Global("torch", "HalfStorage");
  ASSERT_OK(half);
  EXPECT_EQ(std::get<at::ScalarType>(*half), at::kHalf);

  const auto system = PickleObjects::Global("os", "system");
  EXPECT_FALSE(system.ok());
  EXPECT_THAT(std::string(system.status().message()),
              AllOf(HasSubstr("os"), HasSubstr("system")));
}

TEST(PickleObjects, ADictOfOtherThingsIsNoStateDict) {
  PickleObjects objects;
  const PickleRef name = *objects.Add(std::string("weight"));
  const PickleRef number = *objects.Add(int64_t{3});
  const PickleRef dict = *objects.Add(PickledDict{{{name, number}}});

  EXPECT_FALSE(objects.ToStateDict(dict).ok());
  EXPECT_FALSE(objects.ToStateDict(number).ok());
  EXPECT_OK(objects.ToStateDict(*objects.Add(PickledDict{})));
}

TEST(PickleObjects, NumbersCannotBeCalled) {
  PickleObjects objects;
  const PickleRef number = *objects.Add(int64_t{3});
  const PickleRef arguments = *objects.Add(PickledTuple{});

  EXPECT_FALSE(objects.Call(number, arguments).ok());
}

}  // namespace
}  // namespace attune::worker

#ifndef ATTUNE_TESTS_TESTING_STATUS_MATCHERS_H_
#define ATTUNE_TESTS_TESTING_STATUS_MATCHERS_H_

#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "proto/cc/status.h"

// Matchers for absl::Status and absl::StatusOr. There is none for "not OK": a
// test names the error.
namespace attune {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// An error with this code, whose message matches.
MATCHER_P2(StatusIs, code, message, "") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         testing::Matches(message)(std::string(status.message()));
}

// An error with this reason, whose message matches.
MATCHER_P2(ReasonIs, reason, message, "") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  return !status.ok() && ReasonOf(status) == reason &&
         testing::Matches(message)(std::string(status.message()));
}

MATCHER(IsOk, "") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

}  // namespace attune

// Ends the test when `expr`, an absl::Status or StatusOr, is an error.
#define ASSERT_OK(expr) ASSERT_THAT((expr), ::attune::IsOk())
#define EXPECT_OK(expr) EXPECT_THAT((expr), ::attune::IsOk())

#endif  // ATTUNE_TESTS_TESTING_STATUS_MATCHERS_H_

#ifndef ATTUNE_PROTO_CC_STATUS_MACROS_H_
#define ATTUNE_PROTO_CC_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expr`, an absl::Status, is an
// error.
#define ATTUNE_RETURN_IF_ERROR(expr)      \
  do {                                    \
    absl::Status attune_status_ = (expr); \
    if (!attune_status_.ok()) {           \
      return attune_status_;              \
    }                                     \
  } while (false)

#define ATTUNE_MACROS_CONCAT_INNER_(a, b) a##b
#define ATTUNE_MACROS_CONCAT_(a, b) ATTUNE_MACROS_CONCAT_INNER_(a, b)

// Evaluates `expr`, an absl::StatusOr<T>; returns its error from the enclosing
// function or assigns its value to `lhs`, which may be a declaration.
#define ATTUNE_ASSIGN_OR_RETURN(lhs, expr) \
  ATTUNE_ASSIGN_OR_RETURN_IMPL_(           \
      ATTUNE_MACROS_CONCAT_(attune_result_, __LINE__), lhs, expr)

#define ATTUNE_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                  \
  if (!result.ok()) {                                    \
    return std::move(result).status();                   \
  }                                                      \
  lhs = std::move(result).value()

#endif  // ATTUNE_PROTO_CC_STATUS_MACROS_H_

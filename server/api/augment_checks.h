#ifndef ATTUNE_SERVER_API_AUGMENT_CHECKS_H_
#define ATTUNE_SERVER_API_AUGMENT_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/dataset_service.pb.h"
#include "attune/worker/v1/engine.pb.h"

// Checks of augmentations. Ranges are those of the comments in
// dataset_service.proto. Pure.
namespace attune::server {

inline constexpr int kDefaultRowsPerLabel = 20;
inline constexpr int kMaxRowsPerLabel = 1'000;
inline constexpr int64_t kMaxAugmentedRows = 100'000;
inline constexpr int kDefaultShownRows = 4;
inline constexpr int kMaxShownRows = 16;
inline constexpr double kDefaultMinScore = 0.8;
inline constexpr int kDefaultAttemptsPerRow = 8;
inline constexpr int kMaxAttemptsPerRow = 100;
inline constexpr int kDefaultNewTokens = 64;
inline constexpr int kMaxNewTokens = 1'024;
inline constexpr double kDefaultTemperature = 0.9;
inline constexpr double kDefaultTopP = 0.95;

// What of a request needs no look at what is stored: INVALID_ARGUMENT or
// UNIMPLEMENTED naming every field that is wrong.
absl::Status CheckAugmentDataset(const v1::AugmentDatasetRequest& request);

// What the worker is asked, with every default but the text field's: `request`,
// which was checked, with `classifier`, which its classifier was resolved to.
// INVALID_ARGUMENT naming the field: the classifier is no classification by one
// label, a label is not its task's, or the labels would get too many rows
// together.
absl::StatusOr<worker::v1::EngineAugmentHeader> MakeAugmentHeader(
    const v1::AugmentDatasetRequest& request,
    worker::v1::EngineTarget classifier);

// Rows that all labels together are to get.
int64_t CountWantedRows(const worker::v1::EngineAugmentHeader& header);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_AUGMENT_CHECKS_H_

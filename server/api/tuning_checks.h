#ifndef ATTUNE_SERVER_API_TUNING_CHECKS_H_
#define ATTUNE_SERVER_API_TUNING_CHECKS_H_

#include <cstdint>

#include <string_view>

#include "absl/status/status.h"
#include "attune/v1/tuning_service.pb.h"
#include "proto/cc/status.h"
#include "server/store/row_store.h"

// Checks of new tuning jobs. Ranges are those of the comments in the protos.
// Pure.
namespace attune::server {

inline constexpr int kMaxDisplayNameCharacters = 63;
inline constexpr int kMaxAnnotations = 64;
inline constexpr size_t kMaxAnnotationKeyBytes = 63;
inline constexpr size_t kMaxAnnotationValueBytes = 1024;
inline constexpr size_t kMaxAnnotationsBytes = 16 * 1024;
inline constexpr int kMaxAliases = 8;
inline constexpr double kDefaultSplitFraction = 0.1;
inline constexpr int kMaxSteps = 1'000'000;
inline constexpr int kMaxBatchSize = 1'024;
inline constexpr int kMaxAccumulationSteps = 1'024;
inline constexpr double kMaxEpochs = 1e6;
inline constexpr double kMaxPolynomialPower = 10;
inline constexpr double kMaxLearningRate = 10;
inline constexpr int kMaxPatience = 1'000;
inline constexpr int kMaxVirtualTokens = 1'024;
inline constexpr size_t kMaxInitTextBytes = 16'384;
inline constexpr int kMaxLoraRank = 256;
inline constexpr double kMaxLoraAlpha = 10'000;
inline constexpr int kMaxTargetModules = 64;
inline constexpr size_t kMaxTargetModuleBytes = 256;
inline constexpr int kMaxEncoderHiddenSize = 8'192;
inline constexpr int kMaxSearchTemplates = 64;
inline constexpr int kMaxGeneratedInstructions = 64;
inline constexpr int kMaxEnsembleSize = 8;

// Everything that can be said of a request without looking at what is stored:
// INVALID_ARGUMENT or UNIMPLEMENTED naming every field that is wrong.
absl::Status CheckCreateTuningJob(const v1::CreateTuningJobRequest& request);

// The same as a list: every field, with its path in the request.
FieldViolations FindViolations(const v1::CreateTuningJobRequest& request);

// FAILED_PRECONDITION when `rows`, dealt out as `data` says, leave none to
// train on.
absl::Status CheckSplits(const v1::TuningData& data, const PinnedRows& rows);

// A violation unless `id` may name a new job or dataset.
void CheckNewId(std::string_view id, std::string_view path,
                FieldViolations& violations);

// A violation when `text` has more than kMaxDisplayNameCharacters characters.
void CheckDisplayName(std::string_view text, std::string_view path,
                      FieldViolations& violations);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_TUNING_CHECKS_H_

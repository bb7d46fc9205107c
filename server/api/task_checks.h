#ifndef ATTUNE_SERVER_API_TASK_CHECKS_H_
#define ATTUNE_SERVER_API_TASK_CHECKS_H_

#include <cstdint>
#include <string_view>

#include "attune/v1/task.pb.h"
#include "proto/cc/status.h"

// Checks of tasks, as tuning jobs and base targets hold them. Ranges are those
// of the comments in task.proto; what a task asks for that is not built is the
// business of CheckSupported. Pure.
namespace attune::server {

inline constexpr size_t kMaxSystemMessageBytes = 16'384;
inline constexpr int kMinLabels = 2;
inline constexpr int kMaxLabels = 1'000;
inline constexpr size_t kMaxLabelBytes = 256;
inline constexpr int kMaxLabelWords = 16;
inline constexpr int kMaxDemonstrations = 256;
inline constexpr int kMaxPoolDemonstrations = 4'096;
inline constexpr size_t kMaxDemonstrationsBytes = size_t{1} << 20;
inline constexpr int kMaxSpanTokens = 512;
inline constexpr int kMaxOverlapTokens = 2'048;
inline constexpr int kMaxStops = 8;
inline constexpr size_t kMaxStopBytes = 64;
inline constexpr double kMaxTemperature = 2;
inline constexpr double kMinLabelTemperature = 0.05;
inline constexpr double kMaxLabelTemperature = 20;
inline constexpr int kMaxBeams = 16;
inline constexpr double kMaxLengthPenalty = 4;

// Whether only a trained head can answer, whatever the base model.
bool NeedsHead(const v1::TaskSpec& task);

// labels_required: a bare base model has no training rows to find labels in.
void CheckTask(const v1::TaskSpec& task, bool labels_required,
               std::string_view path, FieldViolations& violations);

void CheckDecoding(const v1::Decoding& decoding, std::string_view path,
                   FieldViolations& violations);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_TASK_CHECKS_H_

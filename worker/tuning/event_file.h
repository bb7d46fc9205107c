#ifndef ATTUNE_WORKER_TUNING_EVENT_FILE_H_
#define ATTUNE_WORKER_TUNING_EVENT_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "attune/v1/report.pb.h"

namespace attune::worker {

// TensorBoard reads every file with "tfevents" in its name.
inline constexpr std::string_view kEventFile = "events.out.tfevents.attune";

// The series as an event file of TensorBoard: records of TensorFlow's TFRecord
// format, each a TensorBoardEvent with the values of one step; the first names
// the format. Tags are "training/{series}" and, for series that begin with
// "validation_", "validation/{rest}". A step's time is `start` and the seconds
// of training that the series "training_seconds" tells for it, evenly between
// its points; without that series every time is `start`. Equal input gives
// equal bytes.
std::string EncodeEventFile(
    const std::vector<attune::v1::TrainingSeries>& series, absl::Time start);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_EVENT_FILE_H_

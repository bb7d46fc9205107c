#ifndef ATTUNE_WORKER_METRICS_REPORT_INTERVALS_H_
#define ATTUNE_WORKER_METRICS_REPORT_INTERVALS_H_

#include <optional>
#include <string>

#include "attune/v1/report.pb.h"
#include "worker/metrics/bootstrap.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// Fills intervals of `report` with bounds of all metrics of `rows`, whichever
// kind they are: ClassificationRows, ClassScoreRows, CalibrationRows,
// LabelSetRows, NumberRows, EntityRows, TextRows, or MeanRows for the loss and
// other means. A metric that
// has no meaning on some draws, or is no finite number there, has none. Draws
// are the same for all kinds of the same number of rows.
void AddIntervals(const RowMetrics& rows, attune::v1::EvaluationReport& report);

// How much more `metric` is of `second` than of `first`, which are the same
// rows as two versions answer them. Absent where AddIntervals leaves it out of
// one.
std::optional<PairedBootstrap> DifferenceOf(const RowMetrics& first,
                                            const RowMetrics& second,
                                            const std::string& metric);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_REPORT_INTERVALS_H_

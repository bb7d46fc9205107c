#ifndef ATTUNE_CLIENT_COMMANDS_REPORT_PLOTS_H_
#define ATTUNE_CLIENT_COMMANDS_REPORT_PLOTS_H_

#include <string_view>

#include "attune/v1/report.pb.h"
#include "client/output/markup.h"

// The parts of a report as drawings and tables of a page. Each is empty where
// the report does not have it. Pure functions.
namespace attune::client {

// Each metric of base and result, with its bounds as whiskers.
Markup MetricFigures(const v1::TuningReport& report);

// Loss, validations, learning rate and gradient over the steps.
Markup TrainingFigures(const v1::TuningReport& report);

// The matrices of base and result, and the largest confusions where the
// matrices are too large to read.
Markup ConfusionFigures(const v1::TuningReport& report);

// How right the answers are by how sure the model is.
Markup ReliabilityFigures(const v1::TuningReport& report);

using ClassReports = google::protobuf::RepeatedPtrField<v1::ClassReport>;
Markup ClassFigures(const ClassReports& classes, const ClassReports& base,
                    std::string_view title);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_REPORT_PLOTS_H_

#ifndef ATTUNE_CLIENT_OUTPUT_RELIABILITY_PLOT_H_
#define ATTUNE_CLIENT_OUTPUT_RELIABILITY_PLOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/output/markup.h"
#include "client/output/svg_shapes.h"

namespace attune::client {

// Answers of about one confidence.
struct ReliabilityPoint {
  double confidence;  // 0 to 1
  double accuracy;    // 0 to 1
  int64_t count;
};

struct ReliabilityCurve {
  std::string name;
  Tone tone;
  std::vector<ReliabilityPoint> points;
};

// How often answers are right by how sure they are, against the line on which
// both are the same, and how many there are below. Nothing without a point. A
// pure function.
Markup ReliabilityPlot(const std::string& title,
                       const std::vector<ReliabilityCurve>& curves);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_RELIABILITY_PLOT_H_

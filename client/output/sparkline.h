#ifndef ATTUNE_CLIENT_OUTPUT_SPARKLINE_H_
#define ATTUNE_CLIENT_OUTPUT_SPARKLINE_H_

#include <string>
#include <vector>

namespace attune::client {

// `values` as one line of bars between their least and their greatest, one for
// each value or, where they are more than `columns`, for the mean of
// neighbours. Values that are not finite stand as spaces. Equal ones are low
// bars. A pure function.
std::string Sparkline(const std::vector<double>& values, int columns,
                      bool unicode);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_SPARKLINE_H_

#ifndef ATTUNE_CLIENT_OUTPUT_AXIS_H_
#define ATTUNE_CLIENT_OUTPUT_AXIS_H_

#include <string>
#include <vector>

namespace attune::client {

// One side of a plot: a range with ticks at round numbers (1, 2 or 5 times a
// power of ten). Always finite and never empty, whatever it is made of. A
// value.
class Axis {
 public:
  // From a tick at or below `least` to one at or above `greatest`.
  static Axis Rounded(double least, double greatest, int max_ticks);
  // Exactly `low` to `high`, with the ticks that are in it.
  static Axis Exact(double low, double high, int max_ticks);

  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<double>& ticks() const { return ticks_; }

  // A tick with as many digits as tell it from its neighbours: 0.05, 1,500.
  std::string Label(double tick) const;

  // Where `value` stands when low is at `from` and high at `to`; values beyond
  // the range stand at its ends.
  double Place(double value, double from, double to) const;

 private:
  Axis(double low, double high, double step);

  double low_;
  double high_;
  double step_;
  std::vector<double> ticks_;
};

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_AXIS_H_

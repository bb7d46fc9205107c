#ifndef ATTUNE_CLIENT_OUTPUT_PROGRESS_BAR_H_
#define ATTUNE_CLIENT_OUTPUT_PROGRESS_BAR_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "client/output/console.h"
#include "proto/cc/clock.h"

namespace attune::client {

// What a progress bar shows.
struct ProgressView {
  std::string phase;
  // 0 to 1; unset while nobody knows.
  std::optional<double> fraction;
  // The most important first: the last ones go when the line is too short.
  std::vector<std::string> details;
};

// One line of at most `columns` columns, for example
// "training    [########------------]  42%  63/150  loss 0.412".
std::string ProgressFrame(const ProgressView& view, int columns, bool unicode);

// A line at the bottom of a terminal that is drawn over and over, at most ten
// times a second. Used from one thread.
class ProgressBar {
 public:
  // All three must outlive it.
  ProgressBar(Stream& terminal, bool unicode, const Clock& clock);
  // Leaves the line clean.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws `view`, at once when its phase is new.
  void Show(const ProgressView& view);

  // Writes a line that stays above the bar.
  void PrintAbove(std::string_view line);

  // Removes the bar from the terminal until the next Show.
  void Clear();

 private:
  void Draw();

  Stream& terminal_;
  const bool unicode_;
  const Clock& clock_;
  ProgressView view_;
  bool drawn_ = false;
  absl::Duration last_draw_ = -absl::InfiniteDuration();
};

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_PROGRESS_BAR_H_

#include "client/output/progress_bar.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "client/output/text_width.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr absl::Duration kShortestPause = absl::Milliseconds(100);
constexpr int kPhaseColumns = 10;
// Back to the first column, and erase to the end of the line.
constexpr std::string_view kEraseLine = "\r\x1b[K";

int BarColumns(int columns) {
  return columns >= 110 ? 30 : columns >= 80 ? 12 : 8;
}

std::string Bar(double fraction, int columns, bool unicode) {
  const int full = static_cast<int>(std::floor(fraction * columns));
  std::string bar = unicode ? "" : "[";
  for (int i = 0; i < columns; ++i) {
    bar += i < full ? (unicode ? "█" : "#") : (unicode ? "░" : "-");
  }
  return unicode ? bar : bar + "]";
}

}  // namespace

std::string ProgressFrame(const ProgressView& view, int columns, bool unicode) {
  std::string line = PadRight(OneLine(view.phase), kPhaseColumns);
  if (view.fraction) {
    const double fraction = std::clamp(*view.fraction, 0.0, 1.0);
    line = Concat(line, "  ", Bar(fraction, BarColumns(columns), unicode),
                  absl::StrFormat(
                      " %3d%%", static_cast<int>(std::floor(fraction * 100))));
  }
  for (const std::string& detail : view.details) {
    const std::string longer = Concat(line, "  ", OneLine(detail));
    if (DisplayWidth(longer) > columns) break;
    line = longer;
  }
  return CutTo(line, columns);
}

ProgressBar::ProgressBar(Stream& terminal, bool unicode, const Clock& clock)
    : terminal_(terminal), unicode_(unicode), clock_(clock) {}

ProgressBar::~ProgressBar() { Clear(); }

void ProgressBar::Show(const ProgressView& view) {
  const bool new_phase = !drawn_ || view.phase != view_.phase;
  view_ = view;
  if (new_phase || clock_.Monotonic() - last_draw_ >= kShortestPause) {
    Draw();
  }
}

void ProgressBar::Draw() {
  // The last column stays free: some terminals wrap when it is written.
  const std::string frame =
      ProgressFrame(view_, terminal_.columns() - 1, unicode_);
  *terminal_.stream << kEraseLine << frame << std::flush;
  last_draw_ = clock_.Monotonic();
  drawn_ = true;
}

void ProgressBar::PrintAbove(std::string_view line) {
  const bool was_drawn = drawn_;
  Clear();
  *terminal_.stream << line << '\n';
  if (was_drawn) {
    Draw();
  }
}

void ProgressBar::Clear() {
  if (drawn_) {
    *terminal_.stream << kEraseLine << std::flush;
    drawn_ = false;
  }
}

}  // namespace attune::client

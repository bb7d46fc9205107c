#include "client/commands/job_progress.h"

#include <cctype>
#include <cmath>
#include <utility>

#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/text_width.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

std::string LostText(const absl::Status& status) {
  return Concat("connection lost, trying again (",
                OneLine(ToStd(status.message())), ")");
}

class BarObserver final : public JobObserver {
 public:
  BarObserver(Stream& terminal, bool unicode, const Clock& clock)
      : terminal_(terminal), bar_(terminal, unicode, clock) {}

  void OnEvent(const v1::TuningEvent& event) override {
    if (event.has_progress()) {
      bar_.Show(ViewOf(event.progress()));
    } else if (event.has_notice()) {
      bar_.PrintAbove(
          terminal_.Paint(Style::kDim, OneLine(event.notice().message())));
    } else if (event.has_state_change()) {
      OnState(event.state_change());
    }
  }

  void OnLost(const absl::Status& status) override {
    bar_.Show({"offline", std::nullopt, {LostText(status)}});
  }

 private:
  void OnState(const v1::TuningEvent::StateChange& change) {
    if (change.state() == v1::TuningJob::STATE_QUEUED) {
      bar_.Show({"queued", std::nullopt, {"waiting for a worker"}});
      return;
    }
    if (IsFinal(change.state())) {
      bar_.Clear();  // The report comes next.
      return;
    }
    bar_.Clear();  // What it shows belongs to the state before.
    bar_.PrintAbove(terminal_.Paint(Style::kDim, Describe(change)));
  }

  Stream& terminal_;
  ProgressBar bar_;
};

class LineObserver final : public JobObserver {
 public:
  explicit LineObserver(Stream& out) : out_(out) {}

  void OnEvent(const v1::TuningEvent& event) override {
    lost_ = false;
    if (event.has_progress()) {
      OnProgress(event.progress());
    } else if (event.has_notice()) {
      Print(OneLine(event.notice().message()));
    } else if (event.has_state_change()) {
      phase_.clear();
      Print(Describe(event.state_change()));
    }
  }

  // Once for a whole silence, not for every try.
  void OnLost(const absl::Status& status) override {
    if (!std::exchange(lost_, true)) Print(LostText(status));
  }

 private:
  void OnProgress(const v1::TuningProgress& progress) {
    // Validations come and go within the training: no phase of their own here.
    const bool validating =
        progress.phase() == v1::TuningProgress::PHASE_VALIDATING;
    const std::string phase = PhaseName(
        validating ? v1::TuningProgress::PHASE_TRAINING : progress.phase());
    const ProgressView view = ViewOf(progress);
    const int tenth =
        static_cast<int>(std::floor(view.fraction.value_or(0) * 10 + 1e-9));
    if (phase == phase_ && tenth <= tenth_) return;
    phase_ = phase;
    tenth_ = tenth;
    std::string line = phase;
    if (view.fraction) {
      line += Concat(" ", static_cast<int>(*view.fraction * 100 + 1e-9), "%");
    }
    for (const std::string& detail : view.details) {
      line += Concat("  ", detail);
    }
    Print(line);
  }

  void Print(std::string_view line) {
    *out_.stream << line << '\n' << std::flush;
  }

  Stream& out_;
  std::string phase_;
  int tenth_ = 0;
  bool lost_ = false;
};

class JsonObserver final : public JobObserver {
 public:
  explicit JsonObserver(Stream& out) : out_(out) {}
  void OnEvent(const v1::TuningEvent& event) override {
    *out_.stream << ToJsonLine(event) << std::flush;
  }
  void OnLost(const absl::Status&) override {}

 private:
  Stream& out_;
};

class SilentObserver final : public JobObserver {
 public:
  void OnEvent(const v1::TuningEvent&) override {}
  void OnLost(const absl::Status&) override {}
};

}  // namespace

std::string PhaseName(v1::TuningProgress::Phase phase) {
  switch (phase) {
    case v1::TuningProgress::PHASE_PREPARING:
      return "preparing";
    case v1::TuningProgress::PHASE_SEARCHING:
      return "searching";
    case v1::TuningProgress::PHASE_EVALUATING_BASE:
      return "base test";
    case v1::TuningProgress::PHASE_TRAINING:
      return "training";
    case v1::TuningProgress::PHASE_VALIDATING:
      return "validating";
    case v1::TuningProgress::PHASE_EVALUATING_TUNED:
      return "tuned test";
    case v1::TuningProgress::PHASE_UPLOADING:
      return "uploading";
    default:
      return "running";
  }
}

std::string StateName(v1::TuningJob::State state) {
  const std::string name = v1::TuningJob::State_Name(state);
  constexpr std::string_view kPrefix = "STATE_";
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : "UNKNOWN";
}

ProgressView ViewOf(const v1::TuningProgress& progress) {
  ProgressView view;
  view.phase = PhaseName(progress.phase());
  const bool training =
      progress.phase() == v1::TuningProgress::PHASE_TRAINING ||
      progress.phase() == v1::TuningProgress::PHASE_VALIDATING;
  if (!training) {
    if (progress.phase_total() > 0) {
      view.fraction =
          static_cast<double>(progress.phase_done()) / progress.phase_total();
      view.details.push_back(Concat("row ", FormatCount(progress.phase_done()),
                                    "/", FormatCount(progress.phase_total())));
    }
    return view;
  }
  if (progress.max_steps() > 0) {
    view.fraction = static_cast<double>(progress.step()) / progress.max_steps();
    view.details.push_back(Concat("step ", FormatCount(progress.step()), "/",
                                  FormatCount(progress.max_steps())));
  }
  if (progress.step() > 0) {
    view.details.push_back(Concat("loss ", FormatNumber(progress.loss())));
  }
  // Before the first validation the metric is 0 and means nothing.
  if (const std::string& metric = progress.validation_metric_name();
      !metric.empty() && progress.best_step() > 0) {
    view.details.push_back(
        Concat(metric == "loss" ? "validation loss" : metric, " ",
               FormatMetric(metric, progress.validation_metric())));
  }
  if (progress.remaining_seconds() > 0) {
    view.details.push_back(Concat(
        ShortDuration(absl::Seconds(progress.remaining_seconds())), " left"));
  }
  if (progress.tokens_per_second() > 0) {
    view.details.push_back(Concat(
        FormatCount(std::llround(progress.tokens_per_second())), " tokens/s"));
  }
  if (progress.prompt_norm() > 0) {
    view.details.push_back(
        Concat("prompt norm ", FormatNumber(progress.prompt_norm()), ", drift ",
               FormatNumber(progress.prompt_drift())));
  }
  return view;
}

std::string Describe(const v1::TuningEvent::StateChange& change) {
  std::string text = StateName(change.state());
  for (char& letter : text) {
    letter = static_cast<char>(std::tolower(letter));
  }
  // A job that waits again is on no worker: the one it names has left it.
  const bool held = change.state() == v1::TuningJob::STATE_RUNNING ||
                    change.state() == v1::TuningJob::STATE_CANCELLING;
  if (held && !change.worker().empty()) {
    text += Concat(" on ", OneLine(change.worker()));
  }
  if (change.attempt() > 1) {
    text += Concat(", attempt ", change.attempt());
  }
  if (!change.message().empty()) {
    text += Concat(": ", OneLine(change.message()));
  }
  return text;
}

std::unique_ptr<JobObserver> MakeBarObserver(Stream& terminal, bool unicode,
                                             const Clock& clock) {
  return std::make_unique<BarObserver>(terminal, unicode, clock);
}

std::unique_ptr<JobObserver> MakeLineObserver(Stream& out) {
  return std::make_unique<LineObserver>(out);
}

std::unique_ptr<JobObserver> MakeJsonObserver(Stream& out) {
  return std::make_unique<JsonObserver>(out);
}

std::unique_ptr<JobObserver> MakeSilentObserver() {
  return std::make_unique<SilentObserver>();
}

}  // namespace attune::client

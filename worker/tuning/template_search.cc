#include "worker/tuning/template_search.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/task_metrics.h"
#include "proto/cc/text.h"
#include "worker/tasks/evaluation.h"
#include "worker/tasks/instruction_writer.h"
#include "worker/tasks/label_word_search.h"
#include "worker/tasks/outcome_metrics.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/row_outcome.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/shown_text.h"
#include "worker/tasks/template_patterns.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using attune::v1::TaskSpec;
using attune::v1::TemplateCandidate;
using attune::v1::TemplateSearch;

// Keeps the order of the rows that are measured, and the choice of those that
// label words are looked for in, apart from other uses of the seed.
constexpr uint64_t kMeasuredRowsStream = 31;
constexpr uint64_t kWordRowsStream = 32;

// The first round tells nothing on fewer rows.
constexpr size_t kLeastRows = 16;

// What label words are looked for in: more rows hardly change their order.
constexpr int kWordRowsPerLabel = 64;
constexpr size_t kMostWordRows = 1024;
constexpr int kWordsPerLabel = 3;

// What a report shows of a candidate, for it goes into one message.
constexpr size_t kMaxShownTemplateBytes = 2048;
constexpr int kMaxShownLabels = 50;

std::string GivenPath(int i) {
  return Concat("spec.method.hard_prompt.template_search.templates[", i, "]");
}

TaskSpec WithTemplate(TaskSpec task, const std::string& text) {
  task.set_template_(text);
  return task;
}

// A template, with label words, and what is known of it.
struct Candidate {
  TemplateCandidate::Origin origin = TemplateCandidate::ORIGIN_UNSPECIFIED;
  TaskSpec task;
  std::unique_ptr<const TaskProgram> program;
  // The rows that it was measured on, and what was answered to them.
  std::vector<PreparedExample> examples = {};
  std::vector<RowOutcome> outcomes = {};
  size_t num_rows = 0;  // of them
  double metric = 0;
  double loss = 0;

  // Leaves the figures.
  void Drop() {
    program.reset();
    examples = {};
    outcomes = {};
  }
};

// One search. Made for one call of SearchTemplates.
class Search {
 public:
  Search(const TemplateSearchInput& input, const TemplateSearchHooks& hooks)
      : input_(input), hooks_(hooks), rows_(ShuffledRows()) {}

  absl::StatusOr<FoundTemplate> Run() {
    // Before anything is computed that they would throw away.
    ATTUNE_RETURN_IF_ERROR(CheckGivenTemplates(
        input_.task, input_.model, input_.search, input_.validation));
    ATTUNE_RETURN_IF_ERROR(AddTemplates());
    ATTUNE_ASSIGN_OR_RETURN(Candidate best, Halve(std::move(candidates_)));
    if (input_.search.label_words()) {
      ATTUNE_ASSIGN_OR_RETURN(best, ReplaceWords(std::move(best)));
    }
    if (input_.search.ensemble_size() > 1) {
      ATTUNE_ASSIGN_OR_RETURN(best, JoinTemplates(std::move(best)));
    }
    TellOfFaults();
    FoundTemplate found;
    found.task = best.task;
    dropped_.push_back(std::move(best));
    found.candidates = Ranked();
    return found;
  }

 private:
  std::vector<Example> ShuffledRows() const {
    std::vector<Example> rows(input_.validation.begin(),
                              input_.validation.end());
    SeededRandom(input_.seed, kMeasuredRowsStream).Shuffle(rows);
    return rows;
  }

  absl::Status BeforePass(size_t done_here) const {
    if (!hooks_.before_pass) return absl::OkStatus();
    return hooks_.before_pass(static_cast<int64_t>(num_done_ + done_here),
                              static_cast<int64_t>(num_planned_));
  }

  absl::Status AddTemplates() {
    ATTUNE_RETURN_IF_ERROR(Add(TemplateCandidate::ORIGIN_TASK, input_.task));
    const TaskProgram& own = *candidates_.front().program;
    for (const std::string& text : input_.search.templates()) {
      ATTUNE_RETURN_IF_ERROR(Add(TemplateCandidate::ORIGIN_GIVEN,
                                 WithTemplate(input_.task, text)));
    }
    if (!input_.search.skip_patterns()) {
      for (const std::string& text : TemplatePatterns(own, input_.train)) {
        ATTUNE_RETURN_IF_ERROR(Add(TemplateCandidate::ORIGIN_PATTERN,
                                   WithTemplate(input_.task, text)));
      }
    }
    if (input_.search.num_generated() == 0) return absl::OkStatus();
    const InstructionOptions options = {
        .count = input_.search.num_generated(),
        .seed = input_.seed,
        .before_pass = [this] { return BeforePass(0); }};
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<std::string> instructions,
        WriteInstructions(own, input_.model, input_.train, options));
    for (const std::string& instruction : instructions) {
      const std::optional<std::string> text =
          WithInstruction(instruction, input_.task.template_());
      if (!text.has_value()) continue;
      ATTUNE_RETURN_IF_ERROR(Add(TemplateCandidate::ORIGIN_GENERATED,
                                 WithTemplate(input_.task, *text)));
    }
    return absl::OkStatus();
  }

  // Adds a candidate unless it is there already.
  absl::Status Add(TemplateCandidate::Origin origin, TaskSpec task) {
    if (!seen_.insert(task.SerializeAsString()).second) return absl::OkStatus();
    auto program =
        TaskProgram::Compile(task, input_.model, /*num_prompt_rows=*/0);
    if (!program.ok()) return Meet(origin, program.status());
    candidates_.push_back({.origin = origin,
                           .task = std::move(task),
                           .program = *std::move(program)});
    return absl::OkStatus();
  }

  // What becomes of an error of a candidate's own. Given ones have none.
  absl::Status Meet(TemplateCandidate::Origin origin,
                    const absl::Status& status) {
    if (origin == TemplateCandidate::ORIGIN_TASK) return status;
    ++num_left_out_;
    if (first_fault_.empty()) first_fault_ = ToStd(status.message());
    return absl::OkStatus();
  }

  void TellOfFaults() const {
    if (num_left_out_ == 0 || !hooks_.on_notice) return;
    hooks_.on_notice(Concat(
        "the template search left out ", num_left_out_,
        " candidates that do not fit the model or a row: ", first_fault_));
  }

  bool IsBetter(const Candidate& a, const Candidate& b) const {
    if (a.metric != b.metric) {
      return (a.metric < b.metric) == LowerIsBetter(input_.metric);
    }
    return a.loss < b.loss;
  }

  // The best of `candidates`, the first of which stays to the end; the others
  // go to dropped_.
  absl::StatusOr<Candidate> Halve(std::vector<Candidate> candidates) {
    const std::vector<size_t> rounds =
        HalvingRows(candidates.size(), rows_.size());
    Plan(candidates.size(), candidates.front().num_rows, rounds);
    for (size_t round = 0; round < rounds.size(); ++round) {
      ATTUNE_RETURN_IF_ERROR(MeasureAll(rounds[round], candidates));
      const bool is_last = round + 1 == rounds.size();
      DropWorse(is_last ? 1 : (candidates.size() + 1) / 2, is_last, candidates);
    }
    return std::move(candidates.front());
  }

  // How many rows are to be measured at most, each once for every candidate.
  void Plan(size_t num_candidates, size_t num_known,
            const std::vector<size_t>& rounds) {
    size_t before = 0;
    for (const size_t rows : rounds) {
      const size_t known = std::min(num_known, rows);
      num_planned_ += num_candidates * (rows - before);
      if (known > before) num_planned_ -= known - before;
      before = rows;
      // With the first one, which stays.
      num_candidates = (num_candidates + 1) / 2 + 1;
    }
  }

  absl::Status MeasureAll(size_t num_rows, std::vector<Candidate>& candidates) {
    std::vector<Candidate> sound;
    sound.reserve(candidates.size());
    for (Candidate& one : candidates) {
      ATTUNE_ASSIGN_OR_RETURN(const bool fits, Measure(num_rows, one));
      if (fits) sound.push_back(std::move(one));
    }
    candidates = std::move(sound);
    return absl::OkStatus();
  }

  // Measures a candidate on the first rows, those anew that it was not measured
  // on; false if it does not fit one of them.
  absl::StatusOr<bool> Measure(size_t num_rows, Candidate& candidate) {
    if (candidate.num_rows >= num_rows) return true;
    const size_t first = candidate.num_rows;
    absl::StatusOr<std::vector<PreparedExample>> added =
        PrepareExamples(*candidate.program,
                        absl::MakeSpan(rows_).subspan(first, num_rows - first));
    if (!added.ok()) {
      ATTUNE_RETURN_IF_ERROR(Meet(candidate.origin, added.status()));
      num_done_ += num_rows - first;
      return false;
    }
    ATTUNE_RETURN_IF_ERROR(Answer(*added, candidate));
    num_done_ += num_rows - first;
    candidate.examples.insert(candidate.examples.end(),
                              std::make_move_iterator(added->begin()),
                              std::make_move_iterator(added->end()));
    candidate.num_rows = num_rows;
    // Measuring takes the probabilities, which more rows will need again.
    std::vector<RowOutcome> outcomes = candidate.outcomes;
    EvaluationReport report;
    MeasureOutcomes(*candidate.program, candidate.examples,
                    absl::MakeSpan(outcomes), {.texts = DecodesAnswers()},
                    report);
    candidate.metric = MetricOf(report, input_.metric);
    candidate.loss = report.loss();
    return true;
  }

  bool DecodesAnswers() const { return input_.metric != "loss"; }

  absl::Status Answer(absl::Span<const PreparedExample> added,
                      Candidate& candidate) const {
    std::vector<RowOutcome> outcomes;
    std::vector<std::vector<double>> probabilities;
    EvaluationOptions options;
    options.split = "validation";
    options.decode_answers = DecodesAnswers();
    options.before_pass = [&](int64_t done, int64_t) {
      return BeforePass(static_cast<size_t>(done));
    };
    options.outcomes = &outcomes;
    options.probabilities = &probabilities;
    ATTUNE_RETURN_IF_ERROR(
        Evaluate(*candidate.program, added, options).status());
    candidate.outcomes.reserve(candidate.outcomes.size() + outcomes.size());
    for (size_t i = 0; i < outcomes.size(); ++i) {
      outcomes[i].probabilities = std::move(probabilities[i]);
      candidate.outcomes.push_back(std::move(outcomes[i]));
    }
    return absl::OkStatus();
  }

  // Keeps the best, in their order; before the last round the first one, too.
  void DropWorse(size_t num_kept, bool is_last,
                 std::vector<Candidate>& candidates) {
    std::vector<size_t> order(candidates.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return IsBetter(candidates[a], candidates[b]);
    });
    std::set<size_t> kept(order.begin(),
                          order.begin() + std::min(num_kept, order.size()));
    if (!is_last) kept.insert(0);
    std::vector<Candidate> left;
    left.reserve(kept.size());
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (kept.contains(i)) {
        left.push_back(std::move(candidates[i]));
      } else {
        candidates[i].Drop();
        dropped_.push_back(std::move(candidates[i]));
      }
    }
    candidates = std::move(left);
  }

  // Looks for label words with the best template and tries them.
  absl::StatusOr<Candidate> ReplaceWords(Candidate best) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<std::string>> found,
                            FindWords(*best.program));
    candidates_.clear();
    const TaskSpec task = best.task;
    candidates_.push_back(std::move(best));
    for (const bool beside_own : {true, false}) {
      for (const size_t num_words : {size_t{1}, size_t{kWordsPerLabel}}) {
        ATTUNE_RETURN_IF_ERROR(
            Add(TemplateCandidate::ORIGIN_LABEL_WORDS,
                WithWords(task, found, num_words, beside_own)));
      }
    }
    if (candidates_.size() == 1) {
      if (hooks_.on_notice) {
        hooks_.on_notice(
            "the template search found no label words beside the task's own");
      }
      return std::move(candidates_.front());
    }
    return Halve(std::move(candidates_));
  }

  absl::StatusOr<std::vector<std::vector<std::string>>> FindWords(
      const TaskProgram& program) {
    std::vector<Example> rows(input_.train.begin(), input_.train.end());
    SeededRandom(input_.seed, kWordRowsStream).Shuffle(rows);
    std::map<std::string, int> rows_of_label;
    std::vector<Example> drawn;
    for (Example& row : rows) {
      if (drawn.size() == kMostWordRows) break;
      if (++rows_of_label[row.answer] > kWordRowsPerLabel) continue;
      drawn.push_back(std::move(row));
    }
    // Rows that the template does not fit say nothing of words.
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<PreparedExample> examples,
        PrepareExamples(program, drawn, /*pause=*/nullptr,
                        [](const absl::Status&) { return absl::OkStatus(); }));
    num_planned_ += examples.size();
    const LabelWordOptions options = {
        .words_per_label = kWordsPerLabel, .before_pass = [this](int64_t done) {
          return BeforePass(static_cast<size_t>(done));
        }};
    auto found = FindLabelWords(program, examples, options);
    num_done_ += examples.size();
    return found;
  }

  // At most num_words of what was found for each label, beside its own words or
  // in their place; a label for which nothing was found keeps its own.
  static TaskSpec WithWords(TaskSpec task,
                            const std::vector<std::vector<std::string>>& found,
                            size_t num_words, bool beside_own) {
    for (int label = 0; label < task.labels_size(); ++label) {
      if (found[label].empty()) continue;
      attune::v1::LabelWords& words = *task.mutable_labels(label);
      if (!beside_own) words.clear_words();
      const size_t count = std::min(num_words, found[label].size());
      for (size_t i = 0; i < count; ++i) words.add_words(found[label][i]);
    }
    return task;
  }

  // Holds the best candidate against an ensemble of it and the next best.
  absl::StatusOr<Candidate> JoinTemplates(Candidate best) {
    RankDropped(dropped_.begin());
    TaskSpec task = best.task;
    for (const Candidate& one : dropped_) {
      if (task.more_templates_size() + 1 == input_.search.ensemble_size()) {
        break;
      }
      // With other label words it is no other template.
      if (one.origin == TemplateCandidate::ORIGIN_LABEL_WORDS ||
          one.task.template_() == task.template_()) {
        continue;
      }
      task.add_more_templates(one.task.template_());
    }
    candidates_.clear();
    candidates_.push_back(std::move(best));
    if (!task.more_templates().empty()) {
      ATTUNE_RETURN_IF_ERROR(
          Add(TemplateCandidate::ORIGIN_ENSEMBLE, std::move(task)));
    }
    if (candidates_.size() == 1) return std::move(candidates_.front());
    return Halve(std::move(candidates_));
  }

  // Sorts what was dropped, from `begin` on, the best first.
  void RankDropped(std::vector<Candidate>::iterator begin) {
    std::stable_sort(begin, dropped_.end(),
                     [&](const Candidate& a, const Candidate& b) {
                       if (a.num_rows != b.num_rows) {
                         return a.num_rows > b.num_rows;
                       }
                       return IsBetter(a, b);
                     });
  }

  // All candidates, the kept one, which is the last of dropped_, first.
  std::vector<TemplateCandidate> Ranked() {
    std::rotate(dropped_.begin(), dropped_.end() - 1, dropped_.end());
    RankDropped(dropped_.begin() + 1);
    std::vector<TemplateCandidate> ranked;
    ranked.reserve(dropped_.size());
    for (const Candidate& one : dropped_) ranked.push_back(Shown(one));
    ranked.front().set_kept(true);
    return ranked;
  }

  TemplateCandidate Shown(const Candidate& candidate) const {
    TemplateCandidate shown;
    shown.set_template_(
        Abbreviated(candidate.task.template_(), kMaxShownTemplateBytes));
    for (const std::string& one : candidate.task.more_templates()) {
      shown.add_more_templates(Abbreviated(one, kMaxShownTemplateBytes));
    }
    const auto& labels = candidate.task.labels();
    const bool has_other_words = !std::equal(
        labels.begin(), labels.end(), input_.task.labels().begin(),
        input_.task.labels().end(), [](const auto& a, const auto& b) {
          return a.SerializeAsString() == b.SerializeAsString();
        });
    const int count =
        has_other_words ? std::min(kMaxShownLabels, labels.size()) : 0;
    for (int i = 0; i < count; ++i) *shown.add_labels() = labels.Get(i);
    shown.set_origin(candidate.origin);
    shown.set_num_rows(static_cast<int64_t>(candidate.num_rows));
    shown.set_metric(candidate.metric);
    shown.set_loss(candidate.loss);
    return shown;
  }

  const TemplateSearchInput& input_;
  const TemplateSearchHooks& hooks_;
  const std::vector<Example> rows_;  // that are measured, in their order
  std::set<std::string> seen_;       // serialised tasks
  std::vector<Candidate> candidates_;
  std::vector<Candidate> dropped_;
  size_t num_planned_ = 0;  // rows, each once for every candidate
  size_t num_done_ = 0;
  int num_left_out_ = 0;
  std::string first_fault_;
};

}  // namespace

absl::StatusOr<FoundTemplate> SearchTemplates(
    const TemplateSearchInput& input, const TemplateSearchHooks& hooks) {
  return Search(input, hooks).Run();
}

absl::Status CheckGivenTemplates(
    const TaskSpec& task, const std::shared_ptr<const LoadedModel>& model,
    const TemplateSearch& search, absl::Span<const Example> rows) {
  FieldViolations violations;
  for (int i = 0; i < search.templates_size(); ++i) {
    const auto program =
        TaskProgram::Compile(WithTemplate(task, search.templates(i)), model,
                             /*num_prompt_rows=*/0);
    const absl::Status status = program.ok()
                                    ? PrepareExamples(**program, rows).status()
                                    : program.status();
    if (!status.ok()) violations.Add(GivenPath(i), ToStd(status.message()));
  }
  return violations.ToStatus();
}

std::vector<size_t> HalvingRows(size_t num_candidates, size_t num_rows) {
  size_t num_rounds = 1;
  for (size_t left = num_candidates; left > 2; left = (left + 1) / 2) {
    ++num_rounds;
  }
  std::vector<size_t> rounds;
  rounds.reserve(num_rounds);
  for (size_t round = 1; round <= num_rounds; ++round) {
    const size_t share =
        (num_rows >> (num_rounds - round)) + (round < num_rounds ? 1 : 0);
    rounds.push_back(std::min(num_rows, std::max(kLeastRows, share)));
  }
  return rounds;
}

}  // namespace attune::worker

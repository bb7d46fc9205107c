#include "worker/tasks/evaluation.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proto/cc/status_macros.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tasks/greedy_decoder.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/label_scorer.h"
#include "worker/tasks/metrics.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using Examples = absl::Span<const PreparedExample>;

// Sequences that are decoded at once, and the rows of their first pass: these
// bound the memory of their keys and values.
constexpr size_t kMaxDecodings = 32;
constexpr int64_t kMaxDecodingRows = 4096;

// The examples of the next pass: as many as have at most `max_rows` rows.
template <typename CountRows>
Examples NextBatch(Examples rest, int64_t max_rows, CountRows count_rows) {
  size_t count = 0;
  int64_t rows = 0;
  while (count < rest.size()) {
    rows += count_rows(rest[count]);
    if (count > 0 && rows > max_rows) break;
    ++count;
  }
  return rest.first(count);
}

// Measures one split. Made for one call of Evaluate.
class Evaluator {
 public:
  Evaluator(const TaskProgram& program, Examples examples,
            const EvaluationOptions& options)
      : program_(program), examples_(examples), options_(options) {
    report_.set_split(options.split);
    report_.set_num_rows(static_cast<int64_t>(examples.size()));
  }

  absl::StatusOr<EvaluationReport> Run() {
    if (program_.is_classification()) {
      ATTUNE_RETURN_IF_ERROR(ScoreAll());
    } else {
      ATTUNE_RETURN_IF_ERROR(MeasureAnswers());
      if (options_.decode_answers) ATTUNE_RETURN_IF_ERROR(DecodeAll());
    }
    return std::move(report_);
  }

 private:
  absl::Status BeforePass(int64_t done) const {
    return options_.before_pass ? options_.before_pass(done, report_.num_rows())
                                : absl::OkStatus();
  }

  const BaseModel& model() const {
    return ModelWith(options_.prompt, program_.model());
  }

  LabelQuery QueryOf(const PreparedExample& example) const {
    return {.text = example.input.ids,
            .trie = &program_.trie(example.input),
            .prompt = options_.prompt};
  }

  HeadQuery HeadQueryOf(const PreparedExample& example) const {
    return {.text = example.input.ids, .prompt = options_.prompt};
  }

  // Rows that scoring an example runs.
  int64_t NumRows(const PreparedExample& example) const {
    return program_.scores_by_head() ? NumHeadRows(HeadQueryOf(example))
                                     : NumScoringRows(QueryOf(example));
  }

  // -> log-probabilities of all labels of each example.
  absl::StatusOr<std::vector<std::vector<double>>> Score(Examples batch) const {
    if (program_.scores_by_head()) {
      std::vector<HeadQuery> queries;
      for (const PreparedExample& one : batch) {
        queries.push_back(HeadQueryOf(one));
      }
      return ScoreByHead(AsEncoder(model()), queries);
    }
    std::vector<LabelQuery> queries;
    for (const PreparedExample& one : batch) queries.push_back(QueryOf(one));
    return ScoreLabels(AsLanguage(model()), queries);
  }

  absl::Status ScoreAll() {
    std::vector<int> right;
    std::vector<int> given;
    double loss = 0;
    for (Examples rest = examples_; !rest.empty();) {
      const Examples batch =
          NextBatch(rest, options_.max_rows,
                    [&](const PreparedExample& one) { return NumRows(one); });
      ATTUNE_RETURN_IF_ERROR(BeforePass(static_cast<int64_t>(right.size())));
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<double>> scores,
                              Score(batch));
      for (size_t i = 0; i < batch.size(); ++i) {
        right.push_back(batch[i].label);
        given.push_back(static_cast<int>(
            std::max_element(scores[i].begin(), scores[i].end()) -
            scores[i].begin()));
        loss -= scores[i][batch[i].label];
      }
      rest.remove_prefix(batch.size());
    }
    report_.set_loss(loss / static_cast<double>(examples_.size()));
    AddClassificationMetrics(right, given, program_.labels(), report_);
    return absl::OkStatus();
  }

  absl::Status MeasureAnswers() {
    double loss = 0;
    int64_t tokens = 0;
    int64_t done = 0;
    for (Examples rest = examples_; !rest.empty();) {
      const Examples batch =
          NextBatch(rest, options_.max_rows, [](const PreparedExample& one) {
            return static_cast<int64_t>(one.input.ids.size() +
                                        one.answer_ids.size());
          });
      // Decoding takes by far the longer part: it alone counts as progress.
      ATTUNE_RETURN_IF_ERROR(BeforePass(options_.decode_answers ? 0 : done));
      std::vector<AnswerSample> samples;
      for (const PreparedExample& one : batch) {
        samples.push_back({.text = one.input.ids,
                           .answer = one.answer_ids,
                           .prompt = options_.prompt});
        tokens += static_cast<int64_t>(one.answer_ids.size());
      }
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> losses,
                              AnswerLosses(AsLanguage(model()), samples));
      for (double sample_loss : losses) loss += sample_loss;
      done += static_cast<int64_t>(batch.size());
      rest.remove_prefix(batch.size());
    }
    report_.set_loss(loss / static_cast<double>(tokens));
    return absl::OkStatus();
  }

  absl::Status DecodeAll() {
    std::vector<std::string> right;
    std::vector<std::string> given;
    for (Examples rest = examples_; !rest.empty();) {
      const Examples batch =
          NextBatch(rest.first(std::min(kMaxDecodings, rest.size())),
                    kMaxDecodingRows, [](const PreparedExample& one) {
                      return static_cast<int64_t>(one.input.ids.size());
                    });
      std::vector<const TaskInput*> inputs;
      for (const PreparedExample& one : batch) {
        inputs.push_back(&one.input);
        right.push_back(one.answer);
      }
      const int64_t done = static_cast<int64_t>(given.size());
      ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> answers,
                              DecodeGreedily(program_, options_.prompt, inputs,
                                             [&] { return BeforePass(done); }));
      std::move(answers.begin(), answers.end(), std::back_inserter(given));
      rest.remove_prefix(batch.size());
    }
    (*report_.mutable_metrics())["exact_match"] = ExactMatch(right, given);
    return absl::OkStatus();
  }

  const TaskProgram& program_;
  const Examples examples_;
  const EvaluationOptions& options_;
  EvaluationReport report_;
};

}  // namespace

absl::StatusOr<EvaluationReport> Evaluate(const TaskProgram& program,
                                          Examples examples,
                                          const EvaluationOptions& options) {
  return Evaluator(program, examples, options).Run();
}

double MetricOf(const EvaluationReport& report, const std::string& name) {
  return name == "loss" ? report.loss() : report.metrics().at(name);
}

}  // namespace attune::worker

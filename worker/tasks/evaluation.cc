#include "worker/tasks/evaluation.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "proto/cc/status_macros.h"
#include "worker/tasks/answer_scorer.h"
#include "worker/tasks/beam_decoder.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/label_calibration.h"
#include "worker/tasks/outcome_metrics.h"
#include "worker/tasks/pass_size.h"
#include "worker/tasks/span_scorer.h"
#include "worker/tasks/tag_scorer.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using Examples = absl::Span<const PreparedExample>;

// log(1 + exp(x)) without overflow.
double Softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

// The loss of the words that the model reads.
double TagsLoss(absl::Span<const InputWord> words, absl::Span<const int> tags,
                const TagScores& scores) {
  double loss = 0;
  size_t next = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].token >= 0) loss -= scores[next++][tags[i]];
  }
  return loss;
}

// The mean binary cross-entropy of all labels. outputs: their log-odds.
double LabelSetLossOf(absl::Span<const double> outputs,
                      absl::Span<const int> labels) {
  double sum = 0;
  for (const double output : outputs) sum += Softplus(output);
  for (const int label : labels) sum -= outputs[label];
  return sum / static_cast<double>(outputs.size());
}

// Answers the rows of one split. Made for one call of Evaluate.
class Evaluator {
 public:
  Evaluator(const TaskProgram& program, Examples examples,
            const EvaluationOptions& options)
      : program_(program), examples_(examples), options_(options) {
    outcomes_.reserve(examples.size());
  }

  absl::StatusOr<std::vector<RowOutcome>> Run() {
    if (program_.is_classification() || program_.is_choice()) {
      ATTUNE_RETURN_IF_ERROR(ScoreAll());
    } else if (program_.is_tagging()) {
      ATTUNE_RETURN_IF_ERROR(TagAll());
    } else if (program_.is_extraction()) {
      ATTUNE_RETURN_IF_ERROR(FindAllSpans());
    } else if (program_.is_label_set() || program_.is_regression()) {
      ATTUNE_RETURN_IF_ERROR(MeasureOutputs());
    } else {
      ATTUNE_RETURN_IF_ERROR(MeasureAnswers());
      if (options_.decode_answers) ATTUNE_RETURN_IF_ERROR(DecodeAll());
    }
    return std::move(outcomes_);
  }

 private:
  absl::Status BeforePass(size_t done) const {
    return options_.before_pass
               ? options_.before_pass(static_cast<int64_t>(done),
                                      static_cast<int64_t>(examples_.size()))
               : absl::OkStatus();
  }

  // Calls `run` with all examples, in batches that have about max_rows of what
  // `count_rows` counts. `run` adds an outcome for each. Without is_progress
  // the caller hears of no row that is done.
  template <typename CountRows, typename Run>
  absl::Status ForEachBatch(CountRows count_rows, Run run,
                            bool is_progress = true) {
    while (outcomes_.size() < examples_.size()) {
      const Examples rest = examples_.subspan(outcomes_.size());
      ATTUNE_RETURN_IF_ERROR(BeforePass(is_progress ? outcomes_.size() : 0));
      ATTUNE_RETURN_IF_ERROR(
          run(rest.first(PassSize(rest, options_.max_rows, count_rows))));
    }
    return absl::OkStatus();
  }

  RowOutcome& AddOutcome(const PreparedExample& example, double loss) {
    RowOutcome& added = outcomes_.emplace_back();
    added.loss = loss;
    added.weight = example.weight();
    return added;
  }

  const BaseModel& model() const {
    return ModelWith(options_.prompt, program_.model());
  }

  HeadQuery HeadQueryOf(const PreparedExample& example) const {
    return {.text = example.input.ids, .prompt = options_.prompt};
  }

  ScoredInput ScoredInputOf(const PreparedExample& example) const {
    return {.program = &program_,
            .input = &example.input,
            .prompt = options_.prompt};
  }

  // -> log-probabilities of all labels or choices of each example.
  absl::StatusOr<std::vector<std::vector<double>>> Score(Examples batch) const {
    std::vector<ScoredInput> inputs;
    inputs.reserve(batch.size());
    for (const PreparedExample& one : batch) {
      inputs.push_back(ScoredInputOf(one));
    }
    return ScoreAnswers(model(), inputs);
  }

  absl::Status ScoreAll() {
    const auto run = [&](Examples batch) -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(std::vector<std::vector<double>> scores,
                              Score(batch));
      for (size_t i = 0; i < batch.size(); ++i) {
        Calibrate(program_.task().calibration(), scores[i]);
        RowOutcome& outcome = AddOutcome(batch[i], -scores[i][batch[i].label]);
        outcome.label = static_cast<int>(
            std::max_element(scores[i].begin(), scores[i].end()) -
            scores[i].begin());
        for (double& score : scores[i]) score = std::exp(score);
        outcome.probabilities = std::move(scores[i]);
      }
      return absl::OkStatus();
    };
    return ForEachBatch(
        [&](const PreparedExample& one) {
          return NumAnswerRows(ScoredInputOf(one));
        },
        run);
  }

  absl::Status MeasureOutputs() {
    const auto run = [&](Examples batch) -> absl::Status {
      std::vector<HeadQuery> queries;
      for (const PreparedExample& one : batch) {
        queries.push_back(HeadQueryOf(one));
      }
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<double>> outputs,
                              HeadOutputs(AsEncoder(model()), queries));
      for (size_t i = 0; i < batch.size(); ++i) {
        if (program_.is_regression()) {
          AddNumber(batch[i], outputs[i][0]);
        } else {
          AddOutcome(batch[i], LabelSetLossOf(outputs[i], batch[i].labels))
              .labels = LabelsAbove(outputs[i]);
        }
      }
      return absl::OkStatus();
    };
    return ForEachBatch(
        [&](const PreparedExample& one) {
          return NumHeadRows(HeadQueryOf(one));
        },
        run);
  }

  void AddNumber(const PreparedExample& example, double output) {
    const attune::v1::NumberScale& scale = program_.task().number_scale();
    const double number = scale.mean() + scale.deviation() * output;
    const double error = (number - example.number) / scale.deviation();
    AddOutcome(example, error * error).number = number;
  }

  SpanQuery SpanQueryOf(const PreparedExample& example) const {
    return {.windows = example.input.context.windows,
            .prompt = options_.prompt};
  }

  absl::Status FindAllSpans() {
    const int max_tokens = program_.task().span_reading().max_answer_tokens();
    const auto run = [&](Examples batch) -> absl::Status {
      std::vector<SpanQuery> queries;
      for (const PreparedExample& one : batch) {
        queries.push_back(SpanQueryOf(one));
      }
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<SpanScores>> scores,
                              ScoreSpans(AsEncoder(model()), queries));
      for (size_t i = 0; i < batch.size(); ++i) {
        const InputContext& context = batch[i].input.context;
        double loss = 0;
        for (size_t w = 0; w < context.windows.size(); ++w) {
          loss += SpanLossOf(scores[i][w],
                             TokensOfFirst(context.windows[w], batch[i].spans));
        }
        AddOutcome(batch[i], loss).text = context.TextOf(
            FindBestSpan(context.windows, scores[i], max_tokens).span);
      }
      return absl::OkStatus();
    };
    return ForEachBatch(
        [&](const PreparedExample& one) {
          return NumSpanRows(SpanQueryOf(one));
        },
        run);
  }

  TagQuery TagQueryOf(const PreparedExample& example) const {
    return {.text = example.input.ids,
            .words = example.input.words.words,
            .prompt = options_.prompt};
  }

  absl::Status TagAll() {
    const auto run = [&](Examples batch) -> absl::Status {
      std::vector<TagQuery> queries;
      for (const PreparedExample& one : batch) {
        queries.push_back(TagQueryOf(one));
      }
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<TagScores> scores,
                              ScoreTags(AsEncoder(model()), queries));
      for (size_t i = 0; i < batch.size(); ++i) {
        const std::vector<InputWord>& words = batch[i].input.words.words;
        AddOutcome(batch[i], TagsLoss(words, batch[i].tags, scores[i])).labels =
            DecodeTags(program_.tags(), words, scores[i]);
      }
      return absl::OkStatus();
    };
    return ForEachBatch(
        [&](const PreparedExample& one) { return NumTagRows(TagQueryOf(one)); },
        run);
  }

  absl::Status MeasureAnswers() {
    const auto run = [&](Examples batch) -> absl::Status {
      std::vector<AnswerSample> samples;
      for (const PreparedExample& one : batch) {
        samples.push_back({.text = one.input.ids,
                           .answer = one.answer_ids,
                           .prompt = options_.prompt});
      }
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> losses,
                              AnswerLosses(AsLanguage(model()), samples));
      for (size_t i = 0; i < batch.size(); ++i) {
        AddOutcome(batch[i], losses[i]);
      }
      return absl::OkStatus();
    };
    // Decoding takes by far the longer part: it alone counts as progress.
    return ForEachBatch(
        [](const PreparedExample& one) {
          return static_cast<int64_t>(one.input.ids.size() +
                                      one.answer_ids.size());
        },
        run, /*is_progress=*/!options_.decode_answers);
  }

  absl::Status DecodeAll() {
    std::vector<const TaskInput*> inputs;
    inputs.reserve(examples_.size());
    for (const PreparedExample& one : examples_) inputs.push_back(&one.input);
    ATTUNE_ASSIGN_OR_RETURN(
        std::vector<std::string> answers,
        DecodeInBatches(program_, options_.prompt, inputs,
                        [&](size_t done) { return BeforePass(done); }));
    for (size_t i = 0; i < answers.size(); ++i) {
      outcomes_[i].text = std::move(answers[i]);
    }
    return absl::OkStatus();
  }

  const TaskProgram& program_;
  const Examples examples_;
  const EvaluationOptions& options_;
  std::vector<RowOutcome> outcomes_;
};

}  // namespace

absl::StatusOr<EvaluationReport> Evaluate(const TaskProgram& program,
                                          Examples examples,
                                          const EvaluationOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<RowOutcome> outcomes,
                          Evaluator(program, examples, options).Run());
  if (options.probabilities != nullptr) {
    options.probabilities->clear();
    options.probabilities->reserve(outcomes.size());
    for (const RowOutcome& one : outcomes) {
      options.probabilities->push_back(one.probabilities);
    }
  }
  EvaluationReport report;
  report.set_split(options.split);
  report.set_num_rows(static_cast<int64_t>(examples.size()));
  MeasureOutcomes(
      program, examples, absl::MakeSpan(outcomes),
      {.texts = options.decode_answers, .intervals = options.with_intervals},
      report);
  if (options.outcomes != nullptr) *options.outcomes = std::move(outcomes);
  return report;
}

double MetricOf(const EvaluationReport& report, const std::string& name) {
  return name == "loss" ? report.loss() : report.metrics().at(name);
}

}  // namespace attune::worker

#include "worker/tasks/evaluation.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "proto/cc/status_macros.h"
#include "worker/metrics/answer_match.h"
#include "worker/metrics/label_metrics.h"
#include "worker/metrics/number_metrics.h"
#include "worker/metrics/text_metrics.h"
#include "worker/tasks/entity_metrics.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tasks/greedy_decoder.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/label_scorer.h"
#include "worker/tasks/pass_size.h"
#include "worker/tasks/span_scorer.h"
#include "worker/tasks/tag_scorer.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluationReport;
using Examples = absl::Span<const PreparedExample>;

// Sequences that are decoded at once, and the rows of their first pass: these
// bound the memory of their keys and values.
constexpr size_t kMaxDecodings = 32;
constexpr int64_t kMaxDecodingRows = 4096;

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
    return std::move(report_);
  }

 private:
  absl::Status BeforePass(int64_t done) const {
    return options_.before_pass ? options_.before_pass(done, report_.num_rows())
                                : absl::OkStatus();
  }

  // Calls `run` with all examples, in batches that have about max_rows of what
  // `count_rows` counts.
  template <typename CountRows, typename Run>
  absl::Status ForEachBatch(CountRows count_rows, Run run) const {
    int64_t done = 0;
    for (Examples rest = examples_; !rest.empty();) {
      const Examples batch =
          rest.first(PassSize(rest, options_.max_rows, count_rows));
      ATTUNE_RETURN_IF_ERROR(BeforePass(done));
      ATTUNE_RETURN_IF_ERROR(run(batch));
      done += static_cast<int64_t>(batch.size());
      rest.remove_prefix(batch.size());
    }
    return absl::OkStatus();
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
    const auto run = [&](Examples batch) -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<double>> scores,
                              Score(batch));
      for (size_t i = 0; i < batch.size(); ++i) {
        right.push_back(batch[i].label);
        given.push_back(static_cast<int>(
            std::max_element(scores[i].begin(), scores[i].end()) -
            scores[i].begin()));
        loss -= scores[i][batch[i].label];
      }
      return absl::OkStatus();
    };
    ATTUNE_RETURN_IF_ERROR(ForEachBatch(
        [&](const PreparedExample& one) { return NumRows(one); }, run));
    report_.set_loss(loss / static_cast<double>(examples_.size()));
    AddClassificationMetrics(right, given, program_.labels(), report_);
    return absl::OkStatus();
  }

  // -> the head's outputs for every example.
  absl::StatusOr<std::vector<std::vector<double>>> AllOutputs() const {
    std::vector<std::vector<double>> all;
    const auto run = [&](Examples batch) -> absl::Status {
      std::vector<HeadQuery> queries;
      for (const PreparedExample& one : batch) {
        queries.push_back(HeadQueryOf(one));
      }
      ATTUNE_ASSIGN_OR_RETURN(std::vector<std::vector<double>> outputs,
                              HeadOutputs(AsEncoder(model()), queries));
      std::move(outputs.begin(), outputs.end(), std::back_inserter(all));
      return absl::OkStatus();
    };
    ATTUNE_RETURN_IF_ERROR(ForEachBatch(
        [&](const PreparedExample& one) { return NumRows(one); }, run));
    return all;
  }

  absl::Status MeasureOutputs() {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<double>> outputs,
                            AllOutputs());
    if (program_.is_regression()) {
      MeasureNumbers(outputs);
    } else {
      MeasureLabelSets(outputs);
    }
    return absl::OkStatus();
  }

  void MeasureNumbers(const std::vector<std::vector<double>>& outputs) {
    const attune::v1::NumberScale& scale = program_.task().number_scale();
    std::vector<double> right;
    std::vector<double> given;
    double loss = 0;
    for (size_t i = 0; i < outputs.size(); ++i) {
      right.push_back(examples_[i].number);
      given.push_back(scale.mean() + scale.deviation() * outputs[i][0]);
      const double error = (given[i] - right[i]) / scale.deviation();
      loss += error * error;
    }
    report_.set_loss(loss / static_cast<double>(outputs.size()));
    AddNumberMetrics(right, given, report_);
  }

  void MeasureLabelSets(const std::vector<std::vector<double>>& outputs) {
    std::vector<std::vector<int>> right;
    std::vector<std::vector<int>> given;
    double loss = 0;
    for (size_t i = 0; i < outputs.size(); ++i) {
      right.push_back(examples_[i].labels);
      given.push_back(LabelsAbove(outputs[i]));
      loss += LabelSetLossOf(outputs[i], examples_[i].labels);
    }
    report_.set_loss(loss / static_cast<double>(outputs.size()));
    AddLabelSetMetrics(right, given, program_.labels(), report_);
  }

  SpanQuery SpanQueryOf(const PreparedExample& example) const {
    return {.windows = example.input.context.windows,
            .prompt = options_.prompt};
  }

  // Adds how an answer agrees with the right ones.
  void AddSpan(const PreparedExample& example, const ContextSpan& given,
               AnswerMatch& sum) const {
    const InputContext& context = example.input.context;
    std::vector<std::string> right;
    for (const ContextSpan& span : example.spans) {
      right.emplace_back(context.TextOf(span));
    }
    const AnswerMatch match = MatchAnswers(right, context.TextOf(given));
    sum.exact += match.exact;
    sum.f1 += match.f1;
  }

  absl::Status FindAllSpans() {
    const int max_tokens = program_.task().span_reading().max_answer_tokens();
    double loss = 0;
    double weight = 0;
    AnswerMatch sum;
    const auto run = [&](Examples batch) -> absl::Status {
      std::vector<SpanQuery> queries;
      for (const PreparedExample& one : batch) {
        queries.push_back(SpanQueryOf(one));
      }
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<SpanScores>> scores,
                              ScoreSpans(AsEncoder(model()), queries));
      for (size_t i = 0; i < batch.size(); ++i) {
        const std::vector<ContextWindow>& windows =
            batch[i].input.context.windows;
        for (size_t w = 0; w < windows.size(); ++w) {
          loss += SpanLossOf(scores[i][w],
                             TokensOfFirst(windows[w], batch[i].spans));
        }
        weight += batch[i].weight();
        AddSpan(batch[i], FindBestSpan(windows, scores[i], max_tokens).span,
                sum);
      }
      return absl::OkStatus();
    };
    ATTUNE_RETURN_IF_ERROR(ForEachBatch(
        [&](const PreparedExample& one) {
          return NumSpanRows(SpanQueryOf(one));
        },
        run));
    const double count = static_cast<double>(examples_.size());
    report_.set_loss(loss / weight);
    (*report_.mutable_metrics())["exact_match"] = sum.exact / count;
    (*report_.mutable_metrics())["f1"] = sum.f1 / count;
    return absl::OkStatus();
  }

  TagQuery TagQueryOf(const PreparedExample& example) const {
    return {.text = example.input.ids,
            .words = example.input.words.words,
            .prompt = options_.prompt};
  }

  absl::Status TagAll() {
    std::vector<std::vector<int>> right;
    std::vector<std::vector<int>> given;
    double loss = 0;
    double weight = 0;
    const auto run = [&](Examples batch) -> absl::Status {
      std::vector<TagQuery> queries;
      for (const PreparedExample& one : batch) {
        queries.push_back(TagQueryOf(one));
      }
      ATTUNE_ASSIGN_OR_RETURN(const std::vector<TagScores> scores,
                              ScoreTags(AsEncoder(model()), queries));
      for (size_t i = 0; i < batch.size(); ++i) {
        const std::vector<InputWord>& words = batch[i].input.words.words;
        loss += TagsLoss(words, batch[i].tags, scores[i]);
        weight += batch[i].weight();
        right.push_back(batch[i].tags);
        given.push_back(DecodeTags(program_.tags(), words, scores[i]));
      }
      return absl::OkStatus();
    };
    ATTUNE_RETURN_IF_ERROR(ForEachBatch(
        [&](const PreparedExample& one) { return NumTagRows(TagQueryOf(one)); },
        run));
    report_.set_loss(loss / std::max(1.0, weight));
    AddEntityMetrics(program_.tags(), program_.labels(), right, given, report_);
    return absl::OkStatus();
  }

  absl::Status MeasureAnswers() {
    double loss = 0;
    int64_t tokens = 0;
    int64_t done = 0;
    for (Examples rest = examples_; !rest.empty();) {
      const Examples batch = rest.first(
          PassSize(rest, options_.max_rows, [](const PreparedExample& one) {
            return static_cast<int64_t>(one.input.ids.size() +
                                        one.answer_ids.size());
          }));
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
      const Examples batch = rest.first(
          PassSize(rest.first(std::min(kMaxDecodings, rest.size())),
                   kMaxDecodingRows, [](const PreparedExample& one) {
                     return static_cast<int64_t>(one.input.ids.size());
                   }));
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

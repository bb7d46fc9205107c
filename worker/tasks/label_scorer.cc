#include "worker/tasks/label_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

// Collects the questions that a batch asks the model and the labels whose
// probabilities the answers make up.
class Questionnaire {
 public:
  // Adds the branches of `plan` behind text segment `text` of `batch` and its
  // questions. Call after all texts are in the batch.
  void AddText(const LabelTrie& trie, const LabelTrie::Plan& plan, int text,
               LanguageBatch& batch) {
    std::vector<int> segments;
    segments.reserve(plan.branches.size());
    for (const LabelTrie::Branch& branch : plan.branches) {
      segments.push_back(batch.AddBranch(
          branch.ids, branch.parent < 0 ? text : segments[branch.parent]));
    }
    question_of_.assign(trie.nodes().size(), -1);
    for (const LabelTrie::Question& question : plan.questions) {
      question_of_[question.node] = static_cast<int64_t>(rows_.size());
      rows_.push_back(
          question.branch < 0
              ? batch.RowBehindText(text)
              : batch.RowOf(segments[question.branch], question.offset));
      std::vector<int64_t> columns;
      for (int child : trie.nodes()[question.node].children) {
        columns.push_back(ColumnOf(trie.nodes()[child].token));
      }
      most_children_ =
          std::max(most_children_, static_cast<int64_t>(columns.size()));
      columns_.push_back(std::move(columns));
    }
  }

  // Asks for P(label) of the text that was added last.
  void AddLabel(const LabelTrie& trie, int label) {
    std::vector<int64_t> words;
    for (int word : trie.label_words()[label]) {
      words.push_back(static_cast<int64_t>(paths_.size()));
      std::vector<Answer>& path = paths_.emplace_back();
      for (const LabelTrie::Choice& choice : trie.word_choices()[word]) {
        path.push_back({question_of_[choice.node], choice.child});
      }
    }
    labels_.push_back(std::move(words));
  }

  // The rows whose hidden states answer the questions.
  const std::vector<int64_t>& rows() const { return rows_; }

  // hidden: of these rows, [questions, dim] -> log-probabilities of the labels,
  // in the order they were asked for: [labels], fp32.
  at::Tensor Evaluate(const LanguageModel& model,
                      const at::Tensor& hidden) const {
    const at::Tensor answers = Answers(model, hidden);
    const at::Tensor words = SumPaths(answers);
    return AddWords(words);
  }

 private:
  struct Answer {
    int64_t question;
    int64_t child;
  };

  int64_t ColumnOf(int64_t token) {
    const auto [found, added] =
        column_of_.try_emplace(token, static_cast<int64_t>(tokens_.size()));
    if (added) tokens_.push_back(token);
    return found->second;
  }

  // -> log-probability of each child of each question, [questions, children];
  // places beyond a question's children are -inf.
  at::Tensor Answers(const LanguageModel& model,
                     const at::Tensor& hidden) const {
    const int64_t questions = static_cast<int64_t>(rows_.size());
    std::vector<int64_t> columns(questions * most_children_, 0);
    std::vector<float> padding(questions * most_children_,
                               -std::numeric_limits<float>::infinity());
    for (int64_t q = 0; q < questions; ++q) {
      for (size_t child = 0; child < columns_[q].size(); ++child) {
        columns[q * most_children_ + child] = columns_[q][child];
        padding[q * most_children_ + child] = 0;
      }
    }
    const auto on_device = [&](const at::Tensor& values) {
      return values.to(hidden.device());
    };
    const at::Tensor logits =
        model.LogitsFor(hidden, on_device(at::tensor(tokens_)));
    const at::Tensor choices =
        logits.gather(
            1,
            on_device(at::tensor(columns)).view({questions, most_children_})) +
        on_device(at::tensor(padding)).view({questions, most_children_});
    return at::log_softmax(choices, /*dim=*/1);
  }

  // answers: [questions, children] -> log-probability of each word, [words].
  at::Tensor SumPaths(const at::Tensor& answers) const {
    size_t longest = 0;
    for (const auto& path : paths_) longest = std::max(longest, path.size());
    const int64_t nothing = answers.numel();  // place of a 0 behind them
    std::vector<int64_t> places(paths_.size() * longest, nothing);
    for (size_t w = 0; w < paths_.size(); ++w) {
      for (size_t i = 0; i < paths_[w].size(); ++i) {
        places[w * longest + i] =
            paths_[w][i].question * most_children_ + paths_[w][i].child;
      }
    }
    return at::cat({answers.flatten(), at::zeros({1}, answers.options())})
        .index_select(0, at::tensor(places).to(answers.device()))
        .view({static_cast<int64_t>(paths_.size()),
               static_cast<int64_t>(longest)})
        .sum(1);
  }

  // words: [words] -> log of the summed probabilities of each label, [labels].
  at::Tensor AddWords(const at::Tensor& words) const {
    size_t most = 0;
    for (const auto& label : labels_) most = std::max(most, label.size());
    const int64_t impossible = words.numel();  // place of -inf behind them
    std::vector<int64_t> places(labels_.size() * most, impossible);
    for (size_t l = 0; l < labels_.size(); ++l) {
      std::copy(labels_[l].begin(), labels_[l].end(),
                places.begin() + l * most);
    }
    if (most == 1) {
      return words.index_select(0, at::tensor(places).to(words.device()));
    }
    const at::Tensor padded =
        at::cat({words, at::full({1}, -std::numeric_limits<float>::infinity(),
                                 words.options())});
    return at::logsumexp(
        padded.index_select(0, at::tensor(places).to(words.device()))
            .view({static_cast<int64_t>(labels_.size()),
                   static_cast<int64_t>(most)}),
        /*dim=*/1);
  }

  std::vector<int64_t> question_of_;  // of the last text: node -> question
  std::vector<int64_t> rows_;         // per question
  std::vector<std::vector<int64_t>> columns_;  // per question and child
  int64_t most_children_ = 0;
  std::unordered_map<int64_t, int64_t> column_of_;
  std::vector<int64_t> tokens_;               // of the columns
  std::vector<std::vector<Answer>> paths_;    // per word
  std::vector<std::vector<int64_t>> labels_;  // their words
};

}  // namespace

absl::StatusOr<std::vector<std::vector<double>>> ScoreLabels(
    const LanguageModel& model, absl::Span<const LabelQuery> queries) {
  using Scores = std::vector<std::vector<double>>;
  if (queries.empty()) return Scores();
  return CatchTorchErrors("scoring labels", [&]() -> absl::StatusOr<Scores> {
    const at::NoGradGuard no_grad;
    LanguageBatch batch(model);
    std::vector<BatchText> queried;
    for (const LabelQuery& query : queries) {
      queried.push_back({.text = query.text, .prompt = query.prompt});
    }
    const std::vector<int> texts = batch.AddTexts(queried);
    Questionnaire questionnaire;
    for (size_t i = 0; i < queries.size(); ++i) {
      const LabelTrie& trie = *queries[i].trie;
      questionnaire.AddText(trie, trie.full_plan(), texts[i], batch);
      for (int label = 0; label < trie.num_labels(); ++label) {
        questionnaire.AddLabel(trie, label);
      }
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                            batch.Run(questionnaire.rows()));
    const at::Tensor flat = questionnaire.Evaluate(model, hidden)
                                .to(at::kCPU, at::kDouble)
                                .contiguous();
    const double* next = flat.const_data_ptr<double>();
    Scores scores;
    for (const LabelQuery& query : queries) {
      scores.emplace_back(next, next + query.trie->num_labels());
      next += query.trie->num_labels();
    }
    return scores;
  });
}

int64_t NumScoringRows(const LabelQuery& query) {
  int64_t rows = static_cast<int64_t>(query.text.size());
  if (query.prompt != nullptr && query.prompt->rows.defined()) {
    rows += query.prompt->rows.size(0);
  }
  for (const LabelTrie::Branch& branch : query.trie->full_plan().branches) {
    rows += static_cast<int64_t>(branch.ids.size());
  }
  return rows;
}

absl::StatusOr<BatchLoss> LabelLoss(const LanguageModel& model,
                                    const AttachedPrompt& prompt,
                                    absl::Span<const LabelSample> samples,
                                    const LossOptions& options) {
  return CatchTorchErrors("label loss", [&]() -> absl::StatusOr<BatchLoss> {
    LanguageBatch batch(model);
    batch.SharePrompt(prompt);
    std::vector<BatchText> sampled;
    for (const LabelSample& sample : samples) {
      sampled.push_back({.text = sample.text});
    }
    const std::vector<int> texts =
        batch.AddTexts(sampled, options.share_beginnings);
    Questionnaire questionnaire;
    const double smoothing = options.label_smoothing;
    std::vector<float> shares;  // of the labels asked for, in the loss
    for (size_t i = 0; i < samples.size(); ++i) {
      const LabelTrie& trie = *samples[i].trie;
      const int right = samples[i].label;
      if (smoothing == 0) {
        questionnaire.AddText(trie, trie.label_plan(right), texts[i], batch);
        questionnaire.AddLabel(trie, right);
        shares.push_back(1);
        continue;
      }
      questionnaire.AddText(trie, trie.full_plan(), texts[i], batch);
      for (int label = 0; label < trie.num_labels(); ++label) {
        questionnaire.AddLabel(trie, label);
        shares.push_back(
            static_cast<float>(smoothing / trie.num_labels() +
                               (label == right ? 1 - smoothing : 0)));
      }
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                            batch.Run(questionnaire.rows()));
    const at::Tensor scores = questionnaire.Evaluate(model, hidden);
    return BatchLoss{
        .sum = -(scores * at::tensor(shares).to(scores.device())).sum(),
        .weight = static_cast<double>(samples.size()),
        .num_rows = batch.num_rows()};
  });
}

absl::StatusOr<at::Tensor> LabelLogProbabilities(
    const LanguageModel& model, const AttachedPrompt& prompt,
    const LabelTrie& trie, absl::Span<const absl::Span<const int64_t>> texts) {
  return CatchTorchErrors("label scores", [&]() -> absl::StatusOr<at::Tensor> {
    LanguageBatch batch(model);
    batch.SharePrompt(prompt);
    std::vector<BatchText> asked;
    for (absl::Span<const int64_t> text : texts) {
      asked.push_back({.text = text});
    }
    const std::vector<int> segments = batch.AddTexts(asked);
    Questionnaire questionnaire;
    for (int segment : segments) {
      questionnaire.AddText(trie, trie.full_plan(), segment, batch);
      for (int label = 0; label < trie.num_labels(); ++label) {
        questionnaire.AddLabel(trie, label);
      }
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                            batch.Run(questionnaire.rows()));
    return questionnaire.Evaluate(model, hidden)
        .view({static_cast<int64_t>(texts.size()), trie.num_labels()});
  });
}

}  // namespace attune::worker

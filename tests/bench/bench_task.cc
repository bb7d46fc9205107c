#include "tests/bench/bench_task.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/text.h"

namespace attune::bench {

absl::StatusOr<std::vector<worker::Example>> ReadRows(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(Concat("cannot read ", path));
  std::vector<worker::Example> rows;
  for (std::string line; rows.size() < kBatch && std::getline(file, line);) {
    nlohmann::json row =
        nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object() || !row.contains("text") || !row.contains("label") ||
        !row["label"].is_string()) {
      return absl::InvalidArgumentError(
          Concat(path, ", line ", rows.size() + 1,
                 ": not a JSON object with 'text' and a 'label' in words"));
    }
    worker::Example example;
    example.answer = row["label"];
    row.erase("label");
    example.fields = row.dump();
    rows.push_back(std::move(example));
  }
  if (rows.size() < kBatch) {
    return absl::OutOfRangeError(Concat(path, " has only ", rows.size(),
                                        " rows; a step takes ", kBatch));
  }
  return rows;
}

std::vector<worker::Example> AsTexts(std::vector<worker::Example> rows) {
  for (worker::Example& row : rows) {
    std::replace(row.answer.begin(), row.answer.end(), '_', ' ');
  }
  return rows;
}

attune::v1::TaskSpec GenerationTask(const std::string& text_template) {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_(text_template);
  return task;
}

attune::v1::TaskSpec ClassificationTask(
    const std::string& text_template,
    const std::vector<worker::Example>& rows) {
  attune::v1::TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_template_(text_template);
  std::vector<std::string> labels;
  for (const worker::Example& row : rows) labels.push_back(row.answer);
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  for (const std::string& label : labels) task.add_labels()->set_label(label);
  return task;
}

double Seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
      .count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace attune::bench

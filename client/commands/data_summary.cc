#include "client/commands/data_summary.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "client/output/figures.h"
#include "client/output/html_table.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

// More labels than this are a list that nobody reads.
constexpr size_t kMaxBalanceRows = 20;
constexpr int kMaxPageLabels = 12;

using Cells = std::vector<std::string>;

// Lines of cells, the first of them the titles.
using Grid = std::vector<Cells>;

bool HasAnswerTokens(const SplitSummaries& splits) {
  return std::any_of(splits.begin(), splits.end(), [](const auto& split) {
    return split.has_answer_tokens();
  });
}

void AddTokens(bool known, const v1::TokenCounts& tokens, Cells& cells) {
  for (const int64_t count :
       {tokens.median(), tokens.percentile_95(), tokens.max()}) {
    cells.push_back(known ? FormatCount(count) : "-");
  }
}

Grid SplitGrid(const SplitSummaries& splits) {
  if (splits.empty()) return {};
  const bool answers = HasAnswerTokens(splits);
  Grid grid = {{"split", "rows", "tokens", "95 %", "most", "cut"}};
  if (answers) {
    for (const char* title : {"answer", "95 %", "most"}) {
      grid[0].push_back(title);
    }
  }
  for (const char* title : {"repeated", "contradictory", "seen in training"}) {
    grid[0].push_back(title);
  }
  for (const v1::SplitSummary& split : splits) {
    Cells cells = {split.split(), FormatCount(split.num_rows())};
    AddTokens(split.has_input_tokens(), split.input_tokens(), cells);
    cells.push_back(FormatCount(split.num_truncated_rows()));
    if (answers) {
      AddTokens(split.has_answer_tokens(), split.answer_tokens(), cells);
    }
    cells.push_back(FormatCount(split.num_duplicate_rows()));
    cells.push_back(FormatCount(split.num_contradictory_rows()));
    cells.push_back(
        split.split() == "train" ? "-" : FormatCount(split.num_leaked_rows()));
    grid.push_back(std::move(cells));
  }
  return grid;
}

// How often a label is in a split, as far as the split says.
int64_t CountOf(const v1::SplitSummary& split, int label) {
  return label < split.labels_size() ? split.labels(label).count() : 0;
}

// All labels in the task's order, or the rarest `max_rows` of the first split.
Grid LabelGrid(const SplitSummaries& splits, size_t max_rows) {
  if (splits.empty() || splits[0].labels().empty()) return {};
  Grid grid = {{"label"}};
  std::vector<int> order;
  order.reserve(splits[0].labels_size());
  for (const v1::SplitSummary& split : splits) {
    grid[0].push_back(split.split());
  }
  for (int i = 0; i < splits[0].labels_size(); ++i) order.push_back(i);
  if (order.size() > max_rows) {
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return CountOf(splits[0], a) < CountOf(splits[0], b);
    });
    order.resize(max_rows);
  }
  for (const int label : order) {
    Cells cells = {splits[0].labels(label).label()};
    for (const v1::SplitSummary& split : splits) {
      cells.push_back(FormatCount(CountOf(split, label)));
    }
    grid.push_back(std::move(cells));
  }
  return grid;
}

// The first column holds names, all others numbers.
void PrintGrid(const Grid& grid, Stream& out) {
  std::vector<Table::Column> columns;
  columns.reserve(grid[0].size());
  for (std::string title : grid[0]) {
    for (char& letter : title) {
      if (letter >= 'a' && letter <= 'z') letter += 'A' - 'a';
    }
    columns.push_back(
        {title, columns.empty() ? Table::Align::kLeft : Table::Align::kRight});
  }
  Table table(columns);
  for (size_t i = 1; i < grid.size(); ++i) table.Add(grid[i]);
  table.Print(out);
}

Markup GridTable(const Grid& grid, HtmlTable::Height height) {
  std::vector<HtmlTable::Column> columns;
  columns.reserve(grid[0].size());
  for (const std::string& title : grid[0]) {
    columns.push_back({title, columns.empty() ? HtmlTable::Kind::kName
                                              : HtmlTable::Kind::kNumber});
  }
  HtmlTable table(columns, height);
  for (size_t i = 1; i < grid.size(); ++i) {
    std::vector<Markup> cells;
    cells.reserve(grid[i].size());
    for (const std::string& cell : grid[i]) cells.push_back(Markup::Text(cell));
    table.Add(std::move(cells));
  }
  return table.Make();
}

Markup SampleTable(const RenderedSamples& samples) {
  HtmlTable table({{"split"},
                   {"row", HtmlTable::Kind::kNumber},
                   {"input", HtmlTable::Kind::kProse},
                   {"answer", HtmlTable::Kind::kText},
                   {"tokens", HtmlTable::Kind::kNumber}});
  for (const v1::RenderedSample& sample : samples) {
    table.Add({Markup::Text(sample.split()),
               Markup::Text(FormatCount(sample.row())),
               Markup::Text(sample.input()), Markup::Text(sample.answer()),
               Markup::Text(Concat(FormatCount(sample.num_tokens()),
                                   sample.truncated() ? ", cut" : ""))});
  }
  return table.Make();
}

}  // namespace

void PrintSplits(const SplitSummaries& splits, Stream& out) {
  const Grid grid = SplitGrid(splits);
  if (!grid.empty()) PrintGrid(grid, out);
}

void PrintLabelBalance(const SplitSummaries& splits, Stream& out) {
  const Grid grid = LabelGrid(splits, kMaxBalanceRows);
  if (grid.empty()) return;
  *out.stream << '\n';
  PrintGrid(grid, out);
  const size_t shown = grid.size() - 1;
  const size_t all = static_cast<size_t>(splits[0].labels_size());
  if (shown < all) {
    *out.stream << "the rarest " << shown << " of " << all << '\n';
  }
}

void PrintSamples(const RenderedSamples& samples, Stream& out) {
  for (const v1::RenderedSample& sample : samples) {
    *out.stream << '\n'
                << out.Paint(Style::kBold, Concat(OneLine(sample.split()),
                                                  " row ", sample.row()))
                << ", " << FormatCount(sample.num_tokens()) << " tokens"
                << (sample.truncated() ? ", cut" : "")
                << ", answer: " << OneLine(sample.answer()) << '\n';
    const std::string input = Harmless(sample.input());
    for (const auto& line : absl::StrSplit(input, '\n')) {
      *out.stream << "  | " << ToStd(line) << '\n';
    }
  }
}

Markup DataFigures(const SplitSummaries& splits,
                   const RenderedSamples& samples) {
  Markup figures;
  if (const Grid grid = SplitGrid(splits); !grid.empty()) {
    figures += GridTable(grid, HtmlTable::Height::kFull);
  }
  const Grid labels = LabelGrid(splits, /*max_rows=*/1000);
  if (!labels.empty()) {
    figures += Markup::Element("h3", {}, Markup::Text("Balance of the labels"));
    figures += GridTable(labels, splits[0].labels_size() > kMaxPageLabels
                                     ? HtmlTable::Height::kLimited
                                     : HtmlTable::Height::kFull);
  }
  if (!samples.empty()) {
    figures +=
        Markup::Element("h3", {}, Markup::Text("Rows as the model sees them"));
    figures += SampleTable(samples);
  }
  return figures;
}

}  // namespace attune::client

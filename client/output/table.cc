#include "client/output/table.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "client/output/text_width.h"

namespace attune::client {
namespace {

constexpr int kGap = 2;
constexpr int kNarrowest = 12;

// Cuts the widest left-aligned columns until the line has `limit` columns.
void Shrink(const std::vector<Table::Column>& columns, int limit,
            std::vector<int>& widths) {
  const int gaps = kGap * static_cast<int>(widths.size() - 1);
  int excess = std::accumulate(widths.begin(), widths.end(), gaps) - limit;
  while (excess > 0) {
    size_t widest = widths.size();
    for (size_t i = 0; i < widths.size(); ++i) {
      if (columns[i].align == Table::Align::kLeft && widths[i] > kNarrowest &&
          (widest == widths.size() || widths[i] > widths[widest])) {
        widest = i;
      }
    }
    if (widest == widths.size()) return;
    --widths[widest];
    --excess;
  }
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) {
    cell = OneLine(cell);
  }
  rows_.push_back(std::move(cells));
}

std::vector<int> Table::Widths() const {
  std::vector<int> widths;
  for (const Column& column : columns_) {
    widths.push_back(DisplayWidth(column.title));
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  return widths;
}

void Table::Print(Stream& out) const {
  std::vector<int> widths = Widths();
  if (out.terminal) {
    Shrink(columns_, out.columns(), widths);
  }
  std::vector<std::string> titles;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
  }
  PrintRow(titles, widths, /*title=*/true, out);
  for (const auto& row : rows_) {
    PrintRow(row, widths, /*title=*/false, out);
  }
}

void Table::PrintRow(const std::vector<std::string>& cells,
                     const std::vector<int>& widths, bool title,
                     Stream& out) const {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string cell = CutTo(cells[i], widths[i]);
    line += columns_[i].align == Align::kRight ? PadLeft(cell, widths[i])
                                               : PadRight(cell, widths[i]);
    line += std::string(kGap, ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  *out.stream << (title ? out.Paint(Style::kBold, line) : line) << '\n';
}

void Details::Add(std::string key, std::string value) {
  lines_.emplace_back(std::move(key), OneLine(value));
}

void Details::AddIf(std::string key, std::string value) {
  if (!value.empty()) {
    Add(std::move(key), std::move(value));
  }
}

void Details::Print(Stream& out) const {
  int widest = 0;
  for (const auto& [key, value] : lines_) {
    widest = std::max(widest, DisplayWidth(key));
  }
  for (const auto& [key, value] : lines_) {
    *out.stream << out.Paint(Style::kBold, PadRight(key + ":", widest + 1))
                << ' ' << value << '\n';
  }
}

}  // namespace attune::client

#include "client/output/html_table.h"

#include <utility>

namespace attune::client {
namespace {

std::string KindClass(HtmlTable::Kind kind) {
  switch (kind) {
    case HtmlTable::Kind::kText:
      return "text";
    case HtmlTable::Kind::kProse:
      return "text prose";
    case HtmlTable::Kind::kName:
      return "name";
    case HtmlTable::Kind::kNumber:
      return "number";
    case HtmlTable::Kind::kPlot:
      return "plot";
  }
  return "text";
}

}  // namespace

HtmlTable::HtmlTable(std::vector<Column> columns, Height height)
    : columns_(std::move(columns)), height_(height) {}

void HtmlTable::Add(std::vector<Markup> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

Markup HtmlTable::Row(const std::vector<Markup>& cells) const {
  Markup row;
  for (size_t i = 0; i < cells.size(); ++i) {
    Markup::Attributes attributes = {{"class", KindClass(columns_[i].kind)}};
    if (i == 0) attributes.push_back({"scope", "row"});
    row += Markup::Element(i == 0 ? "th" : "td", attributes, cells[i]);
  }
  return Markup::Element("tr", {}, row);
}

Markup HtmlTable::Make() const {
  Markup titles;
  for (const Column& column : columns_) {
    titles += Markup::Element(
        "th", {{"class", KindClass(column.kind)}, {"scope", "col"}},
        Markup::Text(column.title));
  }
  Markup rows;
  for (const std::vector<Markup>& cells : rows_) {
    rows += Row(cells);
  }
  // Focusable, so that keys can scroll it.
  return Markup::Element(
      "div",
      {{"class", height_ == Height::kLimited ? "frame limited" : "frame"},
       {"tabindex", "0"}},
      Markup::Element(
          "table", {},
          Markup::Element("thead", {}, Markup::Element("tr", {}, titles)) +
              Markup::Element("tbody", {}, rows)));
}

Markup HtmlDetails(
    const std::vector<std::pair<std::string, std::string>>& lines) {
  Markup list;
  for (const auto& [key, value] : lines) {
    list += Markup::Element("dt", {}, Markup::Text(key));
    list += Markup::Element("dd", {}, Markup::Text(value));
  }
  return list.empty() ? list : Markup::Element("dl", {}, list);
}

}  // namespace attune::client

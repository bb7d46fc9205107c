#ifndef ATTUNE_CLIENT_OUTPUT_HTML_TABLE_H_
#define ATTUNE_CLIENT_OUTPUT_HTML_TABLE_H_

#include <string>
#include <utility>
#include <vector>

#include "client/output/markup.h"

namespace attune::client {

// A table of a page (html_page.h), which scrolls in its own frame where it is
// wider than the page. The first cell of a row is the row's heading. A value.
class HtmlTable {
 public:
  // kText breaks into lines, kProse does and takes half of the table, kName
  // does not, kNumber stands at the right with figures of one width, kPlot is a
  // small drawing.
  enum class Kind { kText, kProse, kName, kNumber, kPlot };
  // How long a table may become before it scrolls in its frame.
  enum class Height { kFull, kLimited };
  struct Column {
    std::string title;
    Kind kind = Kind::kName;
  };

  explicit HtmlTable(std::vector<Column> columns,
                     Height height = Height::kFull);

  // Adds a row; missing cells are empty.
  void Add(std::vector<Markup> cells);

  bool empty() const { return rows_.empty(); }

  Markup Make() const;

 private:
  Markup Row(const std::vector<Markup>& cells) const;

  std::vector<Column> columns_;
  Height height_;
  std::vector<std::vector<Markup>> rows_;
};

// "key: value" lines, the values as text. Nothing without lines.
Markup HtmlDetails(
    const std::vector<std::pair<std::string, std::string>>& lines);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_HTML_TABLE_H_

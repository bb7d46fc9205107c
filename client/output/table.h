#ifndef ATTUNE_CLIENT_OUTPUT_TABLE_H_
#define ATTUNE_CLIENT_OUTPUT_TABLE_H_

#include <string>
#include <vector>

#include "client/output/console.h"

namespace attune::client {

// Rows in aligned columns, two spaces apart. On a terminal the widest
// left-aligned column is cut so that lines do not wrap; elsewhere nothing is
// cut. A value.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns);

  // Adds a row; missing cells are empty. Control characters become U+FFFD.
  void Add(std::vector<std::string> cells);

  bool empty() const { return rows_.empty(); }

  void Print(Stream& out) const;

 private:
  std::vector<int> Widths() const;
  void PrintRow(const std::vector<std::string>& cells,
                const std::vector<int>& widths, bool title, Stream& out) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "key:  value" lines with aligned values. A value.
class Details {
 public:
  void Add(std::string key, std::string value);
  // Only when `value` is not empty.
  void AddIf(std::string key, std::string value);
  void Print(Stream& out) const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_TABLE_H_

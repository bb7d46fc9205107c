#include "client/output/table.h"

#include <sstream>

#include "gtest/gtest.h"

namespace attune::client {
namespace {

std::string Printed(const Table& table, int terminal_columns = 0) {
  std::ostringstream stream;
  Stream out{&stream, terminal_columns > 0, false,
             [terminal_columns] { return terminal_columns; }};
  table.Print(out);
  return stream.str();
}

TEST(Table, AlignsColumns) {
  Table table({{"NAME"}, {"ROWS", Table::Align::kRight}, {"STATE"}});
  table.Add({"short", "5", "ok"});
  table.Add({"much-longer", "12,345", "failed"});

  EXPECT_EQ(Printed(table),
            "NAME           ROWS  STATE\n"
            "short             5  ok\n"
            "much-longer  12,345  failed\n");
}

TEST(Table, CountsWideCharactersTwice) {
  Table table({{"TEXT"}, {"LABEL"}});
  table.Add({"世界", "a"});
  table.Add({"Grüße!", "b"});

  EXPECT_EQ(Printed(table),
            "TEXT    LABEL\n"
            "世界    a\n"
            "Grüße!  b\n");
}

TEST(Table, WithoutRowsHasTitles) {
  Table table({{"NAME"}, {"STATE"}});

  EXPECT_TRUE(table.empty());
  EXPECT_EQ(Printed(table), "NAME  STATE\n");
}

TEST(Table, CutsTheWidestColumnOnATerminal) {
  Table table({{"INPUT"}, {"ANSWER"}, {"SCORE", Table::Align::kRight}});
  table.Add({"a rather long input that does not fit", "yes", "93.1%"});

  EXPECT_EQ(Printed(table, 40),
            "INPUT                      ANSWER  SCORE\n"
            "a rather long input that…  yes     93.1%\n");
}

TEST(Table, CutsNothingInAFile) {
  Table table({{"INPUT"}});
  table.Add({std::string(300, 'x')});

  EXPECT_EQ(Printed(table), "INPUT\n" + std::string(300, 'x') + "\n");
}

TEST(Table, LetsNoCellSteerTheTerminal) {
  Table table({{"A"}});
  table.Add({"x\n\x1b[2J"});

  EXPECT_EQ(Printed(table), "A\nx �[2J\n");
}

TEST(Details, AlignValuesAndLeaveOutEmptyOnes) {
  Details details;
  details.Add("name", "prompts/x");
  details.AddIf("aliases", "");
  details.AddIf("base model", "models/m");
  std::ostringstream stream;
  Stream out{&stream};

  details.Print(out);

  EXPECT_EQ(stream.str(),
            "name:       prompts/x\n"
            "base model: models/m\n");
}

}  // namespace
}  // namespace attune::client

#include "client/output/console.h"

#include <map>
#include <sstream>

#include "gtest/gtest.h"

namespace attune::client {
namespace {

Environment EnvironmentOf(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> const char* {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
}

class ConsoleTest : public testing::Test {
 protected:
  Console Make(bool out_is_terminal,
               std::map<std::string, std::string> environment) {
    return MakeConsole(out_, err_, out_is_terminal, /*err_is_terminal=*/true,
                       EnvironmentOf(std::move(environment)));
  }

  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(ConsoleTest, ATerminalHasColours) {
  const Console console = Make(true, {{"TERM", "xterm"}});

  EXPECT_TRUE(console.out.terminal);
  EXPECT_EQ(console.out.Paint(Style::kRed, "no"), "\x1b[31mno\x1b[0m");
}

TEST_F(ConsoleTest, AFileHasNone) {
  const Console console = Make(false, {});

  EXPECT_FALSE(console.out.terminal);
  EXPECT_EQ(console.out.Paint(Style::kRed, "no"), "no");
  EXPECT_TRUE(console.err.colour);
}

TEST_F(ConsoleTest, NoColorSwitchesColoursOff) {
  const Console console = Make(true, {{"NO_COLOR", "1"}});

  EXPECT_TRUE(console.out.terminal);
  EXPECT_EQ(console.out.Paint(Style::kBold, "x"), "x");
}

TEST_F(ConsoleTest, AnEmptyNoColorDoesNot) {
  EXPECT_TRUE(Make(true, {{"NO_COLOR", ""}}).out.colour);
}

TEST_F(ConsoleTest, ADumbTerminalIsTreatedAsAFile) {
  const Console console = Make(true, {{"TERM", "dumb"}});

  EXPECT_FALSE(console.out.terminal);
  EXPECT_FALSE(console.out.colour);
}

TEST_F(ConsoleTest, TheFirstLocaleVariableThatIsSetDecides) {
  EXPECT_TRUE(Make(true, {{"LANG", "en_GB.UTF-8"}}).unicode);
  EXPECT_TRUE(Make(true, {{"LC_ALL", "C.utf8"}, {"LANG", "C"}}).unicode);
  EXPECT_FALSE(Make(true, {{"LC_ALL", "C"}, {"LANG", "C.UTF-8"}}).unicode);
  EXPECT_FALSE(Make(true, {}).unicode);
}

}  // namespace
}  // namespace attune::client

#include "tests/integration/command_line.h"

#include <gtest/gtest.h>

#include <fstream>

namespace attune::integration {

ProgramResult CommandLineTest::Attune(
    const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {ProgramPath("attune"), "--server",
                                   pair().server_address()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto result =
      RunProgram(argv, {{"NO_COLOR", "1"}}, pair().directory(), kPatience);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : ProgramResult{};
}

std::string CommandLineTest::Works(const std::vector<std::string>& arguments) {
  const ProgramResult result = Attune(arguments);
  EXPECT_EQ(result.exit_code, 0)
      << arguments[0] << ": " << result.output << result.error_output;
  return result.output;
}

std::string CommandLineTest::Write(const std::string& name,
                                   std::string_view text) {
  const std::string path = pair().directory() + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

}  // namespace attune::integration

#ifndef ATTUNE_TESTS_INTEGRATION_COMMAND_LINE_H_
#define ATTUNE_TESTS_INTEGRATION_COMMAND_LINE_H_

#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/service_test.h"
#include "tests/testing/process.h"

namespace attune::integration {

// Tests that call the program `attune` as a person would.
class CommandLineTest : public ServiceTest {
 protected:
  // Runs it with these arguments, in the pair's directory.
  ProgramResult Attune(const std::vector<std::string>& arguments);

  // Attune for what must work; gives its standard output.
  std::string Works(const std::vector<std::string>& arguments);

  // Writes a file into the pair's directory; gives its path.
  std::string Write(const std::string& name, std::string_view text);
};

}  // namespace attune::integration

#endif  // ATTUNE_TESTS_INTEGRATION_COMMAND_LINE_H_

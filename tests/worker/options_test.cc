#include "worker/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "proto/cc/status.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

PrintAndExit Printed(const std::vector<std::string>& arguments) {
  const CommandLine command = ParseCommandLine(arguments);
  const auto* print = std::get_if<PrintAndExit>(&command);
  return print == nullptr ? PrintAndExit{"parsed", -1} : *print;
}

ServeOptions Served(const std::vector<std::string>& arguments) {
  const CommandLine command = ParseCommandLine(arguments);
  const auto* serve = std::get_if<ServeOptions>(&command);
  EXPECT_NE(serve, nullptr) << Printed(arguments).text;
  return serve == nullptr ? ServeOptions{} : *serve;
}

TEST(ParseCommandLine, ServesWithDefaults) {
  const ServeOptions options = Served({});

  EXPECT_EQ(options.server, "127.0.0.1:50051");
  EXPECT_EQ(options.listen, "127.0.0.1:50061");
  EXPECT_EQ(options.metrics_listen, "127.0.0.1:9465");
  EXPECT_EQ(options.models_dir, ".attune/models");
  EXPECT_EQ(options.device, "cpu");
  EXPECT_EQ(options.dtype, "auto");
  EXPECT_EQ(options.threads, 0);
  EXPECT_EQ(options.max_jobs, 4);
  EXPECT_THAT(options.preload, IsEmpty());
  EXPECT_EQ(options.model_memory, std::nullopt);
  EXPECT_EQ(options.drain_timeout, absl::Seconds(50));
}

TEST(ParseCommandLine, TakesFlags) {
  const ServeOptions options =
      Served({"--server",     "h:1",      "--listen",        "0.0.0.0:0",
              "--advertise",  "me:2",     "--device",        "cuda:1",
              "--dtype",      "bf16",     "--threads",       "3",
              "--preload",    "models/a", "--preload",       "models/b",
              "--worker-id",  "w",        "--drain-timeout", "90s",
              "--ready-file", "r",        "--model-memory",  "1.5GiB",
              "--max-jobs",   "64"});

  EXPECT_EQ(options.server, "h:1");
  EXPECT_EQ(options.listen, "0.0.0.0:0");
  EXPECT_EQ(options.advertise, "me:2");
  EXPECT_EQ(options.device, "cuda:1");
  EXPECT_EQ(options.dtype, "bf16");
  EXPECT_EQ(options.threads, 3);
  EXPECT_EQ(options.max_jobs, 64);
  EXPECT_THAT(options.preload, ElementsAre("models/a", "models/b"));
  EXPECT_EQ(options.worker_id, "w");
  EXPECT_EQ(options.drain_timeout, absl::Seconds(90));
  EXPECT_EQ(options.ready_file, "r");
  EXPECT_EQ(options.model_memory, int64_t{3} << 29);
}

TEST(ParseCommandLine, PreloadTakesAListWithCommas) {
  EXPECT_THAT(
      Served({"--preload", "models/a,models/b", "--preload=models/c"}).preload,
      ElementsAre("models/a", "models/b", "models/c"));
  EXPECT_THAT(Printed({"--preload", "models/a,b"}).text, HasSubstr("'b'"));
}

TEST(ParseCommandLine, ModelMemoryMayBeLeftToTheMachine) {
  EXPECT_EQ(Served({"--model-memory", "auto"}).model_memory, std::nullopt);
}

TEST(ParseCommandLine, ImportsWithTwoPaths) {
  const CommandLine command = ParseCommandLine({"import", "m.gguf", "dir"});

  const auto* import = std::get_if<ImportOptions>(&command);
  ASSERT_NE(import, nullptr);
  EXPECT_EQ(import->gguf_file, "m.gguf");
  EXPECT_EQ(import->output_dir, "dir");
}

TEST(ParseCommandLine, ImportWithoutADirectoryIsRefused) {
  EXPECT_EQ(Printed({"import", "m.gguf"}).exit_code, 64);
}

TEST(ParseCommandLine, TokenizesAModelsInput) {
  const CommandLine command =
      ParseCommandLine({"tokenize", "--model", "dir", "--input", "rows"});

  const auto* tokenize = std::get_if<TokenizeOptions>(&command);
  ASSERT_NE(tokenize, nullptr);
  EXPECT_EQ(tokenize->model_dir, "dir");
  EXPECT_EQ(tokenize->input_file, "rows");
  EXPECT_TRUE(tokenize->add_special_tokens);
}

TEST(ParseCommandLine, TokenizesWithoutSpecialTokens) {
  const CommandLine command = ParseCommandLine(
      {"tokenize", "--model", "dir", "--input", "rows", "--no-special-tokens"});

  const auto* tokenize = std::get_if<TokenizeOptions>(&command);
  ASSERT_NE(tokenize, nullptr);
  EXPECT_FALSE(tokenize->add_special_tokens);
}

TEST(ParseCommandLine, TokenizeWithoutAnInputIsRefused) {
  EXPECT_EQ(Printed({"tokenize", "--model", "dir"}).exit_code, 64);
}

TEST(ParseCommandLine, ForwardComputesInFp32OnTheCpu) {
  const CommandLine command = ParseCommandLine(
      {"forward", "--model", "dir", "--input", "rows", "--output", "out"});

  const auto* forward = std::get_if<ForwardOptions>(&command);
  ASSERT_NE(forward, nullptr);
  EXPECT_EQ(forward->model_dir, "dir");
  EXPECT_EQ(forward->input_file, "rows");
  EXPECT_EQ(forward->output_file, "out");
  EXPECT_EQ(forward->prompt_dir, "");
  EXPECT_EQ(forward->dtype, "fp32");
  EXPECT_EQ(forward->device, "cpu");
  EXPECT_EQ(forward->max_new_tokens, 0);
}

TEST(ParseCommandLine, ForwardTakesAPromptAndGenerates) {
  const CommandLine command =
      ParseCommandLine({"forward", "--model", "dir", "--input", "rows",
                        "--output", "out", "--prompt", "adapter", "--dtype",
                        "bf16", "--device", "cuda:1", "--generate", "30"});

  const auto* forward = std::get_if<ForwardOptions>(&command);
  ASSERT_NE(forward, nullptr);
  EXPECT_EQ(forward->prompt_dir, "adapter");
  EXPECT_EQ(forward->dtype, "bf16");
  EXPECT_EQ(forward->device, "cuda:1");
  EXPECT_EQ(forward->max_new_tokens, 30);
}

TEST(ParseCommandLine, ForwardRefusesWhatItCannotDo) {
  const std::vector<std::string> right = {
      "forward", "--model", "dir", "--input", "rows", "--output", "out"};
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"--generate", "0"},
      {"--generate", "-3"},
      {"--dtype", "auto"},
      {"--device", "tpu"}};
  for (const auto& [flag, value] : wrong) {
    std::vector<std::string> arguments = right;
    arguments.insert(arguments.end(), {flag, value});
    const PrintAndExit print = Printed(arguments);
    EXPECT_EQ(print.exit_code, 64) << flag << value;
    EXPECT_THAT(print.text, HasSubstr(flag));
  }
  EXPECT_EQ(Printed({"forward", "--model", "dir", "--input", "r"}).exit_code,
            64);
}

TEST(ParseCommandLine, HelpExplainsEveryFlag) {
  const PrintAndExit help = Printed({"--help"});

  EXPECT_EQ(help.exit_code, 0);
  for (const char* flag :
       {"--server",     "--listen",        "--advertise", "--metrics-listen",
        "--models-dir", "--device",        "--dtype",     "--threads",
        "--preload",    "--model-memory",  "--worker-id", "--log-level",
        "--ready-file", "--drain-timeout", "--config",    "--version",
        "--max-jobs",   "import",          "tokenize",    "forward",
        "Examples:"}) {
    EXPECT_THAT(help.text, HasSubstr(flag));
  }
}

TEST(ParseCommandLine, VersionIsPrinted) {
  EXPECT_THAT(Printed({"--version"}).text, HasSubstr(std::string(kVersion)));
}

TEST(ParseCommandLine, WrongValuesAreRefusedByName) {
  const std::vector<std::vector<std::string>> wrong = {
      {"--server", "nohost"},  {"--listen", "h:99999"},
      {"--device", "tpu"},     {"--dtype", "fp8"},
      {"--threads", "-1"},     {"--preload", "smollm"},
      {"--log-level", "loud"}, {"--drain-timeout", "soon"},
      {"--model-memory", "8"}, {"--no-such-flag", "x"},
      {"--max-jobs", "0"},     {"--max-jobs", "65"}};
  for (const auto& arguments : wrong) {
    const PrintAndExit print = Printed(arguments);
    EXPECT_EQ(print.exit_code, 64) << arguments[0];
    EXPECT_THAT(print.text, HasSubstr(arguments[0]));
  }
}

class ConfigFile : public testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = directory_.path() + "/worker.ini";
    std::ofstream(path) << text;
    return path;
  }

  TempDirectory directory_;
};

TEST_F(ConfigFile, SetsFlagsThatTheCommandLineDoesNot) {
  const std::string path = Write("threads = 3\nserver = h:1\n");

  const ServeOptions options = Served({"--config", path, "--server", "x:2"});

  EXPECT_EQ(options.threads, 3);
  EXPECT_EQ(options.server, "x:2");
}

TEST_F(ConfigFile, UnknownKeysAreRefused) {
  const PrintAndExit print = Printed({"--config", Write("thread = 3\n")});

  EXPECT_EQ(print.exit_code, 64);
  EXPECT_THAT(print.text, HasSubstr("thread"));
}

TEST_F(ConfigFile, AMissingFileIsRefused) {
  EXPECT_EQ(Printed({"--config", directory_.path() + "/none"}).exit_code, 64);
}

TEST_F(ConfigFile, SetsSizesAndLists) {
  const ServeOptions options = Served(
      {"--config",
       Write("model-memory = 8GiB\npreload = [\"models/a\", \"models/b\"]\n")});

  EXPECT_EQ(options.model_memory, int64_t{8} << 30);
  EXPECT_THAT(options.preload, ElementsAre("models/a", "models/b"));
}

TEST(ParseBytes, TakesPowersOf1000And1024) {
  EXPECT_EQ(ParseBytes("3kB"), 3000);
  EXPECT_EQ(ParseBytes("2.5MB"), 2'500'000);
  EXPECT_EQ(ParseBytes("1GB"), 1'000'000'000);
  EXPECT_EQ(ParseBytes("1TB"), 1'000'000'000'000);
  EXPECT_EQ(ParseBytes("64KiB"), 65536);
  EXPECT_EQ(ParseBytes("512MiB"), 512 << 20);
  EXPECT_EQ(ParseBytes("0.5GiB"), 512 << 20);
  EXPECT_EQ(ParseBytes("1TiB"), int64_t{1} << 40);
}

TEST(ParseBytes, RefusesWhatIsNoSize) {
  for (const char* text : {"", "8", "GiB", "0GiB", "-1GiB", "8 GiB", "8gb",
                           "8GiBs", "1.2.3GiB", "nanGiB", "9999999999TiB"}) {
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
  }
}

TEST(ParseAddress, SplitsAtTheLastColon) {
  EXPECT_EQ(ParseAddress("[::1]:80", "x")->first, "[::1]");
  EXPECT_EQ(ParseAddress("[::1]:80", "x")->second, 80);
}

TEST(ParseAddress, NamesTheFlag) {
  for (const char* address :
       {"", "host", ":80", "host:", "host:8x", "host:65536", "host:-1"}) {
    EXPECT_THAT(std::string(ParseAddress(address, "listen").status().message()),
                HasSubstr("listen"))
        << address;
  }
}

}  // namespace
}  // namespace attune::worker

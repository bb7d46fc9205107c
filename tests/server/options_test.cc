#include "server/options.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

std::variant<ServerOptions, EarlyExit> Parse(std::vector<std::string> flags) {
  std::vector<const char*> argv = {"attune-server"};
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  return ParseOptions(static_cast<int>(argv.size()), argv.data());
}

// A matcher of an early exit with this code and text.
MATCHER_P2(ExitsWith, code, text, "") {
  const auto* exit = std::get_if<EarlyExit>(&arg);
  if (exit == nullptr) return false;
  *result_listener << exit->exit_code << ": " << exit->text;
  return exit->exit_code == code &&
         testing::Matches(testing::HasSubstr(text))(exit->text);
}

TEST(Options, DefaultsServeThisMachineOnly) {
  const auto parsed = std::get<ServerOptions>(Parse({}));

  EXPECT_EQ(parsed.listen, "127.0.0.1:50051");
  EXPECT_EQ(parsed.metrics_listen, "127.0.0.1:9464");
  EXPECT_EQ(parsed.state_dir, ".attune/state");
  EXPECT_EQ(parsed.drain_timeout, absl::Seconds(25));
  EXPECT_EQ(parsed.lease_duration, absl::Seconds(30));
  EXPECT_EQ(parsed.max_queued_jobs, 1000);
}

TEST(Options, FlagsAreRead) {
  const auto parsed = std::get<ServerOptions>(Parse(
      {"--listen", "0.0.0.0:0", "--lease-duration=2s", "--max-queued-jobs", "5",
       "--log-level", "debug", "--ready-file", "/r"}));

  EXPECT_EQ(parsed.listen, "0.0.0.0:0");
  EXPECT_EQ(parsed.lease_duration, absl::Seconds(2));
  EXPECT_EQ(parsed.max_queued_jobs, 5);
  EXPECT_EQ(parsed.log_level, "debug");
  EXPECT_EQ(parsed.ready_file, "/r");
}

TEST(Options, HelpExplainsEveryFlag) {
  const auto parsed = Parse({"--help"});

  for (const char* flag :
       {"--listen", "--metrics-listen", "--state-dir", "--drain-timeout",
        "--lease-duration", "--max-queued-jobs", "--control-threads",
        "--inference-threads", "--ready-file", "--log-level", "--config",
        "--version"}) {
    EXPECT_THAT(parsed, ExitsWith(0, flag));
  }
  EXPECT_THAT(Parse({"--version"}), ExitsWith(0, "attune-server "));
}

TEST(Options, WrongFlagsAreUsageErrors) {
  EXPECT_THAT(Parse({"--nope"}), ExitsWith(kExitUsage, "--nope"));
  EXPECT_THAT(Parse({"--listen", "host"}), ExitsWith(kExitUsage, "'host'"));
  EXPECT_THAT(Parse({"--listen", "a:70000"}), ExitsWith(kExitUsage, "70000"));
  EXPECT_THAT(Parse({"--drain-timeout", "soon"}),
              ExitsWith(kExitUsage, "'soon' is not a duration"));
  EXPECT_THAT(Parse({"--lease-duration", "1ms"}),
              ExitsWith(kExitUsage, "--lease-duration"));
  EXPECT_THAT(Parse({"--max-queued-jobs", "0"}),
              ExitsWith(kExitUsage, "--max-queued-jobs"));
  EXPECT_THAT(Parse({"--log-level", "loud"}), ExitsWith(kExitUsage, "loud"));
}

TEST(Options, AConfigFileSetsWhatFlagsDoNot) {
  const TempDirectory directory;
  const std::string path = directory / "server.conf";
  WriteBytes(path, "listen=\"127.0.0.1:7\"\ndrain-timeout=\"9s\"\n");
  const auto parsed = std::get<ServerOptions>(
      Parse({"--config", path, "--listen", "127.0.0.1:8"}));

  EXPECT_EQ(parsed.listen, "127.0.0.1:8");
  EXPECT_EQ(parsed.drain_timeout, absl::Seconds(9));
}

TEST(Options, UnknownKeysAndMissingFilesAreConfigErrors) {
  const TempDirectory directory;
  const std::string path = directory / "server.conf";
  WriteBytes(path, "lisen=\"127.0.0.1:7\"\n");

  EXPECT_THAT(Parse({"--config", path}), ExitsWith(kExitConfig, "lisen"));
  EXPECT_THAT(Parse({"--config", directory / "none"}),
              ExitsWith(kExitConfig, "none"));
}

}  // namespace
}  // namespace attune::server

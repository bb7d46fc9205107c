#include "client/commands/prompt_export.h"

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/artifact.h"
#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::client {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

using WriteChunk =
    std::function<bool(const v1::DownloadPromptVersionResponse&)>;

class PromptExportTest : public testing::Test {
 protected:
  PromptExportTest() {
    artifact_.files = {{"adapter_config.json", "{}"},
                       {"adapter_model.safetensors", std::string(3000, 'w')}};
    fake_.scripts.get_version = [this](const auto& request, auto& version) {
      asked_for_ = request.name();
      version.set_name("prompts/p/versions/3");
      version.set_artifact_digest(ArtifactDigest(artifact_));
      return absl::OkStatus();
    };
    fake_.scripts.download = [this](const auto& request,
                                    const WriteChunk& write) {
      EXPECT_EQ(request.name(), "prompts/p/versions/3");
      for (const auto& [name, bytes] : sent_) {
        SendHeader(write, name, static_cast<int64_t>(bytes.size()),
                   Sha256Hex(bytes));
        SendBytes(write, bytes);
      }
      return absl::OkStatus();
    };
    sent_ = artifact_.files;
  }

  static void SendHeader(const WriteChunk& write, const std::string& name,
                         int64_t size, const std::string& sha256) {
    v1::DownloadPromptVersionResponse response;
    response.mutable_file()->set_name(name);
    response.mutable_file()->set_size_bytes(size);
    response.mutable_file()->set_sha256(sha256);
    write(response);
  }

  // In pieces of 1,000 bytes.
  static void SendBytes(const WriteChunk& write, const std::string& bytes) {
    for (size_t at = 0; at < bytes.size(); at += 1000) {
      v1::DownloadPromptVersionResponse response;
      response.set_chunk(bytes.substr(at, 1000));
      write(response);
    }
  }

  absl::Status Export(const std::string& directory) {
    Connection::Options options;
    options.server = fake_.address();
    options.first_backoff = absl::Milliseconds(1);
    Connection connection(options, interrupt_);
    return ExportPromptVersion(connection, "prompts/p@prod", directory)
        .status();
  }

  // Everything that stands in the directory the export goes to.
  std::vector<std::string> Left() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  TempDirectory directory_;
  // What the scripts touch outlives the server, which waits for them.
  Interrupt interrupt_;
  FakeAttune fake_;
  Artifact artifact_;
  std::map<std::string, std::string> sent_;
  std::string asked_for_;
};

TEST_F(PromptExportTest, WritesTheFiles) {
  ASSERT_OK(Export(directory_ / "out"));

  EXPECT_EQ(asked_for_, "prompts/p@prod");
  EXPECT_EQ(ReadBytes(directory_ / "out/adapter_config.json"), "{}");
  EXPECT_EQ(ReadBytes(directory_ / "out/adapter_model.safetensors"),
            std::string(3000, 'w'));
  EXPECT_THAT(Left(), testing::ElementsAre("out"));
}

TEST_F(PromptExportTest, FillsAnEmptyDirectory) {
  fs::create_directory(directory_ / "out");

  EXPECT_OK(Export((directory_ / "out") + "/"));

  EXPECT_TRUE(fs::exists(directory_ / "out/adapter_config.json"));
}

TEST_F(PromptExportTest, LeavesAFullDirectoryAlone) {
  fs::create_directory(directory_ / "out");
  WriteBytes(directory_ / "out/mine", "x");

  EXPECT_THAT(Export(directory_ / "out"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("exists already")));
  EXPECT_EQ(asked_for_, "");
  EXPECT_FALSE(fs::exists(directory_ / "out/adapter_config.json"));
}

TEST_F(PromptExportTest, RefusesAFlippedBitAndLeavesNothing) {
  fake_.scripts.download = [this](const auto&, const WriteChunk& write) {
    for (auto [name, bytes] : artifact_.files) {
      SendHeader(write, name, static_cast<int64_t>(bytes.size()),
                 Sha256Hex(bytes));
      bytes.back() ^= 1;
      SendBytes(write, bytes);
    }
    return absl::OkStatus();
  };

  EXPECT_THAT(Export(directory_ / "out"),
              ReasonIs(Reason::kCorruptArtifact,
                       HasSubstr("adapter_config.json does not have its "
                                 "SHA-256")));
  EXPECT_THAT(Left(), testing::IsEmpty());
}

TEST_F(PromptExportTest, RefusesFilesThatAreNotTheVersions) {
  sent_["adapter_config.json"] = "{\"other\": 1}";  // with a right digest

  EXPECT_THAT(
      Export(directory_ / "out"),
      ReasonIs(Reason::kCorruptArtifact, HasSubstr("not those of the digest " +
                                                   ArtifactDigest(artifact_))));
  EXPECT_THAT(Left(), testing::IsEmpty());
}

TEST_F(PromptExportTest, RefusesAMissingFile) {
  sent_.erase("adapter_config.json");

  EXPECT_THAT(Export(directory_ / "out"),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("not those of")));
  EXPECT_THAT(Left(), testing::IsEmpty());
}

TEST_F(PromptExportTest, RefusesFewerAndMoreBytesThanPromised) {
  for (const int64_t promised : {1000, 5000}) {
    fake_.scripts.download = [&](const auto&, const WriteChunk& write) {
      SendHeader(write, "a", promised, Sha256Hex(std::string(3000, 'w')));
      SendBytes(write, std::string(3000, 'w'));
      return absl::OkStatus();
    };

    EXPECT_THAT(Export(directory_ / "out"),
                ReasonIs(Reason::kCorruptArtifact, HasSubstr("bytes")));
    EXPECT_THAT(Left(), testing::IsEmpty());
  }
}

TEST_F(PromptExportTest, WritesNothingOutsideItsDirectory) {
  for (const std::string name : {"../escape", "/etc/escape", "a/b", "", ".."}) {
    fake_.scripts.download = [&](const auto&, const WriteChunk& write) {
      SendHeader(write, name, 1, Sha256Hex("x"));
      SendBytes(write, "x");
      return absl::OkStatus();
    };

    EXPECT_THAT(Export(directory_ / "out"),
                ReasonIs(Reason::kCorruptArtifact, HasSubstr("")))
        << name;
    EXPECT_THAT(Left(), testing::IsEmpty());
  }
}

TEST_F(PromptExportTest, RefusesTheSameFileTwice) {
  fake_.scripts.download = [&](const auto&, const WriteChunk& write) {
    for (int i = 0; i < 2; ++i) {
      SendHeader(write, "a", 1, Sha256Hex("x"));
      SendBytes(write, "x");
    }
    return absl::OkStatus();
  };

  EXPECT_THAT(Export(directory_ / "out"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("File exists")));
  EXPECT_THAT(Left(), testing::IsEmpty());
}

TEST_F(PromptExportTest, RefusesBytesWithoutAFile) {
  fake_.scripts.download = [&](const auto&, const WriteChunk& write) {
    SendBytes(write, "x");
    return absl::OkStatus();
  };

  EXPECT_THAT(Export(directory_ / "out"),
              ReasonIs(Reason::kCorruptArtifact,
                       HasSubstr("bytes come before a file")));
}

TEST_F(PromptExportTest, TriesABrokenStreamAgainFromTheStart) {
  int streams = 0;
  const auto whole = fake_.scripts.download;
  fake_.scripts.download = [&](const auto& request, const WriteChunk& write) {
    if (++streams == 1) {
      SendHeader(write, "adapter_config.json", 2, Sha256Hex("{}"));
      return MakeError(Reason::kDraining, "shutting down");
    }
    return whole(request, write);
  };

  EXPECT_OK(Export(directory_ / "out"));
  EXPECT_EQ(streams, 2);
  EXPECT_THAT(Left(), testing::ElementsAre("out"));
}

TEST_F(PromptExportTest, AnInterruptLeavesNothing) {
  fake_.scripts.download = [&](const auto&, const WriteChunk& write) {
    SendHeader(write, "a", 1 << 27, Sha256Hex("x"));
    interrupt_.Raise();
    v1::DownloadPromptVersionResponse response;
    response.set_chunk("x");
    while (write(response)) {
    }
    return absl::OkStatus();
  };

  EXPECT_EQ(Export(directory_ / "out").code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(Left(), testing::IsEmpty());
}

TEST_F(PromptExportTest, NamesADirectoryItCannotWriteBeside) {
  EXPECT_THAT(Export(directory_ / "no/such/out"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("No such file or directory")));
}

}  // namespace
}  // namespace attune::client

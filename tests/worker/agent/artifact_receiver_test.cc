#include "worker/agent/artifact_receiver.h"

#include <gtest/gtest.h>

#include "proto/cc/status.h"

namespace attune::worker {
namespace {

using Message = attune::v1::DownloadPromptVersionResponse;

const Artifact& TwoFiles() {
  static const auto* const kArtifact =
      new Artifact{{{"a.json", "{}"}, {"b.bin", "0123456789"}}};
  return *kArtifact;
}

// The messages of a sound download, in chunks of 4 bytes.
std::vector<Message> MessagesOf(const Artifact& artifact) {
  std::vector<Message> messages;
  for (const ArtifactEntry& entry : EntriesOf(artifact)) {
    attune::v1::ArtifactFile& file = *messages.emplace_back().mutable_file();
    file.set_name(entry.name);
    file.set_size_bytes(entry.size_bytes);
    file.set_sha256(entry.sha256);
    const std::string& bytes = artifact.files.at(entry.name);
    for (size_t i = 0; i < bytes.size(); i += 4) {
      messages.emplace_back().set_chunk(bytes.substr(i, 4));
    }
  }
  return messages;
}

absl::StatusOr<Artifact> Receive(const std::vector<Message>& messages,
                                 const std::string& digest) {
  ArtifactReceiver receiver(digest);
  for (const Message& message : messages) {
    const absl::Status status = receiver.Add(message);
    if (!status.ok()) return status;
  }
  return receiver.Finish();
}

TEST(ArtifactReceiver, PutsTheFilesTogether) {
  const auto artifact =
      Receive(MessagesOf(TwoFiles()), ArtifactDigest(TwoFiles()));

  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->files, TwoFiles().files);
}

TEST(ArtifactReceiver, EveryFlippedByteIsFound) {
  for (size_t file = 0; file < 2; ++file) {
    Artifact damaged = TwoFiles();
    std::string& bytes = std::next(damaged.files.begin(), file)->second;
    for (char& byte : bytes) {
      byte ^= 1;
      std::vector<Message> messages = MessagesOf(damaged);
      const std::vector<Message> sound = MessagesOf(TwoFiles());
      for (size_t i = 0; i < messages.size(); ++i) {
        if (sound[i].has_file()) messages[i] = sound[i];
      }
      EXPECT_EQ(Receive(messages, ArtifactDigest(TwoFiles())).status().code(),
                absl::StatusCode::kDataLoss);
      byte ^= 1;
    }
  }
}

TEST(ArtifactReceiver, AnotherArtifactIsRefused) {
  const Artifact other{{{"a.json", "[]"}}};

  EXPECT_EQ(
      ReasonOf(Receive(MessagesOf(other), ArtifactDigest(TwoFiles())).status()),
      Reason::kCorruptArtifact);
}

TEST(ArtifactReceiver, AMissingFileIsFound) {
  std::vector<Message> messages = MessagesOf(TwoFiles());
  messages.resize(2);  // a.json and its chunk

  EXPECT_EQ(ReasonOf(Receive(messages, ArtifactDigest(TwoFiles())).status()),
            Reason::kCorruptArtifact);
}

TEST(ArtifactReceiver, ATruncatedFileIsFound) {
  std::vector<Message> messages = MessagesOf(TwoFiles());
  messages.pop_back();

  EXPECT_EQ(Receive(messages, ArtifactDigest(TwoFiles())).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(ArtifactReceiver, MoreBytesThanTheSizeAreRefusedAtOnce) {
  ArtifactReceiver receiver(ArtifactDigest(TwoFiles()));
  const std::vector<Message> messages = MessagesOf(TwoFiles());
  ASSERT_TRUE(receiver.Add(messages[0]).ok());
  Message chunk;
  chunk.set_chunk("{}}");

  EXPECT_EQ(ReasonOf(receiver.Add(chunk)), Reason::kCorruptArtifact);
}

TEST(ArtifactReceiver, BytesBeforeAFileAreRefused) {
  ArtifactReceiver receiver("x");
  Message chunk;
  chunk.set_chunk("{}");

  EXPECT_EQ(ReasonOf(receiver.Add(chunk)), Reason::kCorruptArtifact);
}

TEST(ArtifactReceiver, NamesThatLeaveTheDirectoryAreRefused) {
  std::vector<Message> messages = MessagesOf(TwoFiles());
  messages[0].mutable_file()->set_name("../a.json");
  ArtifactReceiver receiver("x");

  EXPECT_FALSE(receiver.Add(messages[0]).ok());
}

TEST(ArtifactReceiver, TooManyBytesAreRefusedBeforeTheyCome) {
  ArtifactReceiver receiver("x");
  Message message = MessagesOf(TwoFiles())[0];
  message.mutable_file()->set_size_bytes(kMaxArtifactBytes + 1);

  EXPECT_FALSE(receiver.Add(message).ok());
}

}  // namespace
}  // namespace attune::worker

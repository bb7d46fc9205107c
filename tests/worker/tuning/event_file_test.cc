#include "worker/tuning/event_file.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attune/worker/v1/tensorboard_event.pb.h"

namespace attune::worker {
namespace {

using ::attune::v1::TrainingSeries;

// CRC-32C bit by bit, as RFC 3720 defines it.
uint32_t SlowCrc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
  }
  return ~crc;
}

uint32_t SlowMaskedCrc(std::string_view bytes) {
  const uint32_t crc = SlowCrc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

uint64_t NumberAt(std::string_view bytes, size_t at, int num_bytes) {
  uint64_t number = 0;
  for (int i = num_bytes; i-- > 0;) {
    number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return number;
}

// The events of a file. Fails the test on a record that is cut or whose
// checksums are wrong.
std::vector<v1::TensorBoardEvent> ReadEvents(std::string_view file) {
  std::vector<v1::TensorBoardEvent> events;
  while (!file.empty()) {
    if (file.size() < 16 || NumberAt(file, 0, 8) > file.size() - 16) {
      ADD_FAILURE() << "a record is cut";
      break;
    }
    const size_t length = NumberAt(file, 0, 8);
    const std::string data(file.substr(12, length));
    EXPECT_EQ(NumberAt(file, 8, 4), SlowMaskedCrc(file.substr(0, 8)));
    EXPECT_EQ(NumberAt(file, 12 + length, 4), SlowMaskedCrc(data));
    EXPECT_TRUE(events.emplace_back().ParseFromString(data));
    file.remove_prefix(length + 16);
  }
  return events;
}

TrainingSeries OneSeries(const std::string& name, const std::vector<int>& steps,
                         const std::vector<double>& values) {
  TrainingSeries series;
  series.set_name(name);
  *series.mutable_steps() = {steps.begin(), steps.end()};
  *series.mutable_values() = {values.begin(), values.end()};
  return series;
}

// "tag=value" of an event, by tag.
std::map<std::string, float> ValuesOf(const v1::TensorBoardEvent& event) {
  std::map<std::string, float> values;
  for (const auto& value : event.summary().value()) {
    EXPECT_TRUE(value.has_simple_value()) << value.tag();
    values[value.tag()] = value.simple_value();
  }
  return values;
}

TEST(EventFile, TheTestsOwnChecksumIsThatOfTheRfc) {
  EXPECT_EQ(SlowCrc32c("123456789"), 0xE3069283u);
}

TEST(EventFile, BeginsWithTheFormatsName) {
  const auto events = ReadEvents(EncodeEventFile({}, absl::FromUnixSeconds(9)));

  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[0].wall_time(), 9);
}

// The record as TensorFlow's own writer makes it for this event: field 1 is the
// double 0, which is left out, field 3 the text.
TEST(EventFile, HasTheBytesOfTensorFlow) {
  const std::string data =
      "\x1A\x0D"
      "brain.Event:2";
  const std::string file = EncodeEventFile({}, absl::UnixEpoch());

  ASSERT_EQ(file.size(), 8 + 4 + data.size() + 4);
  EXPECT_EQ(file.substr(0, 8), std::string("\x0F\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(file.substr(12, data.size()), data);
}

TEST(EventFile, HoldsTheValuesOfAStepTogether) {
  const auto events = ReadEvents(
      EncodeEventFile({OneSeries("loss", {1, 2}, {0.5, 0}),
                       OneSeries("grad_norm", {1, 2}, {3, 4}),
                       OneSeries("validation_macro_f1", {2}, {0.75})},
                      absl::UnixEpoch()));

  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].step(), 1);
  EXPECT_EQ(ValuesOf(events[1]),
            (std::map<std::string, float>{{"training/loss", 0.5f},
                                          {"training/grad_norm", 3}}));
  EXPECT_EQ(events[2].step(), 2);
  EXPECT_EQ(ValuesOf(events[2]),
            (std::map<std::string, float>{{"training/loss", 0},
                                          {"training/grad_norm", 4},
                                          {"validation/macro_f1", 0.75f}}));
}

TEST(EventFile, TimesFollowTheSecondsOfTraining) {
  const auto events = ReadEvents(
      EncodeEventFile({OneSeries("loss", {1, 10, 15, 20, 30}, {5, 4, 3, 2, 1}),
                       OneSeries("training_seconds", {10, 20}, {100, 120})},
                      absl::FromUnixSeconds(1000)));

  ASSERT_EQ(events.size(), 6u);
  std::vector<double> times;
  for (const auto& event : events) times.push_back(event.wall_time());
  EXPECT_EQ(times, (std::vector<double>{1000, 1010, 1100, 1110, 1120, 1120}));
}

TEST(EventFile, EqualSeriesGiveEqualBytes) {
  const std::vector<TrainingSeries> series = {
      OneSeries("loss", {1, 2}, {0.5, 0.25})};
  const absl::Time start = absl::FromUnixSeconds(1'700'000'000);

  EXPECT_EQ(EncodeEventFile(series, start), EncodeEventFile(series, start));
  EXPECT_NE(EncodeEventFile(series, start),
            EncodeEventFile(series, start + absl::Seconds(1)));
}

}  // namespace
}  // namespace attune::worker

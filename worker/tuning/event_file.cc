#include "worker/tuning/event_file.h"

#include <algorithm>
#include <boost/crc.hpp>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

#include "attune/worker/v1/tensorboard_event.pb.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

using attune::v1::TrainingSeries;

constexpr std::string_view kFileVersion = "brain.Event:2";
constexpr std::string_view kSecondsSeries = "training_seconds";
constexpr std::string_view kValidationPrefix = "validation_";

// CRC-32C (Castagnoli), reflected.
using Crc32c =
    boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true>;

void AppendLittleEndian(uint64_t number, int num_bytes, std::string& bytes) {
  for (int i = 0; i < num_bytes; ++i) {
    bytes.push_back(static_cast<char>(number >> (8 * i) & 0xFF));
  }
}

// TFRecord stores a checksum rotated and shifted, since the checksum of bytes
// that end in their own checksum tells little.
uint32_t MaskedCrc(std::string_view bytes) {
  Crc32c crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const uint32_t plain = crc.checksum();
  return (plain >> 15 | plain << 17) + 0xA282EAD8u;
}

// length (8 bytes), its checksum (4), data, its checksum (4).
void AppendRecord(std::string_view data, std::string& file) {
  std::string length;
  AppendLittleEndian(data.size(), 8, length);
  file += length;
  AppendLittleEndian(MaskedCrc(length), 4, file);
  file += data;
  AppendLittleEndian(MaskedCrc(data), 4, file);
}

std::string TagOf(std::string_view name) {
  if (name.starts_with(kValidationPrefix)) {
    return Concat("validation/", name.substr(kValidationPrefix.size()));
  }
  return Concat("training/", name);
}

int NumPoints(const TrainingSeries& series) {
  return std::min(series.steps_size(), series.values_size());
}

// Seconds of training by step, for the times of events.
class StepTimes {
 public:
  explicit StepTimes(const std::vector<TrainingSeries>& all) {
    for (const TrainingSeries& series : all) {
      if (series.name() != kSecondsSeries) continue;
      for (int i = 0; i < NumPoints(series); ++i) {
        seconds_[series.steps(i)] = series.values(i);
      }
    }
  }

  double SecondsAt(int step) const {
    const auto after = seconds_.lower_bound(step);
    if (after == seconds_.end()) {
      return seconds_.empty() ? 0 : seconds_.rbegin()->second;
    }
    if (after->first == step) return after->second;
    const bool first = after == seconds_.begin();
    const int from_step = first ? 0 : std::prev(after)->first;
    const double from = first ? 0 : std::prev(after)->second;
    return from + (after->second - from) * (step - from_step) /
                      (after->first - from_step);
  }

 private:
  std::map<int, double> seconds_;
};

}  // namespace

std::string EncodeEventFile(const std::vector<TrainingSeries>& series,
                            absl::Time start) {
  const StepTimes times(series);
  const double start_seconds = absl::ToDoubleSeconds(start - absl::UnixEpoch());
  std::map<int, v1::TensorBoardEvent> events;
  for (const TrainingSeries& one : series) {
    const std::string tag = TagOf(one.name());
    for (int i = 0; i < NumPoints(one); ++i) {
      v1::TensorBoardSummary::Value& value =
          *events[one.steps(i)].mutable_summary()->add_value();
      value.set_tag(tag);
      value.set_simple_value(static_cast<float>(one.values(i)));
    }
  }
  v1::TensorBoardEvent version;
  version.set_wall_time(start_seconds);
  version.set_file_version(std::string(kFileVersion));
  std::string file;
  AppendRecord(version.SerializeAsString(), file);
  for (auto& [step, event] : events) {
    event.set_step(step);
    event.set_wall_time(start_seconds + times.SecondsAt(step));
    AppendRecord(event.SerializeAsString(), file);
  }
  return file;
}

}  // namespace attune::worker

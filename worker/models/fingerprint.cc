#include "worker/models/fingerprint.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "proto/cc/digest.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxCacheBytes = size_t{1} << 20;
constexpr size_t kPartBytes = size_t{8} << 20;

// Sizes and times of the files: what the cache is keyed by.
absl::StatusOr<nlohmann::json> DescribeFiles(
    const std::vector<std::string>& files) {
  nlohmann::json description = nlohmann::json::array();
  for (const std::string& file : files) {
    struct stat info = {};
    if (stat(file.c_str(), &info) != 0) {
      return absl::ErrnoToStatus(errno, Concat("cannot read ", file));
    }
    description.push_back({{"name", fs::path(file).filename().string()},
                           {"bytes", info.st_size},
                           {"seconds", info.st_mtim.tv_sec},
                           {"nanoseconds", info.st_mtim.tv_nsec}});
  }
  return description;
}

absl::StatusOr<std::string> Compute(const std::vector<std::string>& files) {
  Sha256 digest;
  for (const std::string& path : files) {
    ATTUNE_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
    digest.Update(Concat(fs::path(path).filename().string(), "\n",
                         file->bytes().size(), "\n"));
    // In parts, so that no more of the file than that is in memory at a time.
    const std::string_view bytes = file->bytes();
    for (size_t begin = 0; begin < bytes.size(); begin += kPartBytes) {
      const std::string_view part = bytes.substr(begin, kPartBytes);
      digest.Update(part);
      file->Release(begin, part.size());
    }
  }
  return digest.HexDigest();
}

void Remember(const std::string& cache_file, const nlohmann::json& entry) {
  std::error_code error;
  fs::create_directories(fs::path(cache_file).parent_path(), error);
  const std::string temporary = Concat(cache_file, ".", getpid());
  std::ofstream file(temporary, std::ios::binary);
  file << entry.dump() << '\n';
  file.close();
  if (file) fs::rename(temporary, cache_file, error);
  if (!file || error) {
    spdlog::warn("cannot write {}: the fingerprint is computed at every start",
                 cache_file);
  }
}

}  // namespace

absl::StatusOr<std::string> Fingerprint(const std::vector<std::string>& files,
                                        const std::string& cache_file) {
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json description,
                          DescribeFiles(files));
  const auto cached = ReadJsonFile(cache_file, kMaxCacheBytes);
  if (cached.ok() && cached->is_object() &&
      cached->value("files", nlohmann::json()) == description &&
      cached->contains("sha256") && (*cached)["sha256"].is_string()) {
    return (*cached)["sha256"].get<std::string>();
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string sha256, Compute(files));
  Remember(cache_file, {{"files", description}, {"sha256", sha256}});
  return sha256;
}

absl::StatusOr<std::string> FingerprintMemory::Find(
    const std::vector<std::string>& files, const std::string& cache_file) {
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json described, DescribeFiles(files));
  const std::string description =
      described.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  {
    absl::MutexLock lock(&mutex_);
    const auto known = known_.find(cache_file);
    if (known != known_.end() && known->second.first == description) {
      return known->second.second;
    }
  }
  // Files that change meanwhile have another description the next time.
  ATTUNE_ASSIGN_OR_RETURN(std::string fingerprint,
                          Fingerprint(files, cache_file));
  absl::MutexLock lock(&mutex_);
  known_[cache_file] = {description, fingerprint};
  return fingerprint;
}

}  // namespace attune::worker

#ifndef ATTUNE_TESTS_WORKER_MODELS_RESIDENT_MEMORY_H_
#define ATTUNE_TESTS_WORKER_MODELS_RESIDENT_MEMORY_H_

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace attune::worker {

// A line of /proc/self/status, e.g. "VmRSS:", in bytes; -1 if there is none.
// The kernel counts pages per core and adds them up now and then: exact to a
// few hundred kilobytes.
inline int64_t ResidentBytes(std::string_view line_begin) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(line_begin)) {
      return std::stoll(line.substr(line_begin.size())) * 1024;
    }
  }
  return -1;
}

// What is resident of mapped files.
inline int64_t MappedBytes() { return ResidentBytes("RssFile:"); }

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_MODELS_RESIDENT_MEMORY_H_
